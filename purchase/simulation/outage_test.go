package simulation

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
	"gigagate.internal/purchase/simulation/network"
)

// outages are the ways in which the whole vendor can be dead.
var outages = map[string]func(w *world){
	"refused dials":  func(w *world) { w.dials.Store(uint32(network.Refused)) },
	"silent dials":   func(w *world) { w.dials.Store(uint32(network.NoAnswer)) },
	"no answer":      func(w *world) { w.interceptWith(hang) },
	"status 503":     func(w *world) { w.interceptWith(unavailable) },
	"sold, then 503": func(w *world) { w.interceptWith(w.sellThenUnavailable) },
}

// hang answers nothing until the client gives up.
func hang(_ http.ResponseWriter, r *http.Request) bool {
	_, _ = io.Copy(io.Discard, r.Body) // only then does net/http notice that the client is gone
	<-r.Context().Done()
	return true
}

func unavailable(rw http.ResponseWriter, _ *http.Request) bool {
	rw.WriteHeader(http.StatusServiceUnavailable)
	return true
}

func (w *world) sellThenUnavailable(rw http.ResponseWriter, r *http.Request) bool {
	w.box.ServeHTTP(httptest.NewRecorder(), r)
	return unavailable(rw, r)
}

func (w *world) endOutage() {
	w.note("", "the outage ends")
	w.dials.Store(uint32(network.Connects))
	w.interceptWith(func(http.ResponseWriter, *http.Request) bool { return false })
}

// TestVendorIsDead: the vendor is dead for minutes, while callers come twice a second. As soon as that is known, callers are
// answered at once, and known request ids get their answers. Ten seconds after the outage everything is sold as usual. Nothing
// is sold twice or lost.
func TestVendorIsDead(t *testing.T) {
	t.Parallel()
	const (
		known   = vendorTimeout + 10*time.Second // after that the first calls of the outage have ended
		lasts   = 5 * time.Minute
		normal  = 10 * time.Second // after the outage
		goingOn = time.Minute
	)
	for kind, begin := range outages {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			stage(t, plan{}, func(t *testing.T, w *world) {
				r := w.replica(0)
				wants(t, w.buy(r, register("before", "")), told)
				began, limit := time.Now(), usd(t, "100")
				begin(w)
				var callers sync.WaitGroup
				for n := 0; time.Since(began) < lasts+goingOn; n++ {
					at := time.Since(began)
					if n == int(2*lasts/time.Second) {
						w.endOutage()
					}
					callers.Go(func() {
						c := register(fmt.Sprintf("order-%d", n), "")
						if n%2 == 1 { // the price has to be read first
							c.order.MaxPurchasePrice = limit
						}
						a := w.buy(r, c)
						took := a.ended.Sub(a.began)
						switch {
						case at > known && at < lasts && (!errors.Is(a.err, purchase.ErrVendorDown) || took > 10*time.Millisecond):
							t.Errorf("in the outage, after %s: %s, which took %s", at, a, took)
						case at >= lasts+normal && (a.outcome != told || took > 5*time.Second):
							t.Errorf("%s after the outage: %s, which took %s", at-lasts, a, took)
						}
						if at > known && at < lasts {
							wants(t, w.buy(r, register("before", "")), told)
						}
					})
					pause(500 * time.Millisecond)
				}
				callers.Wait()
				w.heal()
				w.settle()
				if wrong := w.check(); len(wrong) > 0 {
					t.Error(strings.Join(wrong, "\n"))
				}
				if warnings := strings.Count(w.logs.String(), `msg="vendor problem" problem=outage`); warnings != 1 {
					t.Errorf("%d warnings: %s", warnings, w.logs.String())
				}
				if !strings.Contains(w.logs.String(), `msg="vendor problem over" problem=outage`) {
					t.Error("the log does not say that the outage is over")
				}
			})
		})
	}
}

// TestCallsThatHung: calls that hung in a short outage end long after it. Their failures are no new outage.
func TestCallsThatHung(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		r := w.replica(0)
		w.interceptWith(hang)
		for n := range 20 {
			w.running.Go(func() { w.buy(r, register(fmt.Sprintf("hung-%d", n), "")) })
		}
		pause(vendorTimeout - 5*time.Second)
		w.endOutage()
		for n := range 30 {
			wants(t, w.buy(r, register(fmt.Sprintf("order-%d", n), "")), told)
			pause(500 * time.Millisecond)
		}
		if strings.Contains(w.logs.String(), "problem=outage") {
			t.Errorf("an outage: %s", w.logs.String())
		}
		w.settle()
		if wrong := w.check(); len(wrong) > 0 {
			t.Error(strings.Join(wrong, "\n"))
		}
	})
}

// TestSalesAreDead: the vendor answers reads, but no purchase. Then one purchase after another tries, and not all at once.
func TestSalesAreDead(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		var paid int
		var mu sync.Mutex
		w.interceptWith(func(rw http.ResponseWriter, r *http.Request) bool {
			if !isPaid(r.URL.Path) {
				return false
			}
			mu.Lock()
			paid++
			mu.Unlock()
			pause(5 * time.Second)
			return unavailable(rw, r)
		})
		var callers sync.WaitGroup
		for n := range 600 {
			callers.Go(func() {
				c := register(fmt.Sprintf("order-%d", n), "")
				c.deadline = 5 * time.Second
				w.buy(w.replica(0), c)
			})
			pause(100 * time.Millisecond)
		}
		mu.Lock()
		if paid > 60+30 { // until the first ones have failed, and then one after every other second
			t.Errorf("%d of 600 purchases tried within a minute", paid)
		}
		mu.Unlock()
		w.endOutage()
		pause(10 * time.Second)
		wants(t, w.buy(w.replica(0), register("after", "")), told)
		callers.Wait()
		w.settle()
		if wrong := w.check(); len(wrong) > 0 {
			t.Error(strings.Join(wrong, "\n"))
		}
	})
}

