package main

// consoleAttacked are the rules of the console that an attack found missing.
var consoleAttacked = []sabotage{
	{"an open page has the vendor's whole list read for days", []edit{{
		"internal/console.Console.purchasePage", "read.GetPurchase().GetState() == gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR", never,
	}}, consolePages, "TestWaitingPageIsSlow"},
	{"an operator who may not see budgets sees what is spent", []edit{{
		"internal/console.Console.spentToday", "return", dropped,
	}}, consolePages, "TestSpendingNeedsTheRight"},
	{"personal data is shown without an audit record", []edit{{
		"internal/console.Console.readRecord", "found.hasCodes()", always,
	}}, consolePages, "TestNothingIsRevealedWithoutARecord"},
	{"who repeats a refused thaw freezes", []edit{{
		"internal/console.Console.thaw", "(*money).refuseThaw", "(*money).refuseFreeze",
	}}, consolePages, "TestRefusedThawIsNoFreeze"},
	{"the console says that nothing waits although it did not look", []edit{{
		"internal/console.Console.open", `len(list) == 0 && found.GetNextPageToken() != ""`, never,
	}}, consolePages, "TestNothingIsSaidOfWhatWasNotExamined"},
	{"the console keeps what each caller spent for each sample", []edit{{
		"internal/console.series.add", "last >= 0", never,
	}}, consolePages, "TestOnlyTheNewestSampleHasSpending"},
	{"who wants to freeze one caller freezes everything", []edit{{
		"internal/console.Console.freeze", `form.Scope == freezeEverything && form.Name != ""`, never,
	}}, consolePages, "TestNameIsNotIgnored"},
	{"an open page goes on without its operator", []edit{{
		"internal/console.Console.stream", "!ok", never,
	}}, consolePages, "TestOpenPageEndsWithItsOperator"},
	{"another site opens pages of the console", []edit{{
		"internal/console.Console.ServeHTTP", "isEmbedded(r)", never,
	}}, consolePages, "TestOtherSitesOnlyLink"},
	{"a rebound name reaches the console", []edit{{
		"cmd/gigagate.serveCommand.addConsole", "c.consoleHosts().only(made)", "made",
	}}, program, "TestReboundHost"},
	{"an open page that cannot be read looks live", []edit{{
		"internal/console.Console.stream", `"event: stale\ndata:\n\n"`, `": nothing new\n\n"`,
	}}, consolePages, "TestOpenPageSaysThatItIsStale"},
}
