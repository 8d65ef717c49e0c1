package simulation

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase/simulation/network"
)

// fault goes wrong at the nth visit of a step, counted from 1.
type fault struct {
	step string
	nth  int
	do   string
	// d is how long a fault lasts: a delay, an outage, a stop, or the time until a killed process
	// starts again.
	d time.Duration
	// params are those of a vendor fault, see the sandbox's table. count is for how many calls it plays; 0 means 1.
	params map[string]any
	count  int
}

// what names the fault without the visit at which it plays.
func (f fault) what() string {
	f.nth = 0
	return f.String()
}

// String describes the fault for a reader.
func (f fault) String() string {
	text := f.step
	if f.nth > 0 {
		text += fmt.Sprintf("#%d", f.nth)
	}
	text += ": " + f.do
	if f.d > 0 {
		text += " " + f.d.String()
	}
	if f.count > 0 {
		text += fmt.Sprintf(" %d times", f.count)
	}
	if len(f.params) > 0 {
		text += fmt.Sprintf(" %v", f.params)
	}
	return text
}

// isLate reports whether a request may take effect long after its client has given up.
func (f fault) isLate() bool { return f.do == doDeliverLater || f.do == doVendor+"commit_late" }

// The faults of journals and processes.
const (
	doRefuse     = "refuse"
	doFull       = "full"
	doLoseBefore = "lose the answer before the commit"
	doLoseAfter  = "lose the answer after the commit"
	doCommitLate = "lose the answer and commit after"
	doAnswerLate = "answer late, by"
	doHang       = "hang"
	doSlow       = "slow by"
	doOutage     = "journal unreachable for"
	doReadOnly   = "journal read-only for"
	doKillBefore = "kill before it, for"
	doKillAfter  = "kill after it, for"
	doStopBefore = "stop before it, for"
	doStopAfter  = "stop after it, for"
)

// The faults of connections.
const (
	doDialRefused    = "dial refused"
	doDialNoAnswer   = "dial without an answer"
	doTLSForeign     = "certificate of an unknown authority"
	doTLSPlain       = "plain text instead of a TLS handshake"
	doTLSEnds        = "end inside the TLS handshake"
	doTLSNoAnswer    = "TLS handshake without an answer"
	doReset0         = "reset after 0 bytes"
	doReset0Taken    = "reset after 0 bytes, which the kernel took"
	doResetHead      = "reset inside the head"
	doResetBody      = "reset inside the body"
	doResetBodyTaken = "reset inside the body, all of which the kernel took"
	doResetWhole     = "reset after the whole request"
	doAnswerResets   = "reset instead of the answer"
	doAnswerEnds     = "end instead of the answer"
	doLost           = "lose all bytes silently"
	doAnswerLost     = "lose the answer silently"
	doDeliverLater   = "a proxy delivers it after"
	doKillInside     = "kill inside the request, for"
	doVendor         = "vendor " // followed by a name from the sandbox's table
	insideOfHead     = 40
	insideOfBody     = 10
)

// journalSteps are the calls of the journal. The record steps are in the order of a purchase's life.
var journalSteps = []string{
	"lookup", "claim", "record ANSWERED_APPLIED", "record ANSWERED_REFUSED", "record ANSWERED_NO_EFFECT",
	"record ANSWERED_UNKNOWN", "record PERMITTED", "record WINDOW_OVER", "record FOUND", "record PRESUMED_ABSENT",
	"record BEYOND_EVIDENCE", "record ABANDONED", "record LOST", "record TAKEN_OVER", "lapsed", "history", "confirm", "get", "secrets", "watched", "witnesses", "list",
}

// The steps on the network: a dial, the first byte of a paid request, the first byte of an answer, a request for a token,
// and any other read from the vendor.
const (
	stepDial   = "dial"
	stepSend   = "send"
	stepAnswer = "answer"
	stepToken  = "token"
	stepRead   = "read"
)

// processFaults can happen at every step.
func processFaults(step string) []fault {
	var list []fault
	for _, do := range []string{doKillBefore, doKillAfter} {
		for _, d := range []time.Duration{time.Second, 200 * time.Second} {
			list = append(list, fault{step: step, do: do, d: d})
		}
	}
	for _, do := range []string{doStopBefore, doStopAfter} {
		for _, d := range []time.Duration{15 * time.Second, 5 * time.Minute} {
			list = append(list, fault{step: step, do: do, d: d})
		}
	}
	return list
}

// faultsAt lists every fault known at a step.
func faultsAt(step string) []fault {
	list := processFaults(step)
	add := func(d time.Duration, dos ...string) {
		for _, do := range dos {
			list = append(list, fault{step: step, do: do, d: d})
		}
	}
	connection := func() {
		add(0, doReset0, doReset0Taken, doResetHead, doResetBody, doResetBodyTaken, doResetWhole, doAnswerResets, doAnswerEnds, doLost, doAnswerLost)
	}
	switch step {
	case stepDial:
		add(0, doDialRefused, doDialNoAnswer)
	case stepAnswer:
	case stepSend:
		connection()
		add(time.Second, doKillInside)
		add(5*time.Second, doDeliverLater)
		add(100*time.Second, doDeliverLater)
		list = append(list, vendorSendFaults...)
	case stepToken:
		connection()
		list = append(list, vendorTokenFaults...)
	case stepRead:
		connection()
		list = append(list, vendorReadFaults...)
	default:
		add(0, doLoseBefore, doLoseAfter, doHang)
		add(3*time.Second, doSlow)
		add(20*time.Second, doSlow, doOutage)
		add(8*time.Minute, doOutage)
		if step == "claim" || strings.HasPrefix(step, "record ") {
			add(0, doRefuse)
			add(20*time.Second, doReadOnly)
			add(8*time.Minute, doReadOnly)
			add(3*time.Second, doCommitLate)
			add(40*time.Second, doCommitLate)
		}
		if step == "claim" {
			add(0, doFull)
		}
	}
	return slices.DeleteFunc(list, func(f fault) bool {
		stops := f.do == doStopBefore || f.do == doStopAfter
		switch step {
		case stepDial, stepAnswer: // what follows these is a separate step
			return f.do == doKillAfter || f.do == doStopAfter
		case stepSend:
			// A process can always be stopped between its look at the clock and its write. Every lease has
			// this residual risk. The gap is some nanoseconds wide.
			return stops
		}
		return false
	})
}

