package main

// reconciling are the rules of purchases whose outcome is uncertain, and of the files that hold them.
var reconciling = []sabotage{
	// Reconciling.
	{"one read proves an absence", []edit{{
		"purchase.absentReads", "3", "1",
	}}, simulation, "TestPresumedAbsent"},
	{"no quiet time", []edit{{
		"purchase.reconciler.quietEnd", "$seen.Add(r.config.Quiet)", "$seen",
	}}, simulation, "TestPresumedAbsent"},
	{"the journal's clock is ours", []edit{{
		"purchase.reconciler.quietEnd", "later(r.lastByte(p), $_)", "r.lastByte(p)",
	}}, simulation, "TestQuietIsAlsoOurOwn"},
	{"no older witness", []edit{{
		"purchase.reconciler.evaluateAbsence", "!older", never,
	}}, simulation, "TestNotPresumedAbsent"},
	{"an older witness that was under way at the time", []edit{{
		"purchase.reconciler.readList", "w.SettledAt.After(p.ClaimedAt)", never,
	}}, simulation, "TestNotPresumedAbsent"},
	{"a witness that has started vouches for one that has not", []edit{{
		"purchase.scan.witnessed", "p.Order.EffectiveMode() == gigastore.ModeNow", always,
	}}, simulation, "TestNotPresumedAbsent"},
	{"no younger witness, and no wait", []edit{{
		"purchase.reconciler.evaluateAbsence", "younger || !scan.began.Before(quietEnd.Add(r.config.Wait))", always,
	}}, simulation, "TestWaitStandsInForAYoungerOne"},
	{"reads that show nothing count", []edit{{
		"purchase.reconciler.evaluateAbsence", "a.unproven++", "$rule; a.reads++",
	}}, simulation, "TestReadsThatShowNothingDoNotCount"},
	{"a call under way is not seen by a refusal before the engine", []edit{{
		"purchase.Engine.Known", "others && errors.Is(err, ErrNotFound)", never,
	}}, simulation, "TestRefusedBesideAClaim"},
	{"a claim whose caller has gone is sent", []edit{{
		"purchase.Engine.start", "isOver(ctx)", never,
	}}, simulation, "TestRefusedElsewhereDuringAClaim"},
	{"a claim whose caller asks elsewhere is sent", []edit{{
		"purchase.Engine.start", "isOver(ctx)", never,
	}}, simulation, "TestTwoSendsOfOneID"},
	{"too little time is told without a look-up", []edit{{
		"purchase.Engine.buy", "if err := e.mayStart(ctx); err != nil { return e.refuse(ctx, request, $name, err) }",
		"if err := e.mayStart(ctx); err != nil { return nil, err }",
	}}, simulation, "TestTwoSendsOfOneID"},
	{"a guard refuses without a second look-up", []edit{{
		"purchase.Engine.buy", "if amount, err = e.guard($*args); err != nil { return e.refuse(ctx, request, $name, err) }",
		"if amount, err = e.guard($*args); err != nil { return nil, err }",
	}}, simulation, "TestBoughtDuringTheGuard"},
	{"too little time is told before the look-up", []edit{{
		"purchase.Engine.buy",
		"recorded, err := e.lookup(ctx, request.Key)",
		"if err := e.mayStart(ctx); err != nil { return nil, err }; $rule",
	}}, simulation, "TestRefusedCallsAreLookedUp"},
	{"an id that cannot be looked up has nothing", []edit{{
		"purchase.Engine.refuse", "&JournalError{Err: err}", "&JournalError{LookedUp: true, Err: err}",
	}}, simulation, "TestClaimUnknown"},
	{"an id that cannot be looked up before the guards has nothing", []edit{{
		"purchase.Engine.buy", "&JournalError{Err: err}", "&JournalError{LookedUp: true, Err: err}",
	}}, simulation, "TestClaimUnknown"},
	{"a list that breaks off is complete", []edit{{
		"purchase.reconciler.readList",
		"r.engine.logger.WarnContext($*line); return s",
		"r.engine.logger.WarnContext($*line); break",
	}}, simulation, "TestNotPresumedAbsent"},
	{"a success that was seen is forgotten", []edit{
		{"purchase.reconciler.evaluateAbsence", "p.SuccessSeen || unexplained", "unexplained"},
		{"purchase.reconciler.evaluateAbsence", "!p.SuccessSeen", always},
	}, simulation, "TestNotPresumedAbsent"},
	{"an absence settles what contradicts", []edit{{
		"purchase.Purchase.judge", "p.State == NeedsOperator && !unread", never,
	}}, "./purchase", "TestAfterRefinesNext"},
	{"what is worse than unreadable is not taken", []edit{{
		"purchase.reconciler.beyondEvidence", "p.State != Uncertain && !worse", "p.State != Uncertain || worse",
	}}, simulation, "TestOutageThatHidWorse"},
	{"a success seen meanwhile is presumed absent", []edit{{
		"purchase.Purchase.judge", "p.SuccessSeen", never,
	}}, "./purchase/memory", "."},
	{"an alarm is lost with its answer", []edit{{
		"purchase.reconciler.alarmAbsent",
		"_ = r.recordFound(ctx, &p, &transition)",
		"_, _ = r.engine.recordOnce(ctx, &p, &transition, false)",
	}}, simulation, "TestAlarmOutlivesItsAnswer"},
	{"an operator is not asked for what was journaled unheard", []edit{{
		"purchase.Engine.record", "unknown && errors.Is(err, ErrIllegal)", never,
	}}, simulation, "TestAlarmOutlivesItsAnswer"},
	{"an operator called gateway is the gateway", []edit{{
		"purchase.Engine.Resolve", "ByOperator(resolution.By)", "Actor(resolution.By)",
	}}, simulation, "TestResolveMeetsAnAbsence"},
	{"an operator's note is logged", []edit{{
		"purchase.Engine.tell", "transition.Evidence.Explanation", "transition.Evidence.Note",
	}}, simulation, "TestResolveMeetsAnAbsence"},
	{"an operator's word that came late is nothing", []edit{{
		"purchase.Engine.resolvedTooLate", `now.State == Failed && transition.ItemUID != ""`, never,
	}}, simulation, "TestResolveMeetsAnAbsence"},
	{"an outage that ends leaves work behind", []edit{{
		"purchase.reconciler.evaluateAbsence", "p.State == Uncertain || p.Reason.unread()", "p.State == Uncertain",
	}}, simulation, "TestOutageThatHidNothing"},
	{"a package without a mark is nobody's", []edit{{
		"purchase.scan.suspect", "s.unexplained[p.ID] = true", "s.unexplained[p.ID] = false",
	}}, simulation, "TestNotPresumedAbsent"},
	{"another account's records will do", []edit{{
		"purchase.reconciler.unsettled", "r.engine.owns(p.Account)", always,
	}}, simulation, "TestAnotherAccount|TestFormerClientIDSaidLate"},
	{"any account's sale vouches for a former client id", []edit{{
		"purchase.reconciler.readList", "p.Account != accounts[0]", never,
	}}, simulation, "TestFormerClientIDOfAnotherAccount"},
	{"a person's word outweighs records of another account", []edit{{
		"purchase.reconciler.checkAbsent", "!r.engine.owns(p.Account)", never,
	}}, simulation, "TestFormerClientIDSaidLate"},
	{"a package without a mark is named for another account's purchase", []edit{{
		"purchase.Engine.resolveApplied", `bearer == "" && foreign`, never,
	}}, simulation, "TestNewClientIDAndANamedPackage"},
	{"a package is bound once under each client id", []edit{{
		"purchase.Engine.found", "Aliases: e.aliases(&p)", dropped,
	}}, simulation, "TestNewClientIDAndANamedPackage"},
	{"an answer's package is bound once under each client id", []edit{{
		"purchase.Engine.recordAnswer",
		"transition.Lease, transition.Aliases = e.lease, e.aliases(p)",
		"transition.Lease = e.lease",
	}}, simulation, "TestItemTaken"},
	{"a package is bound once under each name, in SQLite", []edit{{
		"purchase/sqlite.selectItem", `"account = ?"`, `"0 AND account = ?"`,
	}}, "./purchase/sqlite", "Journal/ItemTakenUnderAnAlias"},
	{"a package is bound once under each name, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "WHERE s.aliases IS NULL OR NOT EXISTS", "WHERE true OR NOT EXISTS",
	}}, "./purchase/postgres", "Journal/ItemTakenUnderAnAlias"},
	{"of several packages the first is taken", []edit{{
		"purchase.reconciler.settle", "other.ActivatedItem.UID != record.ActivatedItem.UID", never,
	}}, simulation, "TestSeveralFound"},
	{"a package of another mode is taken", []edit{{
		"purchase.reconciler.settle", "!plausible(p, record)", never,
	}}, simulation, "TestResolveWhatTheVendorMadeOfIt"},
	{"an operator may name another purchase's package", []edit{{
		"purchase.Engine.resolveApplied", `bearer != "" && bearer != p.ID`, never,
	}}, simulation, "TestResolve$"},
	{"a claim under way is not seen by a call beside it", []edit{{
		"purchase.Engine.Buy", "others && err != nil && !tellsOfKey(err)", never,
	}}, simulation, "TestRefusedBesideAClaim"},
	{"a call that came and left beside a refused one is forgotten", []edit{{
		"purchase.inFlight.leave", "p.calls > 1", "p.now > 0",
	}}, states, "TestCallsBesideACall"},
	{"a purchase is begun for a caller who is gone", []edit{{
		"purchase.Engine.mayStart", "ctx.Err() != nil", never,
	}}, simulation, "TestCallerGoneBeforeTheClaim"},
	{"a person's word outweighs a success that was seen", []edit{{
		"purchase.reconciler.checkAbsent", "p.SuccessSeen", never,
	}}, simulation, "TestNothingSoldAgainstASuccess"},
	{"a person's word waits for no read", []edit{{
		"purchase.Engine.Resolve", "!resolution.Force", never,
	}}, simulation, "TestNothingSoldTooEarly"},
	{"a person's word waits for one read alone", []edit{{
		"purchase.reconciler.checkAbsent", "a.lacked < absentReads-1", never,
	}}, simulation, "TestNothingSoldOnceItIsShown"},
	{"a journal that hangs keeps the reconciler", []edit{{
		"purchase.reconciler.watched", "watchedBudget", "time.Hour",
	}}, simulation, "TestHungJournal"},
	{"later reads do not look for what was called absent", []edit{{
		"purchase.reconciler.settleByList", "r.alarmAbsent(ctx, watched, scan)", dropped,
	}}, simulation, "TestLateSaleAfterFailed"},
	{"the order of a list is left to the vendor", []edit{{
		"purchase.reconciler.readList", "newestFirst", "gigastore.ActivatedItemsQuery{}",
	}}, simulation, "TestCappedListIsReadNewestFirst"},
	{"only a page of what is open is watched, in SQLite", []edit{{
		"purchase/sqlite.Journal.pages", "len(found) < pageSize", "len(found) <= pageSize",
	}}, "./purchase/sqlite", "Journal/WatchedManyAndLong"},
	{"what was called absent is watched for ever, in SQLite", []edit{{
		"purchase/sqlite.Journal.Watched", "j.time().Add(-absentFor)", "j.time().Add(-9 * absentFor)",
	}}, "./purchase/sqlite", "Journal/WatchedManyAndLong"},
	{"only a page of what is open is watched, in PostgreSQL", []edit{{
		"purchase/postgres.pages", "len(found) < pageSize", "len(found) <= pageSize",
	}}, "./purchase/postgres", "Journal/WatchedManyAndLong"},
	{"an order of a later version stops all", []edit{{
		"purchase.reconciler.pass", "!errors.Is(err, ErrUnreadableOrder)", always,
	}}, simulation, "TestOrderOfALaterVersion"},
	{"a hanging customer hides the list", []edit{{
		"purchase.reconciler.readAround", "context.WithTimeout(ctx, aroundBudget)", "context.WithCancel(ctx)",
	}}, simulation, "TestHangingCustomersDoNotHideTheList"},
	{"a machine that slept still sends", []edit{{
		"gigastore.IsOver", "now.Round(0).After(limit.Round(0))", never,
	}}, vendor, "TestNoByteLeft"},
	{"an empty file is a new journal", []edit{
		{"purchase/sqlite.makeNew", "info.Size() == 0", never},
		{"purchase/sqlite.connection.migrate", "case version == 0: $*_", dropped},
	}, "./purchase/sqlite", "TestJournalThatWasLost"},
	{"a log without its journal is nothing", []edit{{
		"purchase/sqlite.makeNew", "if _, err := os.Lstat(path + companion); err == nil { $*_ }", never,
	}}, "./purchase/sqlite", "TestJournalThatWasLost"},
	{"a restored journal is read by anybody", []edit{{
		"purchase/sqlite.makePrivate", "info.Mode().Perm() != 0o600", never,
	}}, "./purchase/sqlite", "TestPrivateHoweverItCame"},
	{"a journal that was deleted is written to", []edit{{
		"purchase/sqlite.Journal.transact", "if err := j.inPlace(); err != nil { refuse(notWritten(err)); $*_ }", never,
	}}, "./purchase/sqlite", "TestFileTakenAway$"},
	{"a commit to a journal that was deleted counts", []edit{{
		"purchase/sqlite.Journal.transact", "if err := j.inPlace(); err != nil { refuse(inDoubt(err)); $*_ }", never,
	}}, "./purchase/sqlite", "TestFileTakenAwayMeanwhile"},
	{"a backup put in place is the journal", []edit{{
		"purchase/sqlite.connection.mayServe", "c.newest < newest", never,
	}}, "./purchase/sqlite", "TestFileReplaced"},
}
