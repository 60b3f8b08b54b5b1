package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// loadRequest returns the load request of a configuration as a message.
func loadRequest(cfg host.Config) *pb.LoadRequest {
	return wire.EncodeLoadRequest(cfg.Family, &cfg.Load)
}

// stream is the stream of one call.
type stream = grpc.BidiStreamingClient[pb.Call, pb.Reply]

// wireCall is a call of a method with the messages of its request.
type wireCall struct {
	method   func(context.Context, ...grpc.CallOption) (stream, error)
	messages []*pb.Call
	unended  bool // do not end the request (CloseSend)
}

// answer is the answer to a call.
type answer struct {
	reply   *pb.Reply // the response or the failure
	tensors []byte    // the bytes of all chunks
}

func (a *answer) failure() *pb.Failure {
	if a == nil || a.reply == nil {
		return nil
	}
	return a.reply.GetFailure()
}

// ask makes a call and reads the answer to its end.
func (c wireCall) ask(ctx context.Context) (*answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.method(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range c.messages {
		if err := s.Send(m); err != nil {
			if errors.Is(err, io.EOF) {
				break // the plugin has answered early: Recv returns the answer
			}
			return nil, err
		}
	}
	if !c.unended {
		if err := s.CloseSend(); err != nil {
			return nil, err
		}
	}
	a := &answer{}
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			if a.reply == nil {
				return nil, fmt.Errorf("the call ended without an answer")
			}
			return a, nil
		}
		if err != nil {
			return nil, err
		}
		switch part := r.Part.(type) {
		case *pb.Reply_Chunk:
			a.tensors = append(a.tensors, part.Chunk.Data...)
		case *pb.Reply_Piece:
		default:
			a.reply = r
		}
	}
}

// sample makes requests for the model of a guest.
type sample struct {
	g    *guest
	text [2]string
}

func (su *suite) sample(g *guest) sample {
	s := sample{g: g, text: [2]string{"a photo of", " a red dog on a green hill"}}
	if texts := su.o.Contract.Texts; len(texts) >= 2 {
		s.text = [2]string{texts[0], texts[1]}
	}
	return s
}

func (s sample) vision() bool { return s.g.spec.Vision != nil }

// call returns a request for n pictures or examples.
func (s sample) call(n int) wireCall {
	tensor, data := s.tensor(n)
	return s.callWith(n, tensor, chunk(0, 0, data))
}

// plainest returns a request for one picture, or for the loss of one text without soft
// prompts.
func (s sample) plainest() wireCall {
	if s.vision() {
		return s.call(1)
	}
	c := s.callWith(0, nil)
	c.messages[0].GetLoss().Examples = []*pb.Example{{Segments: []*pb.Segment{{Part: &pb.Segment_Text{Text: s.text[0]}}}, Target: s.text[1]}}
	c.messages[0].GetLoss().Gradient = false
	return c
}

// calledTwo describes call(2).
func (s sample) calledTwo() string {
	switch {
	case s.vision():
		return "an encode of two pictures"
	case s.gradient():
		return "a loss of two examples with soft prompts, and its gradient,"
	}
	return "a loss of two examples with soft prompts"
}

// callWith returns such a request with a given announcement of the tensor and given chunks.
func (s sample) callWith(n int, tensor *pb.Tensor, chunks ...*pb.Call) wireCall {
	if s.vision() {
		first := &pb.Call{Part: &pb.Call_Encode{Encode: &pb.EncodeRequest{Images: tensor}}}
		return wireCall{method: s.encode, messages: append([]*pb.Call{first}, chunks...)}
	}
	req := &pb.LossRequest{Prompts: tensor}
	for range n {
		req.Examples = append(req.Examples, s.example())
	}
	req.Gradient = s.gradient()
	first := &pb.Call{Part: &pb.Call_Loss{Loss: req}}
	return wireCall{method: s.loss, messages: append([]*pb.Call{first}, chunks...)}
}

// gradient reports whether the model returns gradients.
func (s sample) gradient() bool {
	return slices.Contains(s.g.spec.Capabilities, string(adapters.CapGradient))
}

func (s sample) loss(ctx context.Context, o ...grpc.CallOption) (stream, error) {
	return s.g.client.Loss(ctx, o...)
}

func (s sample) encode(ctx context.Context, o ...grpc.CallOption) (stream, error) {
	return s.g.client.Encode(ctx, o...)
}

func (s sample) generate(ctx context.Context, o ...grpc.CallOption) (stream, error) {
	return s.g.client.Generate(ctx, o...)
}

func (s sample) example() *pb.Example {
	return &pb.Example{
		Segments: []*pb.Segment{{Part: &pb.Segment_Prompt{Prompt: 0}}, {Part: &pb.Segment_Text{Text: s.text[0]}}},
		Target:   s.text[1],
	}
}

