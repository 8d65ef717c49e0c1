package server

import (
	"context"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

// auditTime is how long an answer waits for its audit record if it does not depend on the record.
const auditTime = time.Second

// replayedMark is the key of a *bool in the context of a call. It is set to true if another call made the purchase.
type replayedMark struct{}

// auditSecrets is an interceptor. It writes an audit record before an answer with secrets leaves. The first answer to an order
// needs none, because the purchase itself says who has the codes. An operator gets the answer only if the record is
// durable. A caller gets it in any case: without the codes, the customer could not use what was paid for.
func (s *Server) auditSecrets(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	var replayed bool
	resp, err := next(context.WithValue(ctx, replayedMark{}, &replayed), req)
	message, ok := resp.(proto.Message)
	firstAnswer := isOrder(info.FullMethod) && !replayed
	if err != nil || !ok || firstAnswer || !strings.HasPrefix(info.FullMethod, contractPrefix) || !hasSecrets(message.ProtoReflect()) {
		return resp, err
	}
	record := actorOf(ctx)
	record.Action, record.Outcome, record.Reason = purchase.AuditReadSecrets, purchase.AuditDone, access.ReasonOf(ctx)
	if of, ok := resp.(interface{ GetPurchaseId() string }); ok {
		record.PurchaseID = of.GetPurchaseId()
	}
	if of, ok := resp.(interface{ GetCustomer() *gigagatev1.Customer }); ok {
		record.CustomerUID = of.GetCustomer().GetUid()
	}
	if record.ActorKind != purchase.ActorOperator {
		ctx, cancel := briefly(ctx)
		defer cancel()
		_ = s.engine.Audit(ctx, record) // it logs the error
		return resp, nil
	}
	if err := s.engine.Audit(ctx, record); err != nil {
		return nil, &failure{
			reason: gigagatev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE, cause: err,
			sentence: "the journal cannot record that an operator reads secrets, so they are not shown",
		}
	}
	return resp, nil
}

// briefly returns a context for an audit record that the answer does not depend on. It ends before the caller's deadline,
// but not when the caller hangs up.
func briefly(ctx context.Context) (context.Context, context.CancelFunc) {
	wait := auditTime
	if deadline, ok := ctx.Deadline(); ok {
		wait = max(0, min(wait, time.Until(deadline)/2))
	}
	return context.WithTimeout(context.WithoutCancel(ctx), wait)
}

// hasSecrets reports whether a message, or one in it, has a secret that withhold would take out.
func hasSecrets(message protoreflect.Message) bool {
	switch m := message.Interface().(type) {
	case *gigagatev1.Customer:
		if m.GetProfileUrl() != "" {
			return true
		}
	case *gigagatev1.EsimProfile:
		if m.GetActivationCode()+m.GetAppleUniversalLink()+m.GetInstallationUrl() != "" {
			return true
		}
	}
	found := false
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() == nil || field.IsMap():
		case field.IsList():
			for i := range value.List().Len() {
				found = found || hasSecrets(value.List().Get(i).Message())
			}
		default:
			found = found || hasSecrets(value.Message())
		}
		return !found
	})
	return found
}

const (
	// usualRecords and mostRecords are the default and the largest page_size of lists for operators.
	usualRecords = 50
	mostRecords  = 500
)

// auditService lists audit records.
type auditService struct {
	gigagatev1.UnimplementedAuditServiceServer
	*Server
}

// ListAuditRecords pages through the records, the newest first.
func (s auditService) ListAuditRecords(ctx context.Context, req *gigagatev1.ListAuditRecordsRequest) (*gigagatev1.ListAuditRecordsResponse, error) {
	ctx, cancel := withMargin(ctx)
	defer cancel()
	after, err := pageCursor(req)
	if err != nil {
		return nil, err
	}
	if _, err := ulid.ParseStrict(after); after != "" && err != nil {
		return nil, errPageToken()
	}
	from, err := timeFromProto("from_time", req.GetFromTime())
	if err != nil {
		return nil, err
	}
	to, err := timeFromProto("to_time", req.GetToTime())
	if err != nil {
		return nil, err
	}
	records, next, err := s.engine.AuditRecords(ctx, purchase.AuditFilter{From: from, To: to},
		purchase.Page{Size: pageSize(req, usualRecords, mostRecords), After: after})
	if err != nil {
		return nil, journalFailure("", err)
	}
	resp := &gigagatev1.ListAuditRecordsResponse{}
	for _, record := range records {
		resp.Records = append(resp.Records, s.recordToProto(record))
	}
	if next != "" {
		resp.NextPageToken = pageToken(req, next)
	}
	return resp, nil
}

func (s *Server) recordToProto(r purchase.AuditRecord) *gigagatev1.AuditRecord {
	return &gigagatev1.AuditRecord{
		Id:               r.ID,
		CreateTime:       timestampOf(r.At),
		ActorType:        gigagatev1.AuditActorType(gigagatev1.AuditActorType_value["AUDIT_ACTOR_TYPE_"+string(r.ActorKind)]),
		Actor:            r.Actor,
		Action:           gigagatev1.AuditAction(gigagatev1.AuditAction_value["AUDIT_ACTION_"+string(r.Action)]),
		Outcome:          gigagatev1.AuditOutcome(gigagatev1.AuditOutcome_value["AUDIT_OUTCOME_"+string(r.Outcome)]),
		Caller:           s.callerName(purchase.Key{Caller: r.Caller}),
		PurchaseId:       r.PurchaseID,
		CustomerUid:      r.CustomerUID,
		InventoryItemId:  r.InventoryItemID,
		ActivatedItemUid: r.ActivatedItemUID,
		Reason:           r.Reason,
	}
}
