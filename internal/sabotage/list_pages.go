package main

// guardingPages are the rules of what an open page of the console may cause.
var guardingPages = []sabotage{
	{"an open page makes the gateway read the vendor's list", []edit{{
		"server.purchaseService.GetPurchase", "isFromConsole(ctx)", never,
	}}, server, "TestConsoleLeavesTheReconcilerItsPace"},
	{"a list of budgets shows cut totals", []edit{{
		"server.Server.budgetTotals", "len($all) >= purchase.MaxBudgetTotals", never,
	}}, server, "TestBudgetsInOneRead"},
}
