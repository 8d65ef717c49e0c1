package main

// watching are the rules of `gigagate purchases watch`.
var watching = []sabotage{
	{"a watch reads any number of pages", []edit{{
		"cmd/gigagate.seenPurchases.list", "for range watchedPages { $*look }", "for { $*look }",
	}}, program, "TestWatchIsBounded"},
	{"a watch remembers any number of open purchases", []edit{{
		"cmd/gigagate.seenPurchases.missing", "$forgotten > 0", never,
	}}, program, "TestWatchIsBounded"},
	{"a watch remembers all settled purchases", []edit{{
		"cmd/gigagate.seenPurchases.look", "settled($p) && madeAt($id).Before(s.since)", never,
	}}, program, "TestWatchSeesOldPurchasesSettle"},
	{"a watch loses an old purchase that is settled", []edit{{
		"cmd/gigagate.seenPurchases.missing", "$now[$id] == nil && !settled($p)", never,
	}}, program, "TestWatchSeesOldPurchasesSettle"},
	{"a watch that ends early tells a script to deliver", []edit{{
		"cmd/gigagate.exitOf", "return effectError{$e}", "return nil",
	}}, program, "TestWatchOfOnePurchase"},
}
