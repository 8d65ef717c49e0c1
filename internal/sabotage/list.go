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
		"purchase/state.go",
		"		Lost:             moves(Uncertain),\n",
		"		Lost:             moves(Accepted),\n",
	}}, states, "TestNoSecondSendWithoutProof"},
	{"an unknown answer may be sent again", []edit{{
		"purchase.transitionTable", "Uncertain: {$*events}", "Uncertain: {$*events, Permitted: moves(Sending)}",
	}}, states, "TestNoSecondSendWithoutProof"},
	{"a stale answer speaks of the newest send", []edit{{
		"purchase/transition.go",
		"		if transition.Event.answered() {\n			return p.State, Stays\n		}\n		return p.State, Illegal\n",
		"		if !transition.Event.answered() {\n			return p.State, Illegal\n		}\n",
	}}, states, "TestNoSecondSendWithoutProof|TestAfterRefinesNext"},
	{"a late 200 is fenced out", []edit{{
		"purchase/transition.go",
		"	if transition.Attempt < p.Attempt && !transition.Event.positive() {",
		"	if transition.Attempt < p.Attempt {",
	}}, states, "TestPositiveEvidenceSettles"},
	{"a late 4xx is final where an operator is asked", []edit{{
		"purchase/state.go",
		"		AnsweredRefused:  stays,\n		AnsweredNoEffect: stays,\n		AnsweredUnknown:  stays,\n		Found:            moves(Succeeded),\n",
		"		AnsweredRefused:  moves(Failed),\n		AnsweredNoEffect: stays,\n		AnsweredUnknown:  stays,\n		Found:            moves(Succeeded),\n",
	}}, states, "TestLifePageIsCurrent"},
	{"a sale after FAILED is nothing to speak of", []edit{{
		"purchase/state.go",
		"		AnsweredApplied:  contradicts, // the caller was told that nothing was sold, and may have bought again\n",
		"		AnsweredApplied:  stays,\n",
	}}, states, "TestPositiveEvidenceSettles"},
	{"a second package for one purchase is accepted", []edit{{
		"purchase/transition.go",
		"transition.ItemUID != p.ItemUID && verdict == Stays",
		"false",
	}}, states, "TestAfterRefinesNext"},

	// Looking up and claiming.
	{"purchase ids can be foretold", []edit{{
		"purchase/id.go", "ulid.New(ulid.Now(), entropy)", "ulid.New(ulid.Now(), ulid.DefaultEntropy())",
	}}, states, "TestIDsAreUnpredictable"},
	{"orders of one id are not compared", []edit{{
		"purchase/buy.go", "; len(fields) > 0 {", "; len(fields) > 100 {",
	}}, simulation, "TestSameIDAnotherOrder"},
	{"one field is not compared", []edit{{
		"purchase/purchase.go",
		"	differ(\"activation_mode\", recorded.ActivationMode != asked.ActivationMode)\n", "",
	}}, states, "TestDifferences"},
	{"one field of the contract is not compared", []edit{{
		"purchase/purchase.go",
		"	differ(inProfile+\"dedicated\", !sameBool(recorded.Dedicated, asked.Dedicated))\n", "",
	}}, server, "TestEveryFieldOfAnOrderIsComparedAndSent"},
	{"another spelling of an address is another order", []edit{{
		"purchase/purchase.go",
		"	differ(\"expected_price\", ",
		"	differ(\"user_ip\", recordedPersonal.UserIP != askedPersonal.UserIP)\n	differ(\"expected_price\", ",
	}}, server, "TestAddressesAreCanonical"},
	{"one field of the contract is not sent", []edit{{
		"purchase/owner.go", "			Dedicated: o.Dedicated, CustomerProfileDomainID:", "			CustomerProfileDomainID:",
	}}, server, "TestEveryFieldOfAnOrderIsComparedAndSent"},
	{"an id that could not be looked up was not started", []edit{{
		"server/orders.go", "		if !journal.LookedUp {\n", "		if false {\n",
	}}, server, "TestJournalOutOfOrder"},
	{"a broken rule says nothing of the request id", []edit{{
		"server/interceptors.go", "s.tellOfRequestID, s.validate,", "s.validate,",
	}}, server, "TestRefusedOrdersSpeakOfTheirRequestID"},
	{"an order that REST refuses is not looked up", []edit{{
		"server/rest_errors.go", "if call.isOrder() && f.needsLookup() {", "if call.isOrder() && f == nil {",
	}}, server, "TestEveryRefusedOrderTellsTheEffectOfItsID"},
	{"the request id in a refused body is not looked up", []edit{{
		"server/request_id.go", "		named = requestIDsInJSON(data)\n", "		_ = data\n",
	}}, server, "TestEveryRefusedOrderTellsTheEffectOfItsID"},
	{"the request id in a refused header is not looked up", []edit{{
		"server/request_id.go", "		named.ids = append(named.ids, id)\n		named.unread = named.unread || f != nil\n", "		named.unread = named.unread || f != nil || id == \"\"\n",
	}}, server, "TestEveryRefusedOrderTellsTheEffectOfItsID"},
	{"the request id of an order that cannot be decoded is not looked up", []edit{{
		"server/request_id.go", "				*kept = string(id)\n", "				_ = string(id)\n",
	}}, server, "TestEveryRefusedOrderTellsTheEffectOfItsID"},
	{"an unreadable order names no request id", []edit{{
		"server/request_id.go", " || len(valid) == 0 && named.unread {", " {",
	}}, server, "TestRefusedOrdersWithoutAnID"},
	{"an order that cannot be decoded names no request id", []edit{{
		"server/request_id.go", "if *kept == \"\" && len(data) > 0 {", "if *kept == \"\" && len(data) > 0 && f == nil {",
	}}, server, "TestRefusedOrdersWithoutAnID"},
	{"any number of request ids is looked up", []edit{{
		"server/request_id.go", "	if len(valid) > maxNamedIDs || ", "	if ",
	}}, server, "TestRefusedOrdersWithoutAnID"},
	{"of two request ids the effect that allows more counts", []edit{{
		"server/request_id.go",
		"slices.Index(byCaution, effect) > slices.Index(byCaution, f.effect)",
		"f.effect == 0 || slices.Index(byCaution, effect) < slices.Index(byCaution, f.effect)",
	}}, server, "TestRefusedOrdersOfTwoIDs"},
	{"look up after the guards", []edit{{
		"purchase/buy.go",
		"	recorded, err := e.lookup(ctx, request.Key)\n",
		"	if err := e.guard(ctx, request.Order); err != nil {\n		return Bought{}, err\n	}\n	recorded, err := e.lookup(ctx, request.Key)\n",
	}}, simulation, "TestGuards$"},
	{"send before the claim is known durable", []edit{{
		"purchase/buy.go",
		"	case !unknown:\n		return Purchase{}, false, &JournalError{LookedUp: true, Err: err}\n",
		"	case !unknown:\n		return Purchase{}, false, &JournalError{LookedUp: true, Err: err}\n	default:\n		return New(claim, time.Now()), true, nil\n",
	}}, simulation, "TestClaimUnknown"},
	{"a claim whose answer was lost is somebody else's", []edit{{
		"purchase/buy.go", "		return p, p.ID == claim.ID, nil\n", "		return p, p.ID == claim.ID && !unknown, nil\n",
	}}, simulation, "TestClaimUnknown"},
	{"not written now is never written", []edit{{
		"purchase/buy.go", "func(error) bool { return !unknown }", "func(err error) bool { unknown = unknown && !errors.Is(err, ErrNotWritten); return !unknown }",
	}}, simulation, "TestClaimUnknown"},
	{"a claim is abandoned by two writes", []edit{{
		"purchase/buy.go",
		"		e.record(e.life, id, Transition{Event: Abandoned, ",
		"		e.record(e.life, id, Transition{Event: AnsweredNoEffect, Attempt: 1, By: ByGateway, Lease: e.lease, Evidence: Evidence{Note: why}})\n		e.record(e.life, id, Transition{Event: WindowOver, ",
	}}, simulation, "TestAbandonedAndKilled"},
	{"a claim that was abandoned may be taken up", []edit{{
		"purchase/buy.go",
		"		e.record(e.life, id, Transition{Event: Abandoned, ",
		"		e.record(e.life, id, Transition{Event: AnsweredNoEffect, ",
	}}, simulation, "TestClaimUnknown"},
	{"a price limit is open when nothing can be read", []edit{{
		"purchase/guard.go",
		"		if limited {\n			return &GuardError{Reason: PriceUnreadable}\n		}\n", "",
	}}, simulation, "TestGuards$"},
	{"the gateway's own price limit does not hold", []edit{{
		"purchase/guard.go", "[]*Price{order.MaxPurchasePrice, e.maxPrice}", "[]*Price{order.MaxPurchasePrice}",
	}}, simulation, "TestGatewaysPriceLimit"},
	{"the gateway's own price limit gives way to the order's", []edit{{
		"purchase/guard.go", "			limits = append(limits, *limit)\n", "			return []Price{*limit}\n",
	}}, simulation, "TestGatewaysPriceLimit"},
	{"a price limit holds for the first send alone", []edit{{
		"purchase/owner.go", "		refused := e.guardAgain(ctx, p.Order)\n", "		var refused *GuardError\n",
	}}, simulation, "TestPriceLimitHoldsForEverySend"},
	{"a negative price is below every limit", []edit{{
		"purchase/guard.go", "		case !ok, price.Cmp(gigastore.Decimal{}) < 0:\n", "		case !ok:\n",
	}}, simulation, "TestNegativePriceIsNoPrice"},
	{"the gateway's price limit is not passed on", []edit{{
		"cmd/gigagate/serve.go", "		MaxPurchasePrice: limit,\n", "		MaxPurchasePrice: func(*purchase.Price) *purchase.Price { return nil }(limit),\n",
	}}, program, "TestServeHasAPriceLimit"},
	{"a paid price above the limit is nothing to speak of", []edit{{
		"purchase/evidence.go", "	case paid.Value.Cmp(limit.Amount) > 0:\n", "	case false:\n",
	}}, simulation, "TestExcessAfterTheSale"},

	// Sending.
	{"a caller who hangs up ends the send", []edit{{
		"purchase/buy.go",
		"	work, cancel := endingWith(context.WithoutCancel(ctx), e.life)\n",
		"	work, cancel := endingWith(ctx, e.life)\n",
	}}, simulation, "TestCallerGone"},
	{"a permit never runs out", []edit{
		{"gigastore/paid.go", "	if IsOver(p.NotAfter, now) {\n", "	if p.NotAfter = now.Add(time.Minute); false {\n"},
		{"gigastore/attempt.go", "	case !a.notAfter.IsZero() && IsOver(a.notAfter, a.now()):\n", "	case false:\n"},
	}, vendor, "TestNoByteLeft"},
	{"a permit is not confirmed before the first byte", []edit{{
		"gigastore/attempt.go", "	if a.confirm != nil && !a.begun {\n", "	if a.confirm != nil && a.begun {\n",
	}}, simulation, "TestPausedMachine"},
	{"a request is written twice", []edit{{
		"gigastore/attempt.go", "	case a.begun:\n		return errSecondSend\n", "",
	}}, vendor, "TestAttemptWritesOnce"},
	{"a header may end the head of the request", []edit{{
		"gigastore/request.go", "		if b < ' ' || b == 0x7f {\n", "		if b == 0x7f {\n",
	}}, vendor, "TestHeaderEndsItsOwnLine"},
	{"what the vendor says unasked is an answer", []edit{{
		"gigastore/transport.go", "		if err := c.unasked(); err != nil {\n", "		if err := c.unasked(); false {\n",
	}}, vendor, "TestVendorThatSpeaksFirst"},
	{"a refusal is believed before its connection ends", []edit{{
		"gigastore/transport.go", "	if err == io.EOF && b.mustEnd {", "	if err == io.EOF && b.mustEnd && false {",
	}}, simulation, "TestEveryFaultAlone"},
	{"a refusal is believed whose connection stays open", []edit{{
		"gigastore/transport.go", "		return errNotEnded\n", "		return nil\n",
	}}, vendor, "TestAnswerNeedsTheEndOfItsConnection"},
	{"a 401 is sent again without end", []edit{{
		"purchase/owner.go", " || unauthorized > 1 || ", " || ",
	}}, simulation, "TestTurnedAway"},
	{"refused credentials are waited for", []edit{{
		"purchase/owner.go", " || lasting || ", " || lasting && false || ",
	}}, simulation, "TestRefusedCredentials"},
	{"what the vendor says of a token for now is for good", []edit{{
		"gigastore/auth.go", "slices.Contains(credentialRefusals, refused.Status)", "(true || slices.Contains(credentialRefusals, refused.Status))",
	}}, simulation, "TestTokenComesWithinTheWindow"},
	{"a secret that cannot be one is taken", []edit{{
		"gigastore/credentials.go", "	if err == nil && !isUsable(secret) {\n", "	if err == nil && false {\n",
	}}, vendor, "TestSecretIsReadAgain"},
	{"bytes of a write that failed have not left", []edit{{
		"gigastore/attempt.go", "		n = len(text) //", "		n = 0 //",
	}}, vendor, "."},
	{"a 5xx had no effect", []edit{{
		"gigastore/classify.go",
		"	case a.status == http.StatusUnauthorized,\n", "	case a.status == http.StatusUnauthorized, a.status >= 500,\n",
	}}, simulation, "TestEveryFaultAlone"},
	{"a 429 had no effect", []edit{{
		"gigastore/classify.go",
		"a.status == http.StatusTooManyRequests && paid && c.throttledHasNoEffect", "a.status == http.StatusTooManyRequests && paid",
	}}, simulation, "TestEveryFaultAlone"},
	{"any 4xx is a refusal", []edit{{
		"gigastore/classify.go",
		"		if text, ok := refusalText(a); ok {\n", "		if text, _ := refusalText(a); true {\n",
	}}, simulation, "TestEveryFaultAlone"},
	{"an answer need not be whole", []edit{{
		"gigastore/classify.go", "	case !a.whole || a.evidence.BytesWritten == 0:\n", "	case a.evidence.BytesWritten == 0:\n",
	}}, vendor, "."},
	{"an answer need not bear our mark", []edit{{
		"gigastore/classify.go", ` || mark == "" || firstWord(item.Metatag) != mark`, "",
	}}, vendor, "."},

	// Recording.
	{"an answer is recorded once, or not at all", []edit{{
		"purchase/record.go",
		"	}, isRefused)\n", "	}, func(error) bool { return true })\n",
	}}, simulation, "TestAnswerLostAtRecord"},
	{"the vendor's words are kept as they are", []edit{{
		"purchase/evidence.go", "scrub(vendor.Message)", "vendor.Message",
	}}, states, "TestAnswered"},
	{"a take-up begins the send window anew", []edit{{
		"purchase/owner.go",
		"		gone := p.LeaseUntil.Add(-e.lease).Sub(p.ClaimedAt)\n", "		gone := 0 * p.LeaseUntil.Sub(p.ClaimedAt)\n",
	}}, simulation, "TestAcceptedIsTakenUpWithinItsWindow"},
	{"a lost send may be sent again, in SQL", []edit{{
		"purchase/postgres/sql.go", "CASE state WHEN 'SENDING' THEN 'UNCERTAIN' ELSE", "CASE state WHEN 'SENDING' THEN 'ACCEPTED' ELSE",
	}}, simulation, "TestFaultsAloneOnPostgres"},
	{"what nobody may send waits for ever", []edit{{
		"purchase/owner.go", "		if gone >= e.window {\n", "		if gone >= e.window && p.Account == e.vendor.Account() {\n",
	}}, simulation, "TestAcceptedOfAnotherAccount"},

	// Reconciling.
	{"one read proves an absence", []edit{{
		"purchase/reconcile.go", "	absentReads = 3\n", "	absentReads = 1\n",
	}}, simulation, "TestPresumedAbsent"},
	{"no quiet time", []edit{{
		"purchase/reconcile.go",
		"later(r.lastByte(p), r.absences[p.ID].since).Add(r.config.Quiet)", "later(r.lastByte(p), r.absences[p.ID].since)",
	}}, simulation, "TestPresumedAbsent"},
	{"the journal's clock is ours", []edit{{
		"purchase/reconcile.go", "later(r.lastByte(p), r.absences[p.ID].since).Add(r.config.Quiet)", "r.lastByte(p).Add(r.config.Quiet)",
	}}, simulation, "TestQuietIsAlsoOurOwn"},
	{"no older witness", []edit{{
		"purchase/settle.go", "	case p.SuccessSeen || unexplained || !older:\n", "	case p.SuccessSeen || unexplained || !older && false:\n",
	}}, simulation, "TestNotPresumedAbsent"},
	{"an older witness that was under way at the time", []edit{{
		"purchase/scan.go", "return w.SettledAt.After(p.ClaimedAt)", "return false",
	}}, simulation, "TestNotPresumedAbsent"},
	{"a witness that has started vouches for one that has not", []edit{{
		"purchase/scan.go",
		"		return p.Order.EffectiveMode() == gigastore.ModeNow || record", "		return true || record",
	}}, simulation, "TestNotPresumedAbsent"},
	{"no younger witness, and no wait", []edit{{
		"purchase/settle.go", "	case younger || !scan.began", "	case true || younger || !scan.began",
	}}, simulation, "TestWaitStandsInForAYoungerOne"},
	{"reads that show nothing count", []edit{{
		"purchase/settle.go", "		a.unproven++\n", "		a.unproven++\n		a.reads++\n",
	}}, simulation, "TestReadsThatShowNothingDoNotCount"},
	{"a call under way is not seen by a refusal before the engine", []edit{{
		"purchase/query.go", "errors.Is(err, ErrNotFound) && others {", "errors.Is(err, ErrNotFound) && others && err == nil {",
	}}, simulation, "TestRefusedBesideAClaim"},
	{"a claim whose caller has gone is sent", []edit{{
		"purchase/buy.go", "if err == nil && ours && isOver(ctx) {", "if err == nil && ours && ctx == nil {",
	}}, simulation, "TestRefusedElsewhereDuringAClaim"},
	{"a claim whose caller asks elsewhere is sent", []edit{{
		"purchase/buy.go", "if err == nil && ours && isOver(ctx) {", "if err == nil && ours && ctx == nil {",
	}}, simulation, "TestTwoSendsOfOneID"},
	{"too little time is told before the look-up", []edit{{
		"purchase/buy.go",
		"	recorded, err := e.lookup(ctx, request.Key)\n",
		"	if err := e.mayStart(ctx); err != nil {\n		return Bought{}, err\n	}\n	recorded, err := e.lookup(ctx, request.Key)\n",
	}}, simulation, "TestTwoSendsOfOneID"},
	{"an id that cannot be looked up has nothing", []edit{{
		"purchase/buy.go", "return Bought{}, &JournalError{Err: err}\n	}\n	if err := e.mayStart", "return Bought{}, &JournalError{LookedUp: true, Err: err}\n	}\n	if err := e.mayStart",
	}}, simulation, "TestTwoSendsOfOneID"},
	{"a list that breaks off is complete", []edit{{
		"purchase/scan.go", "someIDs(open))\n			return s\n", "someIDs(open))\n			break\n",
	}}, simulation, "TestNotPresumedAbsent"},
	{"a success that was seen is forgotten", []edit{
		{"purchase/settle.go", "	case p.SuccessSeen || unexplained || !older:\n", "	case unexplained || !older:\n"},
		{"purchase/settle.go", " && !p.SuccessSeen:\n", ":\n"},
	}, simulation, "TestNotPresumedAbsent"},
	{"an absence settles what contradicts", []edit{{
		"purchase/transition.go", "p.State == NeedsOperator && !unread):", "p.State == NeedsOperator && p.Reason == \"\"):",
	}}, "./purchase", "TestAfterRefinesNext"},
	{"what is worse than unreadable is not taken", []edit{{
		"purchase/settle.go", "	if p.State != Uncertain && !worse {\n", "	if p.State != Uncertain || worse {\n",
	}}, simulation, "TestOutageThatHidWorse"},
	{"a success seen meanwhile is presumed absent", []edit{{
		"purchase/transition.go", "(p.SuccessSeen || p.State == NeedsOperator", "(p.State == NeedsOperator",
	}}, "./purchase/memory", "."},
	{"an alarm is lost with its answer", []edit{{
		"purchase/settle.go", "			_ = r.recordFound(ctx, p, transition)\n", "			_, _ = r.engine.recordOnce(ctx, p.ID, transition)\n",
	}}, simulation, "TestAlarmOutlivesItsAnswer"},
	{"an operator is not asked for what was journaled unheard", []edit{{
		"purchase/record.go", "		if unknown && errors.Is(err, ErrIllegal) {\n", "		if unknown && errors.Is(err, ErrNotFound) {\n",
	}}, simulation, "TestAlarmOutlivesItsAnswer"},
	{"an operator called gateway is the gateway", []edit{{
		"purchase/resolve.go", "transition.By = ByOperator(resolution.By)", "transition.By = Actor(resolution.By)",
	}}, simulation, "TestResolveMeetsAnAbsence"},
	{"an operator's word that came late is nothing", []edit{{
		"purchase/resolve.go", "	if now.State == Failed && transition.ItemUID != \"\" {\n", "	if now.State == Failed && transition.ItemUID == \"\" {\n",
	}}, simulation, "TestResolveMeetsAnAbsence"},
	{"an outage that ends leaves work behind", []edit{{
		"purchase/settle.go", "(p.State == Uncertain || p.Reason.unread())", "p.State == Uncertain",
	}}, simulation, "TestOutageThatHidNothing"},
	{"a package without a mark is nobody's", []edit{{
		"purchase/scan.go", "			s.unexplained[p.ID] = true\n", "			s.unexplained[p.ID] = false\n",
	}}, simulation, "TestNotPresumedAbsent"},
	{"another account's records will do", []edit{{
		"purchase/reconcile.go", "		case r.engine.owns(p.Account):\n", "		case r.engine.owns(p.Account) || true:\n",
	}}, simulation, "TestAnotherAccount|TestFormerClientIDSaidLate"},
	{"any account's sale vouches for a former client id", []edit{{
		"purchase/scan.go", "		if p.Account != accounts[0] {\n", "		if false {\n",
	}}, simulation, "TestFormerClientIDOfAnotherAccount"},
	{"a person's word outweighs records of another account", []edit{{
		"purchase/resolve.go", "	if !r.engine.owns(p.Account) {\n", "	if false {\n",
	}}, simulation, "TestFormerClientIDSaidLate"},
	{"a package without a mark is named for another account's purchase", []edit{{
		"purchase/resolve.go", "	if bearer == \"\" && foreign {\n", "	if false {\n",
	}}, simulation, "TestNewClientIDAndANamedPackage"},
	{"a package is bound once under each client id", []edit{{
		"purchase/scan.go", ", Aliases: e.aliases(p),\n", ",\n",
	}}, simulation, "TestNewClientIDAndANamedPackage"},
	{"an answer's package is bound once under each client id", []edit{{
		"purchase/record.go", "transition.Lease, transition.Aliases = e.lease, e.aliases(p)\n", "transition.Lease = e.lease\n",
	}}, simulation, "TestItemTaken"},
	{"a package is bound once under each name, in SQLite", []edit{{
		"purchase/sqlite/write.go", "		if taken {\n", "		if false {\n",
	}}, "./purchase/sqlite", "Journal/ItemTakenUnderAnAlias"},
	{"a package is bound once under each name, in PostgreSQL", []edit{{
		"purchase/postgres/write.go", "			if taken {\n", "			if taken && false {\n",
	}}, "./purchase/postgres", "Journal/ItemTakenUnderAnAlias"},
	{"of several packages the first is taken", []edit{{
		"purchase/settle.go", "		if other.ActivatedItem.UID != record.ActivatedItem.UID {\n", "		if other.ActivatedItem.UID == \"\" {\n",
	}}, simulation, "TestSeveralFound"},
	{"a package of another mode is taken", []edit{{
		"purchase/settle.go", "	if !plausible(p, record) {\n", "	if false && !plausible(p, record) {\n",
	}}, simulation, "TestResolveWhatTheVendorMadeOfIt"},
	{"an operator may name another purchase's package", []edit{{
		"purchase/resolve.go", "bearer != \"\" && bearer != p.ID || ", "",
	}}, simulation, "TestResolve$"},
	{"a claim under way is not seen by a call beside it", []edit{{
		"purchase/buy.go", "; others && err != nil && !tellsOfKey(err) {", "; others && err == nil {",
	}}, simulation, "TestRefusedBesideAClaim"},
	{"a purchase is begun for a caller who is gone", []edit{{
		"purchase/buy.go", " < LeastTime || ctx.Err() != nil {", " < LeastTime {",
	}}, simulation, "TestCallerGoneBeforeTheClaim"},
	{"a person's word outweighs a success that was seen", []edit{{
		"purchase/resolve.go", "	if p.SuccessSeen {\n", "	if false {\n",
	}}, simulation, "TestNothingSoldAgainstASuccess"},
	{"a person's word waits for no read", []edit{{
		"purchase/resolve.go", "	} else if !resolution.Force {\n", "	} else if false {\n",
	}}, simulation, "TestNothingSoldTooEarly"},
	{"a person's word waits for one read alone", []edit{{
		"purchase/resolve.go", "	if a.lacked < absentReads-1 {\n", "	if a.lacked < 0 {\n",
	}}, simulation, "TestNothingSoldOnceItIsShown"},
	{"a journal that hangs keeps the reconciler", []edit{{
		"purchase/reconcile.go", "bounded(ctx, watchedBudget, func(", "bounded(ctx, time.Hour, func(",
	}}, simulation, "TestHungJournal"},
	{"later reads do not look for what was called absent", []edit{{
		"purchase/reconcile.go", "	r.alarmAbsent(ctx, watched, scan)\n", "",
	}}, simulation, "TestLateSaleAfterFailed"},
	{"the order of a list is left to the vendor", []edit{{
		"purchase/scan.go", "ActivatedItems(ctx, newestFirst)", "ActivatedItems(ctx, gigastore.ActivatedItemsQuery{})",
	}}, simulation, "TestCappedListIsReadNewestFirst"},
	{"only a page of what is open is watched", []edit{{
		"purchase/sqlite/read.go", "		if len(found) < watchAtOnce {\n", "		if len(found) <= watchAtOnce {\n",
	}}, "./purchase/sqlite", "Journal/WatchedManyAndLong"},
	{"what was called absent is watched for ever", []edit{{
		"purchase/sqlite/read.go", "j.time().Add(-absentFor)", "j.time().Add(-9 * absentFor)",
	}}, "./purchase/sqlite", "Journal/WatchedManyAndLong"},
	{"only a page of what is open is watched, in SQL", []edit{{
		"purchase/postgres/read.go", "		if len(found) < watchAtOnce {\n", "		if len(found) <= watchAtOnce {\n",
	}}, "./purchase/postgres", "Journal/WatchedManyAndLong"},
	{"an order of a later version stops all", []edit{{
		"purchase/reconcile.go", "		if !errors.Is(err, ErrUnreadableOrder) {\n", "		if err != nil || errors.Is(err, ErrUnreadableOrder) {\n",
	}}, simulation, "TestOrderOfALaterVersion"},
	{"a hanging customer hides the list", []edit{{
		"purchase/scan.go", "context.WithTimeout(ctx, aroundBudget)", "context.WithCancel(ctx)",
	}}, simulation, "TestHangingCustomersDoNotHideTheList"},
	{"a machine that slept still sends", []edit{{
		"gigastore/attempt.go", "	return now.After(limit) || now.Round(0).After(limit.Round(0))\n", "	return now.After(limit)\n",
	}}, vendor, "TestNoByteLeft"},
	{"an empty file is a new journal", []edit{
		{"purchase/sqlite/place.go", "	case err == nil && info.Size() == 0:\n", "	case err == nil && info.Size() < 0:\n"},
		{"purchase/sqlite/connection.go", "	case version == 0:\n", "	case false:\n"},
	}, "./purchase/sqlite", "TestJournalThatWasLost"},
	{"a log without its journal is nothing", []edit{{
		"purchase/sqlite/place.go", "os.Lstat(path + companion); err == nil {", "os.Lstat(path + companion); err == nil && path == \"\" {",
	}}, "./purchase/sqlite", "TestJournalThatWasLost"},
	{"a restored journal is read by anybody", []edit{{
		"purchase/sqlite/place.go", "info.Mode().Perm() != 0o600 {", "info.Mode().Perm() == 0 {",
	}}, "./purchase/sqlite", "TestPrivateHoweverItCame"},
	{"a journal that was deleted is written to", []edit{{
		"purchase/sqlite/writer.go",
		"	if err := j.inPlace(); err != nil {\n		refuse(notWritten(err))\n",
		"	if err := j.inPlace(); false {\n		refuse(notWritten(err))\n",
	}}, "./purchase/sqlite", "TestFileTakenAway$"},
	{"a commit to a journal that was deleted counts", []edit{{
		"purchase/sqlite/writer.go",
		"	if err := j.inPlace(); err != nil {\n		refuse(inDoubt(err))\n",
		"	if err := j.inPlace(); false {\n		refuse(inDoubt(err))\n",
	}}, "./purchase/sqlite", "TestFileTakenAwayMeanwhile"},
	{"a backup put in place is the journal", []edit{{
		"purchase/sqlite/writer.go", "	if c.newest = number; number < newest {\n", "	if c.newest = number; newest < 0 {\n",
	}}, "./purchase/sqlite", "TestFileReplaced"},

	// What the command line tells.
	{"a sale that nobody reads ends by a signal", []edit{{
		"cmd/gigagate/main.go", "	signal.Ignore(syscall.SIGPIPE)\n", "",
	}}, program, "TestNobodyReads"},
	{"an answer to a closed output counts as told", []edit{{
		"cmd/gigagate/console.go", "make([]byte, 1)); errors.Is(err, io.EOF) {", "make([]byte, 1)); false && errors.Is(err, io.EOF) {",
	}}, program, "TestNobodyReads"},
	{"an answer that is lost does not name the purchase", []edit{{
		"cmd/gigagate/client.go", "		text = \": purchase \" + a.GetPurchaseId()\n", "",
	}}, program, "TestNobodyReadsWhatWasBought"},
	// What the purchase helper for Go tells its caller.
	{"the helper forgets an earlier send that is in doubt", []edit{{
		"clients/go/client/buy.go", "	b.inDoubt = b.inDoubt || outcome == nil\n", "",
	}}, goClient, "TestEveryPurchaseEndsInOneOfThreeWays"},
	{"the helper refuses what NOT_STARTED leaves in doubt", []edit{{
		"clients/go/client/buy.go", "		case b.inDoubt:\n			return b.notKnownYet(sendErr)\n", "",
	}}, goClient, "TestEveryPurchaseEndsInOneOfThreeWays"},
	{"the helper takes the effect of another order for its own", []edit{{
		"clients/go/client/buy.go",
		"	case outcome.GetReason() == gigagatev1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED,\n		effect ==",
		"	case effect ==",
	}}, goClient, "TestEveryPurchaseEndsInOneOfThreeWays"},
	{"the helper buys without a request id", []edit{{
		"clients/go/client/buy.go", "	if req.GetRequestId() == \"\" {\n", "	if false {\n",
	}}, goClient, "TestRequestIDIsNeededBeforeAnythingIsSent"},
	// What is told of secrets.
	{"a host that is the end of a password is told", []edit{{
		"purchase/postgres/journal.go", "errors.AsType[*net.DNSError](err); ok {", "errors.AsType[*net.DNSError](err); ok && err == nil {",
	}}, "./purchase/postgres", "TestPasswordIsNotTold"},
	{"a setting that is the end of a password is told", []edit{{
		"purchase/postgres/journal.go", "refused.Code == \"42704\" || refused.Code == \"22023\"", "refused.Code == \"\"",
	}}, "./purchase/postgres", "TestPasswordIsNotTold"},
	{"a user with a password in it is told", []edit{{
		"purchase/postgres/journal.go", "config.ConnConfig.User+config.ConnConfig.Database, \":\"", "config.ConnConfig.User+config.ConnConfig.Database, \"::::\"",
	}}, "./purchase/postgres", "TestPasswordIsNotTold"},
	{"an @ in a password is read as its end", []edit{{
		"purchase/postgres/journal.go", "	if strayAt(url) {\n", "	if false {\n",
	}}, "./purchase/postgres", "TestPasswordIsNotTold"},
	{"a connection string is taken for a file", []edit{{
		"cmd/gigagate/journal.go", "noFile.MatchString(file)", "noFile.MatchString(\"\")",
	}}, program, "TestStartTellsNoSecret"},
	{"an argument with the end of a password is told", []edit{{
		"cmd/gigagate/main.go", "unexpected.ReplaceAllString(err.Error(), \"unexpected $1, not shown as it may be part of a secret$2\")", "err.Error()",
	}}, program, "TestStartTellsNoSecret"},
	{"a secret given as a flag's value is told", []edit{{
		"cmd/gigagate/main.go", "	return noString.ReplaceAllString(text, ", "	return regexp.MustCompile(`^$`).ReplaceAllString(text, ",
	}}, program, "TestStartTellsNoSecret"},
	{"an order is filled from the environment", []edit{{
		"cmd/gigagate/main.go", "		kong.PostBuild(takeVariablesFromOrders),\n", "",
	}}, program, "TestOrdersAreNotFilledFromTheEnvironment"},
	{"a secret given in place of its file is told", []edit{{
		"cmd/gigagate/vendor.go", "		err = failed.Err // ", "		err = failed // ",
	}}, program, "TestStartTellsNoSecret"},
	{"an exporter's error tells what it was given", []edit{{
		"cmd/gigagate/telemetry_log.go", "		text = masked(text, value)\n", "",
	}}, program, "TestTelemetryTellsNoSecret"},
	{"an unreadable attribute of the resource is told", []edit{{
		"cmd/gigagate/telemetry.go", "		_ = os.Unsetenv(\"OTEL_RESOURCE_ATTRIBUTES\")\n", "		_ = os.Getenv(\"OTEL_RESOURCE_ATTRIBUTES\")\n",
	}}, program, "TestTelemetryTellsNoSecret"},
	{"gRPC tells what it was given", []edit{{
		"cmd/gigagate/main.go", "	takeOverGRPC()\n", "",
	}}, program, "TestTelemetryTellsNoSecret"},
	// Where a request over REST ends.
	{"a length that was read with the request before is forgotten", []edit{{
		"server/framing.go", "	c.earlier = c.earlier || c.length\n", "",
	}}, server, "TestFramingBehindAnotherRequest"},
	{"a coding of HTTP/1.0 is nothing to speak of", []edit{{
		"server/framing.go", "		return c.coding, false\n", "		return false, true\n",
	}}, server, "TestFraming$"},
	// What is told of why a purchase is not settled.
	{"what was found is told as lacking", []edit{{
		"purchase/settle.go", "			r.explainFound(p, missingPackage)\n			r.beyondEvidence(ctx, p, SeveralFound)\n", "			r.beyondEvidence(ctx, p, SeveralFound)\n",
	}}, simulation, "TestWhyUncertainOfWhatWasFound"},
	{"what an operator alone can settle is told to wait for reads", []edit{{
		"purchase/reconciliation.go", "		if !p.Reason.unread() {\n", "		if false {\n",
	}}, simulation, "TestWhyUncertainOfWhatWasFound"},
	{"the list of another account shows that nothing was sold", []edit{{
		"purchase/resolve.go", "	if p.Account != r.engine.vendor.Account() && !slices.", "	if false && !slices.",
	}}, simulation, "TestNothingSoldWithAClientIDOfAnotherAccount"},
}