// tensor returns uint8[n, H, W, 3] or float32[1, 3, D], and its bytes.
func (s sample) tensor(n int) (*pb.Tensor, []byte) {
	rng := rand.New(rand.NewPCG(3, 5))
	if v := s.g.spec.Vision; v != nil {
		data := make([]byte, int64(n)*v.ImageHeight*v.ImageWidth*3)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		return &pb.Tensor{Dtype: uint32(adapters.Uint8), Nbytes: uint64(len(data)),
			Shape: []uint64{uint64(n), uint64(v.ImageHeight), uint64(v.ImageWidth), 3}}, data
	}
	return s.prompts(3)
}

// prompts returns float32[1, rows, D] near the norm of the model's embeddings.
func (s sample) prompts(rows int) (*pb.Tensor, []byte) {
	rng := rand.New(rand.NewPCG(3, 5))
	width := int(s.g.spec.Width)
	norm := float64(s.g.spec.GetLanguage().GetTokenNorm())
	values := make([]float32, rows*width)
	for i := range values {
		values[i] = float32(rng.NormFloat64() * max(norm, 1e-3) / math.Sqrt(float64(width)))
	}
	t := adapters.FromFloat32(values, 1, rows, width)
	return &pb.Tensor{Dtype: uint32(t.DType), Nbytes: uint64(len(t.Data)), Shape: []uint64{1, uint64(rows), uint64(width)}}, t.Data
}

// long returns a request that takes the model as long as possible, for tests that end or
// cancel it meanwhile.
func (s sample) long() wireCall {
	c := s.call(64)
	if s.vision() {
		return c
	}
	tensor, data := s.tensor(1)
	n := int64(200)
	if limit := s.g.spec.GetLanguage().GetContextTokens(); limit > 0 {
		n = max(2, min(n, limit-int64(len(s.text[0]))-8))
	}
	req := &pb.GenerateRequest{Prompts: tensor, Options: &pb.GenerateOptions{MaxNewTokens: n, MinNewTokens: n}}
	for range 16 {
		req.Examples = append(req.Examples, s.example())
	}
	first := &pb.Call{Part: &pb.Call_Generate{Generate: req}}
	return wireCall{method: s.generate, messages: []*pb.Call{first, chunk(0, 0, data)}}
}

func chunk(tensor uint32, offset uint64, data []byte) *pb.Call {
	return &pb.Call{Part: &pb.Call_Chunk{Chunk: &pb.Chunk{Tensor: tensor, Offset: offset, Data: data}}}
}

// chunked cuts a tensor's bytes into chunks of the given sizes, and repeats the last size.
func chunked(data []byte, sizes ...int) (chunks []*pb.Call) {
	for offset := 0; offset < len(data); {
		n := min(sizes[min(len(chunks), len(sizes)-1)], len(data)-offset)
		chunks = append(chunks, chunk(0, uint64(offset), data[offset:offset+n]))
		offset += n
	}
	return chunks
}

// broken returns requests that break the protocol, by their fault.
func (s sample) broken() map[string]wireCall {
	tensor, data := s.tensor(1)
	with := func(change func(t *pb.Tensor)) *pb.Tensor {
		t := &pb.Tensor{Dtype: tensor.Dtype, Nbytes: tensor.Nbytes, Shape: append([]uint64(nil), tensor.Shape...)}
		change(t)
		return t
	}
	good, half := s.call(1), len(data)/2
	wrong := wireCall{method: s.encode, messages: s.callWith(1, tensor).messages}
	if s.vision() {
		wrong.method = s.loss
	}
	first := func(c wireCall, messages ...*pb.Call) wireCall {
		c.messages = messages
		return c
	}
	return map[string]wireCall{
		"no request":                  first(good),
		"a chunk before the request":  first(good, chunk(0, 0, data)),
		"a message of no part":        first(good, &pb.Call{}),
		"the request of another call": wrong,
		"two requests":                first(good, append(good.messages[:1:1], good.messages...)...),
		"no chunks":                   s.callWith(1, tensor),
		"half of the bytes":           s.callWith(1, tensor, chunk(0, 0, data[:half])),
		"the same chunk twice":        s.callWith(1, tensor, chunk(0, 0, data[:half]), chunk(0, 0, data[:half])),
		"more bytes than announced":   s.callWith(1, tensor, chunk(0, 0, append(append([]byte(nil), data...), 1, 2, 3, 4))),
		"a chunk after the last":      s.callWith(1, tensor, chunk(0, 0, data), chunk(0, uint64(len(data)), data[:4])),
		"an empty chunk":              s.callWith(1, tensor, chunk(0, 0, nil)),
		"a chunk of another tensor":   s.callWith(1, tensor, chunk(5, 0, data)),
		"a gap between chunks":        s.callWith(1, tensor, chunk(0, 0, data[:half]), chunk(0, uint64(half)+4, data[half+4:])),
		"an element type of 77":       s.callWith(1, with(func(t *pb.Tensor) { t.Dtype = 77 }), chunk(0, 0, data)),
		"bytes that the shape has not": s.callWith(1, with(func(t *pb.Tensor) { t.Nbytes++ }),
			chunk(0, 0, append(append([]byte(nil), data...), 0))),
		"a shape whose product overflows": s.callWith(1, with(func(t *pb.Tensor) { t.Shape[0], t.Shape[1] = 1<<62, 1<<62 }), chunk(0, 0, data)),
		"a size below zero":               s.callWith(1, with(func(t *pb.Tensor) { t.Shape[0] = 1 << 63 }), chunk(0, 0, data)),
		"a petabyte":                      s.callWith(1, with(func(t *pb.Tensor) { t.Shape[0] *= 1 << 40; t.Nbytes *= 1 << 40 }), chunk(0, 0, data)),
		"a tensor of one axis": s.callWith(1, with(func(t *pb.Tensor) { t.Shape = []uint64{tensor.Nbytes / itemSize(tensor)} }),
			chunk(0, 0, data)),
		"a handle, where no arenas were lent": s.callWith(1, with(func(t *pb.Tensor) {
			t.Handle = &pb.Handle{Arena: 1, Slot: 1, Generation: 1, Offset: 1 << 40}
		})),
	}
}

