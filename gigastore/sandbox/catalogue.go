package sandbox

import (
	"slices"
	"strings"
)

// The ids of the catalogue are fixed, whatever the seed. So documentation can
// print calls that work when pasted.
const (
	// ItemWorldwide1GB costs 4.20, retail 9.99, 30 days, country set WWW.
	ItemWorldwide1GB = "6513270e-269e-4d37-b2a7-4de452e6b438"
	// ItemWorldwide50MB costs 1.49, retail 4.99, 365 days, country set WWW.
	ItemWorldwide50MB = "2b9e1f64-7c35-4a8d-b0e2-91d4c6f3a857"
	// ItemEurope5GB costs 6.75, retail 14.99, 30 days, country set EU.
	ItemEurope5GB = "d23f0824-128b-4f33-8c5c-7fd0a6a3a450"
	// ItemAustria3GB costs 3.10, retail 7.49, 7 days, country set AT.
	ItemAustria3GB = "9531985d-5d9d-49f8-9818-e811892f902b"
	// ItemGreece2GB costs 2.40, retail 5.99, 15 days, country set GR.
	ItemGreece2GB = "c1f3a9de-5b7e-4c06-9a44-0d6e2b8f7a15"
)

// Bytes in the vendor's units. They are 1000-based because the docs show
// 50 MB as 0.05 GB (docs top-up), although another page says that 1 GB is
// 1024 MB (dossier 1.4).
const (
	megabyte int64 = 1_000_000
	gigabyte int64 = 1_000_000_000
)

// product is an inventory item (dossier 3.4).
type product struct {
	id, productID, name string
	sizeValue           int64
	sizeUnit            string // MB or GB
	validityDays        int
	countrySet          string
	purchase, retail    Amount // what the reseller pays, and what the reseller asks
}

func (p *product) bytes() int64 {
	if p.sizeUnit == "MB" {
		return p.sizeValue * megabyte
	}
	return p.sizeValue * gigabyte
}

// singleCountry is derived from the country set, because the vendor has no
// field for it (dossier 4.1).
func (p *product) singleCountry() bool { return len(countrySets[p.countrySet]) == 1 }

func newCatalogue() []*product {
	return []*product{
		{ItemWorldwide1GB, "907a70c3-1012-4037-b64c-e4228c38fb29", "eSIM Worldwide 1 GB", 1, "GB", 30, "WWW", 420, 999},
		{ItemWorldwide50MB, "5d1c9a37-80be-4f6a-93d7-2e64b1f0c8a9", "eSIM Worldwide 50 MB", 50, "MB", 365, "WWW", 149, 499},
		{ItemEurope5GB, "7f150524-34b9-45df-9e77-69b10f4205b4", "eSIM Europe 5 GB", 5, "GB", 30, "EU", 675, 1499},
		{ItemAustria3GB, "c6f87718-6d76-407e-881e-d162ae2eb154", "eSIM Austria 3 GB", 3, "GB", 7, "AT", 310, 749},
		{ItemGreece2GB, "0e47d2b5-c19f-4b38-a6e1-73f8590ad2c4", "eSIM Greece 2 GB", 2, "GB", 15, "GR", 240, 599},
	}
}

// countrySets maps a country set to its ISO 3166-1 alpha-2 codes. WWW and the
// names of single-country sets are documented. EU is invented (dossier 2.16).
var countrySets = map[string][]string{
	"WWW": strings.Fields(worldCountries),
	"EU":  strings.Fields("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"),
	"AT":  {"AT"},
	"GR":  {"GR"},
}

const worldCountries = "AE AL AR AT AU BA BE BG BR CA CH CL CN CO CR CY CZ DE DK DO EC EE EG ES FI FR GB GE GR HK " +
	"HR HU ID IE IL IN IS IT JO JP KE KR KZ LT LU LV MA MD ME MK MT MX MY NG NL NO NZ PA PE PH PK PL PT RO RS SA " +
	"SE SG SI SK TH TN TR TW TZ UA UG US UY VN ZA"

func covers(countrySet, country string) bool {
	return slices.Contains(countrySets[countrySet], country)
}
