package main

// showing are the rules of what operators see, and of who sees it.
var showing = []sabotage{
	{"the cookie of an attempt to sign in goes over any connection", []edit{{
		"internal/console.attemptCookie", "Secure: r.TLS != nil", "Secure: false",
	}}, consolePages, "TestSignInOverTLS"},
	{"the cookie of a session goes over any connection", []edit{{
		"internal/console.sessions.begin", "Secure: r.TLS != nil", "Secure: false",
	}}, consolePages, "TestSignInOverTLS"},
	{"another host sets the cookie of a session", []edit{{
		"internal/console.cookieName", "r.TLS != nil", never,
	}}, consolePages, "TestSignInOverTLS"},
}
