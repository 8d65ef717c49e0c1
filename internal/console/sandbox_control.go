package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// sandboxControl calls the control API of the sandbox that runs in this process.
type sandboxControl struct{ handler http.Handler }

// sandboxLedger is what truly happened in the sandbox. Its documentation is that of GET /_sandbox/ledger.
type sandboxLedger struct {
	CreditLeft json.Number   `json:"creditLeft"`
	Sales      []sandboxSale `json:"sales"`
}

// sandboxSale is one package that the sandbox sold.
type sandboxSale struct {
	ItemUID       string    `json:"itemUid"`
	CustomerUID   string    `json:"customerUid"`
	ICCID         string    `json:"iccid"`
	Metatag       string    `json:"metatag"`
	StoredMetatag string    `json:"storedMetatag"`
	Time          time.Time `json:"time"`
	Refunded      bool      `json:"refunded"`
}

// At is the time of the sale, as short as a table needs it.
func (s sandboxSale) At() string { return s.Time.UTC().Format("01-02 15:04:05") }

// sandboxFault is a fault that waits for its calls.
type sandboxFault struct {
	Path   string         `json:"path"`
	Fault  string         `json:"fault"`
	Count  int            `json:"count"`
	Params map[string]any `json:"params,omitempty"`
}

// CallsLeft is how many calls the fault still spoils.
func (f sandboxFault) CallsLeft() string {
	if f.Count > untilRepaired/2 {
		return "all"
	}
	return strconv.Itoa(f.Count)
}

// sandboxFaults are the faults that wait, and those that exist.
type sandboxFaults struct {
	Armed []sandboxFault `json:"armed"`
	Known []struct {
		Fault   string `json:"fault"`
		Commits string `json:"commits"`
		Seen    string `json:"seen"`
	} `json:"known"`
}

// call makes one call. The error is the sandbox's own sentence.
func (s sandboxControl) call(ctx context.Context, method, name string, body, into any) error {
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "/_sandbox/"+name, bytes.NewReader(sent))
	if err != nil {
		return err
	}
	answer := &recordedAnswer{header: http.Header{}}
	s.handler.ServeHTTP(answer, r)
	if answer.status != http.StatusOK {
		var told struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(answer.body.Bytes(), &told) != nil || told.Error == "" {
			return fmt.Errorf("the sandbox answered with status %d", answer.status)
		}
		return errors.New(told.Error)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer.body.Bytes(), into)
}

// recordedAnswer keeps an answer of the control API.
type recordedAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *recordedAnswer) Header() http.Header         { return a.header }
func (a *recordedAnswer) WriteHeader(status int)      { a.status = status }
func (a *recordedAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }
