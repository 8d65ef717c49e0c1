package main

// attackedSpend are rules that an attack on metrics, traces and trials found without a test.
var attackedSpend = []sabotage{
	{"each scrape waits for the journal by itself", []edit{{
		"cmd/gigagate.telemetry.setUpMetrics", "CoalesceGather: true", "CoalesceGather: false",
	}}, program, "TestScrapesShareOneRead"},
	{"a list closes the file because of a damaged order", []edit{{
		"purchase/sqlite/read.go", "WHEN json_valid(n.order_json) THEN", "WHEN true THEN",
	}}, "./purchase/sqlite", "TestListWithADamagedOrder"},
	{"what was written unheard is not counted", []edit{{
		"purchase.Engine.recordOnce", "unknown && entry.State == p.State", never,
	}}, states, "TestSalesCountOnce"},
	{"two replicas count one event", []edit{{
		"purchase.Engine.recordOnce", "e.tell(ctx, &p, transition, verdict)", "e.announce(ctx, &p, transition, verdict)",
	}}, states, "TestSalesCountOnce"},
}
