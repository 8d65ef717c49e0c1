package main

const identity = "./internal/access"

// identifying are the rules of who makes a call.
var identifying = []sabotage{
	// JWTs.
	{"a token for another service is accepted", []edit{{
		"internal/access.issuer.check", "AnyAudience: $_", dropped,
	}}, identity, "TestTokens"},
	{"an expired token is accepted", []edit{{
		"internal/access.issuer.check", "errors.Is(err, jwt.ErrExpired)", "false",
	}, {
		"internal/access.issuer.check", "return malformed", `return ""`,
	}}, identity, "TestTokens"},
	{"a token without an expiry is accepted", []edit{{
		"internal/access.issuer.check", "claims.Expiry == nil", never,
	}}, identity, "TestTokens"},
	{"a token may use an algorithm that its issuer does not have", []edit{{
		"internal/access.Directory.verify", "!slices.Contains(i.algorithms, $_)", never,
	}}, identity, "TestTokens"},
	{"the callers file allows HMAC", []edit{{
		"internal/access.algorithms", "jose.EdDSA", "jose.EdDSA, jose.HS256",
	}}, identity, "TestTokens|TestBadFilesHaveOneClearError"},
	{"a token without a right signature is accepted", []edit{{
		"internal/access.Directory.verify", "token.Claims(key.Key, append(more, &claims)...) == nil", "token.UnsafeClaimsWithoutVerification(append(more, &claims)...) == nil",
	}}, identity, "TestTokens"},
	{"a token that was accepted before outlives its key", []edit{{
		"internal/access.verifiedTokens.get", "ok && token.keys == token.issuer.current()", "ok",
	}}, identity, "TestWithdrawnKeyEnds"},
	{"the memory for accepted tokens has no limit", []edit{{
		"internal/access.verifiedTokens.add", "len(v.tokens) >= mostVerified", never,
	}}, identity, "TestAcceptedTokenExpires"},
	{"a JWKS file may have private keys", []edit{{
		"internal/access.parseKeys", `if $_ { return nil, errors.New("it has a private or a symmetric key: give only public keys") }`, dropped,
	}}, identity, "TestJWKSFileHasOnlyPublicKeys"},

	// The keys of issuers.
	{"every invented key id fetches an issuer's keys", []edit{{
		"internal/access.remoteKeys.fetchUnlessRecent", "time.Since(r.began) < betweenFetches", never,
	}}, identity, "TestInventedKeyIDsCauseFewFetches"},
	{"a new key of an issuer is not fetched", []edit{{
		"internal/access.remoteKeys.find", "len(set.withID($_)) > 0", always,
	}}, identity, "TestRotatedKeyWorks"},
	{"every invented key id waits for a slow issuer", []edit{{
		"internal/access.remoteKeys.find", "set != nil && r.waiting >= mostWaiting", never,
	}}, identity, "TestFewWaitForASlowIssuer"},
	{"a withdrawn key of an issuer stays", []edit{{
		"internal/access.Live.refreshKeys", "remote.refreshIfOld()", dropped,
	}}, identity, "TestWithdrawnKeyEnds"},
	{"keys are used for ever while their issuer is down", []edit{{
		"internal/access.remoteKeys.usable", "time.Since(r.fetched) > keepKeys", never,
	}}, identity, "TestIssuerIsDown"},
	{"keys of another issuer are taken", []edit{{
		"internal/access.discover", "found.Issuer != issuer", never,
	}}, identity, "TestWrongAnswersOfAnIssuer"},
	{"an issuer's answer has no limit", []edit{{
		"internal/access.ask", "io.LimitReader(response.Body, largestFile+1)", "io.LimitReader(response.Body, 64<<20)",
	}, {
		"internal/access.ask", "len(text) > largestFile", never,
	}}, identity, "TestWrongAnswersOfAnIssuer"},

	// API keys.
	{"only the start of a key's sum is compared", []edit{{
		"internal/access.Directory.byKey", "subtle.ConstantTimeCompare(sum[:], stored.sum[:])", "subtle.ConstantTimeCompare(sum[:8], stored.sum[:8])",
	}}, identity, "TestSimilarSum"},
	{"only the id of a key is compared", []edit{{
		"internal/access.Directory.byKey", "subtle.ConstantTimeCompare(sum[:], stored.sum[:]) != 1", never,
	}}, identity, "TestWrongKeys"},
	{"a typing error in a key is not noticed", []edit{{
		"internal/access.keyID", "key == body+checksum(body)", always,
	}}, identity, "TestChecksumFindsTypingErrors"},

	// Credentials that disagree.
	{"a certificate and a token of two callers are accepted", []edit{{
		"internal/access.Directory.identify", "p != nil && found != nil && p != found", never,
	}}, identity, "TestIdentify"},
	{"a wrong token beside a right certificate is accepted", []edit{{
		"internal/access.Directory.identify", "len(c.Authorization) > 0", "len(c.Authorization) > 0 && c.Certificate == nil",
	}}, identity, "TestIdentify"},
	{"the first of two authorization headers counts", []edit{{
		"internal/access.bearer", "len(values) != 1", never,
	}}, identity, "TestIdentify"},
	{"a certificate of two callers is accepted", []edit{{
		"internal/access.Directory.byCertificate", "ok && found != nil && p != found", never,
	}}, identity, "TestIdentify"},
	{"an open connection outlives its certificate", []edit{{
		"internal/access.Directory.byCertificate", "now.After(certificate.NotAfter)", never,
	}}, identity, "TestIdentify"},

	// The callers file.
	{"a broken callers file replaces the one before", []edit{{
		"internal/access.decode", "root.doc.err != nil", never,
	}}, identity, "TestReload"},
	{"a changed callers file is not noticed", []edit{{
		"internal/access.Live.mayHaveChanged", "slices.ContainsFunc(l.current.Load().files, fileRead.hasChanged)", never,
	}}, identity, "TestReload"},
	{"an unknown field of the callers file is ignored", []edit{{
		"internal/access.field.mapping", "key.Kind != yaml.ScalarNode || !ok", never,
	}}, identity, "TestBadFilesHaveOneClearError"},
	{"two callers have the same name", []edit{{
		"internal/access.Directory.add", "if d.names[p.Name] { $*_ }", never,
	}}, identity, "TestBadFilesHaveOneClearError"},
	{"two callers inherit the old purchases", []edit{{
		"internal/access.Directory.addCaller", `if d.heir != "" { $*_ }`, never,
	}}, identity, "TestBadFilesHaveOneClearError"},
	{"all methods of a caller include those of operators", []edit{{
		"internal/access.Directory.addCaller", "p.Rights.Methods.all", never,
	}}, identity, "TestFileSaysWhatEachMayDo"},
	{"an error repeats a key from the callers file", []edit{{
		"internal/access.shown", "harmless.MatchString(text) && !strings.Contains(text, keyPrefix)", always,
	}}, identity, "TestErrorsDoNotRepeatAKey"},
	{"a parser's error repeats a key from the callers file", []edit{{
		"internal/access.syntaxError", `quotedInError.ReplaceAllString($x, "")`, "$x",
	}}, identity, "TestErrorsDoNotRepeatAKey"},
}
