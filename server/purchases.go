package server

import (
	"context"
	"errors"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

const (
	// usualPurchases and mostPurchases are the default and the largest ListPurchasesRequest.page_size of the contract.
	usualPurchases = 50
	mostPurchases  = 500
	// mostReads is how often ListPurchases reads the journal for one page.
	mostReads = 50
	// searchTime is how long ListPurchases goes on reading. A read that has begun takes as long as it takes.
	searchTime  = 50 * time.Millisecond
	defaultWait = 30 * time.Second
	// maxWait is the contract's rule for WaitPurchaseRequest.timeout.
	maxWait = 60 * time.Second
)

// purchaseService tells what happened to purchases, and lets an operator settle them.
type purchaseService struct {
	gigagatev1.UnimplementedPurchaseServiceServer
	*Server
}

// GetPurchase reads one purchase with its history.
func (s purchaseService) GetPurchase(ctx context.Context, req *gigagatev1.GetPurchaseRequest) (*gigagatev1.GetPurchaseResponse, error) {
	ctx, cancel := withMargin(ctx)
	defer cancel()
	get := s.engine.Get
	if isFromConsole(ctx) {
		get = s.engine.Look // an open page asks again and again, and must not make the gateway read the vendor's list
	}
	p, history, err := get(ctx, scopeOf(ctx), req.GetId())
	if err != nil {
		return nil, journalFailure(req.GetId(), err)
	}
	resp := &gigagatev1.GetPurchaseResponse{Purchase: s.purchaseToProto(p), Reconciliation: reconciliationToProto(s.engine.Reconciliation(p))}
	for _, entry := range history {
		resp.History = append(resp.History, entryToProto(entry))
	}
	return resp, nil
}

// ListPurchases pages through purchases, the newest first.
func (s purchaseService) ListPurchases(ctx context.Context, req *gigagatev1.ListPurchasesRequest) (*gigagatev1.ListPurchasesResponse, error) {
	ctx, cancel := withMargin(ctx)
	defer cancel()
	size := pageSize(req, usualPurchases, mostPurchases)
	after, err := pageCursor(req)
	if err != nil {
		return nil, err
	}
	if _, err := ulid.ParseStrict(after); after != "" && err != nil {
		return nil, errPageToken()
	}
	filter, err := filterFromProto(req)
	if err != nil {
		return nil, err
	}
	resp := &gigagatev1.ListPurchasesResponse{}
	// One read of the journal examines a limited number of purchases. Read on until the page is full. A search that finds
	// little stops after a while, however many purchases there are, and its token says where to go on.
	began := time.Now()
	for reads := 0; reads < mostReads && (reads == 0 || time.Since(began) < searchTime); reads++ {
		found, next, err := s.engine.List(ctx, scopeOf(ctx), filter, purchase.Page{Size: size - len(resp.GetPurchases()), After: after})
		if err != nil {
			return nil, journalFailure("", err)
		}
		for _, p := range found {
			resp.Purchases = append(resp.Purchases, s.purchaseToProto(p))
		}
		if after = next; after == "" || len(resp.GetPurchases()) == size {
			break
		}
	}
	if after != "" {
		resp.NextPageToken = pageToken(req, after)
	}
	return resp, nil
}

// WaitPurchase waits until the purchase is settled or the timeout is over. It returns the purchase as it then is.
func (s purchaseService) WaitPurchase(ctx context.Context, req *gigagatev1.WaitPurchaseRequest) (*gigagatev1.WaitPurchaseResponse, error) {
	timeout := defaultWait
	if req.GetTimeout() != nil {
		timeout = req.GetTimeout().AsDuration()
	}
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline)-purchase.AnswerMargin)
	}
	wait, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p, err := s.engine.Wait(wait, scopeOf(ctx), req.GetId())
	if err != nil {
		return nil, journalFailure(req.GetId(), err)
	}
	return &gigagatev1.WaitPurchaseResponse{Purchase: s.purchaseToProto(p)}, nil
}

// ResolvePurchase settles a purchase as the operator says.
func (s purchaseService) ResolvePurchase(ctx context.Context, req *gigagatev1.ResolvePurchaseRequest) (*gigagatev1.ResolvePurchaseResponse, error) {
	ctx, cancel := withMargin(ctx)
	defer cancel()
	if err := checkOperator(ctx, req.GetOperator()); err != nil {
		return nil, err
	}
	p, err := s.engine.Resolve(ctx, scopeOf(ctx), req.GetId(), purchase.Resolution{
		ItemUID: req.GetActivatedItemUid(), By: req.GetOperator(), Note: req.GetNote(), Force: req.GetForce(),
	})
	if err != nil {
		return nil, resolveFailure(req.GetId(), p, err)
	}
	return &gigagatev1.ResolvePurchaseResponse{Purchase: s.purchaseToProto(p)}, nil
}

// journalFailure is the failure of a read of the journal: PURCHASE_NOT_FOUND or JOURNAL_UNAVAILABLE.
func journalFailure(id string, err error) *failure {
	if errors.Is(err, purchase.ErrNotFound) {
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_PURCHASE_NOT_FOUND, cause: err}
	}
	return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE, purchaseID: id, cause: err}
}

