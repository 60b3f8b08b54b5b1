package plugins

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// tracer logs every call of an adapter at its end: how many examples, how many
// bytes each way and by which transport, and how long it took.
type tracer struct{ log *slog.Logger }

var _ stats.Handler = (*tracer)(nil)

// traced is a call on its way.
type traced struct {
	rpc      string
	mu       sync.Mutex
	examples int
	sent     traffic
	received traffic
}

// traffic is what went one way.
type traffic struct {
	messages int
	wire     int    // bytes of the messages, chunks included
	chunks   uint64 // bytes of tensors that were announced as chunks
	arena    uint64 // bytes of tensors in shared memory
}

type tracedKey struct{}

// TagRPC begins a call.
func (*tracer) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	service, method, _ := strings.Cut(strings.TrimPrefix(info.FullMethodName, "/"), "/")
	if !strings.HasSuffix(service, ".Adapter") {
		return ctx // go-plugin's own
	}
	return context.WithValue(ctx, tracedKey{}, &traced{rpc: method})
}

// HandleRPC counts, and logs at the end.
func (t *tracer) HandleRPC(ctx context.Context, event stats.RPCStats) {
	call, ok := ctx.Value(tracedKey{}).(*traced)
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

func (c *traced) attributes(end *stats.End) []any {
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

// attributes are the bytes of tensors by transport, and those of all messages.
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

// eachTensor calls take for the tensors that a message announces.
func eachTensor(m protoreflect.Message, take func(*pb.Tensor)) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Message() == nil || field.IsList() || field.IsMap() {
			return true
		}
		if tensor, ok := value.Message().Interface().(*pb.Tensor); ok {
			take(tensor)
		} else {
			eachTensor(value.Message(), take)
		}
		return true
	})
}

// examplesOf is how many examples, pictures or texts a request has.
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

// TagConn has nothing to add.
func (*tracer) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn has nothing to say.
func (*tracer) HandleConn(context.Context, stats.ConnStats) {}
