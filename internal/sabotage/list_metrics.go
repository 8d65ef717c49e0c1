package main

// measuring are the rules of what metrics show.
var measuring = []sabotage{
	{"a replica that lost the journal reports for ever", []edit{{
		"purchase.figures.now", "now.Before(f.openUntil)", always,
	}}, states, "TestOneReplicaReports"},
	{"every replica reports the whole journal", []edit{{
		"purchase.Engine.readFigures", "!reports", never,
	}}, states, "TestOneReplicaReports"},
	{"a replica that died reports for ever", []edit{{
		"purchase/postgres/sql.go", " OR lease_until <= coalesce($1::timestamptz, now())", "",
	}}, "./purchase/postgres", "TestJournal$/MayReport"},
	{"a second replica reports beside the first", []edit{{
		"purchase/postgres/sql.go", "WHERE replica = $2 OR lease_until <=", "WHERE true OR lease_until <=",
	}}, "./purchase/postgres", "TestJournal$/MayReport"},
	{"a sale that is found late is not spent", []edit{{
		"purchase.Instruments.event", "verdict == Contradicts && p.State == Failed && p.Anomalies == 1", never,
	}}, states, "TestSpent"},
	{"a text of the vendor becomes a label", []edit{{
		"purchase.Instruments.spend", "!isCurrency(currency) || amount < 0", never,
	}}, states, "TestSpent"},
}
