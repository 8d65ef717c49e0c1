package server

import (
	"net/netip"
	"strings"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// endUser is what a request says about the person who will use the eSIM.
type endUser interface {
	GetUserIp() string
	GetUserCountry() string
}

// endUserOf returns the end user in a request, and the path of the message that has it. It is nil if the request has
// none.
func endUserOf(req any) (user endUser, path string) {
	switch r := req.(type) {
	case *gigagatev1.RegisterRequest:
		return r, ""
	case *gigagatev1.TopUpRequest:
		if profile := r.GetNewProfile(); profile != nil {
			return profile, "new_profile"
		}
	}
	return nil, ""
}

// canonicalIP is an address in the form that is sent to the vendor: IPv6 as in RFC 5952, and an IPv4 address inside
// IPv6 as IPv4. Any other text is returned unchanged. It is empty for a top-up without a profile.
func canonicalIP(text string) string {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return text
	}
	return addr.Unmap().String()
}

// isOfEndUser reports whether a device in a public or a private network can have the address. No device has an
// unspecified, loopback, multicast or broadcast address.
func isOfEndUser(text string) bool {
	addr, err := netip.ParseAddr(text)
	return err == nil && (addr.IsGlobalUnicast() || addr.IsLinkLocalUnicast())
}

const (
	notOfEndUser = "must be an address that an end user can have: no unspecified, loopback, multicast or broadcast address"
	noCountry    = "must be two capital letters of ISO 3166-1, such as GR for Greece or GB for the United Kingdom"
)

// countries are all 249 codes of ISO 3166-1 alpha-2, from the file iso3166.tab of the IANA time zone database. The
// table of golang.org/x/text/language cannot be used, because it also has former and reserved codes.
var countries = func() map[string]bool {
	codes := map[string]bool{}
	for code := range strings.FieldsSeq(`
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT
BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH
ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT
HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS
LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI
NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG
SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG
UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW`) {
		codes[code] = true
	}
	return codes
}()
