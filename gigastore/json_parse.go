package gigastore

import "encoding/json"

const (
	// usualMembers is enough for a sale.
	usualMembers = 48
	// maxDepth is how many objects and arrays may be inside each other. It is the limit of encoding/json.
	maxDepth = 10_000
)

// readObject reads bytes from outside, in one pass. It accepts the texts that json.Valid accepts, if they are objects.
func readObject(data []byte) (object, error) {
	p := parser{text: data, found: make(object, 0, usualMembers)}
	if p.space(); p.next() != '{' || !p.value(true) {
		return nil, errNotObject
	}
	if p.space(); p.at < len(data) {
		return nil, errNotObject
	}
	return p.found, nil
}

// parser reads JSON (RFC 8259). Each of its methods passes over what it is named for and reports whether it was there.
type parser struct {
	text  []byte
	at    int
	depth int
	found object // members of the outermost object, and of objects that are in it without an array between them
}

// next returns the next byte. At the end it returns 0, which is no part of JSON's grammar.
func (p *parser) next() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) byte(b byte) bool {
	if p.next() != b {
		return false
	}
	p.at++
	return true
}

func (p *parser) space() {
	for b := p.next(); b == ' ' || b == '\n' || b == '\r' || b == '\t'; b = p.next() {
		p.at++
	}
}

// value adds the members of an object to found if keep is true.
func (p *parser) value(keep bool) bool {
	switch p.next() {
	case '{':
		return p.list('}', func() bool { return p.member(keep) })
	case '[':
		return p.list(']', func() bool { return p.value(false) })
	case '"':
		return p.string()
	case 't':
		return p.word("true")
	case 'f':
		return p.word("false")
	case 'n':
		return p.word("null")
	default:
		return p.number()
	}
}

// list is an object or an array. one passes over one of its members or elements.
func (p *parser) list(end byte, one func() bool) bool {
	p.at++
	if p.depth++; p.depth > maxDepth {
		return false
	}
	p.space()
	if !p.byte(end) {
		for {
			if !one() {
				return false
			}
			if p.space(); p.byte(end) {
				break
			}
			if !p.byte(',') {
				return false
			}
			p.space()
		}
	}
	p.depth--
	return true
}

func (p *parser) member(keep bool) bool {
	start := p.at
	if !p.string() {
		return false
	}
	name := p.text[start:p.at]
	p.space()
	if !p.byte(':') {
		return false
	}
	p.space()
	if !keep {
		return p.value(false)
	}
	i := len(p.found)
	p.found = append(p.found, member{name: memberName(name)})
	start = p.at
	if !p.value(true) {
		return false
	}
	p.found[i].raw, p.found[i].inside = p.text[start:p.at:p.at], len(p.found)-i-1
	return true
}

func memberName(raw []byte) []byte {
	if content, ok := plain(raw); ok {
		return content
	}
	var text string
	_ = json.Unmarshal(raw, &text) // raw is a string
	return []byte(text)
}

func (p *parser) string() bool {
	if !p.byte('"') {
		return false
	}
	for p.at < len(p.text) {
		switch b := p.text[p.at]; {
		case b == '"':
			p.at++
			return true
		case b < ' ':
			return false
		case b == '\\':
			if p.at++; !p.escape() {
				return false
			}
		default:
			p.at++
		}
	}
	return false
}

// escape is what follows a backslash.
func (p *parser) escape() bool {
	b := p.next()
	if b == 0 {
		return false // at the end of the text, at must not go beyond it
	}
	p.at++
	switch b {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			if b := p.next(); (b < '0' || b > '9') && (b < 'a' || b > 'f') && (b < 'A' || b > 'F') {
				return false
			}
			p.at++
		}
		return true
	}
	return false
}

func (p *parser) word(word string) bool {
	for i := range len(word) {
		if !p.byte(word[i]) {
			return false
		}
	}
	return true
}

func (p *parser) number() bool {
	p.byte('-')
	if !p.byte('0') && !p.digits() {
		return false
	}
	if p.byte('.') && !p.digits() {
		return false
	}
	if p.byte('e') || p.byte('E') {
		_ = p.byte('+') || p.byte('-')
		return p.digits()
	}
	return true
}

func (p *parser) digits() bool {
	start := p.at
	for b := p.next(); b >= '0' && b <= '9'; b = p.next() {
		p.at++
	}
	return p.at > start
}
