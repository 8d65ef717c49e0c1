package main

// limiting are the rules of what one call, one client or one outage can hold.
var limiting = []sabotage{
	// One purchase tries whether the vendor sells again.
	{"two purchases try at once", []edit{{
		"gigastore.breaker.readAnswered", "time.Since(b.trial.began) < trialTime", never,
	}}, vendor, "TestBreaker"},
	{"a purchase that hangs keeps all others from trying", []edit{{
		"gigastore.breaker.readAnswered", "time.Since(b.trial.began) < trialTime", always,
	}}, simulation, "TestSalesHang"},
	{"the end of an old trial ends the next one", []edit{{
		"gigastore.Trial.end", "!b.open || b.trial != t", "!b.open",
	}}, vendor, "TestBreaker"},
	{"reads end an outage of sales", []edit{{
		"gigastore.breaker.readAnswered", "b.mayTry && !b.doubt", "b.mayTry",
	}}, simulation, "TestSalesHang"},
	{"two reads at once end an outage", []edit{{
		"gigastore.breaker.readAnswered", "time.Since(b.readAt) < readsApart", never,
	}}, vendor, "TestBreaker"},
	{"an old answer to a purchase ends an outage", []edit{{
		"gigastore.breaker.end", "!b.open || before.outages == b.outages", always,
	}}, vendor, "TestBreaker"},
	{"an old answer to a read ends an outage", []edit{{
		"gigastore.breaker.end", "b.open && before.outages == b.outages", "b.open",
	}}, simulation, "TestProbesThatHung"},

	// A wrong credential is refused after a pause.
	{"a wrong credential over gRPC is refused at once", []edit{{
		"server.Server.adaptGRPC", "if access.Of($ctx) == nil { s.holdBack($_, $_, $began) }", "_ = $began",
	}}, server, "TestWrongCredentialsAreHeldBack"},
	{"a wrong credential over REST is refused at once", []edit{{
		"server.Server.refuseUnidentified", "s.holdBack($_, $_, $_)", dropped,
	}}, server, "TestWrongCredentialsAreHeldBack"},
	{"a wrong credential of a stream is refused at once", []edit{{
		"server.Server.identifyStream", "s.holdBack($_, $_, $began)", "_ = $began",
	}}, server, "TestWrongCredentialsAreHeldBack"},
	{"the time of a refusal tells how long the check took", []edit{{
		"server.Server.holdBack", "s.refusalPause - time.Since(began)", "s.refusalPause",
	}}, server, "TestRefusalsTakeTheSameTime"},
	{"by default a wrong credential is refused at once", []edit{{
		"server.New", "cmp.Or(config.RefusalPause, refusalPause)", "cmp.Or(config.RefusalPause, 0)",
	}}, program, "TestServeReadsTheCallersFile"},

	// A client that causes work for nothing is slowed down.
	{"reset calls do not slow their client down", []edit{{
		"server.admission.admit", "a.floods.begin(client)", dropped,
	}}, server, "TestResetCallsSlowTheirClientDown"},
	{"reset calls that still run are not counted", []edit{{
		"server.admission.admit", "call.useless = a.floods.uselessCall(client)", dropped,
	}}, server, "TestResetCallsSlowTheirClientDown"},
	{"calls beyond all bounds do not slow their client down", []edit{{
		"server.admission.admit", "a.floods.slow(client)", dropped,
	}}, server, "TestAdmission"},
	{"each connection has its own pause", []edit{{
		"server.floods.slow", "f.pauses.Wait(patience, client) != nil", "func() bool { _ = patience; f.pauses.Hold(client); return false }()",
	}}, server, "TestPausesAreShared"},
	{"a slowed call waits for all others of its client", []edit{{
		"server.floods.slow", "f.pauses.Wait(patience, client)", "f.pauses.Wait(context.WithoutCancel(patience), client)",
	}}, server, "TestPausesAreShared"},
	{"wrong credentials do not slow their client down", []edit{{
		"server.Server.holdBack", "defer s.admission.floods.uselessCall(client)()", "_ = client",
	}}, server, "TestWrongCredentialsSlowTheirClientDown"},
	{"REST slows nobody down", []edit{{
		"server.Server.guardREST", "defer s.admission.floods.beginREST(r, client)()", dropped,
	}}, server, "TestRESTSlowsClientsDown"},
	{"reset requests over REST are not counted", []edit{{
		"server.floods.beginREST", "defer f.uselessCall(client)()", dropped,
	}}, server, "TestResetRequestsSlowTheirClientDown"},
	{"a request whose client has left is served", []edit{{
		"server.Server.guardREST", "r.Context().Err() != nil", never,
	}}, server, "TestRESTSlowsClientsDown"},

	// What a caller's limits count, and what a panic leaves.
	{"streams do not count for their caller", []edit{{
		"server.Server.identifyStream", "if f != nil { return f }", "_ = f",
	}}, server, "TestStreamsOfACaller"},
	{"one address may have all health watches", []edit{{
		"server.admission.take", "isStream && !a.streams.Take(client)", `isStream && !a.streams.Take("")`,
	}}, server, "TestWatchesLeavePlaces"},
	{"a claim that panics keeps its key in flight", []edit{{
		"purchase.Engine.claim", "defer e.inFlight.leave(request.Key)",
		"defer func() { if value := recover(); value != nil { panic(value) }; e.inFlight.leave(request.Key) }()",
	}}, states, "TestPanicLeavesNoKey"},
	{"a call that panics keeps its key in flight", []edit{{
		"purchase.Engine.Buy", "if others := e.inFlight.leave(request.Key); $cond { $*body }",
		"if value := recover(); value != nil { panic(value) }; if others := e.inFlight.leave(request.Key); $cond { $*body }",
	}}, states, "TestPanicLeavesNoKey"},

	// The vendor's answers.
	{"an answer of the vendor is read without end", []edit{{
		"gigastore.readBody", "io.LimitReader(resp.Body, limit+1)", "io.LimitReader(resp.Body, limit+(32<<20))",
	}}, vendor, "TestEndlessBodyEnds"},
	{"a part of a long answer counts as the whole", []edit{{
		"gigastore.readBody", "int64(len(body)) > limit", never,
	}}, vendor, "TestEndlessBodyEnds|TestReadAnswersAreCapped"},
	{"the vendor's list has any size", []edit{{
		"gigastore.limitedReader.Read", "l.total <= 0 || l.element <= 0", "l.element <= 0",
	}}, vendor, "TestListsAreCapped"},
}
