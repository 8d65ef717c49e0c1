// Package iccid recognises the number of an eSIM. Such a number is personal data.
package iccid

import "regexp"

// Form matches an ICCID (ITU-T E.118): 18 to 22 digits that begin with 89. The contract has the same rule for customers' uids.
const Form = `^89[0-9]{16,20}$`

var form = regexp.MustCompile(Form)

// Is reports whether a text has the form of an ICCID.
func Is(text string) bool { return form.MatchString(text) }
