package sandbox

// Each type in this file is the set of values of one setting. The values are
// those of the JSON. The field in Settings says what the setting decides.
type (
	// OnDemandPolicy is a choice of Settings.OnDemandSingleCountry.
	OnDemandPolicy string
	// UnknownModePolicy is a choice of Settings.UnknownActivationMode.
	UnknownModePolicy string
	// UnknownMembersPolicy is a choice of Settings.UnknownMembers.
	UnknownMembersPolicy string
	// SecondRegisterPolicy is a choice of Settings.SecondRegister.
	SecondRegisterPolicy string
	// ActivateAgainPolicy is a choice of Settings.ActivateAgain.
	ActivateAgainPolicy string
	// MetatagTooLongPolicy is a choice of Settings.MetatagTooLong.
	MetatagTooLongPolicy string
	// KeyPolicy is a choice of Settings.IdempotencyKey.
	KeyPolicy string
	// OtherBodyPolicy is a choice of Settings.IdempotencyOtherBody.
	OtherBodyPolicy string
	// RunningPolicy is a choice of Settings.IdempotencyWhileRunning.
	RunningPolicy string
	// KeyScope is a choice of Settings.IdempotencyScope.
	KeyScope string
	// ErrorShape is a choice of Settings.ErrorShape.
	ErrorShape string
	// EmptyForm is a choice of Settings.EmptyActivatedAt.
	EmptyForm string
	// EmailForm is a choice of Settings.CustomerEmail.
	EmailForm string
	// ActivateAnswer is a choice of Settings.ActivateAnswer.
	ActivateAnswer string
	// ListWrap is a choice of Settings.CustomersWrap.
	ListWrap string
	// NoMatchForm is a choice of Settings.SearchNoMatch.
	NoMatchForm string
	// ActiveProfileRule is a choice of Settings.ActiveProfile.
	ActiveProfileRule string
	// ListElement is a choice of Settings.ListElement.
	ListElement string
	// ListDate is a choice of Settings.ListDate.
	ListDate string
	// ListDateFormat is a choice of Settings.ListDateFormat.
	ListDateFormat string
	// RefundPath is a choice of Settings.RefundPath.
	RefundPath string
	// RefundedItems is a choice of Settings.RefundedItems.
	RefundedItems string
)

// The values of the settings.
const (
	OnDemandRefused         OnDemandPolicy = "refused"
	OnDemandBecomesNow      OnDemandPolicy = "becomesNow"
	OnDemandBecomesFirstUse OnDemandPolicy = "becomesFirstUse"
	OnDemandSold            OnDemandPolicy = "sold" // sold as ON_DEMAND, as if it were offered

	UnknownModeBecomesNow UnknownModePolicy = "becomesNow" // a trap: the package starts, and that cannot be undone
	UnknownModeRefused    UnknownModePolicy = "refused"

	UnknownMembersIgnored UnknownMembersPolicy = "ignored"
	UnknownMembersRefused UnknownMembersPolicy = "refused"

	SecondRegisterNewCustomer  SecondRegisterPolicy = "newCustomer"
	SecondRegisterSameCustomer SecondRegisterPolicy = "sameCustomer" // if its country set fits, else a new customer
	SecondRegisterRefused      SecondRegisterPolicy = "refused"

	ActivateAgainRefused ActivateAgainPolicy = "refused"
	ActivateAgainOK      ActivateAgainPolicy = "ok" // answers with the unchanged package, as on success

	MetatagTruncated MetatagTooLongPolicy = "truncated"
	MetatagRefused   MetatagTooLongPolicy = "refused"

	KeyIgnored             KeyPolicy = "ignored"
	KeyReplayed            KeyPolicy = "replayed"
	KeyRefusedWithConflict KeyPolicy = "refusedWithConflict"

	OtherBodyReplayed OtherBodyPolicy = "replayed"
	OtherBodyRefused  OtherBodyPolicy = "refused"

	RunningConflict RunningPolicy = "conflict"
	RunningSells    RunningPolicy = "sells" // both calls sell, as with a vendor that checks the key only on arrival

	KeyPerAccount KeyScope = "account"
	KeyPerPath    KeyScope = "path"

	ShapeProblem            ErrorShape = "problem"            // RFC 9457 type, title, status, detail
	ShapeProblemWithMessage ErrorShape = "problemWithMessage" // type, title, status, path, message
	ShapeMessage            ErrorShape = "message"            // {"message"}
	ShapeError              ErrorShape = "error"              // {"error"}
	ShapePlainText          ErrorShape = "plainText"
	ShapeHTML               ErrorShape = "html"
	ShapeEmpty              ErrorShape = "empty"
	ShapeStatusWord         ErrorShape = "statusWord" // HTTP 200 with "status": "error", and null for all else

	EmptyNull   EmptyForm = "null"
	EmptyText   EmptyForm = "emptyText"
	EmptyAbsent EmptyForm = "absent"

	EmailShown       EmailForm = "shown"
	EmailNull        EmailForm = "null"
	EmailNullOnTopUp EmailForm = "nullOnTopUp" // as in the documented sample

	ActivateEnvelope    ActivateAnswer = "envelope"
	ActivateItem        ActivateAnswer = "item"
	ActivateEmptyObject ActivateAnswer = "emptyObject"

	WrapObject ListWrap = "object" // {"customers": [...]}
	WrapArray  ListWrap = "array"

	NoMatchEmptyArray NoMatchForm = "emptyArray"
	NoMatchAbsent     NoMatchForm = "absent" // {}

	EveryProfileActive     ActiveProfileRule = "every"
	InstalledProfileActive ActiveProfileRule = "installed" // so a fresh profile is missing by default

	ElementBare   ListElement = "bare"
	ElementNested ListElement = "nested" // {"activatedItem": {...}, "customer": {...}}

	ListDateSale       ListDate = "sale"
	ListDateActivation ListDate = "activation" // a pending package is outside every window

	DateFormatAny      ListDateFormat = "any"
	DateFormatDate     ListDateFormat = "date"     // 2006-01-02
	DateFormatDateTime ListDateFormat = "dateTime" // RFC 3339

	RefundPathBare     RefundPath = "bare"     // /activations/..., as two sources print it
	RefundPathPrefixed RefundPath = "prefixed" // /gigastore/activations/...
	RefundPathBoth     RefundPath = "both"

	RefundedStay      RefundedItems = "stay"
	RefundedDisappear RefundedItems = "disappear"
)

var errorShapes = []ErrorShape{
	ShapeProblem, ShapeProblemWithMessage, ShapeMessage, ShapeError,
	ShapePlainText, ShapeHTML, ShapeEmpty, ShapeStatusWord,
}
