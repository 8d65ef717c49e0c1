package main

// guardingDoors are the rules of what strangers and broken peers can cause, and of what leaves the process. SECURITY.md lists
// the threats.
var guardingDoors = []sabotage{
	// What a client can hold.
	{"an answer over HTTP/2 that nobody reads has no place", []edit{{
		"server.Server.guardREST", "defer sendAnswer(w, r)", "_ = 0",
	}}, server, "TestRequestsOfRESTAreBounded"},
	{"every request beyond the bound gets an answer", []edit{{
		"server.Server.guardREST", "if !s.refusedRequests.Take($c) { $*_ }", "_ = s.refusedRequests.Take($c)",
	}}, server, "TestRequestsOfRESTAreBounded"},
	{"a port has any number of connections", []edit{{
		"cmd/gigagate.boundedListener.Accept", "l.add($c)", "l.add($c) || true",
	}}, program, "TestConnectionsAreBounded"},
	{"a TLS handshake may take any time", []edit{{
		"cmd/gigagate.tlsListener.handshake", "context.WithTimeout(l.open, tlsHandshakeTime)", "context.WithCancel(l.open)",
	}}, program, "TestTLSHandshakeIsBounded"},
	{"an old version of TLS is spoken", []edit{{
		"cmd/gigagate.tlsFiles.config", `t.settings.TLSMinVersion == "1.2"`, always,
	}}, program, "TestTLSVersions"},
	{"the headers of a call have any size", []edit{{
		"server.admission.transportLimits", "grpc.MaxHeaderListSize(maxHeaders)", dropped,
	}}, server, "TestHeadersAreBounded"},
	{"the gRPC port has any number of calls", []edit{{
		"server.admission.take", "a.calls.Take(client)", "a.calls.Take(client) || true",
	}}, server, "TestAdmission"},
	{"a call waits for its message without end", []edit{{
		"server.admission.admit", "call.end = time.AfterFunc(patience, cancel)", "call.end = time.AfterFunc(patience+time.Hour, cancel)",
	}}, server, "TestCallsEnd"},
	{"the REST port has any number of requests", []edit{{
		"server.Server.guardREST", "!s.requests.Take($_)", never,
	}}, server, "TestRequestsOfRESTAreBounded"},

	{"REST allows more than gRPC", []edit{{
		"server.inProcess.Invoke", "access.With(ctx, access.Of(caller))", "access.With(ctx, access.Open)",
	}}, server, "TestBothTransportsAllowTheSame"},

	// What a request may have.
	{"fields that nobody knows are ignored", []edit{{
		"server.Server.check", "hasUnknownFields($_)", never,
	}}, server, "TestUnknownProtobufFieldsAreRefused"},
	{"a message over gRPC has any size", []edit{{
		"server.tolerantCodec.Unmarshal", "data.Len() > maxBody", never,
	}}, server, "TestUnknownProtobufFieldsAreRefused"},

	// What a web page can do.
	{"every host name is known", []edit{{
		"server.Server.guardREST", "s.knownHost != nil && !s.knownHost(r.Host)", never,
	}}, program, "TestReboundHost"},
	{"a web page of another origin may make calls", []edit{{
		"server.checkEnvelope", "crossOrigin.Check(r) != nil", never,
	}}, server, "TestPagesOfOtherOriginsCallNothing"},

	// The vendor.
	{"the vendor shows any certificate", []edit{{
		"gigastore.newTransport", "RootCAs: $roots", "InsecureSkipVerify: $roots == nil || $roots != nil",
	}}, vendor, "TestCertificateIsNotAccepted"},

	// What leaves the process.
	{"the log repeats a key from the callers file", []edit{{
		"internal/access.shown", "harmless.MatchString(text) && !strings.Contains(text, keyPrefix)", always,
	}}, program, "TestCredentialsOfCallersAreNotTold"},
	{"the value of a panic is told", []edit{{
		"server.newPanicked", `fmt.Sprintf("%T", value)`, "fmt.Sprint(value)",
	}}, server, "TestNobodyIsServed"},
	{"the log has whole requests", []edit{{
		"server.redactInPlace", "mayBeLogged($_)", always,
	}}, server, "TestNothingPersonalOrSecretIsTold"},
	{"the vendor's words are kept with the secrets in them", []edit{{
		"purchase.scrub", `sensitive.ReplaceAllString(message, $_)`, "message",
	}}, states, "TestScrub"},
	{"everybody on the machine reads the journal's file", []edit{{
		"purchase/sqlite.makePrivate", "err == nil && info.Mode().Perm() != 0o600", never,
	}}, "./purchase/sqlite", "TestPrivateHoweverItCame"},
}
