package access

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"go.yaml.in/yaml/v3"
)

// largestFile is the size in bytes up to which a callers file and a JWKS file are read.
const largestFile = 1 << 20

// What the texts of the file look like.
var (
	validName       = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	validKeyID      = regexp.MustCompile(`^[a-z0-9]{6,16}$`)
	validSHA256     = regexp.MustCompile(`^[0-9a-f]{64}$`)
	validDNSName    = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	validItem       = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	validCountry    = regexp.MustCompile(`^[A-Z]{2}$`)
	validRate       = regexp.MustCompile(`^(0|[1-9][0-9]{0,6})(\.[0-9]{1,3})?$`)
	validCount      = regexp.MustCompile(`^[1-9][0-9]{0,6}$`)
	validCountrySet = regexp.MustCompile(`^\S(.*\S)?$`)
)

// reserved are the names that no principal may have. The journal uses them.
var reserved = []string{DefaultCaller, "gateway"}

// most keys of one principal: the present one, and the one that replaces it.
const mostKeys = 2

// CheckName reports what is wrong with the name of a caller or an operator.
func CheckName(name string) error {
	switch {
	case !validName.MatchString(name):
		return fmt.Errorf("it must be 1 to 63 small letters, digits and -, and must not start with -")
	case slices.Contains(reserved, name):
		return fmt.Errorf("the name %q is reserved", name)
	}
	return nil
}

// Load reads a callers file. Its error names the line and the field.
func Load(path string) (*Directory, error) {
	text, read, err := readFile(path)
	if err != nil {
		return nil, err
	}
	d, err := decode(text, filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	d.files = append(d.files, read)
	return d, nil
}

// fileRead is a file as it was when it was read.
type fileRead struct {
	path string
	info os.FileInfo
}

// hasChanged reports whether the file differs from what was read.
func (f fileRead) hasChanged() bool {
	now, err := os.Stat(f.path)
	return err != nil || !os.SameFile(now, f.info) || now.Size() != f.info.Size() || !now.ModTime().Equal(f.info.ModTime())
}

// readFile reads a file up to a size.
func readFile(path string) ([]byte, fileRead, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fileRead{}, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat() // before the text is read, so that a change in between is noticed
	if err != nil {
		return nil, fileRead{}, err
	}
	text, err := io.ReadAll(io.LimitReader(file, largestFile+1))
	if err == nil && len(text) > largestFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, largestFile)
	}
	return text, fileRead{path, info}, err
}

// decode reads the text of a callers file. The names of its files start at a folder.
func decode(text []byte, folder string) (*Directory, error) {
	root, err := parseYAML(text)
	if err != nil {
		return nil, err
	}
	d := newDirectory()
	file := root.mapping("issuers", "callers", "operators")
	for _, item := range file["issuers"].list() {
		d.addIssuer(item, folder)
	}
	for _, item := range file["callers"].list() {
		d.addCaller(item)
	}
	for _, item := range file["operators"].list() {
		d.addOperator(item)
	}
	if len(d.entries) == 0 {
		root.fail("it has no callers and no operators")
	}
	if root.doc.err != nil {
		return nil, root.doc.err
	}
	for _, e := range d.entries {
		if e.Budget != nil {
			d.budgeted = append(d.budgeted, e.Principal)
		}
	}
	slices.SortFunc(d.budgeted, func(a, b *Principal) int { return strings.Compare(a.Name, b.Name) })
	return d, nil
}

func (d *Directory) addIssuer(item field, folder string) {
	fields := item.mapping("issuer", "audience", "algorithms", "jwks_file")
	i := &issuer{name: fields["issuer"].text(), audience: fields["audience"].text(), algorithms: defaultAlgorithms}
	if _, ok := d.issuers[i.name]; ok {
		fields["issuer"].fail("there is another issuer of this name")
	}
	d.issuers[i.name] = i
	if list := fields["algorithms"]; list.given() {
		i.algorithms = nil
		for _, algorithm := range list.list() {
			i.algorithms = append(i.algorithms, jose.SignatureAlgorithm(algorithm.oneOf(algorithmNames())))
		}
		if len(i.algorithms) == 0 {
			list.fail("it is empty: leave it out for RS256, ES256 and EdDSA")
		}
	}
	file := fields["jwks_file"]
	if !file.given() {
		if item.doc.err == nil && !IsSecureURL(i.name) {
			fields["issuer"].fail("without jwks_file it must be an https URL, or an http URL of this machine")
		}
		return
	}
	path := file.text()
	if !filepath.IsAbs(path) {
		path = filepath.Join(folder, path)
	}
	text, read, err := readFile(path)
	if err == nil {
		i.static, err = parseKeys(text, refuseSecretKeys)
	}
	if err != nil {
		file.fail("%w", err)
	}
	d.files = append(d.files, read)
}

// IsSecureURL reports whether a text is a URL with TLS, or a URL on this machine.
func IsSecureURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

