package sandbox

import (
	"fmt"
	"slices"
	"time"
)

// Settings holds one answer to each question about the vendor that no source
// answers. The defaults are guesses too: code that works only with them is
// wrong. A number in brackets is a section of the dossier, the project's file
// of what is known about the vendor's API.
type Settings struct {
	// InitialCredit is the prepaid credit of a fresh world, in US dollars. Every
	// sale takes its purchase price from it, which is inferred (1.6, 7.1).
	InitialCredit Amount `json:"initialCredit"`
	// PendingPeriod is how long a FIRST_USE or ON_DEMAND package waits before it
	// starts by itself. It counts from the sale, which is inferred (4.1).
	PendingPeriod Duration `json:"pendingPeriod"`
	// FirstUseWaits keeps a pending FIRST_USE package from starting while an
	// active one has data and time left. Two rules of one page disagree (4.2,
	// 7.2-k).
	FirstUseWaits bool `json:"firstUseWaits"`
	// OnDemandSingleCountry says what happens to an ON_DEMAND sale of a
	// single-country package, which is "not offered" (2.2).
	OnDemandSingleCountry OnDemandPolicy `json:"onDemandSingleCountry"`
	// UnknownActivationMode says what a mode outside the enumeration does (4.1).
	UnknownActivationMode UnknownModePolicy `json:"unknownActivationMode"`
	// UnknownMembers says whether request bodies may have unknown members (2).
	UnknownMembers UnknownMembersPolicy `json:"unknownMembers"`
	// SecondRegister says what a second register with the same e-mail does (2.2).
	SecondRegister SecondRegisterPolicy `json:"secondRegister"`
	// ActivateAgain says what activate does to a package that has already
	// started (2.7).
	ActivateAgain ActivateAgainPolicy `json:"activateAgain"`
	// MetatagMax is the longest metatag in bytes, 0 for no limit. MetatagTooLong
	// says what happens to a longer one. The vendor's limit, and what it does
	// beyond it, are unknown (2.2).
	MetatagMax     int                  `json:"metatagMax"`
	MetatagTooLong MetatagTooLongPolicy `json:"metatagTooLong"`
	// Latency is how long every vendor call takes before it has an effect. The
	// effect comes even if the client is gone (1.5).
	Latency Duration `json:"latency"`

	// IdempotencyKey says how a second paid call with a known key is answered
	// (1.2).
	IdempotencyKey KeyPolicy `json:"idempotencyKey"`
	// IdempotencyForgottenAfter is how long a key is stored, 0 for ever (1.2).
	IdempotencyForgottenAfter Duration `json:"idempotencyForgottenAfter"`
	// IdempotencyOtherBody says how a known key with another body is answered
	// (1.2).
	IdempotencyOtherBody OtherBodyPolicy `json:"idempotencyOtherBody"`
	// IdempotencyStoresFailures says whether a refused call uses up its key
	// (1.2).
	IdempotencyStoresFailures bool `json:"idempotencyStoresFailures"`
	// IdempotencyWhileRunning says what happens to a second call while the first
	// call with its key still runs (1.2).
	IdempotencyWhileRunning RunningPolicy `json:"idempotencyWhileRunning"`
	// IdempotencyScope says whether a key belongs to the account or to a path
	// (1.2).
	IdempotencyScope KeyScope `json:"idempotencyScope"`

	// TokenLifetime is how long an access token is valid, on the sandbox's clock
	// (1.1).
	TokenLifetime Duration `json:"tokenLifetime"`
	// ExpiresInShown says whether the answer with a token shows its lifetime
	// (1.1).
	ExpiresInShown bool `json:"expiresInShown"`
	// NewTokenRevokesOlder says whether authenticating revokes earlier tokens
	// (1.1).
	NewTokenRevokesOlder bool `json:"newTokenRevokesOlder"`

	// ErrorShape is the form of every error answer. Statuses is the HTTP status
	// of each refusal. No status, code or text of the vendor's is known (5).
	ErrorShape ErrorShape `json:"errorShape"`
	Statuses   Statuses   `json:"statuses"`

	// EmptyActivatedAt is the form of activatedAt in a package that has not
	// started (3.2).
	EmptyActivatedAt EmptyForm `json:"emptyActivatedAt"`
	// SalesDateShown says whether packages have salesDate. One page names the
	// field, and no sample has it (3.1).
	SalesDateShown bool `json:"salesDateShown"`
	// CustomerEmail says when answers hold the e-mail. It can be null even if
	// the vendor knows it (2.3, 7.1).
	CustomerEmail EmailForm `json:"customerEmail"`
	// ActivateAnswer is the body of a successful activate. No source prints it
	// (2.7).
	ActivateAnswer ActivateAnswer `json:"activateAnswer"`
	// CustomersWrap is the body of the customers list. Sources disagree (7.2-f).
	CustomersWrap ListWrap `json:"customersWrap"`
	// SearchNoMatch is the body of a search that found no customer (2.13).
	SearchNoMatch NoMatchForm `json:"searchNoMatch"`
	// ActiveProfile says which eSIM profiles count as active.
	// OnlyActiveProfilesDefault is what a missing only_active_profiles means
	// (7.1).
	ActiveProfile             ActiveProfileRule `json:"activeProfile"`
	OnlyActiveProfilesDefault bool              `json:"onlyActiveProfilesDefault"`
	// MaxPageSize silently limits a page of customers, 0 for no limit (1.5).
	MaxPageSize int `json:"maxPageSize"`

	// ListElement is the form of an element of the activated-items list.
	// ListMetatags says whether elements have the metatag. ListSorted says
	// whether the list is sorted. ListCap limits the number of elements, 0 for no
	// limit (2.5).
	ListElement  ListElement `json:"listElement"`
	ListMetatags bool        `json:"listMetatags"`
	ListSorted   bool        `json:"listSorted"`
	ListCap      int         `json:"listCap"`
	// ListDate is the date that from, to and sort_by=DATE refer to.
	// ListToInclusive says whether "to" itself is inside, which for a date means
	// its whole day. ListDateFormat is the accepted form of from and to.
	// ListDefaultWindow is how far back a list without "from" goes, 0 for ever
	// (2.5).
	ListDate          ListDate       `json:"listDate"`
	ListToInclusive   bool           `json:"listToInclusive"`
	ListDateFormat    ListDateFormat `json:"listDateFormat"`
	ListDefaultWindow Duration       `json:"listDefaultWindow"`
	// ListLag is how long a sale stays invisible in the activated-items list.
	// ReadLag is the same for customers (list, read, search) and for the single
	// item. The docs promise an immediate change only for the total balance (7.3).
	ListLag Duration `json:"listLag"`
	ReadLag Duration `json:"readLag"`

	// RefundPath says which form of the refund path exists (2.9).
	RefundPath RefundPath `json:"refundPath"`
	// RefundMonthlyLimit is the number of refunds in a calendar month, 0 for no
	// limit. The vendor has a limit, but its value is unknown (2.9).
	RefundMonthlyLimit int `json:"refundMonthlyLimit"`
	// RefundedItems says whether refunded packages can still be read (4.3).
	RefundedItems RefundedItems `json:"refundedItems"`
}

