package main

// showing are the rules of what operators see, and of who sees it.
var showing = []sabotage{
	{"the cookie of an attempt to sign in goes over any connection", []edit{{
		"internal/console.attemptCookie", "Secure: r.TLS != nil", "Secure: false",
	}}, consolePages, "TestSignInOverTLS"},
	{"the cookie of a session goes over any connection", []edit{{
		"internal/console.sessions.begin", "Secure: r.TLS != nil", "Secure: false",
	}}, consolePages, "TestSignInOverTLS"},
	{"another host sets the cookie of a session", []edit{{
		"internal/console.cookieName", "r.TLS != nil", never,
	}}, consolePages, "TestSignInOverTLS"},
	{"an operator does not see what contradicts the journal", []edit{{
		"internal/console.Console.anomalies", "p.GetSettleTime() == nil", always,
	}}, consolePages, "TestAnomaliesAreShown"},
	{"a late sale is told as a failure", []edit{{
		"internal/console.Console.purchaseData", "p.GetAnomalies() > 0 && p.GetSettleTime() != nil", never,
	}}, consolePages, "TestAnomaliesAreShown"},
	{"open purchases that nobody can count are said to be none", []edit{{
		"purchase.figures.now", "now.Before(f.openUntil)", always,
	}}, states, "TestUnknownFiguresAreNotReported"},
	{"what is left of a budget is said without a read", []edit{{
		"purchase.figures.now", "now.Before(f.leftUntil)", always,
	}}, states, "TestUnknownFiguresAreNotReported"},
	{"a list of anomalies has all purchases, in memory", []edit{{
		"purchase/memory.matches", "!filter.WithAnomalies", always,
	}}, "./purchase/memory", "Journal/ListAnomalies"},
	{"a list of anomalies lacks late ones, in SQLite", []edit{{
		"purchase/sqlite.examined", `in("purchase_event", " AND anomalies > 0")`, `in("purchase_outcome", " AND anomalies > 0")`,
	}}, "./purchase/sqlite", "Journal/ListAnomalies"},
	{"a list of anomalies lacks late ones, in PostgreSQL", []edit{{
		"purchase/postgres.examined", `"purchase_outcome", "purchase_event"`, `"purchase_outcome"`,
	}}, "./purchase/postgres", "Journal/ListAnomalies"},
	{"a list of anomalies has all purchases", []edit{{
		"server.filterFromProto", "WithAnomalies: req.GetWithAnomalies()", "WithAnomalies: false",
	}}, server, "TestListPurchasesFilters"},
	{"the log has the number of an eSIM in the place of an id", []edit{{
		"server.redactInPlace", "!isICCID(field, value)", always,
	}}, server, "TestICCIDIsRedacted"},
	{"the number of an eSIM is taken for a customer", []edit{{
		"gen/go/gigagate/v1/customer_service.pb.go", "^89[0-9]{16,20}$", "^no[0-9]{16,20}$",
	}}, server, "TestInvalidFieldsOnBothTransports"},
	{"the number of an eSIM is erased as a customer", []edit{{
		"cmd/gigagate.erasure.check", "iccid.Is(e.CustomerUID)", never,
	}}, program, "TestEraseCommand"},
	{"the console puts an ICCID into an address as a customer", []edit{{
		"internal/console.Console.searchPurchases", `by == "customer_uid"`, never,
	}}, consolePages, "TestNoAddressHasAnICCID"},
}
