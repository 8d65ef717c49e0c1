package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fault makes the next calls of a path go wrong.
type Fault struct {
	// Path is a path of the vendor's API, or the start of one followed by *.
	Path string `json:"path"`
	// Fault is a name from the table in this file.
	Fault string `json:"fault"`
	// Count is the number of calls to spoil. 0 means 1.
	Count int `json:"count"`
	// Params are the parameters of the fault, see the table. Durations are texts
	// such as "2s".
	Params map[string]any `json:"params,omitempty"`
}

// faultSpec is a row of the table of faults.
type faultSpec struct {
	name    string
	params  []string // the names of its parameters
	on      target
	commits string // whether the call takes effect, for example sells
	seen    string // what the client sees

	beforeBody bool // it plays before the request's body is read
	tamper     func(*tamper, *faultParams)
	play       func(*exchange, *faultParams)
}

// target says which calls a fault applies to.
type target int

const (
	anyCall target = iota
	paidCall
	readCall // reads of activated items and customers, one or many
	listCall // reads of many
)

func (t target) includes(r *route) bool {
	switch t {
	case paidCall:
		return r.paid
	case readCall:
		return r.reads || r.lists
	case listCall:
		return r.lists
	case anyCall:
	}
	return true
}

// faultSpecs is the table of faults. GET /_sandbox/faults prints it.
var faultSpecs = []faultSpec{
	{name: "refuse", params: []string{"reason", "status", "shape", "message"}, commits: "no", seen: "a refusal; status, shape and message override those of reason", play: playRefuse},
	{name: "reset_before", params: []string{"afterBytes"}, commits: "no", seen: "RST after afterBytes of the body were read (default 0; \"request\": all)", beforeBody: true, play: playResetBefore},
	{name: "commit_then_reset", commits: "yes", seen: "RST instead of an answer", play: playCommitThenReset},
	{name: "commit_then_close", commits: "yes", seen: "EOF before the status line", play: playCommitThenClose},
	{name: "commit_then_5xx", params: []string{"status", "html"}, commits: "yes", seen: "a server error (default 502)", play: playCommitThen5xx},
	{name: "5xx", params: []string{"status", "html"}, commits: "no", seen: "a server error (default 503)", play: play5xx},
	{name: "commit_late", params: []string{"delay", "answer"}, commits: "yes, after delay (default 1s), even if the client has gone", seen: "no answer; with answer true, the true one, late", play: playCommitLate},
	{name: "hang", params: []string{"duration"}, commits: "no", seen: "nothing for duration (default: until the client gives up), then EOF", play: playHang},
	{name: "truncate", params: []string{"bytes"}, commits: "yes", seen: "200, fewer bytes (default half) than Content-Length says", play: playTruncate},
	{name: "truncate_chunked", params: []string{"bytes"}, commits: "yes", seen: "200, chunked, without the last chunk", play: playTruncateChunked},
	{name: "garble", commits: "yes", seen: "200 with a whole body, whose JSON is malformed at the end", play: playGarble},
	{name: "wrong_status", params: []string{"word", "commit"}, commits: "yes, unless commit is false", seen: "200 with another status word (default \"pending\"); without commit only the word", play: playWrongStatus},
	{name: "foreign_metatag", params: []string{"metatag"}, on: paidCall, commits: "yes", seen: "the sale with a foreign metatag; the true one is stored", tamper: tamperForeignMetatag},
	{name: "metatag_truncated", params: []string{"bytes"}, on: paidCall, commits: "yes", seen: "the metatag cut to bytes (default 8); stored like that too", tamper: tamperMetatagTruncated},
	{name: "metatag_rewritten", params: []string{"metatag"}, on: paidCall, commits: "yes", seen: "another metatag (default: in capitals); stored like that too", tamper: tamperMetatagRewritten},
	{name: "endless_body", commits: "yes", seen: "200 and a body that never ends", play: playEndlessBody},
	{name: "unauthorized", commits: "no", seen: "401", play: playUnauthorized},
	{name: "throttle", params: []string{"retryAfter", "commit"}, commits: "no, unless commit is true", seen: "429 with Retry-After (seconds, default 1)", play: playThrottle},
	{name: "redirect", params: []string{"status", "location", "commit"}, commits: "no, unless commit is true", seen: "a redirect (default 307 to https://sandbox.invalid/elsewhere)", play: playRedirect},
	{name: "slow_body", params: []string{"interval", "bytes"}, commits: "yes", seen: "the true answer, bytes (default 16) every interval (default 100ms)", play: playSlowBody},
	{name: "early_hints", params: []string{"n"}, commits: "yes", seen: "n (default 1) answers 103, then the true one", play: playEarlyHints},
	{name: "surplus", params: []string{"place", "code", "body", "split", "interval"}, commits: "yes", seen: "the true answer, and another one (default code 401); place says whether it comes before, with (default) or after the true one; split sends it in pieces; interval is the pause between packets", play: playSurplus},
	{name: "status", params: []string{"code", "body", "contentType", "commit"}, commits: "no, unless commit is true", seen: "code (required) and body (default empty)", play: playStatus},
	{name: "list_lag", params: []string{"duration"}, on: readCall, commits: "reads only", seen: "nothing younger than duration (required, by the sandbox's clock)", tamper: tamperListLag},
	{name: "list_cut", params: []string{"n"}, on: listCall, commits: "reads only", seen: "a well-formed list of only the first n (default 0) elements", tamper: tamperListCut},
	{name: "list_unsorted", on: listCall, commits: "reads only", seen: "an unordered list", tamper: tamperListUnsorted},
	{name: "list_no_metatags", on: readCall, commits: "reads only", seen: "elements without metatag", tamper: tamperListNoMetatags},
	{name: "list_fail", params: []string{"status"}, on: readCall, commits: "reads only", seen: "a server error (default 500)", play: playListFail},
}

