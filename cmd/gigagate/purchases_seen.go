package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

const (
	// watchedPage and watchedPages bound what one look reads: of the newest purchases, and of each open state.
	watchedPage, watchedPages = 500, 4
	// watchedReads is how many purchases one look reads by themselves.
	watchedReads = 100
	// watchedAge is how much older than the newest id an id can be that was not there at the last look. Replicas have
	// different clocks, and a purchase has its id before it is in the journal.
	watchedAge = 10 * time.Second
)

// openStates are the states that are not final.
var openStates = []gigagatev1.PurchaseState{
	gigagatev1.PurchaseState_PURCHASE_STATE_SENDING, gigagatev1.PurchaseState_PURCHASE_STATE_ACCEPTED,
	gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN, gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR,
}

// seenPurchases finds new and changed purchases. It remembers the open ones and the newest settled ones, so its memory does
// not grow with the journal.
type seenPurchases struct {
	client  gigagatev1.PurchaseServiceClient
	timeout time.Duration // of one call
	say     func(string)

	seen    map[string]*gigagatev1.Purchase // nil before the first look
	since   time.Time                       // a purchase whose id is older is only looked at while it is open
	tooMany bool                            // the last look could not read all
}

// look returns the purchases that are new or have changed since the last look, the oldest first. The first look returns the
// open ones.
func (s *seenPurchases) look(ctx context.Context) (changed []*gigagatev1.Purchase, err error) {
	first := s.seen == nil
	if first {
		if s.since, err = s.newest(ctx); err != nil {
			return nil, err
		}
	}
	now, complete := map[string]*gigagatev1.Purchase{}, true
	list := func(req *gigagatev1.ListPurchasesRequest) error {
		found, all, err := s.list(ctx, req)
		for _, p := range found {
			if known := now[p.GetId()]; known == nil || known.GetUpdateTime().AsTime().Before(p.GetUpdateTime().AsTime()) {
				now[p.GetId()] = p
			}
		}
		complete = complete && all
		return err
	}
	recent := &gigagatev1.ListPurchasesRequest{}
	if !s.since.IsZero() {
		recent.FromTime = timestamppb.New(s.since)
	}
	if err := list(recent); err != nil {
		return nil, err
	}
	for _, state := range openStates {
		if err := list(&gigagatev1.ListPurchasesRequest{State: state}); err != nil {
			return nil, err
		}
	}
	all, err := s.missing(ctx, now)
	if err != nil {
		return nil, err
	}
	complete = complete && all
	if s.tooMany && complete {
		s.say("all purchases are shown again")
	} else if !complete && !s.tooMany {
		s.say(fmt.Sprintf("more than %d purchases are new or open: only the newest are shown", watchedPage*watchedPages))
	}
	s.tooMany = !complete

	for id, p := range now {
		if isOld := first && settled(p); !isOld && !proto.Equal(s.seen[id], p) {
			changed = append(changed, p)
		}
		s.since = latest(s.since, madeAt(id).Add(-watchedAge))
	}
	maps.DeleteFunc(now, func(id string, p *gigagatev1.Purchase) bool { return settled(p) && madeAt(id).Before(s.since) })
	s.seen = now
	slices.SortFunc(changed, func(a, b *gigagatev1.Purchase) int {
		return cmp.Or(a.GetUpdateTime().AsTime().Compare(b.GetUpdateTime().AsTime()), cmp.Compare(a.GetId(), b.GetId()))
	})
	return changed, nil
}

// newest returns the time since which purchases count as new. It is zero if there is no purchase yet.
func (s *seenPurchases) newest(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	page, err := s.client.ListPurchases(ctx, &gigagatev1.ListPurchasesRequest{PageSize: 1})
	if err != nil || len(page.GetPurchases()) == 0 {
		return time.Time{}, err
	}
	return madeAt(page.GetPurchases()[0].GetId()).Add(-watchedAge), nil
}

// list reads the pages of a list, up to the bound. all is false if there are more.
func (s *seenPurchases) list(
	ctx context.Context, req *gigagatev1.ListPurchasesRequest,
) (found []*gigagatev1.Purchase, all bool, err error) {
	req.PageSize = watchedPage
	for range watchedPages {
		page, err := s.page(ctx, req)
		if err != nil {
			return nil, false, err
		}
		found = append(found, page.GetPurchases()...)
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			return found, true, nil
		}
	}
	return found, false, nil
}

func (s *seenPurchases) page(
	ctx context.Context, req *gigagatev1.ListPurchasesRequest,
) (*gigagatev1.ListPurchasesResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.client.ListPurchases(ctx, req)
}

// missing adds the purchases to now that were open at the last look and that no list has now. Most of them are settled. It
// reads a bounded number of them, and leaves the others as they were for the next look. all is false if it had to forget some.
func (s *seenPurchases) missing(ctx context.Context, now map[string]*gigagatev1.Purchase) (all bool, err error) {
	var ids []string
	for id, p := range s.seen {
		if now[id] == nil && !settled(p) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids) // the oldest first
	if forgotten := len(ids) - watchedPage*watchedPages; forgotten > 0 {
		ids, all = ids[forgotten:], false
	} else {
		all = true
	}
	for i, id := range ids {
		if now[id] = s.seen[id]; i >= watchedReads {
			continue
		}
		if now[id], err = s.get(ctx, id); err != nil {
			return false, err
		}
	}
	return all, nil
}

func (s *seenPurchases) get(ctx context.Context, id string) (*gigagatev1.Purchase, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	answer, err := s.client.GetPurchase(ctx, &gigagatev1.GetPurchaseRequest{Id: id})
	return answer.GetPurchase(), err
}

func settled(p *gigagatev1.Purchase) bool { return p.GetSettleTime() != nil }

// madeAt is the time in the id of a purchase, or the zero time if it is no ULID.
func madeAt(id string) time.Time {
	parsed, err := ulid.ParseStrict(id)
	if err != nil {
		return time.Time{}
	}
	return parsed.Timestamp()
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
