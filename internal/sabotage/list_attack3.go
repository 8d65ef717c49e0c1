package main

// attackedFloods are rules that an attack on the slowing down of clients found without a test.
var attackedFloods = []sabotage{
	{"a call whose deadline passed in a pause begins", []edit{{
		"server.admission.admit", "ctx.Err() != nil", never,
	}}, server, "TestPausesDoNotProlongThemselves"},
}
