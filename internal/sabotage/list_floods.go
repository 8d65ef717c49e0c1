package main

// attackedFloods are rules that an attack on the slowing down of clients found without a test.
var attackedFloods = []sabotage{
	{"a call whose deadline passed in a pause begins", []edit{{
		"server.admission.admit", "ctx.Err() != nil", never,
	}}, server, "TestPausesDoNotProlongThemselves"},
	{"a drain waits for the pauses of each connection", []edit{{
		"server.New", "s.admission.floods.life = s.streams", dropped,
	}}, server, "TestDrainEndsPauses"},
	{"a wait for a pause does not end when the drain begins", []edit{{
		"server.floods.slow", "context.WithTimeout(f.life, floodPatience)", "context.WithTimeout(context.Background(), floodPatience)",
	}}, server, "TestDrainEndsPauses"},
}
