package server

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/iccid"
)

// sensitive are the fields that the contract must mark as sensitive. It may mark more.
var sensitive = []string{
	"activation_code", "apple_universal_link", "installation_url", "profile_url", "email", "customer_email", "user_ip", "imsi", "iccid",
}

// loggable are the only text fields that may be in a log.
var loggable = []string{
	"activated_item_uid", "amount", "currency_code", "customer_profile_domain_id", "customer_uid", "id", "inventory_item_id",
	"page_token", "product_id", "purchase_id", "request_id", "trace_id", "uid",
}

// contractMessages are all messages of the contract.
func contractMessages() []protoreflect.MessageDescriptor {
	var messages []protoreflect.MessageDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage("gigagate.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Messages().Len() {
			messages = append(messages, file.Messages().Get(i))
		}
		return true
	})
	return messages
}

// fill sets every field of message. Loggable texts get another word than the other texts, which get SECRET. It returns the
// number of secrets. Lists of texts do not count, because they are never logged.
func fill(message protoreflect.Message) (secrets int) {
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if choice := field.ContainingOneof(); choice != nil && message.WhichOneof(choice) != nil {
			continue // only one of the fields can be set
		}
		switch {
		case field.Message() != nil && field.IsList():
			for range 2 {
				secrets += fill(message.Mutable(field).List().AppendMutable().Message())
			}
		case field.Message() != nil:
			secrets += fill(message.Mutable(field).Message())
		case field.Kind() == protoreflect.StringKind && field.IsList():
			for range 2 {
				message.Mutable(field).List().Append(protoreflect.ValueOfString("SECRET"))
			}
		case field.Kind() == protoreflect.StringKind && slices.Contains(loggable, string(field.Name())):
			message.Set(field, protoreflect.ValueOfString("open"))
		case field.Kind() == protoreflect.StringKind:
			message.Set(field, protoreflect.ValueOfString("SECRET"))
			secrets++
		}
	}
	return secrets
}

func TestTextsAreRedacted(t *testing.T) {
	t.Parallel()
	marked := map[string]bool{}
	for _, descriptor := range contractMessages() {
		t.Run(string(descriptor.Name()), func(t *testing.T) {
			for i := range descriptor.Fields().Len() {
				if field := descriptor.Fields().Get(i); debugRedact(field) {
					marked[string(field.Name())] = true
				} else if slices.Contains(sensitive, string(field.Name())) {
					t.Errorf("%s is not marked", field.FullName())
				}
			}
			message := dynamicpb.NewMessage(descriptor)
			secrets := fill(message)
			before := proto.Clone(message)
			message.SetUnknown([]byte("\xfa\x3e\x06SECRET"))

			var log bytes.Buffer
			logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			logger.Debug("call", "request", redacted{message})
			if strings.Contains(log.String(), "SECRET") {
				t.Errorf("a secret is in %s", log.String())
			}
			if got := strings.Count(log.String(), redactedText); got != secrets {
				t.Errorf("%d of %d secrets redacted: %s", got, secrets, log.String())
			}
			if unknown := redact(message).ProtoReflect().GetUnknown(); len(unknown) > 0 {
				t.Errorf("unknown fields are left: %q", unknown)
			}
			open, err := protojson.Marshal(before)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := strings.Count(log.String(), "open"), strings.Count(string(open), "open"); got != want {
				t.Errorf("%d of %d other texts left: %s", got, want, log.String())
			}
			if message.SetUnknown(nil); !proto.Equal(message, before) {
				t.Error("the message itself was changed")
			}
		})
	}
	for _, name := range sensitive {
		if !marked[name] {
			t.Errorf("no field %s is marked in the contract", name)
		}
	}
}

// TestICCIDIsRedacted: the number of an eSIM in the place of an id is not logged. Other numbers are.
func TestICCIDIsRedacted(t *testing.T) {
	t.Parallel()
	for uid, told := range map[string]bool{
		"899720000000000012": false, "8997200000000000001234": false, "89972000000000001": true, "89972000000000000123456": true,
		"17320000000000000012": true, "89f4cbd0-7d3e-4b50-a0e2-5d940ed90475": true,
	} {
		if text := (redacted{&gigagatev1.GetCustomerRequest{Uid: uid}}).LogValue().String(); strings.Contains(text, uid) != told {
			t.Errorf("%s: %s", uid, text)
		}
	}
}

// TestICCIDIsNoCustomersUID: wherever a request names a customer, the contract refuses exactly what the log hides.
func TestICCIDIsNoCustomersUID(t *testing.T) {
	t.Parallel()
	for _, message := range contractMessages() {
		field := message.Fields().ByName("customer_uid")
		if message.Name() == "GetCustomerRequest" {
			field = message.Fields().ByName("uid")
		}
		if field == nil || !strings.HasSuffix(string(message.Name()), "Request") {
			continue
		}
		rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
		if !slices.ContainsFunc(rules.GetCel(), func(r *validate.Rule) bool {
			return strings.Contains(r.GetExpression(), "!this.matches('"+iccid.Form+"')")
		}) {
			t.Errorf("%s may be the number of an eSIM", field.FullName())
		}
	}
}
