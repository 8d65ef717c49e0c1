package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

const controlPrefix = "/_sandbox/"

// serveControl serves the control API. It needs no token: whoever can reach the
// sandbox may do anything to it.
func (s *Sandbox) serveControl(rw http.ResponseWriter, r *http.Request) {
	handlers, ok := map[string]map[string]func(*http.Request) (any, error){
		"ledger":   {http.MethodGet: s.controlLedger},
		"settings": {http.MethodGet: s.controlSettings},
		"faults":   {http.MethodGet: s.controlFaults, http.MethodPost: s.controlInject, http.MethodDelete: s.controlDisarm},
		"clock":    {http.MethodGet: s.controlClock, http.MethodPost: s.controlAdvance},
		"connect":  {http.MethodPost: s.controlConnect},
		"use":      {http.MethodPost: s.controlUse},
		"reset":    {http.MethodPost: s.controlReset},
	}[strings.TrimPrefix(r.URL.Path, controlPrefix)]
	if !ok {
		writeControl(rw, http.StatusNotFound, controlError{"the control API has ledger, settings, faults, clock, connect, use and reset"})
		return
	}
	handle, ok := handlers[r.Method]
	if !ok {
		writeControl(rw, http.StatusMethodNotAllowed, controlError{"the method is not allowed here"})
		return
	}
	r.Body = http.MaxBytesReader(rw, r.Body, maxBody)
	value, err := handle(r)
	if err != nil {
		writeControl(rw, http.StatusBadRequest, controlError{err.Error()})
		return
	}
	writeControl(rw, http.StatusOK, value)
}

type controlError struct {
	Error string `json:"error"`
}

func writeControl(rw http.ResponseWriter, status int, value any) {
	a := jsonAnswer(value)
	a.status = status
	a.write(rw)
}

// decodeStrictly reads one JSON object. It refuses unknown members and anything
// after the object.
func decodeStrictly(r io.Reader, target any) error {
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(target); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("the body must be a JSON object")
		}
		return decodingError(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the body has something after its JSON object")
	}
	return nil
}

// decodingError says what is wrong with the JSON. It does not name Go's types.
func decodingError(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s cannot be: %s", cmp.Or(wrong.Field, "the body"), wrong.Value)
	}
	return errors.New("the JSON cannot be read: " + strings.TrimPrefix(err.Error(), "json: "))
}

func (s *Sandbox) controlLedger(*http.Request) (any, error) { return s.Ledger(), nil }

func (s *Sandbox) controlSettings(*http.Request) (any, error) { return s.Settings(), nil }

func (s *Sandbox) controlFaults(*http.Request) (any, error) {
	type known struct {
		Fault   string   `json:"fault"`
		Params  []string `json:"params"`
		Commits string   `json:"commits"`
		Seen    string   `json:"seen"`
	}
	table := []known{}
	for _, spec := range faultSpecs {
		table = append(table, known{spec.name, nonNil(spec.params), spec.commits, spec.seen})
	}
	return map[string]any{"armed": s.ArmedFaults(), "known": table}, nil
}

func (s *Sandbox) controlInject(r *http.Request) (any, error) {
	var f Fault
	if err := decodeStrictly(r.Body, &f); err != nil {
		return nil, err
	}
	if err := s.Inject(f); err != nil {
		return nil, err
	}
	return map[string]any{"armed": s.ArmedFaults()}, nil
}

func (s *Sandbox) controlDisarm(*http.Request) (any, error) {
	s.Disarm()
	return map[string]any{"armed": s.ArmedFaults()}, nil
}

func (s *Sandbox) controlClock(*http.Request) (any, error) {
	return map[string]any{"now": s.Now()}, nil
}

func (s *Sandbox) controlAdvance(r *http.Request) (any, error) {
	var by struct {
		Advance *string `json:"advance"`
	}
	if err := decodeStrictly(r.Body, &by); err != nil {
		return nil, err
	}
	if by.Advance == nil {
		return nil, errors.New("advance is required")
	}
	d, err := parseDuration(*by.Advance)
	if err != nil {
		return nil, err
	}
	if err := s.Advance(d); err != nil {
		return nil, err
	}
	return s.controlClock(r)
}

func (s *Sandbox) controlConnect(r *http.Request) (any, error) {
	var to struct {
		ICCID   string `json:"iccid"`
		Country string `json:"country"`
	}
	if err := decodeStrictly(r.Body, &to); err != nil {
		return nil, err
	}
	return struct{}{}, s.Connect(to.ICCID, to.Country)
}

func (s *Sandbox) controlUse(r *http.Request) (any, error) {
	var use struct {
		ItemUID string `json:"itemUid"`
		ICCID   string `json:"iccid"`
		Bytes   int64  `json:"bytes"`
	}
	if err := decodeStrictly(r.Body, &use); err != nil {
		return nil, err
	}
	if (use.ItemUID == "") == (use.ICCID == "") {
		return nil, errors.New("either itemUid or iccid is required")
	}
	return struct{}{}, s.Use(use.ItemUID+use.ICCID, use.Bytes)
}

// controlReset applies the given settings on top of those that the sandbox
// started with. So the outcome does not depend on earlier resets.
func (s *Sandbox) controlReset(r *http.Request) (any, error) {
	settings := s.config.Settings
	fresh := struct {
		Seed     uint64    `json:"seed"`
		Settings *Settings `json:"settings"`
	}{s.config.Seed, &settings}
	if err := decodeStrictly(r.Body, &fresh); err != nil {
		return nil, err
	}
	if err := s.Reset(fresh.Seed, fresh.Settings); err != nil {
		return nil, err
	}
	return s.Settings(), nil
}
