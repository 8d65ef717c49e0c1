package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

// The effect of a refused order is the effect of its request id, because an earlier call with the same id may have bought
// or may still buy. The engine looks the id up before it refuses. This file does it for orders that never reach the engine.

// namedIDs are the request ids that a refused order names. An order can name several by mistake, for example one in the
// Idempotency-Key header and another one in the body.
type namedIDs struct {
	ids []string
	// unread says that a part of the order could not be read. It may name an id, too.
	unread bool
}

// maxNamedIDs is how many request ids of one refused order are looked up.
const maxNamedIDs = 3

// validRequestID is the contract's rule for request ids, read from the contract. No purchase has another id.
var validRequestID = regexp.MustCompile(requestIDPattern())

func requestIDPattern() string {
	field := (&gigagatev1.RegisterRequest{}).ProtoReflect().Descriptor().Fields().ByName("request_id")
	rules, err := protovalidate.ResolveFieldRules(field)
	if err != nil || rules.GetString().GetPattern() == "" {
		panic("the contract has no pattern for request ids")
	}
	return rules.GetString().GetPattern()
}

// byCaution lists the effects so that each allows the caller less than the one before. After NOT_APPLIED, the caller may
// use a new id. After INDETERMINATE, the caller knows nothing.
var byCaution = []gigagatev1.Effect{
	gigagatev1.Effect_EFFECT_NOT_APPLIED, gigagatev1.Effect_EFFECT_NOT_STARTED,
	gigagatev1.Effect_EFFECT_APPLIED, gigagatev1.Effect_EFFECT_INDETERMINATE,
}

// needsLookup reports whether f would say NOT_STARTED of an order whose request id nobody has looked up. The engine sets the
// effect, because it looks the id up.
func (f *failure) needsLookup() bool {
	return f.effect == gigagatev1.Effect_EFFECT_UNSPECIFIED &&
		(f.startedNothing || specs[f.reason].GetEffect() == gigagatev1.Effect_EFFECT_NOT_STARTED)
}

// tellOf gives f the effect of the request ids that a refused order names. Of several effects, the one that allows the
// caller least counts. If the client has too many look-ups under way, the effect is indeterminate: look-ups use the journal,
// which purchases need.
func (s *Server) tellOf(ctx context.Context, client string, f *failure, named namedIDs) {
	if access.Of(ctx) == nil { // whose ids they are is not known, and nobody else may learn about them
		f.effect = gigagatev1.Effect_EFFECT_INDETERMINATE
		return
	}
	valid := slices.DeleteFunc(slices.Clone(named.ids), func(id string) bool { return !validRequestID.MatchString(id) })
	slices.Sort(valid)
	valid = slices.Compact(valid)
	if len(valid) > maxNamedIDs || len(valid) == 0 && named.unread {
		f.effect = gigagatev1.Effect_EFFECT_INDETERMINATE
		return
	}
	if len(valid) == 0 {
		return // no purchase has such an id
	}
	if !s.lookups.Take(client) {
		f.effect = gigagatev1.Effect_EFFECT_INDETERMINATE
		return
	}
	defer s.lookups.Release(client)
	for _, id := range valid {
		effect, purchaseID := s.effectOf(ctx, id)
		if slices.Index(byCaution, effect) > slices.Index(byCaution, f.effect) {
			f.effect, f.purchaseID = effect, purchaseID
		}
	}
}

// effectOf looks a request id of the caller up. If the journal cannot be read, the effect is indeterminate.
func (s *Server) effectOf(ctx context.Context, id string) (effect gigagatev1.Effect, purchaseID string) {
	kept, err := s.engine.Known(ctx, purchase.Key{Caller: access.Of(ctx).Key(), RequestID: id})
	switch {
	case err == nil:
		return effectOfPurchase(kept.State), kept.ID
	case errors.Is(err, purchase.ErrNotFound):
		return gigagatev1.Effect_EFFECT_NOT_STARTED, ""
	}
	return gigagatev1.Effect_EFFECT_INDETERMINATE, ""
}

// tellOfRequestID returns an interceptor that gives a refused order the effect of its request id.
func (s *Server) tellOfRequestID() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		resp, err := next(ctx, req)
		if f, ok := errors.AsType[*failure](err); ok && f.needsLookup() {
			s.tellOfOrder(ctx, req, f)
		}
		return resp, err
	}
}

// tellOfOrder gives f the effect of the request id of an order. It does nothing if req is no order.
func (s *Server) tellOfOrder(ctx context.Context, req any, f *failure) {
	if id := requestIDField(req); id != nil {
		s.tellOf(ctx, clientOf(ctx), f, namedIDs{ids: []string{*id}})
	}
}

