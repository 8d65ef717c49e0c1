package main

// budgets are the rules of what a caller may spend.
var budgets = []sabotage{
	{"a sale after FAILED costs the budget nothing", []edit{{
		"purchase.Purchase.After", "transition.Event.positive() && p.Reservation != nil && p.Charge == nil", "$rule && !p.State.Settled()",
	}}, "./purchase/memory", "Journal/BudgetLateSale"},
	{"a sale that is found again is charged again", []edit{{
		"purchase.Step.Posting", "s.Before.Charge == nil && charge != nil", "charge != nil",
	}}, "./purchase/memory", "Journal/Budget(Once|LateSale)"},
	{"a settled purchase releases its reservation again", []edit{{
		"purchase.Step.Posting", "s.Settles()", "s.At(time.Time{}).State.Settled()",
	}}, "./purchase/memory", "Journal/BudgetLateSale"},
	{"what is uncertain is released", []edit{{
		"purchase.Step.Posting", "s.Settles()", "$rule || s.Transition.Event == AnsweredUnknown",
	}}, "./purchase/memory", "Journal/BudgetHolds"},
	{"a budget is charged in another currency", []edit{{
		"purchase.Reservation.charge", "paid.Currency == r.Currency", always,
	}}, "./purchase", "TestPosting"},
	{"a changed inventory is taken for the one before", []edit{{
		"gigastore.inventoryCache.decode", "bytes.Equal(body, c.body)", always,
	}}, vendor, "TestInventoryIsDecodedWhenItChanges"},
	{"a buyer waits as long for a price as a reader for a list", []edit{{
		"gigastore.Client.InventoryWithin", "age == 0", never,
	}}, vendor, "TestFreshInventoryIsBounded"},
	{"a slow read of the inventory replaces a newer one", []edit{{
		"gigastore.inventoryCache.set", "read.At.After(c.last.At)", always,
	}}, vendor, "TestSlowInventoryReplacesNoNewerOne"},
	{"a price is rounded down", []edit{{
		"purchase.MicrosOf", "n++", "n += 0",
	}}, "./purchase", "TestMicros"},
	{"a price that is too high to count wraps around", []edit{{
		"purchase.MicrosOf", "amount.Cmp(maxAmount) > 0", never,
	}}, "./purchase", "TestMicros"},
	{"sums without a limit overflow", []edit{{
		"purchase.Budget.Limits", "limits[i] = maxTotal", "limits[i] = 1<<63 - 1",
	}}, "./purchase", "TestBudgetNeverOverflows"},
	{"a budget covers what it does not cover", []edit{{
		"purchase.Claim.Check", "c.Amount > limit-used[i]", "limit < used[i]",
	}}, "./purchase/memory", "Journal/Budget$"},
	{"a budget holds for the last period alone", []edit{{
		"purchase.Claim.Check", "c.Amount > limit-used[i]", "i == 0 && $rule",
	}}, "./purchase", "TestBudgetOfSeveralLimits"},
	{"a day ends in UTC", []edit{{
		"purchase.Claim.Reservation", "now.In(c.Budget.zone())", "now.UTC()",
	}}, "./purchase/memory", "Journal/BudgetPeriods"},
	{"a reservation takes no room", []edit{{
		"purchase/memory.Journal.reserve", "total.Reserved + total.Spent", "total.Spent",
	}}, "./purchase/memory", "Journal/Budget$"},
	{"a reservation takes no room, in SQLite", []edit{{
		"purchase/sqlite.selectUsed", `"reserved + spent"`, `"spent"`,
	}}, "./purchase/sqlite", "Journal/Budget$"},
	{"a claim reserves nothing, in SQLite", []edit{{
		"purchase/sqlite.connection.claim", "c.post(&p, claim.Amount, 0)", dropped,
	}}, "./purchase/sqlite", "Journal/Budget$"},
	{"what others of a group have reserved takes no room, in SQLite", []edit{{
		"purchase/sqlite.connection.checkBudget", "t.before + t.reserved + t.spent", "t.before",
	}}, "./purchase/sqlite", "BudgetsInAGroup"},
	{"a group that was rolled back is posted, in SQLite", []edit{{
		"purchase/sqlite.Journal.transact", "j.conn.postings = postings{}", "if j.conn.postings == nil { j.conn.postings = postings{} }",
	}}, "./purchase/sqlite", "BudgetsInABrokenGroup"},
	{"the totals of a group are not written, in SQLite", []edit{{
		"purchase/sqlite.Journal.transact", "err = j.conn.writePostings()", dropped,
	}}, "./purchase/sqlite", "BudgetsInAGroup"},
	{"a total that cannot be written is left out, in SQLite", []edit{{
		"purchase/sqlite.Journal.transact", "err = j.conn.writePostings()", "_ = j.conn.writePostings()",
	}}, "./purchase/sqlite", "TotalsThatCannotBeWritten"},
	{"a budget refuses what it has paid for, in SQLite", []edit{{
		"purchase/sqlite.connection.claim", "if over := c.checkBudget($*args); over != nil { return c.taken(p.Key, over) }", "if over := c.checkBudget($*args); over != nil { return row{}, over }",
	}}, "./purchase/sqlite", "Journal/BudgetOfTakenKey"},
	{"a taken key reserves, in SQLite", []edit{{
		"purchase/sqlite.connection.claim", "return c.taken(p.Key, fmt.Errorf($*args))", "c.post(&p, p.Reservation.Amount, 0); $rule",
	}}, "./purchase/sqlite", "Journal/BudgetOfTakenKey"},
	{"a sale costs the budget nothing, in SQLite", []edit{{
		"purchase/sqlite.connection.step", "c.post(&s.Before, -posting.Released, posting.Charged)", "c.post(&s.Before, -posting.Released, 0)",
	}}, "./purchase/sqlite", "Journal/Budget$"},
	{"a step that was not written is posted, in SQLite", []edit{{
		"purchase/sqlite.connection.step", "ok && err == nil", "ok",
	}}, "./purchase/sqlite", "Journal/BudgetOnce"},
	{"the charge of a late sale is forgotten, in SQLite", []edit{{
		"purchase/sqlite/schema.sql", "coalesce(late.charge, s.charge)", "s.charge",
	}}, "./purchase/sqlite", "Journal/BudgetLateSale"},
	{"a reservation takes no room, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "coalesce(t.reserved + t.spent, 0)", "coalesce(t.spent, 0)",
	}}, "./purchase/postgres", "Journal/Budget$"},
	{"a claim reserves nothing, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "SET reserved = t.reserved + c.amount", "SET reserved = t.reserved",
	}}, "./purchase/postgres", "Journal/Budget$"},
	{"a budget refuses what it has paid for, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "AND NOT EXISTS (SELECT FROM gigagate.purchase WHERE request_id = c.request_id AND caller = c.caller) THEN", "THEN",
	}}, "./purchase/postgres", "Journal/BudgetOfTakenKey"},
	{"a step that was not written is posted, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "IF s.currency IS NOT NULL AND result = 'WRITTEN' THEN", "IF s.currency IS NOT NULL THEN",
	}}, "./purchase/postgres", "Journal/BudgetOnce"},
	{"the day of a budget is the one in UTC, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "at AT TIME ZONE zone", "at AT TIME ZONE 'UTC'",
	}}, "./purchase/postgres", "Journal/BudgetPeriods"},
	{"the charge of a late sale is forgotten, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0001_purchases.sql", "coalesce(late.charge, s.charge)", "s.charge",
	}}, "./purchase/postgres", "Journal/BudgetLateSale"},
	{"totals are changed without a lock, in PostgreSQL", []edit{{
		"purchase/postgres.Journal.commit", "j.lockTotals(batch, group)", dropped,
	}}, "./purchase/postgres", "TestGroupsOfTheSameBudgets"},
	{"an unknown zone makes its group fail, in PostgreSQL", []edit{{
		"purchase/postgres.Journal.Claim", "if err := j.checkZone(ctx, c.Budget); err != nil { $*_ }", dropped,
	}}, "./purchase/postgres", "TestBudgetZones"},
	{"a sum that does not fit its purchases is fine", []edit{{
		"purchase/internal/invariants.BetweenTables", `"HAVING sum(reserved) <> 0 OR sum(spent) <> 0"`, `"HAVING false"`,
	}}, "./purchase/sqlite", "TestCheckFinds"},
	{"a purchase on a budget needs no price", []edit{{
		"purchase.Engine.guard", "len(limits) > 0 || budget != nil", "len(limits) > 0",
	}}, "./purchase/simulation", "TestBudgetGuard"},
	{"an item without a price costs a budget nothing", []edit{{
		"purchase.Budget.reserve", "if !ok { $*_ }", never,
	}}, "./purchase/simulation", "TestBudgetGuard"},
	{"a price that a budget cannot count costs nothing", []edit{{
		"purchase.Budget.reserve", "if err != nil { $*_ }", never,
	}}, "./purchase/simulation", "TestBudgetGuard"},
	{"one purchase may take the whole budget", []edit{{
		"purchase.Budget.reserve", "amount > *b.Purchase", never,
	}}, "./purchase/simulation", "TestBudgetGuard"},
	{"a plain register needs no budget", []edit{{
		"purchase.Engine.isGuarded", "budget != nil", never,
	}}, "./purchase/simulation", "TestBudgetGuard"},
	{"a budget is not asked", []edit{{
		"purchase.Engine.claim", "Budget: request.Budget", dropped,
	}}, "./purchase/simulation", "TestLastOfTheBudget"},
	{"a later send may cost more than was reserved", []edit{{
		"purchase.Engine.priceLimits", "limits = append(limits, reserved.limit())", dropped,
	}}, "./purchase/simulation", "TestPriceRisesAboveReservation|TestSaleAboveReservation"},
	{"what was paid for a sale that was found is not known", []edit{{
		"purchase.Engine.found", "Paid: $_", dropped,
	}}, "./purchase/simulation", "TestSaleAboveReservation"},
	{"what was paid for a sale is not known", []edit{{
		"purchase.applied", "transition.sold, transition.Paid = sale, $_", "transition.sold = sale",
	}}, "./purchase/simulation", "TestSaleAboveReservation"},
}