func resolveFailure(id string, p purchase.Purchase, err error) *failure {
	f := &failure{purchaseID: id, effect: effectOfPurchase(p.State), cause: err}
	absence, notShown := errors.AsType[*purchase.AbsenceError](err)
	switch _, vendor := errors.AsType[*gigastore.Error](err); {
	case notShown:
		f.reason, f.sentence, f.retryDelay = gigagatev1.ErrorReason_ERROR_REASON_ABSENCE_NOT_SHOWN, absence.Error(), absence.Retry
	case vendor:
		f.reason = readFailure(err).reason
	case errors.Is(err, purchase.ErrNotResolvable):
		f.reason = gigagatev1.ErrorReason_ERROR_REASON_NOT_RESOLVABLE
	case errors.Is(err, purchase.ErrForeignItem), errors.Is(err, purchase.ErrItemTaken):
		f.reason = gigagatev1.ErrorReason_ERROR_REASON_FOREIGN_ACTIVATED_ITEM
	case errors.Is(err, purchase.ErrNotFound):
		return journalFailure(id, err)
	default:
		// The journal may have recorded the operator's decision although its answer was lost.
		f.reason, f.effect = gigagatev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE, gigagatev1.Effect_EFFECT_INDETERMINATE
		f.sentence = "the journal did not say whether the purchase is resolved"
	}
	if other, ok := errors.AsType[*purchase.OtherAccountError](err); ok {
		f.sentence = other.Error()
	}
	return f
}

func filterFromProto(req *gigagatev1.ListPurchasesRequest) (purchase.Filter, error) {
	from, err1 := timeFromProto("from_time", req.GetFromTime())
	to, err2 := timeFromProto("to_time", req.GetToTime())
	filter := purchase.Filter{
		RequestID: req.GetRequestId(), CustomerUID: req.GetCustomerUid(), ItemUID: req.GetActivatedItemUid(),
		InventoryItemID: req.GetInventoryItemId(), Metatag: req.GetMetatag(), TraceID: req.GetTraceId(), From: from, To: to,
		WithAnomalies: req.GetWithAnomalies(),
	}
	for kind, name := range kindsToProto {
		if name == req.GetKind() {
			filter.Kind = kind
		}
	}
	if state, ok := statesFromProto[req.GetState()]; ok {
		filter.States = []purchase.State{state}
	}
	return filter, errors.Join(err1, err2)
}

// timeFromProto is the zero time for nil. A Timestamp can hold a number of seconds that is no valid time, and the
// contract's rules cannot refuse it. Then timeFromProto returns INVALID_FIELD.
func timeFromProto(field string, t *timestamppb.Timestamp) (time.Time, error) {
	switch {
	case t == nil:
		return time.Time{}, nil
	case !t.IsValid():
		return time.Time{}, invalidField(field, "is not a time between the years 1 and 9999")
	}
	return t.AsTime(), nil
}

var statesFromProto = map[gigagatev1.PurchaseState]purchase.State{
	gigagatev1.PurchaseState_PURCHASE_STATE_SENDING:        purchase.Sending,
	gigagatev1.PurchaseState_PURCHASE_STATE_ACCEPTED:       purchase.Accepted,
	gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN:      purchase.Uncertain,
	gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR: purchase.NeedsOperator,
	gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED:      purchase.Succeeded,
	gigagatev1.PurchaseState_PURCHASE_STATE_FAILED:         purchase.Failed,
}

func stateToProto(state purchase.State) gigagatev1.PurchaseState {
	return gigagatev1.PurchaseState(gigagatev1.PurchaseState_value["PURCHASE_STATE_"+string(state)])
}

var kindsToProto = map[purchase.Kind]gigagatev1.PurchaseKind{
	purchase.Register:         gigagatev1.PurchaseKind_PURCHASE_KIND_REGISTER,
	purchase.TopUp:            gigagatev1.PurchaseKind_PURCHASE_KIND_TOP_UP,
	purchase.TopUpWithProfile: gigagatev1.PurchaseKind_PURCHASE_KIND_TOP_UP_WITH_PROFILE,
}

func (s *Server) purchaseToProto(p purchase.Purchase) *gigagatev1.Purchase {
	customer := p.CustomerUID
	if customer == "" {
		customer = p.Order.CustomerUID
	}
	return &gigagatev1.Purchase{
		Id:               p.ID,
		Caller:           s.callerName(p.Key),
		RequestId:        p.Key.RequestID,
		Kind:             kindsToProto[p.Order.Kind],
		State:            stateToProto(p.State),
		Reason:           reasonInContract(p.Reason),
		OperatorReason:   operatorReasons[p.Reason],
		Effect:           effectOfPurchase(p.State),
		InventoryItemId:  p.Order.InventoryItemID,
		ActivationMode:   modeFromVendor(p.Order.ActivationMode),
		Metatag:          p.Order.Metatag,
		CustomerUid:      customer,
		ActivatedItemUid: p.ItemUID,
		Attempts:         int32(p.Attempt),   //nolint:gosec // a few
		Anomalies:        int32(p.Anomalies), //nolint:gosec // a few
		CreateTime:       timestampOf(p.ClaimedAt),
		UpdateTime:       timestampOf(p.UpdatedAt),
		SettleTime:       timestampOf(p.SettledAt),
		TraceId:          p.Origin.Trace(),
	}
}

func reconciliationToProto(r *purchase.Reconciliation) *gigagatev1.Reconciliation {
	if r == nil {
		return nil
	}
	return &gigagatev1.Reconciliation{
		LastReadTime: timestampOf(r.LastRead),
		LastResult:   r.LastResult,
		FailedReads:  int32(r.FailedReads), //nolint:gosec // one every few seconds
		Missing:      r.Missing,
		NextReadTime: timestampOf(r.NextRead),
		OperatorTime: timestampOf(r.Operator),
	}
}

// timestampOf is nil for the zero time.
func timestampOf(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
