package main

const consolePages = "./internal/console"

// guardingConsole are the rules of the operators' console.
var guardingConsole = []sabotage{
	{"a caller signs in at the console", []edit{{
		"internal/console.Console.signIn", "!p.Rights.All", never,
	}, {
		"internal/console.Console.identify", "!p.Rights.All", never,
	}}, program, "TestConsoleIsForOperators"},
	{"secrets are shown without a reason", []edit{{
		"internal/console.Console.revealSecrets", "!isReason(reason)", never,
	}}, program, "TestConsoleShowsSecretsForAReason"},
	{"the audit record has no reason", []edit{{
		"server.inProcess.Invoke", "access.WithReason(ctx, access.ReasonOf(caller))", "ctx",
	}}, program, "TestConsoleShowsSecretsForAReason"},
	{"a page shows secrets before anybody asked", []edit{{
		"internal/console.Console.readRecord", "blind.Rights.Secrets = false", "_ = blind",
	}}, program, "TestConsoleShowsAPurchase"},
	{"a page of another origin sends a form", []edit{{
		"internal/console.New", "http.NewCrossOriginProtection().Handler(c.mux)", "c.mux",
	}}, program, "TestConsoleShowsSecretsForAReason"},
	{"a page may run every script", []edit{{
		"internal/console.Console.ServeHTTP", `header.Set("Content-Security-Policy", policy)`, dropped,
	}}, program, "TestConsoleShowsAPurchase"},
	{"a session of the console has no end", []edit{{
		"internal/console.session.isOver", "now.Sub(s.begun) >= s.length", never,
	}}, consolePages, "TestSessionsEnd"},
	{"a session of the console needs no work", []edit{{
		"internal/console.session.isOver", "now.Sub(s.used) >= sessionIdle", never,
	}}, consolePages, "TestSessionsEnd"},
	{"the console has any number of sessions", []edit{{
		"internal/console.sessions.forget", "len(s.by) >= maxSessions", never,
	}}, consolePages, "TestSessionsAreBounded"},
	{"an answer to a wrong key takes no time", []edit{{
		"internal/console.Console.refuseSignIn", "time.After(wrongKeyPause)", "time.After(0 * wrongKeyPause)",
	}}, consolePages, "TestWrongKeysAreHeldBack"},
	{"the console has any number of open pages", []edit{{
		"internal/console.Console.ServeHTTP", "!places.Take(client)", "!places.Take(client) && false",
	}}, consolePages, "TestOpenPagesAreBounded"},
	{"a link leads from the console to another site", []edit{{
		"internal/console.ownPath", "u.RequestURI()", "u.String()",
	}}, consolePages, "TestOwnPath"},
	{"the console shows characters that have no form", []edit{{
		"internal/console.visible", "unicode.In(r, $*_)", never,
	}}, consolePages, "TestVisible"},
	{"the gateway starts with a console that has no operators", []edit{{
		"cmd/gigagate.serveCommand.checkConsole", `c.ConsoleListen != "" && !c.Sandbox && c.CallersFile == ""`, never,
	}}, program, "TestConsoleNeedsOperators"},
}
