package gigastore

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestConfigIsChecked(t *testing.T) {
	good := Config{BaseURL: "https://api.giga.store", ClientID: "id", ClientSecret: "secret"}
	for name, tc := range map[string]struct {
		change  func(*Config)
		setting string // the error names it; "": no error
	}{
		"good":                  {func(*Config) {}, ""},
		"slash":                 {func(c *Config) { c.BaseURL += "/" }, ""},
		"http on 127.0.0.1":     {func(c *Config) { c.BaseURL = "http://127.0.0.1:8089" }, ""},
		"http on ::1":           {func(c *Config) { c.BaseURL = "http://[::1]:8089" }, ""},
		"http on localhost":     {func(c *Config) { c.BaseURL = "http://localhost" }, ""},
		"http elsewhere":        {func(c *Config) { c.BaseURL = "http://api.giga.store" }, "BaseURL"},
		"http on localhost.com": {func(c *Config) { c.BaseURL = "http://localhost.com" }, "BaseURL"},
		"http on 127.0.0.1.com": {func(c *Config) { c.BaseURL = "http://127.0.0.1.com" }, "BaseURL"},
		"empty":                 {func(c *Config) { c.BaseURL = "" }, "BaseURL"},
		"no scheme":             {func(c *Config) { c.BaseURL = "api.giga.store" }, "BaseURL"},
		"other scheme":          {func(c *Config) { c.BaseURL = "ftp://127.0.0.1" }, "BaseURL"},
		"opaque":                {func(c *Config) { c.BaseURL = "https:api.giga.store" }, "BaseURL"},
		"path":                  {func(c *Config) { c.BaseURL += "/v1" }, "BaseURL"},
		"query":                 {func(c *Config) { c.BaseURL += "?a=1" }, "BaseURL"},
		"empty query":           {func(c *Config) { c.BaseURL += "?" }, "BaseURL"},
		"fragment":              {func(c *Config) { c.BaseURL += "#a" }, "BaseURL"},
		"user":                  {func(c *Config) { c.BaseURL = "https://canary:canary@api.giga.store" }, "BaseURL"},
		"host not in ASCII":     {func(c *Config) { c.BaseURL = "https://api.g\u00efga.store" }, "BaseURL"},
		"host with a zone":      {func(c *Config) { c.BaseURL = "https://[fe80::1%25eth0]" }, "BaseURL"},
		"unparsable":            {func(c *Config) { c.BaseURL = "https://canary:canary@api\x7f" }, "BaseURL"},
		"no id":                 {func(c *Config) { c.ClientID = "" }, "ClientID"},
		"id with a colon":       {func(c *Config) { c.ClientID = "a:b" }, "ClientID"},
		"former id":             {func(c *Config) { c.FormerClientIDs = []string{"id", "id-0"} }, ""},
		"empty former id":       {func(c *Config) { c.FormerClientIDs = []string{"id-0", ""} }, "FormerClientIDs"},
		"no secret":             {func(c *Config) { c.ClientSecret = "" }, "ClientSecret"},
		"secret with newline":   {func(c *Config) { c.ClientSecret = "canary\n" }, "ClientSecret"},
		"negative timeout":      {func(c *Config) { c.Timeout = -time.Second }, "Timeout"},
		"user agent":            {func(c *Config) { c.UserAgent = "a\r\nb" }, "UserAgent"},
		"refusals":              {func(c *Config) { c.Refusals = []RefusalRule{{Reason: "NO"}} }, "Refusals"},
	} {
		cfg := good
		tc.change(&cfg)
		_, err := New(cfg)
		switch {
		case tc.setting == "":
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
		case err == nil || !strings.Contains(err.Error(), tc.setting) || strings.Contains(err.Error(), "canary"):
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAccount(t *testing.T) {
	account := func(url, id string) string {
		c, err := New(Config{BaseURL: url, ClientID: id, ClientSecret: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		return c.Account()
	}
	same := account("https://api.giga.store", "id")
	if len(same) != 64 {
		t.Errorf("%q", same)
	}
	for _, url := range []string{"https://API.giga.store/", "https://api.giga.store:443", "HTTPS://api.giga.store"} {
		if account(url, "id") != same {
			t.Errorf("%s is another account", url)
		}
	}
	if account("https://api.giga.store:8443", "id") == same || account("https://api.giga.store", "id2") == same {
		t.Error("another account is the same")
	}
}

func TestAccounts(t *testing.T) {
	accounts := func(id string, former ...string) []string {
		c, err := New(Config{BaseURL: "https://api.giga.store", ClientID: id, FormerClientIDs: former, ClientSecret: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		if c.Account() != c.Accounts()[0] {
			t.Error("the present account is not the first")
		}
		return c.Accounts()
	}
	a, b := accounts("a"), accounts("b")
	if got := accounts("b", "a", "b", "a"); !slices.Equal(got, []string{b[0], a[0]}) || len(a) != 1 {
		t.Errorf("%q of %q and %q", got, b, a)
	}
	accounts("b", "a")[0] = "changed" // Accounts returned a copy
}