// DefaultSettings returns the settings of a sandbox that is given none.
func DefaultSettings() Settings {
	return Settings{
		InitialCredit:             1000_00,
		PendingPeriod:             Duration(90 * 24 * time.Hour),
		FirstUseWaits:             true,
		OnDemandSingleCountry:     OnDemandRefused,
		UnknownActivationMode:     UnknownModeBecomesNow,
		UnknownMembers:            UnknownMembersIgnored,
		SecondRegister:            SecondRegisterNewCustomer,
		ActivateAgain:             ActivateAgainRefused,
		MetatagTooLong:            MetatagTruncated,
		IdempotencyKey:            KeyIgnored,
		IdempotencyOtherBody:      OtherBodyReplayed,
		IdempotencyWhileRunning:   RunningConflict,
		IdempotencyScope:          KeyPerAccount,
		TokenLifetime:             Duration(24 * time.Hour),
		ExpiresInShown:            true,
		ErrorShape:                ShapeProblem,
		Statuses:                  defaultStatuses(),
		EmptyActivatedAt:          EmptyNull,
		SalesDateShown:            true,
		CustomerEmail:             EmailNullOnTopUp,
		ActivateAnswer:            ActivateEnvelope,
		CustomersWrap:             WrapObject,
		SearchNoMatch:             NoMatchEmptyArray,
		ActiveProfile:             EveryProfileActive,
		OnlyActiveProfilesDefault: true,
		ListElement:               ElementBare,
		ListMetatags:              true,
		ListSorted:                true,
		ListDate:                  ListDateSale,
		ListToInclusive:           true,
		ListDateFormat:            DateFormatAny,
		RefundPath:                RefundPathBare,
		RefundedItems:             RefundedStay,
	}
}