func vendor(step, name string, params map[string]any) fault {
	return fault{step: step, do: doVendor + name, params: params}
}

type m = map[string]any

func (r *replica) onDial() network.DialFault {
	r.stand()
	f, planned := r.world.visit(r.name, stepDial)
	if !planned {
		return network.DialFault(r.world.dials.Load())
	}
	switch f.do {
	case doDialRefused:
		return network.Refused
	case doDialNoAnswer:
		return network.NoAnswer
	case doTLSForeign, doTLSPlain, doTLSEnds, doTLSNoAnswer:
		r.mu.Lock()
		r.handshake = f.do
		r.mu.Unlock()
	}
	r.process(f)
	return network.Connects
}

// process plays a process fault at a step on the network.
func (r *replica) process(f fault) {
	switch f.do {
	case doKillBefore:
		r.kill(f.d)
	case doStopBefore:
		r.stop(f.d)
		r.stand()
	}
}

// pathOf and keySent parse the head of a request as net/http writes it.
func pathOf(head []byte) string {
	_, target, _ := bytes.Cut(head, []byte(" "))
	path, _, _ := bytes.Cut(target, []byte(" "))
	path, _, _ = bytes.Cut(path, []byte("?"))
	return string(path)
}

func keySent(head []byte) string {
	_, after, _ := bytes.Cut(head, []byte("\r\nIdempotency-Key: "))
	key, _, _ := bytes.Cut(after, []byte("\r\n"))
	return string(key)
}

func (r *replica) onRequest(head []byte, reused bool) network.RequestFault {
	path := pathOf(head)
	step := stepRead
	switch {
	case path == "/reseller/authenticate":
		step = stepToken
	case isPaid(path):
		step = stepSend
	}
	f, planned := r.world.visit(r.name, step)
	fault := network.Intact()
	if planned {
		fault = r.spoilRequest(f, path, head)
	}
	if step == stepSend && !r.isDead() {
		r.world.sent(r.name, head, reused, fault)
	}
	return fault
}

func isPaid(path string) bool {
	tail, ok := strings.CutPrefix(path, "/gigastore/activations/")
	return ok && slices.Contains([]string{"register", "top-up", "top-up-with-profile"}, tail)
}

// sent counts a paid request of which a byte left, or may have left.
func (w *world) sent(who string, head []byte, reused bool, fault network.RequestFault) {
	if fault.Deliver == 0 && !fault.Taken {
		return
	}
	key := keySent(head)
	w.note(who, "paid request on the wire")
	w.mu.Lock()
	defer w.mu.Unlock()
	if reused {
		w.reused++
	}
	w.sends[key] = append(w.sends[key], time.Now())
}

func (r *replica) spoilRequest(f fault, path string, head []byte) network.RequestFault {
	inside := len(head) + insideOfBody
	name, isVendor := strings.CutPrefix(f.do, doVendor)
	if isVendor {
		if r.world.box.Inject(sandbox.Fault{Path: path, Fault: name, Count: f.count, Params: f.params}) != nil {
			r.world.unvisit(f)
		}
		return network.Intact()
	}
	switch f.do {
	case doReset0:
		return network.RequestFault{After: network.Resets}
	case doReset0Taken:
		return network.RequestFault{Taken: true, After: network.Resets}
	case doResetHead:
		return network.RequestFault{Deliver: insideOfHead, After: network.Resets}
	case doResetBody:
		return network.RequestFault{Deliver: inside, After: network.Resets}
	case doResetBodyTaken:
		return network.RequestFault{Deliver: inside, Taken: true, After: network.Resets}
	case doResetWhole:
		return network.RequestFault{Deliver: -1, Taken: true, After: network.Resets}
	case doAnswerResets:
		return network.RequestFault{Deliver: -1, Taken: true, After: network.AnswerResets}
	case doAnswerEnds:
		return network.RequestFault{Deliver: -1, Taken: true, After: network.AnswerEnds}
	case doLost:
		return network.RequestFault{Taken: true}
	case doAnswerLost:
		return network.RequestFault{Deliver: -1, Taken: true}
	case doDeliverLater:
		return network.RequestFault{Taken: true, Later: f.d}
	case doKillInside:
		return network.RequestFault{Deliver: inside, Taken: true, After: network.GoesOn, Then: func() { r.kill(f.d) }}
	case doKillAfter:
		return network.RequestFault{Deliver: -1, Taken: true, After: network.GoesOn, Then: func() { r.kill(f.d) }}
	case doStopAfter:
		return network.RequestFault{Deliver: -1, Taken: true, After: network.GoesOn, Then: func() { r.stop(f.d) }}
	}
	r.process(f)
	return network.Intact()
}

func (r *replica) onAnswer() {
	r.stand()
	if f, planned := r.world.visit(r.name, stepAnswer); planned {
		r.process(f)
	}
}
