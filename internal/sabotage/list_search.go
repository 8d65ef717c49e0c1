package main

// searching are the rules that bound a search, however many purchases there are.
var searching = []sabotage{
	{"a search that finds nothing goes on however long it takes", []edit{{
		"server.purchaseService.ListPurchases", "time.Since(began) < searchTime", always,
	}}, server, "TestSearchEnds"},
	{"a search goes on until it has read the whole journal", []edit{{
		"server.purchaseService.ListPurchases", "reads < mostReads", always,
	}}, server, "TestSparsePages"},
	{"a list of open purchases looks up those in other states", []edit{{
		"purchase/postgres.matching", "strings.HasPrefix(ids, selectOpen)", never,
	}}, "./purchase/postgres", "TestSearchReadsNoMoreThanItMust"},
}
