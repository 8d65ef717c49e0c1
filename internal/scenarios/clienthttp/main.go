// Command clienthttp makes the calls of the scenarios over plain HTTP, without stubs and gRPC. It reads the paths from
// the contract's annotations.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // protojson must know the other details of an error
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"gigagate.internal/clients/go/client"
	"gigagate.internal/internal/scenarios/protocol"
)

func main() {
	client, err := newClient()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	gateway := gateway{base: os.Args[1], http: client}
	if err := protocol.Serve(os.Stdin, os.Stdout, gateway.call); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type gateway struct {
	base string
	http *http.Client
}

// call makes one call. REST has no deadlines, so call ignores the deadline of the request. The gateway answers at the
// latest when its own time is over.
func (g gateway) call(_ context.Context, request protocol.Request) (protocol.Answer, error) {
	httpRequest, err := g.request(context.Background(), request)
	if err != nil {
		return protocol.Answer{}, err
	}
	response, err := g.http.Do(httpRequest)
	if err != nil {
		return protocol.Failed(codes.Unavailable, err.Error(), nil)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return protocol.Failed(codes.Unavailable, err.Error(), nil)
	}
	if response.StatusCode != http.StatusOK {
		return failed(response.StatusCode, body)
	}
	return protocol.Answer{Response: body, Replayed: response.Header.Get("Gigagate-Replayed") == "true"}, nil
}

var pathField = regexp.MustCompile(`\{([a-z0-9_]+)\}`)

// request is the HTTP form of a call. Fields that are not part of the path are in the body of a POST or in the query of a
// GET.
func (g gateway) request(ctx context.Context, request protocol.Request) (*http.Request, error) {
	method, err := protocol.MethodNamed(request.Method)
	if err != nil {
		return nil, err
	}
	fields := map[string]any{}
	if err := json.Unmarshal(request.Request, &fields); err != nil {
		return nil, err
	}
	rule, _ := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	verb, template := http.MethodGet, rule.GetGet()
	if template == "" {
		verb, template = http.MethodPost, rule.GetPost()
	}
	address := g.base + pathField.ReplaceAllStringFunc(template, func(match string) string {
		name := strings.Trim(match, "{}")
		value := fmt.Sprint(fields[name])
		delete(fields, name)
		return url.PathEscape(value)
	})
	if verb == http.MethodGet {
		query := url.Values{}
		for name, value := range fields {
			query.Set(name, fmt.Sprint(value))
		}
		return http.NewRequestWithContext(ctx, verb, address+"?"+query.Encode(), nil)
	}
	// Use both places for the request id: TopUp has it in the header, Register in the body.
	key, inHeader := fields["requestId"].(string)
	if inHeader = inHeader && method.Name() == "TopUp"; inHeader {
		delete(fields, "requestId")
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	httpRequest, err := http.NewRequestWithContext(ctx, verb, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	httpRequest.Header.Set("Content-Type", "application/json")
	if inHeader {
		httpRequest.Header.Set("Idempotency-Key", key)
	}
	return httpRequest, nil
}

// failed reads the body of an error, which is a google.rpc.Status in JSON. Any other body comes from a proxy.
func failed(httpStatus int, body []byte) (protocol.Answer, error) {
	told := &statuspb.Status{}
	if err := protojson.Unmarshal(body, told); err != nil {
		return protocol.Failed(codes.Unavailable, fmt.Sprintf("HTTP status %d without the gateway's error", httpStatus), nil)
	}
	return protocol.Failed(status.FromProto(told).Code(), told.GetMessage(), client.OutcomeOf(status.ErrorProto(told)))
}