// validate returns an error that names the first invalid setting.
func (s *Settings) validate() error {
	for _, check := range []error{
		oneOf("onDemandSingleCountry", s.OnDemandSingleCountry, OnDemandRefused, OnDemandBecomesNow, OnDemandBecomesFirstUse, OnDemandSold),
		oneOf("unknownActivationMode", s.UnknownActivationMode, UnknownModeBecomesNow, UnknownModeRefused),
		oneOf("unknownMembers", s.UnknownMembers, UnknownMembersIgnored, UnknownMembersRefused),
		oneOf("secondRegister", s.SecondRegister, SecondRegisterNewCustomer, SecondRegisterSameCustomer, SecondRegisterRefused),
		oneOf("activateAgain", s.ActivateAgain, ActivateAgainRefused, ActivateAgainOK),
		oneOf("metatagTooLong", s.MetatagTooLong, MetatagTruncated, MetatagRefused),
		oneOf("idempotencyKey", s.IdempotencyKey, KeyIgnored, KeyReplayed, KeyRefusedWithConflict),
		oneOf("idempotencyOtherBody", s.IdempotencyOtherBody, OtherBodyReplayed, OtherBodyRefused),
		oneOf("idempotencyWhileRunning", s.IdempotencyWhileRunning, RunningConflict, RunningSells),
		oneOf("idempotencyScope", s.IdempotencyScope, KeyPerAccount, KeyPerPath),
		oneOf("errorShape", s.ErrorShape, errorShapes...),
		oneOf("emptyActivatedAt", s.EmptyActivatedAt, EmptyNull, EmptyText, EmptyAbsent),
		oneOf("customerEmail", s.CustomerEmail, EmailShown, EmailNull, EmailNullOnTopUp),
		oneOf("activateAnswer", s.ActivateAnswer, ActivateEnvelope, ActivateItem, ActivateEmptyObject),
		oneOf("customersWrap", s.CustomersWrap, WrapObject, WrapArray),
		oneOf("searchNoMatch", s.SearchNoMatch, NoMatchEmptyArray, NoMatchAbsent),
		oneOf("activeProfile", s.ActiveProfile, EveryProfileActive, InstalledProfileActive),
		oneOf("listElement", s.ListElement, ElementBare, ElementNested),
		oneOf("listDate", s.ListDate, ListDateSale, ListDateActivation),
		oneOf("listDateFormat", s.ListDateFormat, DateFormatAny, DateFormatDate, DateFormatDateTime),
		oneOf("refundPath", s.RefundPath, RefundPathBare, RefundPathPrefixed, RefundPathBoth),
		oneOf("refundedItems", s.RefundedItems, RefundedStay, RefundedDisappear),
		atLeast("initialCredit", s.InitialCredit, 0),
		atLeast("pendingPeriod", s.PendingPeriod, 1),
		atLeast("tokenLifetime", s.TokenLifetime, Duration(time.Second)),
		atLeast("latency", s.Latency, 0),
		atLeast("idempotencyForgottenAfter", s.IdempotencyForgottenAfter, 0),
		atLeast("listDefaultWindow", s.ListDefaultWindow, 0),
		atLeast("listLag", s.ListLag, 0),
		atLeast("readLag", s.ReadLag, 0),
		atLeast("metatagMax", s.MetatagMax, 0),
		atLeast("maxPageSize", s.MaxPageSize, 0),
		atLeast("listCap", s.ListCap, 0),
		atLeast("refundMonthlyLimit", s.RefundMonthlyLimit, 0),
		s.Statuses.validate(),
	} {
		if check != nil {
			return check
		}
	}
	return nil
}

func oneOf[T ~string](setting string, got T, allowed ...T) error {
	if slices.Contains(allowed, got) {
		return nil
	}
	return fmt.Errorf("setting %s is %q, allowed are %q", setting, got, allowed)
}

func atLeast[T interface {
	~int | ~int64
}](setting string, got, least T) error {
	if got >= least {
		return nil
	}
	return fmt.Errorf("setting %s is %v, the least is %v", setting, got, least)
}
