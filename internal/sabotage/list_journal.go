package main

// journals are the rules of what a journal writes.
var journals = []sabotage{
	// Writing what was decided.
	{"a stale step counts as recorded", []edit{{
		"purchase.recordOrFind",
		"after, err := journal.Write(ctx, step); if errors.Is(err, ErrStale) { continue }",
		"after, err := journal.Write(ctx, step); if errors.Is(err, ErrStale) { return step.Before, step.Verdict, nil, nil }",
	}}, "./purchase/memory", "Journal/(RecordContest|RecordOfAnOldPurchase)"},
	{"what is illegal for an old purchase is refused", []edit{{
		"purchase.recordOrFind", "err != nil || step.Verdict != Moves", "err == nil && step.Verdict != Moves",
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
		"purchase/sqlite.connection.settle", "revision != s.Before.Revision", never,
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
		"_, err = c.change(insertOutcome, p.ID, $*values)",
		"if _, err := c.change(deleteOpen, p.ID); err != nil { return err }; $rule",
	}}, "./purchase/sqlite", "Journal/(Write|ItemTaken)$"},
	{"an outcome leaves its open row, in SQLite", []edit{{
		"purchase/sqlite.connection.settle", "_, err = c.change(deleteOpen, p.ID)", dropped,
	}}, "./purchase/sqlite", "Journal/Write$"},
	{"an outcome leaves its open row, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "result := 'WRITTEN'; ELSE", "result := 'WRITTEN'; END IF; IF true THEN",
	}}, "./purchase/postgres", "Journal/Write$"},
	{"a commit counts although the wait for its standby was cancelled, in PostgreSQL", []edit{{
		"purchase/postgres.durably", "marks[onlyLocal] != nil", never,
	}}, "./purchase/postgres", "WaitForStandbyCancelled"},
	{"a step of an earlier try is taken for durable, in PostgreSQL", []edit{{
		"purchase/postgres.Journal.finishCommitted", "o.Work.result == stale", never,
	}}, "./purchase/postgres", "WaitForStandbyCancelled"},
	{"an earlier freeze is taken for durable, in PostgreSQL", []edit{{
		"purchase/postgres.Journal.Freeze", "standing.ID != record.ID", never,
	}}, "./purchase/postgres", "WaitForStandbyCancelled"},
	{"a restored purchase is in doubt on the primary only, in PostgreSQL", []edit{{
		"purchase/postgres.Reader.AllowStart", "return durably(conn.Conn(), $write)", "return $write()",
	}}, "./purchase/postgres", "WaitForStandbyCancelled"},
	{"a server may hide that a commit has not reached its standby, in PostgreSQL", []edit{{
		"purchase/postgres.Journal.checkSettings", `messages == "error"`, never,
	}}, "./purchase/postgres", "TestServerRefused"},
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
		"if err != nil { j.fail(err); refuse(inDoubt(err)); $*rest }",
		"if err != nil { j.fail(err); refuse(notWritten(err)); $*rest }",
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
		"charged bigint[] ) RETURNS TABLE (result text, began timestamptz) LANGUAGE plpgsql SET enable_seqscan = off SET lock_timeout = '2s'",
		"charged bigint[] ) RETURNS TABLE (result text, began timestamptz) LANGUAGE plpgsql SET enable_seqscan = off",
	}}, "./purchase/postgres", "TestLockedRow"},
	{"a key that another replica is claiming is free, in PostgreSQL", []edit{{
		"purchase/postgres.Journal.Claim", "refused.Code == lockNotAvailable", never,
	}}, "./purchase/postgres", "TestKeyThatIsBeingClaimed"},
	{"a claim of an earlier try is taken for durable, in PostgreSQL", []edit{{
		"purchase/postgres.Journal.Claim", "p.ID == c.ID", never,
	}}, "./purchase/postgres", "TestClaimOfAnEarlierTry"},
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

	// Freezes.
	{"a freeze does not stop the next claim, in memory", []edit{{
		"purchase/memory.Journal.Claim", "if _, ok := j.freezes[target]; ok { $*_ }", never,
	}}, "./purchase/simulation", "TestFreezeStopsOtherReplicas"},
	{"a freeze does not stop the next claim, in SQLite", []edit{{
		"purchase/sqlite.connection.frozen", "indexOf(c.freezes, target) >= 0", never,
	}}, "./purchase/sqlite", "Journal/Freeze$"},
	{"a freeze does not stop the next claim, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "frozen := EXISTS (SELECT FROM gigagate.purchase_freeze);", "frozen := false;",
	}}, "./purchase/postgres", "Journal/Freeze$"},
	{"a freeze is remembered from before, in SQLite", []edit{{
		"purchase/sqlite.Journal.freeze", "c.freezesKnown = false", dropped,
	}}, "./purchase/sqlite", "Journal/Freeze$"},
	{"a thaw that was rolled back is remembered, in SQLite", []edit{{
		"purchase/sqlite.Journal.transact", "j.conn.newest, j.conn.freezesKnown = j.newest, false", "j.conn.newest = j.newest",
	}}, "./purchase/sqlite", "TestFreezeOutlivesARollback"},
	{"a freeze hides a known purchase, in memory", []edit{{
		"purchase/memory.Journal.Claim",
		"if r, ok := j.byKey[claim.Key]; ok { return r.purchase, nil }",
		"if r, ok := j.byKey[claim.Key]; ok && len(j.freezes) == 0 { return r.purchase, nil }",
	}}, "./purchase/memory", "Journal/Freeze$"},
	{"a freeze hides a known purchase, in SQLite", []edit{{
		"purchase/sqlite.connection.claim",
		"if errors.Is(err, purchase.ErrNotFound) { err = &purchase.FrozenError{FreezeTarget: target} }",
		"err = &purchase.FrozenError{FreezeTarget: target}",
	}}, "./purchase/sqlite", "Journal/Freeze$"},
	{"a freeze hides a known purchase, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql",
		"IF FOUND AND NOT EXISTS (SELECT FROM gigagate.purchase p WHERE p.request_id = c.request_id AND p.caller = c.caller) THEN",
		"IF FOUND THEN",
	}}, "./purchase/postgres", "Journal/Freeze$"},
	{"a freeze does not wait for the claims under way, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "LOCK TABLE gigagate.purchase_freeze IN ROW SHARE MODE;", dropped,
	}}, "./purchase/postgres", "TestFreezeWaitsForClaims"},
	{"a freeze takes no lock, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql",
		"LOCK TABLE gigagate.purchase_freeze IN EXCLUSIVE MODE; IF NOT EXISTS",
		"IF NOT EXISTS",
	}}, "./purchase/postgres", "TestFreezeWaitsForClaims"},
	{"the second freeze replaces the first, in memory", []edit{{
		"purchase/memory.Journal.Freeze", "if freeze, ok := j.freezes[target]; ok { $*_ }", dropped,
	}}, "./purchase/memory", "Journal/FreezeOnce"},
	{"a thaw has no audit record, in SQLite", []edit{{
		"purchase/sqlite.Journal.thaw", "return c.keep(record)", "return nil",
	}}, "./purchase/sqlite", "Journal/FreezeOnce"},
	{"a thaw has no audit record, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0002_functions.sql", "RETURN gigagate.audit(clock, record);", "RETURN now();",
	}}, "./purchase/postgres", "Journal/FreezeOnce"},
	{"an audit record can be changed, in SQLite", []edit{{
		"purchase/sqlite/schema.sql", "audit_is_final BEFORE UPDATE ON", "audit_is_final BEFORE DELETE ON",
	}}, "./purchase/sqlite", "TestImpossibleRows"},
	{"an audit record can be deleted, in SQLite", []edit{{
		"purchase/sqlite/schema.sql", "audit_is_kept BEFORE DELETE ON", "audit_is_kept BEFORE UPDATE ON",
	}}, "./purchase/sqlite", "TestImpossibleRows"},
	{"an audit record can be changed, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0001_purchases.sql", "audit_is_final BEFORE UPDATE ON", "audit_is_final BEFORE TRUNCATE ON",
	}}, "./purchase/postgres", "TestImpossibleRows"},
	{"an audit record can be deleted, in PostgreSQL", []edit{{
		"purchase/postgres/schema/0001_purchases.sql",
		"audit_is_kept BEFORE DELETE OR TRUNCATE ON gigagate.audit_record",
		"audit_is_kept BEFORE TRUNCATE ON gigagate.audit_record",
	}}, "./purchase/postgres", "TestImpossibleRows"},
}
