package groups

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func works(group []*Operation[int]) (list []int) {
	for _, o := range group {
		list = append(list, o.Work)
	}
	return list
}

// TestQueue: operations are taken in their order, and each once. Who leaves before that is not served, and learns it.
func TestQueue(t *testing.T) {
	t.Parallel()
	q := NewQueue[int](make(chan struct{}, 1))
	gone, leave := context.WithCancel(t.Context())
	leave()
	var all []*Operation[int]
	for i := range 6 {
		all = append(all, New(i))
		if err := q.Add(all[i], 6); err != nil {
			t.Fatal(err)
		}
	}
	if ran, err := all[1].Wait(gone); ran || !errors.Is(err, context.Canceled) {
		t.Errorf("left before it was taken: ran = %t, err = %v", ran, err)
	}
	first := q.Take(3)
	if got := works(first); len(got) != 2 || got[0] != 0 || got[1] != 2 {
		t.Errorf("the first group is %v", got)
	}
	if ran, err := all[0].Wait(gone); !ran || !errors.Is(err, context.Canceled) {
		t.Errorf("left after it was taken: ran = %t, err = %v", ran, err)
	}
	bad := errors.New("bad")
	first[1].Finish(bad)
	if ran, err := all[2].Wait(t.Context()); !ran || !errors.Is(err, bad) {
		t.Errorf("ran = %t, err = %v", ran, err)
	}
	if got := works(q.Take(9)); len(got) != 3 || len(q.Take(9)) != 0 {
		t.Errorf("the second group is %v", got)
	}
}

// TestLimit: a full queue refuses operations, unless a caller has left or there is no limit.
func TestLimit(t *testing.T) {
	t.Parallel()
	q := NewQueue[int](make(chan struct{}, 1))
	first := New(1)
	for _, o := range []*Operation[int]{first, New(2)} {
		if err := q.Add(o, 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Add(New(3), 2); !errors.Is(err, ErrFull) {
		t.Errorf("beyond the limit: err = %v", err)
	}
	if err := q.Add(New(4), 0); err != nil {
		t.Errorf("without a limit: err = %v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	_, _ = first.Wait(gone)
	err := q.Add(New(5), 3)
	if n, _ := q.Len(); err != nil || n != 3 {
		t.Errorf("after one left: %d wait, err = %v", n, err)
	}
}

// TestForgetsWhoLeft: while the committer hangs, callers come and go. The queue keeps only the operations of callers who
// still wait.
func TestForgetsWhoLeft(t *testing.T) {
	t.Parallel()
	q := NewQueue[int](make(chan struct{}, 1))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var waiting []*Operation[int]
	for i := range 10_000 {
		o := New(i)
		if err := q.Add(o, 0); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 0 {
			waiting = append(waiting, o)
		} else if ran, err := o.Wait(gone); ran || err == nil {
			t.Fatalf("ran = %t, err = %v", ran, err)
		}
	}
	if n, _ := q.Len(); n > 100 {
		t.Errorf("%d operations are in the queue", n)
	}
	if left := q.Take(10_000); !slices.Equal(left, waiting) {
		t.Errorf("%d callers still wait, but %d operations are left", len(waiting), len(left))
	}
}

// TestCommitters: all committers are woken, serve what waits when the queue is closed, and end.
func TestCommitters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue[int](make(chan struct{}, 1))
		for range 3 {
			go func() {
				for q.Await() {
					for _, o := range q.Take(1) {
						o.Finish(nil)
					}
				}
			}()
		}
		synctest.Wait()
		var all []*Operation[int]
		for i := range 9 {
			all = append(all, New(i))
			if err := q.Add(all[i], 0); err != nil {
				t.Fatal(err)
			}
		}
		q.Close()
		if err := q.Add(New(10), 0); !errors.Is(err, ErrClosed) {
			t.Errorf("after it was closed: err = %v", err)
		}
		for _, o := range all {
			if ran, err := o.Wait(t.Context()); !ran || err != nil {
				t.Errorf("%d: ran = %t, err = %v", o.Work, ran, err)
			}
		}
	})
}
