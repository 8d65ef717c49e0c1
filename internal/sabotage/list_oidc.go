package main

// signingIn are the rules of how operators sign in to the console at an issuer.
var signingIn = []sabotage{
	{"an ID token of another attempt is accepted", []edit{{
		"internal/access.Directory.bySignIn", "subtle.ConstantTimeCompare([]byte(claims.Nonce), []byte(nonce)) != 1", never,
	}}, consolePages, "TestNoSessionFromIssuer"},
	{"a browser comes back with any state", []edit{{
		"internal/console.attempts.check", "subtle.ConstantTimeCompare([]byte(state), []byte(secrets.State)) != 1", never,
	}}, consolePages, "TestNoSessionFromIssuer"},
	{"an ID token for another client is accepted", []edit{{
		"internal/access.Directory.bySignIn", "token.issuer.check(token.claims, config.ClientID, now)", "token.issuer.check(token.claims, token.claims.Audience[0], now)",
	}, {
		"internal/access.Directory.bySignIn", "claims.Party != config.ClientID", never,
	}}, consolePages, "TestNoSessionFromIssuer"},
	{"an ID token that was made for another client is accepted", []edit{{
		"internal/access.Directory.bySignIn", "claims.Party != config.ClientID", never,
	}}, consolePages, "TestNoSessionFromIssuer"},
	{"an ID token of another issuer of the callers file is accepted", []edit{{
		"internal/access.Directory.bySignIn", "token.issuer.name != config.Issuer", never,
	}}, identity, "TestSignInIsOfItsIssuer"},
	{"the issuer gets no challenge", []edit{{
		"internal/access.SignIn.Address", `"code_challenge_method": "S256"`, `"": ""`,
	}}, consolePages, "TestSignInAtIssuer"},
	{"the issuer gets no verifier", []edit{{
		"internal/access.SignIn.exchange", `"code_verifier": {a.Verifier}`, `"code_verifier": {""}`,
	}}, consolePages, "TestSignInAtIssuer"},
	{"an attempt to sign in at the issuer has no end", []edit{{
		"internal/console.attempts.check", "now.Sub($_) < attemptTime", always,
	}}, consolePages, "TestNoSessionFromIssuer"},
	{"an attempt to sign in at the issuer makes two sessions", []edit{{
		"internal/console.Console.finishAtIssuer", "!c.attempts.use(cookie.Value, c.config.Now())", never,
	}}, consolePages, "TestAttemptMakesOneSession"},
	{"a caller signs in at the issuer", []edit{{
		"internal/console.Console.finishAtIssuer", "!p.Rights.All", never,
	}}, consolePages, "TestNoSessionFromIssuer"},
	{"a session of an issuer goes on without the operator", []edit{{
		"internal/console.Console.identify", "err != nil || !p.Rights.All", "err == nil && !p.Rights.All",
	}}, consolePages, "TestSessionOfIssuerEnds"},
	{"a session of an issuer is as long as that of a key", []edit{{
		"internal/console.Console.finishAtIssuer", "issuerSessionLength", "sessionLength",
	}}, consolePages, "TestSessionOfIssuerEnds"},
	{"every attempt asks the issuer for its configuration", []edit{{
		"internal/access.SignIn.look", "time.Since(s.looked) >= age", always,
	}}, consolePages, "TestIssuerThatIsDown"},
	{"strangers fill the log with attempts to sign in", []edit{{
		"internal/access.SignIn.warn", "time.Since(s.warned) < repeatWarning", never,
	}}, consolePages, "TestIssuerThatIsDown"},
	{"the page of an issuer may be of any scheme", []edit{{
		"internal/access.SignIn.discover", "!IsSecureURL(authorization)", never,
	}}, consolePages, "TestIssuerThatIsDown"},
	{"a code leaves without TLS", []edit{{
		"internal/access.SignIn.discover", "!IsSecureURL(found.Token)", never,
	}}, consolePages, "TestIssuerThatIsDown"},
	{"an ID token has any length", []edit{{
		"internal/access.SignIn.exchange", "len(tokens.ID) > longestIDToken", never,
	}}, consolePages, "TestNoSessionFromIssuer"},
	{"a refusal after the issuer takes no time", []edit{{
		"internal/console.Console.refuseSignIn", "time.After(wrongKeyPause)", "time.After(0 * wrongKeyPause)",
	}}, consolePages, "TestNoSessionFromIssuer"},
	{"two consoles on one host overwrite each other's cookie", []edit{{
		"internal/console.withPort", "err != nil", always,
	}}, consolePages, "TestCookiesOfTwoConsoles"},
	{"the console is told half of an issuer", []edit{{
		"cmd/gigagate.serveCommand.checkSignIn", `missing != ""`, never,
	}}, program, "TestConsoleSignInSettings"},
}
