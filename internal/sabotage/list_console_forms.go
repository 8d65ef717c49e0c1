package main

// consoleForms are the rules of the forms by which an operator changes something.
var consoleForms = []sabotage{
	{"a purchase is settled without a confirmation", []edit{{
		"internal/console.resolveRequest", `values.Get("confirmed") != "yes"`, never,
	}}, consolePages, "TestNothingChangesWithoutAConfirmation"},
	{"purchases are frozen without a confirmation", []edit{{
		"internal/console.Console.changeFreeze", `r.PostForm.Get("confirmed") != "yes"`, never,
	}}, consolePages, "TestNothingChangesWithoutAConfirmation"},
	{"an operator signs with the name of another one", []edit{{
		"internal/console.operatorOf", "p != nil && p != access.Open", never,
	}}, consolePages, "TestSettleSendsTheAnswer"},
	{"every answer that nothing was sold is forced", []edit{{
		"internal/console.resolveRequest", "typed.Answer == answerForce", always,
	}}, consolePages, "TestSettleSendsTheAnswer"},
}