func (d *Directory) addCaller(item field) {
	fields := item.mapping("name", "inherits_default", "identities", "may", "rate", "at_once", "budget")
	p := d.add(fields["name"], "caller")
	d.addIdentities(p, fields["identities"])
	p.Limits = limitsOf(fields["rate"], fields["at_once"])
	if p.Rights.InheritsDefault = fields["inherits_default"].truth(); p.Rights.InheritsDefault {
		if d.heir != "" {
			fields["inherits_default"].fail("another caller has this already")
		}
		d.heir = p.Name
	}
	p.Budget = fields["budget"].budget()
	if !fields["may"].given() {
		return // then it may do nothing
	}
	may := fields["may"].mapping("methods", "activation_modes", "inventory_items", "country_sets", "countries", "secrets", "sold_elsewhere")
	p.Rights.Methods = may["methods"].set(func(f field) string { return f.oneOf(callerMethods) })
	if p.Rights.Methods.all {
		p.Rights.Methods = SetOf(callerMethods...)
	}
	p.Rights.Modes = may["activation_modes"].set(func(f field) string { return f.oneOf(modes) })
	p.Rights.Items = may["inventory_items"].set(func(f field) string { return f.matching(validItem, "the id of an inventory item") })
	p.Rights.CountrySets = may["country_sets"].set(func(f field) string { return f.matching(validCountrySet, "the name of a country set") })
	p.Rights.Countries = may["countries"].set(func(f field) string {
		return f.matching(validCountry, "two capital letters of ISO 3166-1, such as GR for Greece")
	})
	p.Rights.Secrets = may["secrets"].truth()
	p.Rights.SoldElsewhere = may["sold_elsewhere"].truth()
}

// limitsOf reads the limits of a caller's calls. A missing one allows any number.
func limitsOf(frequency, atOnce field) *Limits {
	var s LimitSettings
	if frequency.given() {
		fields := frequency.mapping("per_second", "burst")
		s.PerSecond = fields["per_second"].number(validRate, "a number from 0.001 to 1000000, such as 50 or 0.5")
		s.Burst = int(fields["burst"].number(validCount, "a whole number from 1 to 1000000"))
	}
	if atOnce.given() {
		s.AtOnce = int(atOnce.number(validCount, "a whole number from 1 to 1000000"))
	}
	return NewLimits(s)
}

func (d *Directory) addOperator(item field) {
	fields := item.mapping("name", "identities", "may")
	p := d.add(fields["name"], "operator")
	d.addIdentities(p, fields["identities"])
	p.Rights.All = true
	rights := fields["may"].set(func(f field) string { return f.oneOf(operatorRightNames()) })
	if rights.all {
		fields["may"].fail(`operators have no right "all": name each right, %s`, listed(operatorRightNames()))
	}
	for _, right := range rights.names {
		if add, ok := operatorRights[right]; ok {
			add(&p.Rights)
		}
	}
}

// add adds a principal.
func (d *Directory) add(name field, kind string) *Principal {
	p := &Principal{Name: name.text()}
	if name.doc.err == nil {
		if err := CheckName(p.Name); err != nil {
			name.fail("%w", err)
		}
	}
	if d.names[p.Name] {
		name.fail("there is another caller or operator of this name")
	}
	d.names[p.Name] = true
	d.entries = append(d.entries, &Entry{Principal: p, Kind: kind})
	return p
}

// addIdentities adds what a principal, the last one, is recognized by.
func (d *Directory) addIdentities(p *Principal, list field) {
	entry := d.entries[len(d.entries)-1]
	for _, item := range list.list() {
		fields := item.mapping("certificate", "key", "jwt")
		certificate, key, token := fields["certificate"], fields["key"], fields["jwt"]
		if n := count(certificate.given(), key.given(), token.given()); n != 1 {
			item.fail("it must have one of certificate, key and jwt")
			return
		}
		switch {
		case certificate.given():
			entry.Certificates++
			name := certificate.text()
			if certificate.doc.err == nil && !validSAN(name) {
				certificate.fail("it must be a URI such as spiffe://corp.example/shop, or a DNS name in small letters without *")
			}
			once(certificate, d.certificates, name, p)
		case key.given():
			if entry.Keys++; entry.Keys > mostKeys {
				key.fail("a caller has at most %d keys", mostKeys)
			}
			parts := key.mapping("id", "sha256")
			id := parts["id"].matching(validKeyID, "the id of a key, as gigagate keys new prints it")
			sum := parts["sha256"].matching(validSHA256, "64 hexadecimal digits in small letters, as gigagate keys new prints them")
			once(parts["id"], d.keys, id, storedKey{sum: hexSum(sum), principal: p})
		case token.given():
			entry.Subjects++
			parts := token.mapping("issuer", "subject")
			s := Subject{parts["issuer"].text(), parts["subject"].text()}
			if _, ok := d.issuers[s.Issuer]; !ok {
				parts["issuer"].fail("it is not under issuers")
			}
			once(parts["subject"], d.subjects, s, p)
		}
	}
}

// once puts an identity into a map. It fails if the identity is there already.
func once[K comparable, V any](f field, all map[K]V, identity K, value V) {
	if _, ok := all[identity]; ok {
		f.fail("this identity is there twice")
	}
	all[identity] = value
}

func count(conditions ...bool) (n int) {
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}

// validSAN reports whether a text can be a name in a certificate: a URI or a DNS name.
func validSAN(name string) bool {
	if !strings.Contains(name, "://") {
		return len(name) <= 253 && validDNSName.MatchString(name)
	}
	u, err := url.Parse(name)
	return err == nil && u.Scheme != "" && u.Host != "" && u.User == nil && u.String() == name
}

// set returns the names in a list. The list [all] is the set of all names. A missing list is empty.
func (f field) set(one func(field) string) Set {
	items := f.list()
	// The value of an alias is its name. So an alias named "all" is not the word.
	isAll := func(item field) bool {
		return item.given() && item.node.Kind == yaml.ScalarNode && item.node.Value == "all"
	}
	if len(items) == 1 && isAll(items[0]) {
		return Everything
	}
	var s Set
	for _, item := range items {
		if isAll(item) {
			item.fail(`"all" must be alone in the list`)
		}
		name := one(item)
		if slices.Contains(s.names, name) {
			item.fail("it is there twice")
		}
		s.names = append(s.names, name)
	}
	return s
}
