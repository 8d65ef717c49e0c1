package memory

import (
	"testing"

	"go.uber.org/goleak"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/journaltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestJournal(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(t *testing.T, clock *journaltest.Clock) journaltest.Harness {
		t.Helper()
		j := Open(clock.Now)
		return journaltest.Harness{
			Journal: j,
			Purge: func(t *testing.T, id string) {
				t.Helper()
				j.mu.Lock()
				defer j.mu.Unlock()
				j.byID[id].secrets = purchase.Secrets{Purged: true}
			},
		}
	})
}
