package host

import (
	"context"
	"fmt"
	"path"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/stats"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
)

// striker calls a function when the nth message of a Loss has been sent or received.
type striker struct {
	received bool
	nth      int

	mu     sync.Mutex
	seen   int
	strike func() // nil does nothing
}

func (s *striker) arm(strike func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen, s.strike = 0, strike
}

type lossKey struct{}

func (s *striker) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, lossKey{}, path.Base(info.FullMethodName) == "Loss")
}

func (s *striker) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if loss, _ := ctx.Value(lossKey{}).(bool); !loss {
		return
	}
	_, sent := event.(*stats.OutPayload)
	_, received := event.(*stats.InPayload)
	if !sent && !received || received != s.received {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen++; s.seen == s.nth && s.strike != nil {
		s.strike()
	}
}

func (*striker) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*striker) HandleConn(context.Context, stats.ConnStats)                       {}

// A call that is canceled in the middle of a tensor, in either direction, does not disturb the
// process: the next call has the same result as without it.
func TestGivenUpInTheMiddleOfATensor(t *testing.T) {
	t.Parallel()
	want, err := adaptertest.NewFakeLanguage("tiny", 1).Loss(t.Context(), plugintest.LossRequest(true))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		transport Transport
		received  bool
		nth       int
	}{
		{TransportGRPC, false, 1}, {TransportGRPC, false, 2}, {TransportGRPC, true, 1}, {TransportGRPC, true, 2},
		{TransportAuto, false, 1}, {TransportAuto, true, 1},
	} {
		t.Run(fmt.Sprintf("%s, received %v, message %d", c.transport, c.received, c.nth), func(t *testing.T) {
			t.Parallel()
			cfg := config(t, "normal", "language")
			s := &striker{received: c.received, nth: c.nth}
			var starts atomic.Int32
			cfg.Transport, cfg.Watch, cfg.Started = c.transport, s, func(int) { starts.Add(1) }
			m := openLanguage(t, cfg)
			for range 3 {
				ctx, cancel := context.WithCancel(t.Context())
				s.arm(cancel)
				if _, err := m.Loss(ctx, plugintest.LossRequest(true)); err == nil && ctx.Err() == nil {
					t.Fatal("the call was not given up")
				} else if err != nil { // else the whole answer was on its way
					plugintest.WantError(t, err, adapters.Canceled, "rpc Loss")
				}
				cancel()
				s.arm(nil)
				got, err := m.Loss(t.Context(), plugintest.LossRequest(true))
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Fatalf("the call after it gives another loss, or error %v", err)
				}
			}
			if n := starts.Load(); n != 1 {
				t.Errorf("the plugin was started %d times: a call that is given up is no death", n)
			}
		})
	}
}
