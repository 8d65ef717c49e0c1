package main

// telling are the rules of what callers, operators and logs are told.
var telling = []sabotage{
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
	{"the helper forgets an earlier send when the credential is refused", []edit{{
		"clients/go/client.buyer.afterError", `b.inDoubt.Load() || b.purchaseID != ""`, never,
	}}, goClient, "TestEveryPurchaseEndsInOneOfThreeWays"},
	{"the client for Go sends its key without TLS", []edit{{
		"clients/go/client.apiKey.RequireTransportSecurity", "return true", "return false",
	}}, goClient, "TestKeyNeedsTLS"},
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
	{"a restored PostgreSQL is allowed to start while gateways can use it", []edit{{
		"purchase/postgres.Reader.AllowStart", `readOnly != "on"`, never,
	}}, "./purchase/postgres", "TestRestoredJournal"},
	{"what was sent after a backup of PostgreSQL is taken for never sent", []edit{{
		"purchase/postgres/check.go", "WHERE state = 'ACCEPTED'", "WHERE state = ''",
	}}, "./purchase/postgres", "TestRestoredJournal"},
	{"a restored PostgreSQL is allowed to start without the time of its backup", []edit{{
		"cmd/gigagate.checkJournalCommand.Validate", "allows && !restored && isPostgres(c.Journal)", never,
	}}, program, "TestRestoreOfPostgreSQL"},
	{"a sale without a mark is not counted after a restore of PostgreSQL", []edit{{
		"cmd/gigagate/journal_check.go", "return journal, c.RestoredTo, nil", "return journal, backup, nil",
	}}, program, "TestRestoreOfPostgreSQL"},
	{"a web page may ask for a backup or an erasure", []edit{{
		"cmd/gigagate/journal_calls.go", "	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(", "	return http.Handler(http.HandlerFunc(func(",
	}}, program, "TestWhoMayAskForA"},
	{"another machine may ask for a backup or an erasure", []edit{{
		"cmd/gigagate/journal_calls.go", "!peer.Addr().Unmap().IsLoopback()", "!peer.IsValid()",
	}}, program, "TestWhoMayAskForA"},

	// What is told of secrets.
	{"a host that is the end of a password is told", []edit{{
		"purchase/postgres.withoutURL", "if _, ok := errors.AsType[*net.DNSError](err); ok { $*_ }", never,
	}}, "./purchase/postgres", "TestPasswordIsNotTold"},
	{"a setting that is the end of a password is told", []edit{{
		"purchase/postgres.withoutURL", `refused.Code == "42704" || refused.Code == "22023"`, never,
	}}, "./purchase/postgres", "TestPasswordIsNotTold"},
	{"a user with a password in it is told", []edit{{
		"purchase/postgres.connect", `strings.Contains(config.ConnConfig.User+config.ConnConfig.Database, ":")`, never,
	}}, "./purchase/postgres", "TestPasswordIsNotTold"},
	{"an @ in a password is read as its end", []edit{{
		"purchase/postgres.connect", "strayAt(url)", never,
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

	// Who listens, and who is trusted.
	{"a gateway without TLS listens to everybody", []edit{{
		"cmd/gigagate.listeners.onlyLoopback", "!ok || !address.IP.IsLoopback()", never,
	}}, program, "TestOnlyLoopback"},
	{"a removed authority is trusted on an open connection", []edit{{
		"internal/access.Authorities.trust", "return ok", "return true || ok",
	}}, program, "TestVerifiedCertificateOfAnOpenConnection"},
	{"a certificate that has ended is trusted on an open connection", []edit{
		{"internal/access.Authorities.Verified", "now.Before(leaf.NotBefore) || now.After(leaf.NotAfter)", never},
		{"internal/access.Authorities.trust", "now.Before(certificate.NotBefore) || now.After(certificate.NotAfter)", never},
	}, program, "TestVerifiedCertificateOfAnOpenConnection"},
	{"a session of TLS is resumed", []edit{{
		"cmd/gigagate.tlsFiles.config", "SessionTicketsDisabled: true", "SessionTicketsDisabled: false",
	}}, program, "TestTLSSessionsAreNotResumed"},
	{"files of TLS that cannot be used are no problem", []edit{{
		"cmd/gigagate.tlsFiles.reload", "t.problem.Record(ctx, 1)", dropped,
	}}, program, "TestBrokenTLSFileIsReportedOnce"},
	{"an API key is sent to another machine without TLS", []edit{{
		"cmd/gigagate.clientSecurity.options", `key != "" && !address.isThisMachine()`, never,
	}}, program, "TestCredentialsOfCommands"},

	// Where a request over REST ends.
	{"inside of TLS, a request may have two ends", []edit{{
		"server.framedListener.Accept", "return &framed{Conn: secured, tls: &state}, nil", "return secured, nil",
	}}, program, "TestTLSFraming"},
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
