package gigastore

import (
	"fmt"
	"log/slog"
)

// ESIMProfile is one installable eSIM (docs first-package, esim-profiles; dossier 3.6). ActivationCode,
// AppleUniversalLink and InstallationURL are secrets: whoever holds one can install the eSIM.
type ESIMProfile struct {
	ICCID              string `json:"iccid"`
	UID                string `json:"uid"`
	IMSI               string `json:"imsi"`
	ActivationCode     string `json:"activationCode"` // LPA:1$<SM-DP+>$<code>, the content of the QR code
	AppleUniversalLink string `json:"appleUniversalLink"`
	InstallationURL    string `json:"installationUrl"`
	LastSeen           Time   `json:"lastSeen"`
	ActivatedAt        Time   `json:"activatedAt"` // when the profile was activated, not a package
	// State is RELEASED, INSTALLED, DISABLED or ERROR as far as documented. The set is open.
	State   string         `json:"state"`
	Active  *bool          `json:"active,omitempty"` // nil if absent, as in the register sample
	Unknown UnknownMembers `json:"-"`
}

// UnmarshalJSON decodes what it can and puts the rest into Unknown. It fails only if data is not a JSON object.
func (e *ESIMProfile) UnmarshalJSON(data []byte) error { return unmarshal(data, e) }

func (e *ESIMProfile) fill(o object) error {
	*e = ESIMProfile{}
	take(o, "iccid", &e.ICCID)
	take(o, "uid", (*uid)(&e.UID))
	take(o, "imsi", &e.IMSI)
	take(o, "activationCode", &e.ActivationCode)
	take(o, "appleUniversalLink", &e.AppleUniversalLink)
	take(o, "installationUrl", &e.InstallationURL)
	take(o, "lastSeen", &e.LastSeen)
	take(o, "activatedAt", &e.ActivatedAt)
	take(o, "state", &e.State)
	take(o, "active", &e.Active)
	e.Unknown = o.rest()
	return nil
}

// LogValue returns the uid and the state.
func (e ESIMProfile) LogValue() slog.Value {
	return slog.GroupValue(slog.String("uid", e.UID), slog.String("state", e.State))
}

// Format writes what LogValue shows, for every verb.
func (e ESIMProfile) Format(f fmt.State, _ rune) { formatSafe(f, "ESIMProfile", e) }
