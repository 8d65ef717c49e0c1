package main

// sabotage is the removal of a safety rule, with the test that must fail then.
type sabotage struct {
	name  string
	edits []edit
	pkg   string // package of the test
	test  string // the argument of go test -run
}

const (
	states     = "./purchase"
	simulation = "./purchase/simulation"
	vendor     = "./gigastore"
	server     = "./server"
	program    = "./cmd/gigagate"
	goClient   = "./clients/go/client"
)

// sabotages are ordered like the steps of a purchase.
var sabotages = []sabotage{
	// Which send may follow which.
	{"a lost send may be sent again", []edit{{
		"purchase.transitionTable", "Lost: moves(Uncertain)", "Lost: moves(Accepted)",
	}}, states, "TestNoSecondSendWithoutProof"},
	{"an unknown answer may be sent again", []edit{{
		"purchase.transitionTable", "Uncertain: {$*events}", "Uncertain: {$*events, Permitted: moves(Sending)}",
	}}, states, "TestNoSecondSendWithoutProof"},
	{"a stale answer speaks of the newest send", []edit{{
		"purchase.Purchase.judge",
		"if transition.Event.answered() { return p.State, Stays }; return p.State, Illegal",
		"if !transition.Event.answered() { return p.State, Illegal }",
	}}, states, "TestNoSecondSendWithoutProof|TestAfterRefinesNext"},
	{"a late 200 is fenced out", []edit{{
		"purchase.Purchase.judge",
		"transition.Attempt < p.Attempt && !transition.Event.positive()",
		"transition.Attempt < p.Attempt",
	}}, states, "TestPositiveEvidenceSettles"},
	{"a late 4xx is final where an operator is asked", []edit{{
		"purchase.transitionTable",
		"NeedsOperator: {$*before, AnsweredRefused: stays, $*after}",
		"NeedsOperator: {$*before, AnsweredRefused: moves(Failed), $*after}",
	}}, states, "TestLifePageIsCurrent"},
	{"a sale after FAILED is nothing to speak of", []edit{{
		"purchase.transitionTable", "AnsweredApplied: contradicts", "AnsweredApplied: stays",
	}}, states, "TestPositiveEvidenceSettles"},
	{"a second package for one purchase is accepted", []edit{{
		"purchase.Purchase.judge", "transition.ItemUID != p.ItemUID", never,
	}}, states, "TestAfterRefinesNext"},

	// Writing what was decided.
	{"a stale step counts as recorded", []edit{{
		"purchase.Record",
		"after, err := journal.Write(ctx, step); if errors.Is(err, ErrStale) { continue }",
		"after, err := journal.Write(ctx, step); if errors.Is(err, ErrStale) { return step.Before, step.Verdict, nil }",
	}}, "./purchase/memory", "Journal/(RecordContest|RecordOfAnOldPurchase)"},
	{"what is illegal for an old purchase is refused", []edit{{
		"purchase.Record", "err != nil || step.Verdict != Moves", "err == nil && step.Verdict != Moves",
	}}, "./purchase/memory", "Journal/RecordOfAnOldPurchase"},
	{"the same change is written again", []edit{{
		"purchase.Step.mayRepeat", "s.Verdict != Moves", never,
	}}, "./purchase/memory", "Journal/(RecordTwice|AnomalyOnce)"},
	{"the first success that is seen is nothing new", []edit{{
		"purchase.Step.mayRepeat", "s.Before.SuccessSeen || !s.Transition.SuccessSeen", always,
	}}, "./purchase/memory", "Journal/SuccessSeenIsKept"},
	{"a lapsed purchase is taken over by two", []edit{{
		"purchase/memory.Journal.Write", "r.purchase.Revision != step.Before.Revision", "r.purchase.State != step.Before.State",
	}}, "./purchase/memory", "Journal/(LapsedRace|WriteStale)"},
	{"an open purchase is written whatever its revision, in SQLite", []edit{{
		"purchase/sqlite.updateOpen", `"WHERE id = ? AND revision = ?"`, `"WHERE id = ? AND 0 < ?"`,
	}}, "./purchase/sqlite", "Journal/Write(Stale|Race)"},
	{"a purchase is settled whatever its revision, in SQLite", []edit{{
		"purchase/sqlite.insertOutcome", `"WHERE id = ? AND revision = ?"`, `"WHERE id = ? AND 0 < ?"`,
	}}, "./purchase/sqlite", "Journal/WriteStale"},
	{"a settled purchase is written whatever its revision, in SQLite", []edit{{
		"purchase/sqlite.insertLate", `"n.revision = ?"`, `"0 < ?"`,
	}}, "./purchase/sqlite", "Journal/WriteStale"},
	{"an open purchase is written whatever its revision, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "WHERE id = s.id AND revision = s.revision;", "WHERE id = s.id AND 0 < s.revision;",
	}}, "./purchase/postgres", "Journal/Write(Stale|Race)"},
	{"a purchase is settled whatever its revision, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql",
		"WHERE id = s.id AND revision = s.revision RETURNING",
		"WHERE id = s.id AND 0 < s.revision RETURNING",
	}}, "./purchase/postgres", "Journal/WriteStale"},
	{"a settled purchase is written whatever its revision, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "WHERE id = s.id AND revision = s.revision AND", "WHERE id = s.id AND 0 < s.revision AND",
	}}, "./purchase/postgres", "Journal/WriteStale"},
	{"a step that changed nothing was written, in SQLite", []edit{{
		"purchase/sqlite.isCurrent", "!changed", never,
	}}, "./purchase/sqlite", "Journal/Write(Stale|Race)"},
	{"a step that changed nothing was written, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "result := 'STALE';", "result := 'WRITTEN';",
	}}, "./purchase/postgres", "Journal/Write(Stale|Race)"},
	{"an open row goes before its outcome, in SQLite", []edit{{
		"purchase/sqlite.connection.settle",
		"if err := c.free(s, p.ItemUID); err != nil { return err }",
		"$rule; if _, err := c.change(deleteOpen, p.ID); err != nil { return err }",
	}}, "./purchase/sqlite", "Journal/(Write|ItemTaken)$"},
	{"an outcome leaves its open row, in SQLite", []edit{{
		"purchase/sqlite.connection.settle", "_, err = c.change(deleteOpen, p.ID)", dropped,
	}}, "./purchase/sqlite", "Journal/Write$"},
	{"an outcome leaves its open row, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "result := 'WRITTEN'; ELSE", "result := 'WRITTEN'; END IF; IF true THEN",
	}}, "./purchase/postgres", "Journal/Write$"},
	{"a package is bound to two purchases, in SQLite", []edit{{
		"purchase/sqlite/schema.sql", "CREATE UNIQUE INDEX purchase_item", "CREATE INDEX purchase_item",
	}}, "./purchase/sqlite", "Journal/ItemTaken$"},
	{"a package is bound to two purchases, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0001_purchases.sql", "CREATE UNIQUE INDEX purchase_item", "CREATE INDEX purchase_item",
	}}, "./purchase/postgres", "Journal/ItemTaken$"},
	{"a package that is taken is nothing to speak of, in SQLite", []edit{{
		"purchase/sqlite.connection.settle", "if isTaken(err) { return purchase.ErrItemTaken }", "if isTaken(err) { return nil }",
	}}, "./purchase/sqlite", "Journal/ItemTaken$"},
	{"a package that is taken is nothing to speak of, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "result := 'ITEM_TAKEN';", "result := 'WRITTEN';",
	}}, "./purchase/postgres", "Journal/ItemTaken$"},
	{"a purchase whose package is taken is lost, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "INSERT INTO gigagate.purchase_open VALUES (o.*);", dropped,
	}}, "./purchase/postgres", "Journal/ItemTaken$"},
	{"an anomaly after the settlement is not counted, in SQLite", []edit{{
		"purchase/sqlite/schema.sql", "coalesce(o.anomalies, late.anomalies, s.anomalies)", "coalesce(o.anomalies, s.anomalies)",
	}}, "./purchase/sqlite", "Journal/LateEvents"},
	{"an anomaly after the settlement is not counted, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0001_purchases.sql", "coalesce(o.anomalies, late.anomalies, s.anomalies)", "coalesce(o.anomalies, s.anomalies)",
	}}, "./purchase/postgres", "Journal/LateEvents"},
	{"the end user's data stays in the file, in SQLite", []edit{{
		"purchase/sqlite.connect", `"secure_delete = ON"`, `"secure_delete = OFF"`,
	}}, "./purchase/sqlite", "TestDocumentedQueries"},
	{"a list that stopped early is at its end, in SQLite", []edit{{
		"purchase/sqlite.connection.list", "purchase.MaxExamined-1", "purchase.MaxExamined*9",
	}}, "./purchase/sqlite", "Journal/ListExaminesSoMany"},
	{"a list that stopped early is at its end, in PostgreSQL", []edit{{
		"purchase/postgres.Journal.List", "purchase.MaxExamined-1", "purchase.MaxExamined*9",
	}}, "./purchase/postgres", "Journal/ListExaminesSoMany"},
	{"a commit of unknown outcome wrote nothing, in SQLite", []edit{{
		"purchase/sqlite.Journal.transact",
		"if err := j.commit(j.conn); err != nil { j.fail(err); refuse(inDoubt(err)); $*rest }",
		"if err := j.commit(j.conn); err != nil { j.fail(err); refuse(notWritten(err)); $*rest }",
	}}, "./purchase/sqlite", "Journal/CommitLost"},
	{"a commit of unknown outcome wrote nothing, in PostgreSQL", []edit{{
		"purchase/postgres.Journal.writeGroup", "!wroteNothing(err)", never,
	}}, "./purchase/postgres", "TestRowsAreNoCommit"},
	{"an error that may come after the commit wrote nothing", []edit{{
		"purchase/postgres.wroteNothing", `!ok || refused.SeverityUnlocalized != "ERROR"`, "!ok",
	}}, "./purchase/postgres", "TestWroteNothing"},
	{"results that arrived are a commit", []edit{{
		"purchase/postgres.Journal.commit", "return conn.SendBatch(ctx, batch).Close()", "_ = conn.SendBatch(ctx, batch).Close(); return nil",
	}}, "./purchase/postgres", "TestRowsAreNoCommit|TestCommitFails"},
	{"one bad change of a group is answered like the others, in SQLite", []edit{{
		"purchase/sqlite.Journal.transact",
		"if len(group) == 1 { refuse(notWritten(err)) }; return len(group) == 1",
		"refuse(nil); return true",
	}}, "./purchase/sqlite", "TestOneBadOperation"},
	{"one bad change of a group is answered like the others, in PostgreSQL", []edit{{
		"purchase/postgres.Journal.writeGroup", "j.writeAlone(conn, group, notWritten(err))", "finish(group, nil)",
	}}, "./purchase/postgres", "TestGroup$"},
	{"two groups lock purchases in different orders", []edit{{
		"purchase/postgres.Journal.enqueue", "slices.SortStableFunc(changes, $order)", "slices.SortStableFunc(slices.Clone(changes), $order)",
	}}, "./purchase/postgres", "TestGroupsOfTheSamePurchases"},
	{"a group in doubt is taken for written, in PostgreSQL", []edit{{
		"purchase/postgres.Journal.writeGroup",
		`finish(group, fmt.Errorf("it is unknown whether the change was written: %w", err))`, "finish(group, nil)",
	}}, "./purchase/postgres", "TestGroupInDoubt"},
	{"a locked row holds up its group, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql",
		"sales bytea[] ) RETURNS TABLE (result text, began timestamptz) LANGUAGE plpgsql SET enable_seqscan = off SET lock_timeout = '2s'",
		"sales bytea[] ) RETURNS TABLE (result text, began timestamptz) LANGUAGE plpgsql SET enable_seqscan = off",
	}}, "./purchase/postgres", "TestLockedRow"},
	{"a locked row holds up claims twice, in PostgreSQL", []edit{{
		"purchase/postgres.Journal.writeAlone", "[]bool{false, true}", "[]bool{true, false}",
	}}, "./purchase/postgres", "TestLockedRow"},
	{"a full queue refuses outcomes, in PostgreSQL", []edit{{
		"purchase/postgres.Journal.write", "limit = 0", "limit = 1",
	}}, "./purchase/postgres", "TestQueueFull"},
	{"a claim is written although its caller was told that it is not, in PostgreSQL", []edit{{
		"purchase/internal/groups.Queue.Take", "o.stand.CompareAndSwap(waiting, taken)", "o.stand.CompareAndSwap(waiting, taken) || true",
	}}, "./purchase/postgres", "TestQueueFull"},
	{"a purchase can be deleted, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0001_purchases.sql", "purchase_is_kept BEFORE DELETE OR TRUNCATE", "purchase_is_kept BEFORE TRUNCATE",
	}}, "./purchase/postgres", "TestImpossibleRows"},
	{"an outcome can be changed, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0001_purchases.sql", "outcome_is_final BEFORE UPDATE ON", "outcome_is_final BEFORE TRUNCATE ON",
	}}, "./purchase/postgres", "TestImpossibleRows"},
	{"a permit that is over stands, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "AND send_not_after >= coalesce(clock, now())", dropped,
	}}, "./purchase/postgres", "Journal/ConfirmPermit"},
	{"the permit of another attempt stands, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "WHERE id = c.id AND attempt = c.attempt", "WHERE id = c.id AND 0 < c.attempt",
	}}, "./purchase/postgres", "Journal/ConfirmPermit"},
	{"the permit of a purchase that was taken over stands, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "AND state = 'SENDING'", dropped,
	}}, "./purchase/postgres", "Journal/ConfirmPermit"},
	{"the leases of a dead process go on, in SQLite", []edit{{
		"purchase/sqlite.connection.endLeases", `"lease_until > ?1"`, `"lease_until > 9 * ?1"`,
	}}, "./purchase/sqlite", "TestLeasesEndWithTheirProcess"},

	// Looking up and claiming.
	{"purchase ids can be foretold", []edit{{
		"purchase.newID", "ulid.New(ulid.Now(), entropy)", "ulid.New(ulid.Now(), ulid.DefaultEntropy())",
	}}, states, "TestIDsAreUnpredictable"},
	{"a refusal does not look the id up", []edit{{
		"purchase.Engine.refuse", "recorded.ID != own", never,
	}}, simulation, "TestRefusedCallsAreLookedUp"},
	{"orders of one id are not compared", []edit{{
		"purchase.Engine.attach", "len(fields) > 0", never,
	}}, simulation, "TestSameIDAnotherOrder"},
	{"one field is not compared", []edit{{
		"purchase.Differences", `differ("activation_mode", $_)`, dropped,
	}}, states, "TestDifferences"},
	{"one field of the contract is not compared", []edit{{
		"purchase.Differences", `differ(inProfile+"dedicated", $_)`, dropped,
	}}, server, "TestEveryFieldOfAnOrderIsComparedAndSent"},
	{"another spelling of an address is another order", []edit{{
		"purchase.Differences",
		`differ("customer_email", !purged && recordedPersonal.CustomerEmail != askedPersonal.CustomerEmail)`,
		`$rule; differ("user_ip", recordedPersonal.UserIP != askedPersonal.UserIP)`,
	}}, server, "TestAddressesAreCanonical"},
	{"one field of the contract is not sent", []edit{{
		"purchase.Engine.send", "Dedicated: o.Dedicated", dropped,
	}}, server, "TestEveryFieldOfAnOrderIsComparedAndSent"},
	{"an id that could not be looked up was not started", []edit{{
		"server.purchaseFailure", "!journal.LookedUp", never,
	}}, server, "TestJournalOutOfOrder"},
	{"a broken rule says nothing of the request id", []edit{{
		"server.Server.interceptors", "s.tellOfRequestID", dropped,
	}}, server, "TestRefusedOrdersSpeakOfTheirRequestID"},
	{"an order that REST refuses is not looked up", []edit{{
		"server.Server.refuse", "call.isOrder() && f.needsLookup()", never,
	}}, server, "TestEveryRefusedOrderTellsTheEffectOfItsID"},
	{"the request id in a refused body is not looked up", []edit{{
		"server.restCall.requestIDs", "named = requestIDsInJSON(data)", "_ = data",
	}}, server, "TestEveryRefusedOrderTellsTheEffectOfItsID"},
	{"the request id in a refused header is not looked up", []edit{{
		"server.restCall.requestIDs",
		"id, f := unquoted(value); named.ids = append(named.ids, id)",
		"_, f := unquoted(value)",
	}}, server, "TestEveryRefusedOrderTellsTheEffectOfItsID"},
	{"the request id of an order that cannot be decoded is not looked up", []edit{{
		"server.keepRequestID", "*kept = string(id)", "_ = string(id)",
	}}, server, "TestEveryRefusedOrderTellsTheEffectOfItsID"},
	{"an unreadable order names no request id", []edit{{
		"server.Server.tellOf", "len(valid) == 0 && named.unread", never,
	}}, server, "TestRefusedOrdersWithoutAnID"},
	{"an order that cannot be decoded names no request id", []edit{{
		"server.keepRequestID", `*kept == "" && (len(data) > 0 || !whole)`, never,
	}}, server, "TestRefusedOrdersWithoutAnID"},
	{"any number of request ids is looked up", []edit{{
		"server.Server.tellOf", "len(valid) > maxNamedIDs", never,
	}}, server, "TestRefusedOrdersWithoutAnID"},
	{"one client looks up as many refused orders as it likes", []edit{{
		"server.Server.tellOf", "!s.lookups.Take(client)", never,
	}}, server, "TestLookupsOfRefusedOrdersAreLimited"},
	{"of two request ids the effect that allows more counts", []edit{{
		"server.Server.tellOf",
		"slices.Index(byCaution, effect) > slices.Index(byCaution, f.effect)",
		"f.effect == 0 || slices.Index(byCaution, effect) < slices.Index(byCaution, f.effect)",
	}}, server, "TestRefusedOrdersOfTwoIDs"},
	{"look up after the guards", []edit{{
		"purchase.Engine.buy",
		"recorded, err := e.lookup(ctx, request.Key)",
		"if err := e.guard(ctx, request.Order); err != nil { return Bought{}, err }; $rule",
	}}, simulation, "TestGuards$"},
	{"send before the claim is known durable", []edit{{
		"purchase.Engine.claim",
		"case err == nil: return p, p.ID == claim.ID, nil; case !unknown: $*failed",
		"case err == nil: return p, p.ID == claim.ID, nil; case !unknown: $*failed; default: return New(claim, time.Now()), true, nil",
	}}, simulation, "TestClaimUnknown"},
	{"a claim whose answer was lost is somebody else's", []edit{{
		"purchase.Engine.claim",
		"case err == nil: return p, p.ID == claim.ID, nil; case !unknown: $*body",
		"case err == nil: return p, p.ID == claim.ID && !unknown, nil; case !unknown: $*body",
	}}, simulation, "TestClaimUnknown"},
	{"not written now is never written", []edit{{
		"purchase.Engine.claim",
		"func(error) bool { return !unknown }",
		"func(err error) bool { unknown = unknown && !errors.Is(err, ErrNotWritten); return !unknown }",
	}}, simulation, "TestClaimUnknown"},
	{"a claim is abandoned by two writes", []edit{{
		"purchase.Engine.abandon",
		"e.record(e.life, p, Transition{Event: Abandoned, $*rest})",
		"e.record(e.life, p, Transition{Event: AnsweredNoEffect, Attempt: 1, By: ByGateway, Lease: e.lease}); e.record(e.life, p, Transition{Event: WindowOver, $*rest})",
	}}, simulation, "TestAbandonedAndKilled"},
	{"a claim that was abandoned may be taken up", []edit{{
		"purchase.Engine.abandon", "Event: Abandoned", "Event: AnsweredNoEffect",
	}}, simulation, "TestClaimUnknown"},
	{"a price limit is open when nothing can be read", []edit{{
		"purchase.Engine.guard", "if limited { return &GuardError{Reason: PriceUnreadable} }", never,
	}}, simulation, "TestGuards$"},
	{"the gateway's own price limit does not hold", []edit{{
		"purchase.Engine.priceLimits", "e.maxPrice", dropped,
	}}, simulation, "TestGatewaysPriceLimit"},
	{"the gateway's own price limit gives way to the order's", []edit{{
		"purchase.Engine.priceLimits", "limits = append(limits, *limit)", "return []Price{*limit}",
	}}, simulation, "TestGatewaysPriceLimit"},
	{"a price limit holds for the first send alone", []edit{{
		"purchase.Engine.own", "refused := e.guardAgain(ctx, p.Order)", "var refused *GuardError",
	}}, simulation, "TestPriceLimitHoldsForEverySend"},
	{"a negative price is below every limit", []edit{{
		"purchase.guardItem", "price.Cmp(gigastore.Decimal{}) < 0", never,
	}}, simulation, "TestNegativePriceIsNoPrice"},
	{"the gateway's price limit is not passed on", []edit{{
		"cmd/gigagate.serveCommand.newEngine",
		"MaxPurchasePrice: limit",
		"MaxPurchasePrice: func(*purchase.Price) *purchase.Price { return nil }(limit)",
	}}, program, "TestServeHasAPriceLimit"},
	{"a paid price above the limit is nothing to speak of", []edit{{
		"purchase.priceAnomaly", "paid.Value.Cmp(limit.Amount) > 0", never,
	}}, simulation, "TestExcessAfterTheSale"},

	// Sending.
	{"a caller who hangs up ends the send", []edit{{
		"purchase.Engine.start", "endingWith(context.WithoutCancel(ctx), e.life)", "endingWith(ctx, e.life)",
	}}, simulation, "TestCallerGone"},
	{"a permit never runs out", []edit{
		{
			"gigastore.Client.sell",
			"if IsOver(p.NotAfter, now) { $*body }",
			"if p.NotAfter = now.Add(time.Minute); false { $*body }",
		},
		{"gigastore.attempt.write", "!a.notAfter.IsZero() && IsOver(a.notAfter, a.now())", never},
	}, vendor, "TestNoByteLeft"},
	{"a permit is not confirmed before the first byte", []edit{{
		"gigastore.attempt.write", "!a.begun", "a.begun",
	}}, simulation, "TestPausedMachine"},
	{"a request is written twice", []edit{{
		"gigastore.attempt.write", "case a.begun: return errSecondSend", dropped,
	}}, vendor, "TestAttemptWritesOnce"},
	{"a header may end the head of the request", []edit{{
		"gigastore.request.Set", "b < ' '", never,
	}}, vendor, "TestHeaderEndsItsOwnLine"},
	{"what the vendor says unasked is an answer", []edit{{
		"gigastore.attempt.write", "if err := c.unasked(); err != nil { return err }", never,
	}}, vendor, "TestVendorThatSpeaks"},
	{"a refusal is believed before its connection ends", []edit{{
		"gigastore.answerBody.Read", "err == io.EOF && b.mustEnd", never,
	}}, simulation, "TestEveryFaultAlone"},
	{"a refusal is believed whose connection stays open", []edit{{
		"gigastore.connection.ended", "return errNotEnded", "return nil",
	}}, vendor, "TestAnswerNeedsTheEndOfItsConnection"},
	{"a 401 is sent again without end", []edit{{
		"purchase.Engine.own", "unauthorized > 1", never,
	}}, simulation, "TestTurnedAway"},
	{"refused credentials are waited for", []edit{{
		"purchase.Engine.own", "$before || lasting", "$before || false && lasting",
	}}, simulation, "TestRefusedCredentials"},
	{"what the vendor says of a token for now is for good", []edit{{
		"gigastore.Client.authenticate", "slices.Contains(credentialRefusals, refused.Status)", always,
	}}, simulation, "TestTokenComesWithinTheWindow"},
	{"a secret that cannot be one is taken", []edit{{
		"gigastore.credentials.current", "!isUsable(secret)", never,
	}}, vendor, "TestSecretIsReadAgain"},
	{"bytes of a write that failed have not left", []edit{{
		"gigastore.attempt.write", "n = len(text)", "n = 0",
	}}, vendor, "."},
	{"a 5xx had no effect", []edit{{
		"gigastore.classifier.classify", "a.status == http.StatusUnauthorized", "$rule || a.status >= 500",
	}}, simulation, "TestEveryFaultAlone"},
	{"a 429 had no effect", []edit{{
		"gigastore.classifier.classify", "c.throttledHasNoEffect", always,
	}}, simulation, "TestEveryFaultAlone"},
	{"any 4xx is a refusal", []edit{{
		"gigastore.classifier.classify", "if text, ok := refusalText(a); ok { $*_ }", always,
	}}, simulation, "TestEveryFaultAlone"},
	{"an answer need not be whole", []edit{{
		"gigastore.classifier.classify", "!a.whole", never,
	}}, vendor, "."},
	{"an answer need not bear our mark", []edit{{
		"gigastore.saleOf", `$before || mark == "" || firstWord(item.Metatag) != mark`, "$before",
	}}, vendor, "."},

	// Recording.
	{"an answer is recorded once, or not at all", []edit{{
		"purchase.Engine.record", "retry(ctx, $try, isRefused)", "retry(ctx, $try, func(error) bool { return true })",
	}}, simulation, "TestAnswerLostAtRecord"},
	{"the vendor's words are kept as they are", []edit{{
		"purchase.answered", "scrub(vendor.Message)", "vendor.Message",
	}}, states, "TestAnswered"},
	{"a take-up begins the send window anew", []edit{{
		"purchase.Engine.goOn", "p.UpdatedAt.Sub(p.ClaimedAt)", "0 * $rule",
	}}, simulation, "TestAcceptedIsTakenUpWithinItsWindow"},
	{"a lost send may be sent again by who takes it over", []edit{{
		"purchase.Engine.takeUp", "transition.Event = Lost", "transition.Event = AnsweredNoEffect",
	}}, simulation, "TestFaultsAloneOnPostgres"},
	{"what nobody may send waits for ever", []edit{{
		"purchase.Engine.goOn",
		"if gone >= e.window { e.record(e.life, p, $change); return }",
		"if gone >= e.window && p.Account == e.vendor.Account() { e.record(e.life, p, $change); return }",
	}}, simulation, "TestAcceptedOfAnotherAccount"},

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
		"purchase.Engine.Known", "errors.Is(err, ErrNotFound) && others", never,
	}}, simulation, "TestRefusedBesideAClaim"},
	{"a claim whose caller has gone is sent", []edit{{
		"purchase.Engine.start", "isOver(ctx)", never,
	}}, simulation, "TestRefusedElsewhereDuringAClaim"},
	{"a claim whose caller asks elsewhere is sent", []edit{{
		"purchase.Engine.start", "isOver(ctx)", never,
	}}, simulation, "TestTwoSendsOfOneID"},
	{"too little time is told without a look-up", []edit{{
		"purchase.Engine.buy", "if err := e.mayStart(ctx); err != nil { return e.refuse(ctx, request, $name, err) }",
		"if err := e.mayStart(ctx); err != nil { return Bought{}, err }",
	}}, simulation, "TestTwoSendsOfOneID"},
	{"a guard refuses without a second look-up", []edit{{
		"purchase.Engine.buy", "if err := e.guard(ctx, request.Order); err != nil { return e.refuse(ctx, request, $name, err) }",
		"if err := e.guard(ctx, request.Order); err != nil { return Bought{}, err }",
	}}, simulation, "TestBoughtDuringTheGuard"},
	{"too little time is told before the look-up", []edit{{
		"purchase.Engine.buy",
		"recorded, err := e.lookup(ctx, request.Key)",
		"if err := e.mayStart(ctx); err != nil { return Bought{}, err }; $rule",
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
		"_ = r.recordFound(ctx, p, transition)",
		"_, _ = r.engine.recordOnce(ctx, p, transition)",
	}}, simulation, "TestAlarmOutlivesItsAnswer"},
	{"an operator is not asked for what was journaled unheard", []edit{{
		"purchase.Engine.record", "unknown && errors.Is(err, ErrIllegal)", never,
	}}, simulation, "TestAlarmOutlivesItsAnswer"},
	{"an operator called gateway is the gateway", []edit{{
		"purchase.Engine.Resolve", "ByOperator(resolution.By)", "Actor(resolution.By)",
	}}, simulation, "TestResolveMeetsAnAbsence"},
	{"an operator's note is logged", []edit{{
		"purchase.Engine.announce", "transition.Evidence.Explanation", "transition.Evidence.Note",
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
		"purchase.Engine.found", "Aliases: e.aliases(p)", dropped,
	}}, simulation, "TestNewClientIDAndANamedPackage"},
	{"an answer's package is bound once under each client id", []edit{{
		"purchase.Engine.recordAnswer",
		"transition.Lease, transition.Aliases = e.lease, e.aliases(p)",
		"transition.Lease = e.lease",
	}}, simulation, "TestItemTaken"},
	{"a package is bound once under each name, in SQLite", []edit{{
		"purchase/sqlite.connection.free", "if $taken { return purchase.ErrItemTaken }", never,
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
	}, {
		"purchase.Engine.refuse", "err != nil && others", never,
	}}, simulation, "TestRefusedBesideAClaim"},
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
		"purchase.reconciler.pass", "r.alarmAbsent(ctx, watched, scan)", dropped,
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

	// What the command line tells.
	{"a sale that nobody reads ends by a signal", []edit{{
		"cmd/gigagate.main", "signal.Ignore(syscall.SIGPIPE)", dropped,
	}}, program, "TestNobodyReads"},
	{"an answer to a closed output counts as told", []edit{{
		"cmd/gigagate.standardOutput", "errors.Is(err, io.EOF)", never,
	}}, program, "TestNobodyReads"},
	{"an answer that is lost does not name the purchase", []edit{{
		"cmd/gigagate.subject", `text = ": purchase " + a.GetPurchaseId()`, dropped,
	}}, program, "TestNobodyReadsWhatWasBought"},
	// What the purchase helper for Go tells its caller.
	{"the helper forgets an earlier send that is in doubt", []edit{{
		"clients/go/client.buyer.afterError", "b.inDoubt.Store(true)", dropped,
	}}, goClient, "TestAConnectionWithoutTheCallPolicyWillDo"},
	{"the helper does not see the sends of the call policy", []edit{{
		"clients/go/client.sendWatcher.HandleRPC", "OutcomeOf(end.Error) == nil", never,
	}}, goClient, "TestSendsOfTheCallPolicyCount"},
	{"the helper takes a failed wait for a send in doubt", []edit{{
		"clients/go/client.buyer.waitUntilSettled", "b.purchases.WaitPurchase(ctx, $req)",
		"b.purchases.WaitPurchase(context.WithValue(ctx, inDoubtKey{}, &b.inDoubt), $req)",
	}}, goClient, "TestEveryPurchaseEndsInOneOfThreeWays"},
	{"the helper ends at a CANCELLED that is not its caller's", []edit{{
		"clients/go/client.mayPass", "codes.Canceled", "codes.PermissionDenied",
	}}, goClient, "TestErrorsWithoutOutcomeThatMayPass"},
	{"the helper refuses what NOT_STARTED leaves in doubt", []edit{{
		"clients/go/client.buyer.afterError", "case b.inDoubt.Load(): $*_", dropped,
	}}, goClient, "TestEveryPurchaseEndsInOneOfThreeWays"},
	{"the helper takes the effect of another order for its own", []edit{{
		"clients/go/client.buyer.afterError",
		"outcome.GetReason() == gigagatev1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED",
		never,
	}}, goClient, "TestEveryPurchaseEndsInOneOfThreeWays"},
	{"the helper buys without a request id", []edit{{
		"clients/go/client.buy", `req.GetRequestId() == ""`, never,
	}}, goClient, "TestRequestIDIsNeededBeforeAnythingIsSent"},
	// What a restored backup may do.
	{"a backup starts unchecked", []edit{{
		"purchase/sqlite/writer.go", "	if err == nil && !made.IsZero() {\n", "	if false {\n",
	}}, "./purchase/sqlite", "TestBackupDoesNotStart"},
	{"a backup is not marked", []edit{{
		"purchase/sqlite/backup.go", "\"INSERT INTO journal_backup (made_at) VALUES (?)\"", "\"SELECT ?\"",
	}}, "./purchase/sqlite", "TestBackupDoesNotStart"},
	{"what was sent after the backup is taken for never sent", []edit{{
		"purchase/sqlite/check.go", "WHERE o.state = 'ACCEPTED'", "WHERE o.state = ''",
	}}, "./purchase/sqlite", "TestBackupDoesNotStart"},
	{"a backup starts although a sale is unknown to it", []edit{{
		"cmd/gigagate/journal_check.go", " && len(r.UnknownSales) == 0\n", "\n",
	}}, program, "TestRestoreDoesNotSellTwice"},
	{"a backup starts although the list was not read to its end", []edit{{
		"cmd/gigagate/journal_check.go", "	return r.Compared && r.Recognized", "	return r.Recognized",
	}}, program, "TestRestoreDoesNotSellTwice"},
	{"a backup starts although the list shows nothing", []edit{{
		"cmd/gigagate/journal_check.go", " && r.Recognized > 0 && len(", " && len(",
	}}, program, "TestRestoreDoesNotSellTwice"},
	{"a backup starts although a package without a mark is unknown", []edit{{
		"purchase/unknown.go", "			if !since.IsZero() && ofAPI && ", "			if false && ofAPI && ",
	}}, program, "TestRestoreDoesNotSellTwice"},
	{"a web page may ask for a backup", []edit{{
		"cmd/gigagate/journal_backup.go", "	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(", "	return http.Handler(http.HandlerFunc(func(",
	}}, program, "TestWhoMayAskForABackup"},
	{"another machine may ask for a backup", []edit{{
		"cmd/gigagate/journal_backup.go", "!peer.Addr().Unmap().IsLoopback()", "!peer.IsValid()",
	}}, program, "TestWhoMayAskForABackup"},
	// What is told of secrets.
	{"a host that is the end of a password is told", []edit{{
		"purchase/postgres.withoutURL", "if _, ok := errors.AsType[*net.DNSError](err); ok { $*_ }", never,
	}}, "./purchase/postgres", "TestPasswordIsNotTold"},
	{"a setting that is the end of a password is told", []edit{{
		"purchase/postgres.withoutURL", `refused.Code == "42704" || refused.Code == "22023"`, never,
	}}, "./purchase/postgres", "TestPasswordIsNotTold"},
	{"a user with a password in it is told", []edit{{
		"purchase/postgres.Open", `strings.Contains(config.ConnConfig.User+config.ConnConfig.Database, ":")`, never,
	}}, "./purchase/postgres", "TestPasswordIsNotTold"},
	{"an @ in a password is read as its end", []edit{{
		"purchase/postgres.Open", "strayAt(url)", never,
	}}, "./purchase/postgres", "TestPasswordIsNotTold"},
	{"a connection string is taken for a file", []edit{{
		"cmd/gigagate.sqliteFile", "noFile.MatchString(file)", never,
	}}, program, "TestStartTellsNoSecret"},
	{"an argument with the end of a password is told", []edit{{
		"cmd/gigagate.withoutArguments", "unexpected.ReplaceAllString(err.Error(), $_)", "err.Error()",
	}}, program, "TestStartTellsNoSecret"},
	{"a secret given as a flag's value is told", []edit{{
		"cmd/gigagate.withoutArguments", "noString.ReplaceAllString(text, $_)", "text",
	}}, program, "TestStartTellsNoSecret"},
	{"an order is filled from the environment", []edit{{
		"cmd/gigagate.newParser", "kong.PostBuild(takeVariablesFromOrders)", dropped,
	}}, program, "TestOrdersAreNotFilledFromTheEnvironment"},
	{"a secret given in place of its file is told", []edit{{
		"cmd/gigagate.readSecret", "err = failed.Err", "err = failed",
	}}, program, "TestStartTellsNoSecret"},
	{"an exporter's error tells what it was given", []edit{{
		"cmd/gigagate.withoutSecrets",
		"text = masked(text, value); if plain, err := url.PathUnescape(value); err == nil { $*plain }",
		"if plain, err := url.PathUnescape(value); err == nil { $*plain }",
	}}, program, "TestTelemetryTellsNoSecret"},
	{"an unreadable attribute of the resource is told", []edit{{
		"cmd/gigagate.newTelemetry", `os.Unsetenv("OTEL_RESOURCE_ATTRIBUTES")`, `os.Getenv("OTEL_RESOURCE_ATTRIBUTES")`,
	}}, program, "TestTelemetryTellsNoSecret"},
	{"gRPC tells what it was given", []edit{{
		"cmd/gigagate.main", "takeOverGRPC()", dropped,
	}}, program, "TestTelemetryTellsNoSecret"},
	// Where a request over REST ends.
	{"a length that was read with the request before is forgotten", []edit{{
		"server.framed.forget", "c.earlier = c.earlier || c.length", dropped,
	}}, server, "TestFramingBehindAnotherRequest"},
	{"a coding of HTTP/1.0 is nothing to speak of", []edit{{
		"server.framed.isAmbiguous", "return c.coding, false", "return false, true",
	}}, server, "TestFraming$"},
	// What is told of why a purchase is not settled.
	{"what was found is told as lacking", []edit{{
		"purchase.reconciler.settle",
		"r.explainFound(p, missingPackage); r.beyondEvidence(ctx, p, SeveralFound)",
		"r.beyondEvidence(ctx, p, SeveralFound)",
	}}, simulation, "TestWhyUncertainOfWhatWasFound"},
	{"what an operator alone can settle is told to wait for reads", []edit{{
		"purchase.reconciler.reconciliation", "!p.Reason.unread()", never,
	}}, simulation, "TestWhyUncertainOfWhatWasFound"},
	{"the list of another account shows that nothing was sold", []edit{{
		"purchase.reconciler.checkAbsent",
		"p.Account != r.engine.vendor.Account() && !slices.ContainsFunc(proofs, shown)",
		never,
	}}, simulation, "TestNothingSoldWithAClientIDOfAnotherAccount"},
}
