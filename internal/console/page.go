package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
)

const (
	// usualPace is how often an open page looks for something new.
	usualPace = 5 * time.Second
	// sendTime is how long a browser may take to read one event.
	sendTime = 10 * time.Second
)

// page is what a page shows.
type page struct {
	// Title is the page's heading.
	Title string
	// Data is for the page's own template.
	Data any
	// Live: the elements of the page that have the attribute data-live replace themselves when something is new.
	Live bool
	// Pace is how often an open page looks for something new. 0 means usualPace.
	Pace time.Duration
	// Redirect is another page to go to. It is empty if this is the one.
	Redirect string
	// Status is the HTTP status. 0 means 200.
	Status int
}

// layout is what the template "layout" needs.
type layout struct {
	page
	Path     string // of the page, for the navigation
	Operator string // the name of the operator who looks. Empty: everybody is allowed
	SignedIn bool   // there is a session to end
	Sandbox  bool
	Version  string
	Main     template.HTML
}

// link is an entry of the navigation.
type link struct{ Path, Name string }

// navigation are the pages that every page links to.
func (c *Console) navigation() []link {
	links := []link{{Root, "Now"}, {Root + "purchases", "Purchases"}, {Root + "needs", "Needs you"}, {moneyPath, "Budgets and freeze"}}
	if c.config.Sandbox != nil {
		links = append(links, link{sandboxPath, "Sandbox"})
	}
	return links
}

// isAt reports whether a page is a part of what an entry of the navigation links to.
func isAt(entry, page string) bool {
	return page == entry || entry != Root && strings.HasPrefix(page, entry+"/")
}

// makePage makes a page for a request. Its context has the operator.
type makePage func(r *http.Request) (page, error)

// page adds a page. Its path starts at Root. The template with this name has its main part.
func (c *Console) page(path, name string, of makePage) {
	c.mux.HandleFunc("GET "+Root+path, func(w http.ResponseWriter, r *http.Request) {
		r, ok := c.identified(w, r)
		if !ok {
			return
		}
		if isStream(r) {
			c.stream(w, r, name, of)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), callTime)
		defer cancel()
		made, err := of(r.WithContext(ctx))
		switch {
		case err != nil:
			c.showProblem(w, r, err)
		case made.Redirect != "":
			http.Redirect(w, r, made.Redirect, http.StatusSeeOther)
		default:
			c.show(w, r, name, made)
		}
	})
}

// action adds what a form does. A page of another origin cannot send it. After success, do returns the address of the next
// page. It returns "" if it has sent an answer itself, for example one with secrets that is shown once.
func (c *Console) action(path string, do func(w http.ResponseWriter, r *http.Request) (next string, err error)) {
	c.mux.HandleFunc("POST "+Root+path, func(w http.ResponseWriter, r *http.Request) {
		r, ok := c.identified(w, r)
		if !ok {
			return
		}
		if err := r.ParseForm(); err != nil {
			c.showProblem(w, r, &problem{http.StatusBadRequest, "The form could not be read", "Go back and send it again."})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), callTime)
		defer cancel()
		next, err := do(w, r.WithContext(ctx))
		switch {
		case err != nil:
			c.showProblem(w, r, err)
		case next != "":
			http.Redirect(w, r, next, http.StatusSeeOther)
		}
	})
}

// show sends a whole page.
func (c *Console) show(w http.ResponseWriter, r *http.Request, name string, made page) {
	main, err := c.render(name, made.Data)
	if err == nil {
		l := layout{page: made, Path: r.URL.Path, Sandbox: c.config.Sandbox != nil, Version: c.config.Version, Main: main}
		if p := access.Of(r.Context()); p != nil && p != access.Open {
			l.Operator = p.Name
			_, l.SignedIn = c.sessions.of(r)
		}
		var whole template.HTML
		if whole, err = c.render("layout", l); err == nil {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			if made.Status != 0 {
				w.WriteHeader(made.Status)
			}
			_, _ = w.Write([]byte(whole)) // fails only if the browser is gone
			return
		}
	}
	c.config.Logger.ErrorContext(r.Context(), "a page of the console cannot be made", "template", name, "error", err)
	http.Error(w, "this page cannot be made: the gateway's log says why", http.StatusInternalServerError)
}

// isStream reports whether a request is for the changes of an open page.
func isStream(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.HasPrefix(r.Header.Get("Accept"), "text/event-stream")
}

