package main

// alerting are the rules without which nobody learns that the gateway needs help.
var alerting = []sabotage{
	{"a journal that cannot write raises no alert", []edit{{
		"cmd/gigagate.measureJournal", "checkWrites($_, journal) != nil", never,
	}}, program, "TestJournalProblemIsMeasured"},
}