// refused returns requests that keep to the protocol but break the contract, by their fault.
func (s sample) refused() map[string]wireCall {
	tensor, data := s.tensor(1)
	shaped := func(shape ...uint64) *pb.Tensor {
		t := &pb.Tensor{Dtype: tensor.Dtype, Shape: shape, Nbytes: itemSize(tensor)}
		for _, n := range shape {
			t.Nbytes *= n
		}
		return t
	}
	if v := s.g.spec.Vision; v != nil {
		h, w := uint64(v.ImageHeight), uint64(v.ImageWidth)
		small := shaped(1, 1, 1, 3)
		return map[string]wireCall{
			"no pictures":              s.callWith(0, shaped(0, h, w, 3)),
			"no tensor of pictures":    s.callWith(0, nil),
			"pictures of another size": s.callWith(1, small, chunk(0, 0, data[:3])),
		}
	}
	change := func(change func(r *pb.LossRequest)) wireCall {
		c := s.call(1)
		change(c.messages[0].GetLoss())
		return c
	}
	without := func(examples ...*pb.Example) wireCall {
		c := s.callWith(0, nil)
		c.messages[0].GetLoss().Examples, c.messages[0].GetLoss().Gradient = examples, false
		return c
	}
	prompt := func(i uint32) *pb.Example {
		return &pb.Example{Segments: []*pb.Segment{{Part: &pb.Segment_Prompt{Prompt: i}}}, Target: s.text[1]}
	}
	calls := map[string]wireCall{
		"no examples":             without(),
		"an example of nothing":   without(&pb.Example{}),
		"no segments":             without(&pb.Example{Target: s.text[1]}),
		"a prompt without any":    without(prompt(0)),
		"no such prompt":          change(func(r *pb.LossRequest) { r.Examples = []*pb.Example{prompt(1)} }),
		"the last of all prompts": change(func(r *pb.LossRequest) { r.Examples = []*pb.Example{prompt(math.MaxUint32)} }),
		"prompts of width 1":      s.callWith(1, shaped(1, 3, 1), chunk(0, 0, data[:12])),
	}
	for name, o := range map[string]*pb.GenerateOptions{
		"generate: a negative number of tokens": {MaxNewTokens: -1}, "generate: top-p 2": {Sample: true, TopP: 2},
		"generate: a minimum above the maximum": {MaxNewTokens: 2, MinNewTokens: 3}, "generate: a temperature of NaN": {Sample: true, Temperature: math.NaN()},
	} {
		calls[name] = wireCall{method: s.generate, messages: []*pb.Call{{Part: &pb.Call_Generate{Generate: &pb.GenerateRequest{
			Examples: []*pb.Example{{Segments: []*pb.Segment{{Part: &pb.Segment_Text{Text: s.text[0]}}}}}, Options: o}}}}}
	}
	if s.gradient() {
		c := without(&pb.Example{Segments: []*pb.Segment{{Part: &pb.Segment_Text{Text: s.text[0]}}}, Target: s.text[1]})
		c.messages[0].GetLoss().Gradient = true
		calls["a gradient without prompts"] = c
	}
	return calls
}

func itemSize(t *pb.Tensor) uint64 { return uint64(adapters.DType(t.Dtype).Size()) }

// describe returns the outcome of a call in one line.
func describe(a *answer, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case a.failure() != nil:
		f := a.failure()
		return fmt.Sprintf("a failure of kind %q: %s", adapters.Kind(min(f.Kind, 255)), strings.TrimSpace(f.Message+" "+f.Remedy))
	}
	return fmt.Sprintf("%T", a.reply.Part)
}