// faultParams are the parameters of all faults together. A parameter that was
// not given is nil.
type faultParams struct {
	Reason      *string     `json:"reason"`
	Status      *int        `json:"status"`
	Shape       *ErrorShape `json:"shape"`
	Message     *string     `json:"message"`
	AfterBytes  *byteCount  `json:"afterBytes"`
	HTML        bool        `json:"html"`
	Delay       *Duration   `json:"delay"`
	Answer      bool        `json:"answer"`
	Duration    *Duration   `json:"duration"`
	Bytes       *int        `json:"bytes"`
	Word        *string     `json:"word"`
	Commit      *bool       `json:"commit"`
	Metatag     *string     `json:"metatag"`
	RetryAfter  *int        `json:"retryAfter"`
	Location    *string     `json:"location"`
	Interval    *Duration   `json:"interval"`
	N           *int        `json:"n"`
	Code        *int        `json:"code"`
	Body        string      `json:"body"`
	Place       *string     `json:"place"`
	Split       bool        `json:"split"`
	ContentType string      `json:"contentType"`
}

// byteCount is a number of bytes. A negative one means all, which JSON writes
// as "request".
type byteCount int

// UnmarshalJSON reads a number or the word "request".
func (b *byteCount) UnmarshalJSON(data []byte) error {
	if string(data) == `"request"` {
		*b = -1
		return nil
	}
	var n int
	if json.Unmarshal(data, &n) != nil || n < 0 {
		return errors.New("afterBytes must be a number of bytes or \"request\"")
	}
	*b = byteCount(n)
	return nil
}

// armedFault is a fault that waits for its calls.
type armedFault struct {
	Fault
	spec   *faultSpec
	params *faultParams
}

// Inject arms a fault. Faults of one path play in the order in which they were
// armed, each for its count of calls. The error says what is wrong with f.
func (s *Sandbox) Inject(f Fault) error {
	armed, err := arm(f)
	if err != nil {
		return err
	}
	w := s.current()
	defer w.mu.Unlock()
	w.faults = append(w.faults, armed)
	return nil
}

// ArmedFaults returns the faults that still wait, each with the number of calls
// left.
func (s *Sandbox) ArmedFaults() []Fault {
	w := s.current()
	defer w.mu.Unlock()
	faults := []Fault{}
	for _, armed := range w.faults {
		faults = append(faults, armed.Fault)
	}
	return faults
}

// Disarm removes every armed fault.
func (s *Sandbox) Disarm() {
	w := s.current()
	defer w.mu.Unlock()
	w.faults = nil
}

