package main

// secrets are the rules of what a journal holds about end users.
var secrets = []sabotage{
	// Sealing.
	{"a sealed text can be read in another row", []edit{{
		"purchase/sealed.place.bound", `p.column + " " + p.id`, `p.column`,
	}}, "./purchase/sealed", "TestRowsThatAreSwapped|TestSealedForOnePlace"},
	{"a sealed text can be read in another column", []edit{{
		"purchase/sealed.place.bound", `p.column + " " + p.id`, `p.id`,
	}}, "./purchase/sealed", "TestSealedForOnePlace"},
	{"personal data is stored in plain", []edit{{
		"purchase/sealed.Journal.Claim", "if newest, ok := j.keys.newest(); ok { $*body }", dropped,
	}}, "./purchase/sealed", "TestMissingKey$"},
	{"a sale is stored in plain", []edit{{
		"purchase/sealed.Journal.Write", "step.Transition.Sale != nil", never,
	}}, "./purchase/sealed", "TestRowsThatAreSwapped"},
	{"a gateway starts without a key that an open purchase needs", []edit{{
		"purchase/sealed.New", "len(missing) > 0", never,
	}}, "./purchase/sealed", "TestMissingKey$"},

	{"a gateway does not look for a key that another replica uses", []edit{{
		"purchase/sealed.Keyring.find", "err = k.rereadIfChanged()", dropped,
	}}, "./purchase/sealed", "TestMissingKeyIsLookedForInTheFile"},

	{"a gateway may start on a backup that the given keys cannot read", []edit{{
		"cmd/gigagate.checkJournalCommand.Run", "report.Secrets.Unreadable == 0", always,
	}}, program, "TestRestoreOfASealedJournal"},

	// Rotating.
	{"a rotation misses a purchase that settles meanwhile", []edit{{
		"purchase/sealed.Journal.Rotate", "purchase.OpenSecrets, purchase.SettledSecrets", "purchase.SettledSecrets, purchase.OpenSecrets",
	}}, "./purchase/sealed", "TestSettledDuringARotation"},
	{"a rotation keeps a sale that is sealed with an earlier key", []edit{{
		"purchase/sealed.Journal.sealAgain", "row.Sale = seal(newest, place{row.ID, columnSale}, text.Sale)", dropped,
	}}, "./purchase/sealed", "TestRotate$"},
	{"a rotation leaves the former texts in the files", []edit{{
		"purchase/sealed.Journal.Rotate", "return total, j.Scrub(ctx)", "return total, nil",
	}}, program, "TestKeysCommands"},

	// Erasing.
	{"what is recorded as erased is still there, in SQLite", []edit{{
		"purchase/sqlite.connection.step", "s.Transition.Event == purchase.Erased", never,
	}}, "./purchase/sqlite", "Journal/Erase"},
	{"what is recorded as erased is still there, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "DELETE FROM gigagate.purchase_secret WHERE id = s.id;", dropped,
	}}, "./purchase/postgres", "Journal/Erase"},
	{"what is erased stays in the WAL", []edit{{
		"purchase/sqlite.Journal.Scrub", "return c.settleLog()", "return nil",
	}}, "./purchase/sqlite", "TestErasedIsInNoFile"},
	{"what is erased stays in unused parts of pages", []edit{{
		"purchase/sqlite.connection.scrub", "if changed { $*body }", never,
	}}, "./purchase/sqlite", "TestErasedIsInNoFile"},
	{"an erasure leaves the files as they are", []edit{{
		"purchase.Engine.Erase", "e.journal.Scrub(context.WithoutCancel(ctx))", "nil",
	}}, program, "TestEraseCommand"},
}
