package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/sealed"
)

// The paths of the admin port that are about the journal.
const (
	backupPath     = "/journal/backup"
	rotateKeysPath = "/journal/rotate-keys"
	erasePath      = "/journal/erase"
)

// newJournalCalls serves the calls of the admin port that are about the journal.
func newJournalCalls(ctx context.Context, journal purchase.Journal, secrets *sealed.Journal, engine *purchase.Engine) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST "+backupPath, newBackups(ctx, journal))
	mux.Handle("POST "+rotateKeysPath, newRotations(ctx, secrets))
	mux.Handle("POST "+erasePath, newErasures(ctx, engine))
	return mux
}

// nearby serves a call of the admin port. Only programs on this machine may call, because the admin port may be open to
// the network for metrics. A web page may not call. The call ends with ctx.
func nearby(ctx context.Context, answer func(ctx context.Context, body *json.Decoder) (any, int, error)) http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requested, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		var told any
		var err error
		var status int
		switch peer, unknown := netip.ParseAddrPort(r.RemoteAddr); {
		case unknown != nil || !peer.Addr().Unmap().IsLoopback():
			status, err = http.StatusForbidden, errors.New("this can be asked for only on the gateway's machine, at a loopback address")
		case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
			status, err = http.StatusBadRequest, errors.New("the body has to be JSON")
		default:
			body := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<10))
			body.DisallowUnknownFields()
			told, status, err = answer(requested, body)
		}
		if err != nil {
			told = map[string]string{"error": err.Error()}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(told)
	}))
}

// noAnswerError means that no gateway answered.
type noAnswerError struct {
	address listenAddress
	err     error
}

func (e *noAnswerError) Error() string {
	return fmt.Sprintf("no gateway answers at %s: %v", e.address, e.err)
}

func (e *noAnswerError) Unwrap() error { return e.err }

// askNearby makes a call that nearby serves.
func askNearby(ctx context.Context, address listenAddress, path string, body, into any) error {
	answer, status, err := callNearby(ctx, http.MethodPost, "http://"+string(address)+path, body)
	switch told := errorIn(answer); {
	case err != nil:
		return &noAnswerError{address, err}
	case told != "":
		return errors.New(told)
	case status != "200 OK":
		return fmt.Errorf("the server at %s does not know %s: %s", address, path, status)
	}
	return json.Unmarshal(answer, into)
}
