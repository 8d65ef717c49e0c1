package main

// allowing are the rules of who makes a call, what the caller may do, and what it sees.
var allowing = []sabotage{
	// Who makes a call.
	{"nobody is served", []edit{{
		"server.mayCall", "p == nil", never,
	}}, server, "TestNobodyIsServed"},
	{"a directory that reports an error still names a caller", []edit{{
		"server.Server.identify", "err != nil", never,
	}}, server, "TestNobodyIsServed"},
	{"a header names a caller over gRPC", []edit{{
		"server.Server.identifyGRPC", `metadata.ValueFromIncomingContext(ctx, "authorization")`,
		`append(metadata.ValueFromIncomingContext(ctx, "authorization"), metadata.ValueFromIncomingContext(ctx, "x-forwarded-user")...)`,
	}}, server, "TestHeadersMakeNoCaller"},
	{"a header names a caller over REST", []edit{{
		"server.Server.identifyREST", `r.Header.Values("Authorization")`,
		`append(r.Header.Values("Authorization"), r.Header.Values("Grpc-Metadata-Authorization")...)`,
	}}, server, "TestHeadersMakeNoCaller"},
	{"a second credential hides behind the first", []edit{{
		"server.Server.identifyREST", `r.Header.Values("Authorization")`, `[]string{r.Header.Get("Authorization")}`,
	}}, server, "TestNobodyIsServed"},
	{"a certificate counts although nobody says that it is trusted", []edit{{
		"server.Server.certificate", "return s.trusted(*state)", "return state.PeerCertificates[0]",
	}}, server, "TestWhatIsPresented"},
	{"REST calls cross as those of everybody", []edit{{
		"server.inProcess.Invoke", "access.With(ctx, access.Of(caller))", "access.With(ctx, access.Open)",
	}}, server, "TestAnothersPurchase"},
	{"gRPC receives the message of a caller that is not known", []edit{{
		"server.Server.adaptGRPC", "excess != nil || access.Of(ctx) == nil", "excess != nil",
	}}, server, "TestBodyIsNotReadBeforeTheCallerIsKnown"},
	{"REST waits for the body of a caller that is not known", []edit{{
		"server.Server.refuseUnread", "r.ProtoMajor == 1 && r.ContentLength != 0", never,
	}}, server, "TestBodyIsNotReadBeforeTheCallerIsKnown"},
	{"streams need no caller", []edit{{
		"server.Server.identifyStream", "access.Of($_) == nil", never,
	}}, server, "TestStreamsAreIdentified"},
	{"health watches of strangers use up the places of calls", []edit{{
		"server.admission.take", "isStream && !a.streams.Take($_)", never,
	}}, server, "TestWatchesLeavePlaces"},
	{"a caller has one fair share for each address", []edit{{
		"server.clientOf", "isIdentified(p)", never,
	}}, server, "TestFairShareOfACaller"},

	// What a caller may do.
	{"every caller may make every call", []edit{{
		"server.mayCall", "!p.Rights.Methods.Has($_)", never,
	}}, server, "TestEveryMethodIsARight"},
	{"a caller settles its own purchases", []edit{{
		"server.mayCall", "onlyOperators && !p.Rights.All", never,
	}}, server, "TestEveryMethodIsARight"},
	{"an operator uses another name", []edit{{
		"server.checkOperator", "isIdentified(p) && operator != p.Name", never,
	}}, server, "TestOperatorsUseTheirOwnNames"},
	{"an operator freezes in another's name", []edit{{
		"server.freezeService.Freeze", "if err := checkOperator(ctx, req.GetOperator()); err != nil { $*_ }", dropped,
	}}, server, "TestFreezeInAnothersName"},
	{"an operator thaws in another's name", []edit{{
		"server.freezeService.Thaw", "if err := checkOperator(ctx, req.GetOperator()); err != nil { $*_ }", dropped,
	}}, server, "TestFreezeInAnothersName"},
	{"the heir of the older purchases cannot be frozen", []edit{{
		"server.Server.journalName", "s.access != nil && caller == s.access.Heir()", never,
	}}, server, "TestFreeze$"},
	{"a freeze that may have been written is told as not written", []edit{{
		"server.freezeFailure", "!errors.Is(err, purchase.ErrNotWritten)", never,
	}}, server, "TestFreezeWithoutTheJournal"},
	{"a caller registers what it may not buy", []edit{{
		"server.activationService.Register", "if err := s.mayBuy(ctx, order); err != nil { $*_ }", dropped,
	}}, server, "TestWhatACallerMayBuy"},
	{"a caller tops up what it may not buy", []edit{{
		"server.activationService.TopUp", "if err := s.mayBuy(ctx, order); err != nil { $*_ }", dropped,
	}}, server, "TestWhatACallerMayTopUp"},
	{"every item may be bought", []edit{{
		"server.Server.mayBuy", `allow(rights.Items, order.InventoryItemID, "inventory_item_id")`, dropped,
	}}, server, "TestWhatACallerMayBuy"},
	{"every mode may be bought", []edit{{
		"server.Server.mayBuy", `allow(rights.Modes, string(order.EffectiveMode()), "activation_mode")`, dropped,
	}}, server, "TestWhatACallerMayBuy"},
	{"every country may be bought for", []edit{{
		"server.Server.mayBuy", `allow(rights.Countries, order.UserCountry, "user_country")`, dropped,
	}}, server, "TestWhatACallerMayBuy"},
	{"a profile may be bought for every country", []edit{{
		"server.Server.mayBuy", `allow(rights.Countries, order.UserCountry, "new_profile.user_country")`, dropped,
	}}, server, "TestWhatACallerMayTopUp"},
	{"every country set may be bought", []edit{{
		"server.Server.mayBuy", `allow(rights.CountrySets, set, "inventory_item_id")`, "_ = set",
	}}, server, "TestWhatACallerMayBuy"},
	{"a country set that cannot be read is allowed", []edit{{
		"server.Server.mayBuy", "return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, cause: err}", "return nil",
	}}, server, "TestCountrySetFailsClosed"},
	{"a caller starts a package of another", []edit{{
		"server.activationService.Activate", "if err := s.mayUseItem(ctx, req.GetUid()); err != nil { $*_ }", dropped,
	}}, server, "TestAnothersPurchase"},
	{"a caller tops up a customer of another", []edit{{
		"server.Server.mayBuy", "return s.mayUseCustomer(ctx, order.CustomerUID)", "return nil",
	}}, server, "TestAnothersPurchase"},
	{"without the journal, every package may be started", []edit{{
		"server.Server.mayUseItem", `return journalFailure("", err)`, "return nil",
	}}, server, "TestRightsWithoutTheJournal"},

	// What a caller sees.
	{"a caller reads a customer of another", []edit{{
		"server.customerService.GetCustomer", "if err := s.mayUseCustomer(ctx, req.GetUid()); err != nil { $*_ }", dropped,
	}}, server, "TestAnothersPurchase"},
	{"a shared customer shows the packages of others", []edit{{
		"server.Server.onlyAllowed", "!own && $_", never,
	}}, server, "TestSharedCustomer"},
	{"a shared customer shows the eSIMs of others", []edit{{
		"server.Server.onlyAllowed", "shown.TotalAvailableBalance, shown.RelatedESIMs = nil, nil", dropped,
	}}, server, "TestSharedCustomer"},
	{"a caller sees the purchases of all", []edit{{
		"server.scopeOf", "return purchase.Scope{Caller: p.Key()}", "return purchase.Everyone",
	}}, server, "TestAnothersPurchase"},
	{"the package of an unsettled purchase was sold elsewhere", []edit{{
		"server.isMarked", `id != ""`, `false && id != ""`,
	}}, server, "TestUnsettledSaleWasNotSoldElsewhere"},
	{"a running gateway takes another heir", []edit{{
		"internal/access.Live.load", "before != nil && before.heir != d.heir", never,
	}}, "./internal/access", "TestReload"},
	{"a gateway starts although repeated calls would miss their purchases", []edit{{
		"cmd/gigagate.checkKeys", "len(found) == 0", "true || len(found) == 0",
	}}, program, "TestStartThatWouldBuyAgain"},
	{"an unidentified order is looked up", []edit{{
		"server.Server.tellOf", "access.Of(ctx) == nil", never,
	}}, server, "TestRequestsOfRESTAreBounded"},
	{"the purchase of another can be read", []edit{{
		"purchase.Engine.seen", "err == nil && !scope.Sees(*p)", never,
	}}, server, "TestAnothersPurchase"},
	{"the package of another can be used", []edit{{
		"server.Server.mayUseItem", "scopeOf(ctx).Sees(p)", "(true || scopeOf(ctx).Sees(p))",
	}}, server, "TestAnothersPurchase"},
	{"every package may be used that the gateway did not sell", []edit{{
		"server.Server.mayUseItem", "elsewhere && rights.SoldElsewhere", "elsewhere",
	}}, server, "TestWhatWasSoldElsewhere"},
	{"every customer may be used that the gateway did not register", []edit{{
		"server.Server.mayUseCustomer", "err == nil && !allowed && rights.SoldElsewhere", "err == nil && !allowed",
	}}, server, "TestWhatWasSoldElsewhere"},
	{"what was sold elsewhere includes the customers of others", []edit{{
		"server.Server.mayUseCustomer", "return p.Order.Kind == purchase.Register", "return false",
	}}, server, "TestWhatWasSoldElsewhere"},
	{"a list examines the purchases of others in memory", []edit{{
		"purchase/memory.Journal.List", `filter.Caller != ""`, never,
	}}, "./purchase/memory", "TestJournal/ListOfCaller"},
	{"a list examines the purchases of others in SQLite", []edit{{
		"purchase/sqlite/read.go", "	case filter.Caller != \"\":\n", "	case false:\n",
	}}, "./purchase/sqlite", "TestJournal/ListOfCaller"},
	{"a list examines the purchases of others in PostgreSQL", []edit{{
		"purchase/postgres/read.go", "	case filter.Caller != \"\":\n", "	case false:\n",
	}}, "./purchase/postgres", "TestJournal/ListOfCaller"},
	{"a list without a caller shows everything", []edit{{
		"purchase.Engine.List", `scope.Caller == ""`, never,
	}}, server, "TestScopes"},
	{"the effect of an id is that of another caller's", []edit{{
		"server.Server.effectOf", "access.Of(ctx).Key()", "access.DefaultCaller",
	}}, server, "TestWhatACallerMayBuy"},
	{"a top-up for a customer of another uses up its id", []edit{{
		"server.failure.needsLookup", "f.startedNothing", "false",
	}}, server, "TestAnothersPurchase"},
	{"an order that cannot be read is told as not started", []edit{{
		"server.authorize", "f.effect = fault.effect", "_ = fault",
	}}, server, "TestUnreadableOrderOfACallerWithoutTheRight"},
	{"the heir's retries buy again", []edit{{
		"server.activationService.buy", "caller.Key()", "caller.Name",
	}}, server, "TestHeirInTheMiddleOfRetries"},
	{"secrets are shown to everybody", []edit{{
		"server.Server.interceptors", "withholdSecrets", dropped,
	}}, server, "TestSecretsAreWithheld"},
	// How many calls a caller may make.
	{"a caller has any rate", []edit{{
		"internal/access.Limits.Begin", "wait > 0", never,
	}}, server, "TestRateOfACaller"},
	{"a caller has any number of calls at once", []edit{{
		"internal/access.Limits.Begin", "l.settings.AtOnce > 0 && l.running >= l.settings.AtOnce", never,
	}}, server, "TestCallsAtOnceOfACaller"},
	{"a caller abandons as many purchases as it likes", []edit{{
		"server.activationService.buy", "AtOnce: caller.Limits.Settings().AtOnce", dropped,
	}}, server, "TestPurchasesAtOnceOfACaller"},
	{"a call of gRPC keeps its place", []edit{{
		"server.Server.adaptGRPC", "defer end()", "_ = end",
	}}, server, "TestCallsAtOnceOfACaller"},
	{"a call beyond the rate looks its request id up", []edit{{
		"server.beginCall", "f.effect = gigagatev1.Effect_EFFECT_INDETERMINATE", dropped,
	}}, server, "TestRateOfACaller"},
	{"the message of a call beyond the rate is read", []edit{{
		"server.Server.adaptGRPC", "excess != nil || access.Of(ctx) == nil", "access.Of(ctx) == nil",
	}}, server, "TestRateOfACaller"},
	{"a call of REST is not counted", []edit{{
		"server.Server.guardREST", "if f != nil { s.refuseUnread(w, r, f); return }", "_ = f",
	}}, server, "TestRateOfACaller"},
	{"a reload of the callers file forgets the calls", []edit{{
		"internal/access.Live.load", "d.countOn(before, time.Now())", "_ = time.Now()",
	}}, "./internal/access", "TestLimitsSurviveAReload"},

	// Audit records.
	{"data is erased without a record", []edit{{
		"purchase.Engine.Erase", "if err := e.Audit(ctx, record); err != nil { $*_ }", "_ = record",
	}}, program, "TestEraseCommand"},
	{"codes are shown without a record", []edit{{
		"server.Server.interceptors", "s.auditSecrets", dropped,
	}}, server, "TestSecretsAreAudited"},
	{"an operator sees codes although there is no record", []edit{{
		"server.Server.auditSecrets", "if err := s.engine.Audit(ctx, record); err != nil { $*_ }", "_ = s.engine.Audit(ctx, record)",
	}}, server, "TestSecretsAreAudited"},
	{"a caller loses its codes because there is no record", []edit{{
		"server.Server.auditSecrets", "record.ActorKind != purchase.ActorOperator", never,
	}}, server, "TestSecretsAreAudited"},
	{"a replay shows codes without a record", []edit{{
		"server.markReplayed", "*mark = true", "_ = mark",
	}}, server, "TestSecretsAreAudited"},
	{"a first answer has a record", []edit{{
		"server.Server.auditSecrets", "isOrder(info.FullMethod) && !replayed", "false && isOrder(info.FullMethod) && replayed",
	}}, server, "TestSecretsAreAudited"},
	{"a package is started without a record", []edit{{
		"server.activator.run", "if err := a.audit(ctx, record); err != nil { $*_ }", "_ = a.audit(ctx, record)",
	}}, server, "TestActivationsAreAudited"},
	{"the outcome of an activation is not recorded", []edit{{
		"server.activator.run", "_ = a.audit(after, record)", "_ = after",
	}}, server, "TestActivationsAreAudited"},

	// What a caller may spend.
	{"a purchase is made without the caller's budget", []edit{{
		"server.activationService.buy", "Budget: budgetOf(caller)", dropped,
	}}, server, "TestNoWayAroundABudget"},
	{"one purchase has no limit", []edit{{
		"server.budgetOf", "Purchase: limitOf($_)", dropped,
	}}, server, "TestEachLimitOfABudget"},
	{"a day has no limit", []edit{{
		"server.budgetOf", "Day: limitOf($_)", dropped,
	}}, server, "TestEachLimitOfABudget"},
	{"a month has no limit", []edit{{
		"server.budgetOf", "Month: limitOf($_)", dropped,
	}}, server, "TestEachLimitOfABudget"},
	{"a budget has no limit in total", []edit{{
		"server.budgetOf", "Total: limitOf($_)", dropped,
	}}, server, "TestEachLimitOfABudget"},
	{"a purchase beyond the budget may be bought under a new id", []edit{{
		"server.budgetFailure", "effect: gigagatev1.Effect_EFFECT_NOT_STARTED", "effect: gigagatev1.Effect_EFFECT_NOT_APPLIED",
	}}, server, "TestEachLimitOfABudget"},
	{"a caller waits for a day that will not help", []edit{{
		"server.budgetFailure", "!over.Until.IsZero() && over.Asked <= over.Limit", "!over.Until.IsZero()",
	}}, server, "TestEachLimitOfABudget"},
	{"a caller sees the budgets of others", []edit{{
		"server.Server.budgetsSeen", "p.Rights.All", always,
	}}, server, "TestWhoSeesABudget"},
	{"the heir is told of another's spending", []edit{{
		"server.budgetService.GetBudget", "seen[at].Key()", "seen[at].Name",
	}}, server, "TestBudgetOfTheHeir"},
	{"spending in another currency is shown as that of the budget", []edit{{
		"server.budgetToProto", "t.Currency == budget.Currency && t.Period == period.name", "t.Period == period.name",
	}}, server, "TestSpendingOfAnotherCurrency"},
	{"a limit of zero is no limit", []edit{{
		"internal/access.field.millionths", "n == 0", never,
	}}, identity, "TestBadFilesHaveOneClearError"},
	{"a budget without limits is accepted", []edit{{
		"internal/access.field.budget", "!limited", never,
	}}, identity, "TestBadFilesHaveOneClearError"},
	{"a budget of another machine's time zone is accepted", []edit{{
		"internal/access.field.zone", "f.matching(validZone, $_)", "f.text()",
	}}, identity, "TestBadFilesHaveOneClearError"},
}