// TestSalesHang: the vendor answers reads, and purchases hang until their time is over. Nobody comes between two groups of
// callers, so reads seem to show that the outage is over. They are believed once. Then one purchase at a time tries. When the
// vendor sells again, a purchase that still hangs keeps nobody waiting.
func TestSalesHang(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		r := w.replica(0)
		var paid atomic.Int64
		w.interceptWith(func(rw http.ResponseWriter, r *http.Request) bool {
			if !isPaid(r.URL.Path) {
				return false
			}
			paid.Add(1)
			return hang(rw, r)
		})
		burst := func(n int) {
			for i := range 10 {
				w.running.Go(func() { w.buy(r, register(fmt.Sprintf("order-%d-%d", n, i), "")) })
			}
			pause(9 * time.Second)
		}
		for n := range 15 { // reads have ended the outage once, and it has begun again
			burst(n)
		}
		before := paid.Load()
		for n := range 20 {
			burst(15 + n)
		}
		if tried := paid.Load() - before; tried == 0 || tried > 20 {
			t.Errorf("%d purchases tried in 20 groups of 10", tried)
		}
		w.running.Go(func() { w.buy(r, register("hangs", "")) })
		pause(time.Second)
		w.endOutage()
		pause(9 * time.Second)
		wants(t, w.buy(r, register("after", "")), told)
		wants(t, w.buy(r, register("after-it", "")), told)
		w.settle()
		if wrong := w.check(); len(wrong) > 0 {
			t.Error(strings.Join(wrong, "\n"))
		}
	})
}

// TestProbesThatHung: a read that was sent before an outage is answered in the middle of it. It shows nothing: no purchase tries.
func TestProbesThatHung(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		const late = 20 * time.Second
		r := w.replica(0)
		w.interceptWith(func(http.ResponseWriter, *http.Request) bool {
			pause(late)
			return false
		})
		onDemand := register("on-demand", "") // first it reads the inventory, which need not be new, so it takes the usual time
		onDemand.order.ActivationMode = gigastore.ModeOnDemand
		w.running.Go(func() { w.buy(r, onDemand) })
		pause(time.Second)
		w.interceptWith(func(rw http.ResponseWriter, r *http.Request) bool {
			if isPaid(r.URL.Path) {
				return unavailable(rw, r)
			}
			return hang(rw, r)
		})
		for n := range 5 {
			c := register(fmt.Sprintf("unlucky-%d", n), "")
			c.deadline = time.Second
			w.buy(r, c)
		}
		pause(late)
		if a := w.buy(r, register("during", "")); !errors.Is(a.err, purchase.ErrVendorDown) {
			t.Errorf("after the late answer: %s", a)
		}
	})
}

// TestRepeatedCallsDuringAnOutage: calls whose request ids have purchases already send nothing. Many of them do not keep new
// purchases from being tried once the vendor answers again.
func TestRepeatedCallsDuringAnOutage(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		wants(t, w.buy(w.replica(0), register("sold", "")), told)
		outages["status 503"](w)
		for n := range 10 {
			w.buy(w.replica(0), register(fmt.Sprintf("refused-%d", n), ""))
		}
		w.endOutage()
		for range 100 {
			pause(100 * time.Millisecond)
			wants(t, w.buy(w.replica(0), register("sold", "")), told)
		}
		wants(t, w.buy(w.replica(0), register("after", "")), told)
	})
}

// TestRefusalsAreNoOutage: a vendor that refuses every purchase is not dead.
func TestRefusalsAreNoOutage(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		w.inject(t, registerPath, "refuse", 20, m{"status": 400, "message": "no"})
		for n := range 20 {
			wants(t, w.buy(w.replica(0), register(fmt.Sprintf("order-%d", n), "")), toldFailed)
		}
		wants(t, w.buy(w.replica(0), register("after", "")), told)
	})
}

// TestPurchaseSurvivesAShortOutage: a purchase that has a permit goes on when the vendor answers again, also while nothing new
// is started. What is known of it does not change meanwhile.
func TestPurchaseSurvivesAShortOutage(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		w.dials.Store(uint32(network.Refused))
		answers := make(chan answer, 1)
		w.running.Go(func() { answers <- w.buy(w.replica(0), register("order-0", "")) })
		pause(10 * time.Second)
		a := w.buy(w.replica(0), register("order-1", ""))
		attempts := w.of(t, "order-0").Attempt
		if p := w.of(t, "order-0"); !errors.Is(a.err, purchase.ErrVendorDown) || p.State != purchase.Accepted {
			t.Errorf("a new purchase got %s, the one under way is %s", a, p.State)
		}
		pause(10 * time.Second)
		if p := w.of(t, "order-0"); p.Attempt != attempts {
			t.Errorf("%d permits while the vendor was known to be dead", p.Attempt-attempts)
		}
		w.endOutage()
		wants(t, <-answers, told)
		wants(t, w.buy(w.replica(0), register("order-1", "")), told)
	})
}
