package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// raw is an HTTP/2 connection that can break the rules of the protocol.
type raw struct {
	net.Conn
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	next    uint32
	// fields are those of every call. token is its credential; without one it has none.
	fields []hpack.HeaderField
	token  string
}

// raw opens a connection for gRPC. See rawTo.
func (g *siege) raw(ctx context.Context, t *testing.T, settings ...http2.Setting) *raw {
	t.Helper()
	r := g.rawTo(ctx, t, g.grpc, settings...)
	if r != nil {
		r.fields = append(r.fields, hpack.HeaderField{Name: "content-type", Value: "application/grpc"}, hpack.HeaderField{Name: "te", Value: "trailers"})
	}
	return r
}

// rawTo opens a connection. Until ctx ends, it reads everything that the gateway sends and counts refused streams. Then it
// closes the connection. The result is nil if the gateway refuses the connection.
func (g *siege) rawTo(ctx context.Context, t *testing.T, address string, settings ...http2.Setting) *raw {
	t.Helper()
	r := g.silentRaw(ctx, address, settings...)
	if r == nil {
		return nil
	}
	conn := r.Conn
	go func() {
		reads := http2.NewFramer(io.Discard, conn)
		reads.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		for {
			frame, err := reads.ReadFrame()
			if err != nil {
				if _, stream := err.(http2.StreamError); stream { //nolint:errorlint // never wrapped
					continue
				}
				if ctx.Err() == nil {
					g.refused.Add(1)
				}
				return
			}
			switch f := frame.(type) {
			case *http2.RSTStreamFrame:
				g.refused.Add(1)
			case *http2.MetaHeadersFrame:
				for _, field := range f.Fields {
					if field.Name == "grpc-status" && field.Value != "0" {
						g.refused.Add(1)
					}
				}
			}
		}
	}()
	return r
}

// silentRaw opens a connection whose answers nobody reads.
func (g *siege) silentRaw(ctx context.Context, address string, settings ...http2.Setting) *raw {
	conn, err := g.dial(ctx, address, http2Protocol)
	if err != nil {
		g.refused.Add(1)
		return nil
	}
	r := &raw{Conn: conn, framer: http2.NewFramer(conn, conn), next: 1, token: g.key(attacker)}
	r.encoder = hpack.NewEncoder(&r.block)
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil || r.framer.WriteSettings(settings...) != nil {
		_ = conn.Close()
		g.refused.Add(1)
		return nil
	}
	return r
}

// headers begins a call. more is sent unchanged after the fields that every call has, in frames of the largest size.
func (r *raw) headers(path string, more []byte, fields ...hpack.HeaderField) error {
	r.block.Reset()
	if r.token != "" {
		fields = append(fields, hpack.HeaderField{Name: "authorization", Value: "Bearer " + r.token, Sensitive: true})
	}
	for _, field := range slices.Concat([]hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: path},
		{Name: ":authority", Value: "localhost"},
	}, r.fields, fields) {
		if err := r.encoder.WriteField(field); err != nil {
			return err
		}
	}
	block := append(r.block.Bytes(), more...)
	id := r.next
	r.next += 2
	first := min(len(block), 16<<10)
	err := r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:first], EndHeaders: first == len(block)})
	for block = block[first:]; err == nil && len(block) > 0; block = block[first:] {
		first = min(len(block), 16<<10)
		err = r.framer.WriteContinuation(id, first == len(block), block[:first])
	}
	return err
}

// message announces a message of size bytes on the newest stream, and sends only the first ones: given zeros.
func (r *raw) message(size, given int, end bool) error {
	data := make([]byte, 5+given)
	binary.BigEndian.PutUint32(data[1:], uint32(size))
	for len(data) > 16<<10 {
		if err := r.framer.WriteData(r.next-2, false, data[:16<<10]); err != nil {
			return err
		}
		data = data[16<<10:]
	}
	return r.framer.WriteData(r.next-2, end, data)
}

// whole sends one whole message on the newest stream.
func (r *raw) whole(message []byte) error {
	data := make([]byte, 5, 5+len(message))
	binary.BigEndian.PutUint32(data[1:], uint32(len(message)))
	return r.framer.WriteData(r.next-2, true, append(data, message...))
}
