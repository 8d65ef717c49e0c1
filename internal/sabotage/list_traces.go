package main

// tracing are the rules of the gateway's own spans.
var tracing = []sabotage{
	{"the span of work that panics tells the value", []edit{{
		"purchase.Engine.startSpan", "func() { span.End() }",
		"func() { if value, ok := recover().(string); ok { span.AddEvent(value); panic(value) }; span.End() }",
	}}, states, "TestSpansTellNoPanic"},
	{"a span has any number of links", []edit{{
		"purchase.Engine.startSpan", "on[:min(len(on), maxLinks)]", "on",
	}}, states, "TestLinksAreBounded"},
	{"the journal forgets the trace of a claim", []edit{{
		"purchase.Engine.claim", "Origin: originOf($_)", "Origin: Origin{}",
	}}, server, "TestTraceOfAPurchase"},
	{"a list by trace ignores the trace that is not there", []edit{{
		"purchase.Origin.Trace", "!o.TraceID.IsValid()", never,
	}}, "./purchase/memory", "TestJournal/ListFilters"},
}
