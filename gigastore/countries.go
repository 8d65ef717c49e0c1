package gigastore

import "context"

// Country is one country of a set (docs countries-api).
type Country struct {
	Code     string         `json:"code"`     // ISO 3166-1 alpha-2
	Name     string         `json:"name"`     // equals the code in the sample
	ImageURL string         `json:"imageUrl"` // relative, and without the /gigastore prefix that the call needs
	Unknown  UnknownMembers `json:"-"`
}

// UnmarshalJSON decodes what it can and puts the rest into Unknown. It fails only if data is not a JSON object.
func (c *Country) UnmarshalJSON(data []byte) error { return unmarshal(data, c) }

func (c *Country) fill(o object) error {
	*c = Country{}
	take(o, "code", &c.Code)
	take(o, "name", &c.Name)
	take(o, "imageUrl", &c.ImageURL)
	c.Unknown = o.rest()
	return nil
}

// Countries reads the countries of a set. The set is WWW, an ISO 3166-1 alpha-2 code, or a regional name.
//
// GET /gigastore/esim/countries/{countrySet}, docs countries-api.
func (c *Client) Countries(ctx context.Context, countrySet string) ([]Country, error) {
	if err := checkSegment("country set", countrySet); err != nil {
		return nil, notSent(OpCountries, err)
	}
	var countries []Country
	err := c.readJSON(ctx, OpCountries, countrySet, nil, intoList("countries", &countries))
	return countries, err
}
