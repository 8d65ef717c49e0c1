package main

// buying are the rules of one purchase, in the order of its steps.
var buying = []sabotage{
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

	// Whether the vendor is dead.
	{"a purchase is started although only one at a time may try", []edit{{
		"purchase.Engine.start", "if !may { return claimed{}, ErrVendorDown }", "_ = may",
	}}, simulation, "TestSalesAreDead"},
	{"a dead vendor is asked for prices", []edit{{
		"purchase.Engine.mayStart", "e.vendor.IsDown()", never,
	}}, simulation, "TestVendorIsDead"},
	{"repeated calls keep the breaker open", []edit{{
		"purchase.Engine.start", "if err != nil || !ours { trial.NotTried() }", "_ = 0",
	}}, simulation, "TestRepeatedCallsDuringAnOutage"},
	{"the breaker is asked after the claim", []edit{
		{"purchase.Engine.mayStart", "case e.vendor.IsDown(): return ErrVendorDown", dropped},
		{"purchase.Engine.start", "if !may { return claimed{}, ErrVendorDown }", "_ = may"},
		{
			"purchase.Engine.start", "if err == nil && ours { e.own(work, p, &request.Personal, began, trial) }",
			"if _, asked := e.vendor.MaySell(); asked && err == nil && ours { e.own(work, p, &request.Personal, began, trial) }",
		},
	}, simulation, "TestVendorIsDead|TestSalesAreDead"},
	{"a purchase under way asks for permits of a dead vendor", []edit{{
		"purchase.Engine.own", "if trial, may = e.vendor.MaySell(); !may { continue }", "trial, may = e.vendor.MaySell(); _ = may",
	}}, simulation, "TestPurchaseSurvivesAShortOutage"},
	{"a refusal is an outage", []edit{{
		"gigastore.breaker.end", "case isOutage(status, err): $*body", "case status >= 400 || isOutage(status, err): $*body",
	}}, simulation, "TestRefusalsAreNoOutage"},
	{"calls that hung in an outage begin a new one", []edit{{
		"gigastore.breaker.end", "before.answers == b.answers", always,
	}}, simulation, "TestCallsThatHung"},
	{"a dead vendor is never asked again", []edit{{
		"purchase.Engine.Start", "e.loops.Go(func() { e.vendor.WatchOutages(e.life) })", dropped,
	}}, simulation, "TestVendorIsDead"},
	{"an outage never ends for purchases", []edit{{
		"gigastore.breaker.end", "b.close(ctx, 0)", dropped,
	}}, "./gigastore", "TestBreaker"},
	{"after an outage all purchases try at once", []edit{{
		"gigastore.Client.MaySell", "b.mayTry = false", dropped,
	}}, simulation, "TestSalesAreDead"},

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
		"purchase.Engine.sendTopUpWithProfile", "Dedicated: o.Dedicated", dropped,
	}}, server, "TestEveryFieldOfAnOrderIsComparedAndSent"},
	{"an id that could not be looked up was not started", []edit{{
		"server.purchaseFailure", "!journal.LookedUp", never,
	}}, server, "TestJournalOutOfOrder"},
	{"a broken rule says nothing of the request id", []edit{{
		"server.Server.interceptors", "s.tellOfRequestID()", dropped,
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
	{"a refusal of a full gateway is not held back", []edit{{
		"server.begin", "refusalPause", "0",
	}}, "./server", "TestAdmission"},
	{"a call does not wait for a place among the owners", []edit{{
		"purchase.Engine.addOwner", "patience := ownerPatience", "patience := time.Duration(0)",
	}}, "./purchase/simulation", "TestAbandonedKeepTheirPlaces|TestCallWaitsForAPlace"},
	{"a top-up reads all orders of its customer", []edit{{
		"purchase.Filter.IsSalesToCustomer", `f.CustomerUID != ""`, `f.CustomerUID == ""`,
	}}, "./purchase/sqlite", "Journal/ListFindsOldSales"},
	{"of two request ids the effect that allows more counts", []edit{{
		"server.Server.tellOf",
		"slices.Index(byCaution, effect) > slices.Index(byCaution, f.effect)",
		"f.effect == 0 || slices.Index(byCaution, effect) < slices.Index(byCaution, f.effect)",
	}}, server, "TestRefusedOrdersOfTwoIDs"},
	{"look up after the guards", []edit{{
		"purchase.Engine.buy",
		"recorded, err := e.lookup(ctx, request.Key)",
		"if _, err := e.guard(ctx, request.Order, e.priceLimits(request.Order, nil), request.Budget); err != nil { return nil, err }; $rule",
	}}, simulation, "TestGuards$"},
	{"send before the claim is known durable", []edit{{
		"purchase.Engine.claim",
		"case err == nil: return p, p.ID == claim.ID, nil; case !unknown && refusalOf(err) != nil: $*refused; case !unknown: $*failed",
		"case err == nil: return p, p.ID == claim.ID, nil; case !unknown && refusalOf(err) != nil: $*refused; case !unknown: $*failed; default: p := New(claim, time.Now()); return &p, true, nil",
	}}, simulation, "TestClaimUnknown"},
	{"a claim whose answer was lost is somebody else's", []edit{{
		"purchase.Engine.claim",
		"case err == nil: return p, p.ID == claim.ID, nil; case !unknown && refusalOf(err) != nil: $*refused; case !unknown: $*body",
		"case err == nil: return p, p.ID == claim.ID && !unknown, nil; case !unknown && refusalOf(err) != nil: $*refused; case !unknown: $*body",
	}}, simulation, "TestClaimUnknown"},
	{"a claim that was refused by a freeze was never written", []edit{{
		"purchase.Engine.claim",
		"case !unknown && refusalOf(err) != nil: $*rest; case !unknown: $*failed",
		"case refusalOf(err) != nil: $*rest; case !unknown: $*failed",
	}}, simulation, "TestFreezeBetweenTwoTriesOfAClaim"},
	{"not written now is never written", []edit{{
		"purchase.Engine.claim",
		"func(error) bool { return !unknown }",
		"func(err error) bool { unknown = unknown && !errors.Is(err, ErrNotWritten); return !unknown }",
	}}, simulation, "TestClaimUnknown"},
	{"a claim is abandoned by two writes", []edit{{
		"purchase.Engine.abandon",
		"e.record(e.life, p, &Transition{Event: Abandoned, $*rest})",
		"e.record(e.life, p, &Transition{Event: AnsweredNoEffect, Attempt: 1, By: ByGateway, Lease: e.lease}); e.record(e.life, p, &Transition{Event: WindowOver, $*rest})",
	}}, simulation, "TestAbandonedAndKilled"},
	{"a claim that was abandoned may be taken up", []edit{{
		"purchase.Engine.abandon", "Event: Abandoned", "Event: AnsweredNoEffect",
	}}, simulation, "TestClaimUnknown"},
	{"a price limit is open when nothing can be read", []edit{{
		"purchase.Engine.guard", "if limited { return 0, &GuardError{Reason: PriceUnreadable} }", never,
	}}, simulation, "TestGuards$"},
	{"the gateway's own price limit does not hold", []edit{{
		"purchase.Engine.priceLimits", "e.maxPrice", dropped,
	}}, simulation, "TestGatewaysPriceLimit"},
	{"the gateway's own price limit gives way to the order's", []edit{{
		"purchase.Engine.priceLimits", "limits = append(limits, *limit)", "return []Price{*limit}",
	}}, simulation, "TestGatewaysPriceLimit"},
	{"a price limit holds for the first send alone", []edit{{
		"purchase.Engine.own", "refused := e.guardAgain(ctx, p)", "var refused *GuardError",
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
		"purchase.Engine.start", "e.outliving(ctx)", "ctx",
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
		"if gone >= e.window { e.giveUp(&p, nil); return }",
		"if gone >= e.window && p.Account == e.vendor.Account() { e.giveUp(&p, nil); return }",
	}}, simulation, "TestAcceptedOfAnotherAccount"},
}