// requestIDField is the request id in an order. It is nil if message is no order.
func requestIDField(message any) *string {
	switch order := message.(type) {
	case *gigagatev1.RegisterRequest:
		return &order.RequestId
	case *gigagatev1.TopUpRequest:
		return &order.RequestId
	}
	return nil
}

// isOrder reports whether a method takes an order.
func isOrder(method string) bool {
	return method == gigagatev1.ActivationService_Register_FullMethodName || method == gigagatev1.ActivationService_TopUp_FullMethodName
}

// keepRequestID puts the request id of an encoded order into message, where tellOfRequestID looks for it. data is the
// order, or its beginning if whole is false, and cannot be decoded. If no id is found and there may be one, the effect of f
// is indeterminate.
func keepRequestID(data []byte, whole bool, message proto.Message, f *failure) {
	kept := requestIDField(message)
	if kept == nil {
		return
	}
	number := message.ProtoReflect().Descriptor().Fields().ByName("request_id").Number()
	for len(data) > 0 {
		found, kind, size := protowire.ConsumeField(data)
		if size < 0 {
			break
		}
		if found == number && kind == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(data)
			if id, _ := protowire.ConsumeBytes(data[tag:]); validRequestID.Match(id) {
				*kept = string(id)
			}
		}
		data = data[size:]
	}
	if *kept == "" && (len(data) > 0 || !whole) {
		f.effect = gigagatev1.Effect_EFFECT_INDETERMINATE
	}
}

// requestIDsInJSON finds the request ids in a body that may break every rule of the contract.
func requestIDsInJSON(data []byte) (named namedIDs) {
	if len(bytes.TrimSpace(data)) == 0 {
		return named
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	start, err := decoder.Token()
	if start != json.Delim('{') {
		return namedIDs{unread: err != nil || start == json.Delim('[') || moreFollows(decoder)}
	}
	for err == nil && decoder.More() {
		var key json.Token
		var value json.RawMessage
		if key, err = decoder.Token(); err == nil {
			err = decoder.Decode(&value)
		}
		var id string
		if (key == "requestId" || key == "request_id") && json.Unmarshal(value, &id) == nil {
			named.ids = append(named.ids, id)
		}
	}
	if err == nil {
		_, err = decoder.Token() // the end of the object
	}
	named.unread = err != nil || moreFollows(decoder)
	return named
}

// moreFollows reports whether a value is followed by anything but spaces.
func moreFollows(decoder *json.Decoder) bool {
	_, err := decoder.Token()
	return !errors.Is(err, io.EOF)
}

// requestIDs are the request ids in the header and the body of a request.
func (c *restCall) requestIDs() namedIDs {
	named := namedIDs{unread: true}
	if c.body != nil {
		data, err := c.body.read()
		named = requestIDsInJSON(data)
		named.unread = named.unread || err != nil
	}
	for _, value := range c.original.Header.Values(idempotencyKeyHeader) {
		id, f := unquoted(value)
		named.ids = append(named.ids, id)
		named.unread = named.unread || f != nil
	}
	return named
}

// isOrder reports whether the request has the method and the path of an order.
func (c *restCall) isOrder() bool {
	return slices.ContainsFunc(routes, func(r *route) bool {
		return isOrder(r.rpc) && r.method == c.original.Method && r.matches(c.original.URL.Path)
	})
}

// takeRequestID puts the request id of the Idempotency-Key header into an order. Other calls ignore the header. For
// example, ListPurchases has a request_id too, and the header would filter its list.
func (c *restCall) takeRequestID(message proto.Message) *failure {
	id, values := requestIDField(message), c.original.Header.Values(idempotencyKeyHeader)
	if id == nil || len(values) == 0 {
		return nil
	}
	key, f := unquoted(values[0])
	switch {
	case f != nil:
		return f
	case *id == "":
		*id = key
	case *id != key:
		return malformed("request_id", "differs from the Idempotency-Key header")
	}
	return nil
}

// restBody is a request body with its call. The decoder gets only the body and needs the call. Everyone who needs the body
// calls read, because a refusal may need it after the decoder has.
type restBody struct {
	io.ReadCloser
	call *restCall
	data []byte
	err  error
	done bool
}

// read returns the whole body, or its beginning and an error.
func (b *restBody) read() ([]byte, error) {
	if !b.done {
		b.data, b.err = io.ReadAll(b.ReadCloser)
		b.done = true
	}
	return b.data, b.err
}
