package host

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/modular-bridging/bridge/internal/loglevel"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// LevelTrace is the level at which the host logs every call of a plugin.
const LevelTrace = loglevel.Trace

// tracer logs every call of an adapter when it ends: the number of examples, the bytes each
// way and their transport, and the time.
type tracer struct{ log *slog.Logger }

var _ stats.Handler = (*tracer)(nil)

// tracedCall is a call in flight.
type tracedCall struct {
	rpc      string
	mu       sync.Mutex
	examples int
	sent     traffic
	received traffic
}

// traffic counts the messages and bytes in one direction.
type traffic struct {
	messages int
	wire     int    // bytes of the messages, including chunks
	chunks   uint64 // bytes of tensors that were announced as chunks
	arena    uint64 // bytes of tensors in shared memory
}

type tracedCallKey struct{}

// TagRPC adds a [tracedCall] to the context of a call.
func (*tracer) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	service, method, _ := strings.Cut(strings.TrimPrefix(info.FullMethodName, "/"), "/")
	if !strings.HasSuffix(service, ".Adapter") {
		return ctx // one of go-plugin's own calls
	}
	return context.WithValue(ctx, tracedCallKey{}, &tracedCall{rpc: method})
}

// HandleRPC counts messages, and logs the call when it ends.
func (t *tracer) HandleRPC(ctx context.Context, event stats.RPCStats) {
	call, ok := ctx.Value(tracedCallKey{}).(*tracedCall)
	if !ok {
		return
	}
	call.mu.Lock()
	defer call.mu.Unlock()
	switch e := event.(type) {
	case *stats.OutPayload:
		call.sent.add(e.Payload, e.WireLength)
		if c, ok := e.Payload.(*pb.Call); ok {
			call.examples += examplesOf(c)
		}
	case *stats.InPayload:
		call.received.add(e.Payload, e.WireLength)
	case *stats.End:
		t.log.Log(ctx, LevelTrace, "rpc", call.attributes(e)...)
	}
}

func (c *tracedCall) attributes(end *stats.End) []any {
	all := []any{"rpc", c.rpc, "took", end.EndTime.Sub(end.BeginTime).Round(time.Microsecond)}
	if c.examples > 0 {
		all = append(all, "examples", c.examples)
	}
	all = append(all, c.sent.attributes("sent")...)
	all = append(all, c.received.attributes("received")...)
	if end.Error != nil {
		all = append(all, "error", end.Error)
	}
	return all
}

func (t *traffic) add(payload any, wire int) {
	t.messages++
	t.wire += wire
	if m, ok := payload.(proto.Message); ok {
		eachTensor(m.ProtoReflect(), func(tensor *pb.Tensor) {
			if tensor.Handle != nil {
				t.arena += tensor.Nbytes
			} else {
				t.chunks += tensor.Nbytes
			}
		})
	}
}

// attributes returns the bytes of all messages, and of tensors by transport.
func (t *traffic) attributes(way string) []any {
	all := []any{way, t.wire, way + "_messages", t.messages}
	if t.arena > 0 {
		all = append(all, way+"_by_arena", t.arena)
	}
	if t.chunks > 0 {
		all = append(all, way+"_by_chunks", t.chunks)
	}
	return all
}

// eachTensor calls visit for the tensors that a message announces.
func eachTensor(m protoreflect.Message, visit func(*pb.Tensor)) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Message() == nil || field.IsList() || field.IsMap() {
			return true
		}
		if tensor, ok := value.Message().Interface().(*pb.Tensor); ok {
			visit(tensor)
		} else {
			eachTensor(value.Message(), visit)
		}
		return true
	})
}

// examplesOf returns the number of examples, pictures or texts of a request.
func examplesOf(c *pb.Call) int {
	switch part := c.Part.(type) {
	case *pb.Call_Encode:
		if shape := part.Encode.GetImages().GetShape(); len(shape) > 0 {
			return int(shape[0])
		}
	case *pb.Call_Loss:
		return len(part.Loss.Examples)
	case *pb.Call_Generate:
		return len(part.Generate.Examples)
	case *pb.Call_Score:
		return len(part.Score.Examples)
	case *pb.Call_EmbedTokens:
		return len(part.EmbedTokens.Texts)
	case *pb.Call_CountTokens:
		return len(part.CountTokens.Texts)
	}
	return 0
}

// TagConn returns ctx.
func (*tracer) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn does nothing.
func (*tracer) HandleConn(context.Context, stats.ConnStats) {}