func arm(f Fault) (*armedFault, error) {
	i := slices.IndexFunc(faultSpecs, func(spec faultSpec) bool { return spec.name == f.Fault })
	if i < 0 {
		return nil, fmt.Errorf("unknown fault %q", f.Fault)
	}
	spec := &faultSpecs[i]
	if f.Count < 0 {
		return nil, errors.New("count must not be negative")
	}
	f.Count = max(f.Count, 1)
	if err := spec.checkPath(f.Path); err != nil {
		return nil, err
	}
	params, err := spec.readParams(f.Params)
	if err != nil {
		return nil, fmt.Errorf("fault %s: %w", f.Fault, err)
	}
	return &armedFault{f, spec, params}, nil
}

// checkPath refuses a path that no call can have.
func (spec *faultSpec) checkPath(path string) error {
	found, _ := routesAt(path)
	if prefix, wild := strings.CutSuffix(path, "*"); wild {
		found = routesBelow(prefix)
	}
	if len(found) == 0 {
		return fmt.Errorf("path %q is not a path of the vendor's API", path)
	}
	if !slices.ContainsFunc(found, spec.on.includes) {
		return fmt.Errorf("fault %s does not apply to path %q", spec.name, path)
	}
	return nil
}

func (spec *faultSpec) readParams(given map[string]any) (*faultParams, error) {
	texts := map[string]any{}
	for name, value := range given {
		if !slices.Contains(spec.params, name) {
			return nil, fmt.Errorf("unknown parameter %q, known are %q", name, spec.params)
		}
		if d, ok := value.(time.Duration); ok { // from Go code
			value = Duration(d)
		}
		texts[name] = value
	}
	data, err := json.Marshal(texts)
	if err != nil {
		return nil, err
	}
	params := &faultParams{}
	if err := json.Unmarshal(data, params); err != nil {
		return nil, decodingError(err)
	}
	return params, params.check(spec.name)
}

// check refuses values that net/http or the fault cannot play.
func (p *faultParams) check(fault string) error {
	within := func(name string, value *int, least, most int) error {
		if value != nil && (*value < least || *value > most) {
			return fmt.Errorf("%s is %d, allowed are %d to %d", name, *value, least, most)
		}
		return nil
	}
	statusLeast, statusMost := 500, 599
	switch fault {
	case "refuse", "list_fail":
		statusLeast = 400
	case "redirect":
		statusLeast, statusMost = 300, 399
	}
	for _, err := range []error{
		within("status", p.Status, statusLeast, statusMost),
		within("code", p.Code, 200, 599),
		within("bytes", p.Bytes, 0, 1<<20),
		within("retryAfter", p.RetryAfter, 0, 1<<30),
		within("n", p.N, 0, 1<<20),
	} {
		if err != nil {
			return err
		}
	}
	switch {
	case fault == "status" && p.Code == nil:
		return errors.New("code is required")
	case fault == "list_lag" && p.Duration == nil:
		return errors.New("duration is required")
	case fault == "slow_body" && p.Bytes != nil && *p.Bytes == 0:
		return errors.New("bytes must be at least 1")
	case p.Place != nil && !slices.Contains(places, *p.Place):
		return fmt.Errorf("place is %q, allowed are %q", *p.Place, places)
	case p.Shape != nil && !slices.Contains(errorShapes, *p.Shape):
		return fmt.Errorf("shape is %q, allowed are %q", *p.Shape, errorShapes)
	}
	if p.Reason != nil {
		if _, known := reasons[*p.Reason]; !known {
			return fmt.Errorf("unknown reason %q", *p.Reason)
		}
	}
	return nil
}

// takeFault returns the first armed fault that applies to a call, and uses up
// one of its calls.
func (w *world) takeFault(path string, r *route) *armedFault {
	for i, armed := range w.faults {
		prefix, wild := strings.CutSuffix(armed.Path, "*")
		if path != armed.Path && (!wild || !strings.HasPrefix(path, prefix)) || !armed.spec.on.includes(r) {
			continue
		}
		playing := *armed
		if armed.Count--; armed.Count == 0 {
			w.faults = slices.Delete(w.faults, i, i+1)
		}
		return &playing
	}
	return nil
}
