package main

// attackedSpend are rules that an attack on metrics, traces and trials found without a test.
var attackedSpend = []sabotage{
	{"each scrape waits for the journal by itself", []edit{{
		"cmd/gigagate.telemetry.setUpMetrics", "CoalesceGather: true", "CoalesceGather: false",
	}}, program, "TestScrapesShareOneRead"},
}
