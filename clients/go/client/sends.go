package client

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/stats"
)

// sendWatcher sees each send of a call over a connection from [New]. The call policy repeats sends, and the call ends
// with the error of the last one only.
type sendWatcher struct{}

// inDoubtKey is the key of an *atomic.Bool in the context of a call. It becomes true when a send ends without an
// Outcome. A send that sold has none either, but then the call is not in doubt.
type inDoubtKey struct{}

func (sendWatcher) HandleRPC(ctx context.Context, event stats.RPCStats) {
	end, ended := event.(*stats.End)
	if inDoubt, watched := ctx.Value(inDoubtKey{}).(*atomic.Bool); ended && watched && OutcomeOf(end.Error) == nil {
		inDoubt.Store(true)
	}
}

func (sendWatcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (sendWatcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (sendWatcher) HandleConn(context.Context, stats.ConnStats) {}