// stream sends the main part of a page whenever it has changed. The operator is identified again each time, so a page stops
// when the operator's entry in the callers file is gone.
func (c *Console) stream(w http.ResponseWriter, r *http.Request, name string, of makePage) {
	answer := http.NewResponseController(w)
	_ = answer.SetReadDeadline(time.Time{}) // the request has been read
	var last [sha256.Size]byte
	for first := true; ; first = false {
		ctx, cancel := context.WithTimeout(r.Context(), callTime)
		made, err := of(r.WithContext(ctx))
		cancel()
		if err == nil && (!made.Live || made.Redirect != "") {
			w.WriteHeader(http.StatusNoContent) // it tells the browser not to ask again
			return
		}
		event := ": nothing new\n\n" // without it, nobody would notice that the browser is gone
		if err != nil {
			event, last = "event: stale\ndata:\n\n", [sha256.Size]byte{} // what the page shows may be over
		} else {
			main, err := c.render(name, made.Data)
			if err != nil {
				return
			}
			if sum := sha256.Sum256([]byte(main)); sum != last {
				last = sum
				event = "data: " + strings.ReplaceAll(string(main), "\n", "\ndata: ") + "\n\n"
			}
		}
		if first {
			w.Header().Set("Content-Type", "text/event-stream")
			event = "retry: 3000\n" + event
		}
		_ = answer.SetWriteDeadline(time.Now().Add(sendTime))
		if _, err := w.Write([]byte(event)); err != nil || answer.Flush() != nil {
			return
		}
		pace := made.Pace
		if pace == 0 {
			pace = usualPace
		}
		select {
		case <-time.After(pace):
		case <-r.Context().Done():
			return
		case <-c.ending.Done():
			return
		}
		p, ok := c.identify(r)
		if !ok {
			return
		}
		r = r.WithContext(access.With(r.Context(), p))
	}
}

// problem is an error that a page can show.
type problem struct {
	Status        int
	Title, Advice string
}

func (p *problem) Error() string { return p.Title }

// showProblem shows why something was not done.
func (c *Console) showProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	c.show(w, r, "problem", page{Title: p.Title, Data: p, Status: p.Status})
}

// problemOf says what an error of a service means.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	s := status.Convert(err)
	p := &problem{Status: http.StatusBadGateway, Title: sentence(s.Message())}
	switch s.Code() {
	case codes.NotFound:
		p.Status = http.StatusNotFound
	case codes.PermissionDenied:
		p.Status, p.Advice = http.StatusForbidden, "Your entry in the callers file does not have the right for this."
	case codes.InvalidArgument, codes.FailedPrecondition:
		p.Status = http.StatusBadRequest
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted:
		p.Status, p.Advice = http.StatusServiceUnavailable, "Try again in a moment."
	case codes.Canceled:
		p.Status = http.StatusServiceUnavailable
	default: // the sentence of the service says it all
	}
	if o := outcomeOf(err); o != nil {
		var fields []string
		for _, f := range o.GetFieldViolations() {
			fields = append(fields, f.GetField()+" "+f.GetDescription()+".")
		}
		p.Advice = strings.TrimSpace(p.Advice + " " + strings.Join(fields, " "))
		if delay := o.GetRetryDelay(); delay != nil && s.Code() == codes.FailedPrecondition {
			p.Advice = strings.TrimSpace(p.Advice + " Try again in " + duration(delay.AsDuration()) + ".")
		}
	}
	return p
}

// outcomeOf is the gateway's own detail of an error, or nil.
func outcomeOf(err error) *gigagatev1.Outcome {
	for _, detail := range status.Convert(err).Details() {
		if o, ok := detail.(*gigagatev1.Outcome); ok {
			return o
		}
	}
	return nil
}

func (c *Console) notFound(w http.ResponseWriter, r *http.Request) {
	if r, ok := c.identified(w, r); ok {
		c.showProblem(w, r, &problem{http.StatusNotFound, "There is nothing at this address", ""})
	}
}

// render makes the HTML of a template.
func (c *Console) render(name string, data any) (template.HTML, error) {
	var text bytes.Buffer
	if err := c.templates.ExecuteTemplate(&text, name, data); err != nil {
		return "", err
	}
	return template.HTML(text.String()), nil //nolint:gosec // the template has escaped everything in it
}
