package conformance

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/memfile"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// What the protocol says of arenas.
const (
	arenaToPlugin = 1
	arenaToHost   = 2
	alignment     = 64 // of a tensor in an arena, bytes

	// arenaBytes is the size of one that the kit lends. Its pages appear when they are
	// first touched.
	arenaBytes = 64 << 20
)

// arenas is the host's end of the memory that the kit lends to a guest, to look at
// what it does there and to lie to it about it.
type arenas struct {
	files [2]*os.File // to the plugin, to the host
	in    []byte      // to the plugin, who cannot write there
	out   []byte      // to the host
}

// newArenas makes and maps both. The caller closes them.
func newArenas() (_ *arenas, err error) {
	a := &arenas{}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	for i, memory := range []*[]byte{&a.in, &a.out} {
		if a.files[i], err = memfile.New(arenaBytes); err != nil {
			return nil, err
		}
		if *memory, err = unix.Mmap(int(a.files[i].Fd()), 0, arenaBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
			return nil, fmt.Errorf("mapping: %w", err)
		}
		if err = memfile.Seal(a.files[i], i == 0); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// handOver returns the files for the process's descriptors from first on, and the
// variable that names them. Nil arenas have none.
func (a *arenas) handOver(first int) ([]*os.File, []string) {
	if a == nil {
		return nil, nil
	}
	return a.files[:], []string{fmt.Sprintf("BRIDGE_ARENAS=%d:%d,%d:%d", first, arenaBytes, first+1, arenaBytes)}
}

// close unmaps and closes; a second time it does nothing.
func (a *arenas) close() {
	if a == nil {
		return
	}
	for _, f := range a.files {
		if f != nil {
			f.Close()
		}
	}
	for _, m := range []*[]byte{&a.in, &a.out} {
		if *m != nil {
			_ = unix.Munmap(*m) // cannot fail: it is a whole mapping
			*m = nil
		}
	}
}

func arenaCases() []processCase {
	return []processCase{
		{about("arenas", "a tensor in shared memory gives the same answer as chunks; the answer is in its lease, and nothing is written outside it", ruleArenas,
			"map both arenas, copy the bytes that a handle names, put each tensor of the answer into the lease at a multiple of 64; the SDKs do this"), needsCall, (*kit).shares},
		{about("handles that lie", "a handle with a wrong arena, call or offset, an unaligned one, or one that is larger than its arena gets a failure of kind invalid (exhausted, if it is too large), and the plugin keeps working", ruleArenas,
			"compare arena, slot and generation; check offset and size by subtraction (offset <= size && n <= size-offset) before you read"), needsCall, (*kit).lyingHandles},
		{about("leases that lie", "a lease that is unaligned, reaches beyond the arena, or names a running call gets a failure of kind invalid, and the plugin keeps working", ruleArenas,
			"check a lease like a handle, before the call begins; keep the generations of the running calls"), needsCall, (*kit).lyingLeases},
		{about("calls that are settled", "once Settle has returned, a call that was given up writes nothing, and one that comes late is refused", ruleArenas,
			"let Settle wait until the named calls have left their lease, and remember those that have not come"), needsCall, (*kit).settled},
	}
}

// lent starts and loads a plugin with arenas; the case kills it.
func (k *kit) lent(t T) *guest {
	k.hopeful(t)
	a, err := newArenas()
	if err != nil {
		t.Skipf("this machine has no memory to lend: %v", err)
	}
	g := k.started(t, a)
	if l := k.ready(t, g); l.hello == nil || !slices.Contains(l.hello.Capabilities, "arenas") {
		g.kill()
		t.Skipf("it takes no shared memory: \"arenas\" is not among the capabilities of its hello")
	}
	return g
}

// lease numbers the calls of a guest: each has a generation of its own.
func (g *guest) lease(slot uint32, offset, nbytes uint64) *pb.Lease {
	g.generation++
	return &pb.Lease{Generation: g.generation, Slot: slot, Offset: offset, Nbytes: nbytes}
}

// handle is the true one of a tensor of a call's request.
func handle(l *pb.Lease, offset uint64) *pb.Handle {
	return &pb.Handle{Arena: arenaToPlugin, Slot: l.Slot, Generation: l.Generation, Offset: offset}
}

// shared is [sample.call] with the tensor in the arena, at an offset.
func (s sample) shared(n int, l *pb.Lease, offset uint64) wireCall {
	tensor, data := s.tensor(n)
	copy(s.g.arenas.in[offset:], data)
	tensor.Handle = handle(l, offset)
	return s.callWith(n, tensor).with(l)
}

// with lends to a call.
func (c wireCall) with(l *pb.Lease) wireCall {
	c.messages[0].Lease = l
	return c
}

// sharedSample returns a sample of a guest that computes with what lies in the arena,
// and the answer.
func (k *kit) sharedSample(t T, g *guest) (sample, *answer) {
	t.Helper()
	s := k.sample(g)
	return s, k.answers(t, s.shared(2, g.lease(0, 0, arenaBytes/2), 0))
}

// tensorOf is the tensor of an answer that may lie in the arena; nil where it has
// none.
func tensorOf(r *pb.Reply) *pb.Tensor {
	switch part := r.Part.(type) {
	case *pb.Reply_Encode:
		return part.Encode.Features
	case *pb.Reply_Loss:
		return part.Loss.Gradient
	}
	return nil
}

// untouched is what the kit fills the arena with, to see what is written.
const untouched = 0xa5

// shares makes the same call with several leases.
func (k *kit) shares(t T) {
	g := k.lent(t)
	defer g.kill()
	s := k.sample(g)
	want := k.answers(t, s.call(2))
	size := uint64(len(want.tensors))
	if need := size + (2 << 20); need > arenaBytes {
		t.Skipf("the answer to two takes %d bytes, more than the kit lends", size)
	}
	whole := (size + alignment - 1) / alignment * alignment
	for _, c := range []struct {
		name   string
		lease  *pb.Lease
		offset uint64 // of the request's tensor
		fits   bool
	}{
		{"a lease with room", g.lease(0, 0, size+1<<20), 0, true},
		{"a lease in the middle, of the size of the answer", g.lease(3, 1<<20, whole), 4096 + alignment, true},
		{"a lease that is too small", g.lease(1, alignment, size/2/alignment*alignment), 0, false},
		{"an empty lease", g.lease(2, 0, 0), 128, false},
	} {
		region := g.arenas.out[:min(arenaBytes, c.lease.Offset+c.lease.Nbytes+1<<20)]
		fill(region)
		got := k.answers(t, s.shared(2, c.lease, c.offset))
		if err := g.sameThrough(got, want, c.lease, c.fits); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		from, to := c.lease.Offset, c.lease.Offset+c.lease.Nbytes
		if !isUntouched(region[:from]) || !isUntouched(region[to:]) {
			t.Errorf("%s: bytes beside the lease, which ends at %d, are written", c.name, to)
		}
	}
}

func fill(memory []byte) {
	for i := range memory {
		memory[i] = untouched
	}
}

func isUntouched(memory []byte) bool {
	return !slices.ContainsFunc(memory, func(b byte) bool { return b != untouched })
}

// sameThrough holds an answer that may lie in the arena against one of chunks.
func (g *guest) sameThrough(got, want *answer, l *pb.Lease, fits bool) error {
	reply := proto.CloneOf(got.reply)
	data := got.tensors
	if t := tensorOf(reply); t != nil && t.Nbytes > 0 {
		switch h := t.Handle; {
		case h == nil && fits:
			return fmt.Errorf("the tensor of %d bytes is not in the lease of %d, where it fits", t.Nbytes, l.Nbytes)
		case h == nil:
		case h.Arena != arenaToHost || h.Slot != l.Slot || h.Generation != l.Generation:
			return fmt.Errorf("the handle is of arena %d, slot %d, generation %d; the lease is of arena %d, slot %d, generation %d",
				h.Arena, h.Slot, h.Generation, arenaToHost, l.Slot, l.Generation)
		case h.Offset%alignment != 0 || h.Offset < l.Offset || h.Offset-l.Offset > l.Nbytes || t.Nbytes > l.Nbytes-(h.Offset-l.Offset):
			return fmt.Errorf("the handle names %d bytes at byte %d, the lease has %d at %d, aligned to %d", t.Nbytes, h.Offset, l.Nbytes, l.Offset, alignment)
		default:
			data = append(slices.Clone(g.arenas.out[h.Offset:h.Offset+t.Nbytes]), data...)
		}
		t.Handle = nil
	}
	if !proto.Equal(reply, want.reply) || !bytes.Equal(data, want.tensors) {
		return fmt.Errorf("the answer differs from that to chunks")
	}
	return nil
}

// lies are handles that a guest has to refuse. Each changes a true one of a tensor
// of n bytes, at byte 4096.
func lies(n uint64) map[string]func(h *pb.Handle, t *pb.Tensor) {
	at := func(offset uint64) func(*pb.Handle, *pb.Tensor) {
		return func(h *pb.Handle, _ *pb.Tensor) { h.Offset = offset }
	}
	return map[string]func(*pb.Handle, *pb.Tensor){
		"of no arena":                  func(h *pb.Handle, _ *pb.Tensor) { h.Arena = 0 },
		"of the arena for answers":     func(h *pb.Handle, _ *pb.Tensor) { h.Arena = arenaToHost },
		"of a third arena":             func(h *pb.Handle, _ *pb.Tensor) { h.Arena = 3 },
		"of another slot":              func(h *pb.Handle, _ *pb.Tensor) { h.Slot++ },
		"of the call before":           func(h *pb.Handle, _ *pb.Tensor) { h.Generation-- },
		"of a call to come":            func(h *pb.Handle, _ *pb.Tensor) { h.Generation++ },
		"of generation 0":              func(h *pb.Handle, _ *pb.Tensor) { h.Generation = 0 },
		"unaligned by a byte":          at(4097),
		"unaligned by half a line":     at(4096 + alignment/2),
		"at the arena's end":           at(arenaBytes),
		"with its last bytes beyond":   at((arenaBytes - n + alignment) / alignment * alignment),
		"beyond the arena":             at(1 << 40),
		"at 2^63":                      at(1 << 63),
		"whose end wraps around":       at(math.MaxUint64 - alignment + 1),
		"of more bytes than the shape": func(_ *pb.Handle, t *pb.Tensor) { t.Nbytes += alignment },
		"of fewer bytes":               func(_ *pb.Handle, t *pb.Tensor) { t.Nbytes-- },
		"of a petabyte": func(_ *pb.Handle, t *pb.Tensor) {
			t.Shape[0] *= 1 << 40
			t.Nbytes *= 1 << 40
		},
		"of a product that overflows": func(_ *pb.Handle, t *pb.Tensor) { t.Shape[0], t.Shape[1] = 1<<62, 1<<62 },
		"of an element type of 77":    func(_ *pb.Handle, t *pb.Tensor) { t.Dtype = 77 },
	}
}

func (k *kit) lyingHandles(t T) {
	g := k.lent(t)
	defer g.kill()
	s, want := k.sharedSample(t, g)
	tensor, data := s.tensor(2)
	calls := map[string]func() wireCall{
		"without a lease":                 func() wireCall { return s.shared(2, g.lease(0, 0, 0), 4096).with(nil) },
		"and the same bytes as a chunk":   func() wireCall { return s.extra(g.lease(0, 0, 0), chunk(0, 0, data)) },
		"and a chunk of what comes after": func() wireCall { return s.extra(g.lease(0, 0, 0), chunk(1, 0, data[:4])) },
	}
	for name, lie := range lies(tensor.Nbytes) {
		calls[name] = func() wireCall {
			c := s.shared(2, g.lease(5, 0, 4096), 4096)
			announced := c.tensor()
			lie(announced.Handle, announced)
			return c
		}
	}
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		k.refuses(t, g, "a handle "+name, calls[name](), adapters.Invalid, adapters.Exhausted)
	}
	k.asBefore(t, g, s, want)
}

// extra is a call whose tensor is in the arena, and a chunk that is one too many.
func (s sample) extra(l *pb.Lease, chunk *pb.Call) wireCall {
	c := s.shared(2, l, 4096)
	c.messages = append(c.messages, chunk)
	return c
}

// tensor is what a call announces.
func (c wireCall) tensor() *pb.Tensor {
	switch part := c.messages[0].Part.(type) {
	case *pb.Call_Encode:
		return part.Encode.Images
	case *pb.Call_Loss:
		return part.Loss.Prompts
	}
	return nil
}

// refuses makes a call that must get a failure of one of the kinds, which says nothing
// of where memory is.
func (k *kit) refuses(t T, g *guest, name string, c wireCall, kinds ...adapters.Kind) {
	t.Helper()
	limit := k.patient(10 * time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	a, err := c.ask(ctx)
	f := a.failure()
	switch {
	case !g.ended(0) && ctx.Err() != nil:
		t.Errorf("%s: no answer after %v", name, limit)
	case err == nil && f == nil:
		t.Errorf("%s: answered with %s, want a failure", name, describe(a, err))
	case f != nil && !slices.Contains(kinds, adapters.Kind(f.Kind)):
		t.Errorf("%s: got %s, want kind %q", name, describe(a, err), kinds[0])
	case f != nil && (strings.Contains(f.Message, "memfd") || strings.Contains(f.Message, "/proc/")):
		t.Errorf("%s: the failure says where memory is: %s", name, f.Message)
	}
	if err != nil && g.ended(time.Second) {
		t.Fatalf("%s: the plugin died: %s", name, g.story())
	}
	if err != nil && ctx.Err() == nil {
		t.Errorf("%s: got %v, want a failure of kind %q", name, err, kinds[0])
	}
}

// asBefore makes the true call again.
func (k *kit) asBefore(t T, g *guest, s sample, want *answer) {
	t.Helper()
	l := g.lease(0, 0, arenaBytes/2)
	got := k.answers(t, s.shared(2, l, 0))
	if a, b := tensorOf(got.reply), tensorOf(want.reply); a != nil && b != nil && a.Handle != nil && b.Handle != nil {
		a.Handle.Generation = b.Handle.Generation
	}
	if !sameAnswer(got, want) {
		t.Errorf("after what was refused a call has another answer than before")
	}
}

func (k *kit) lyingLeases(t T) {
	g := k.lent(t)
	defer g.kill()
	s, want := k.sharedSample(t, g)
	for name, l := range map[string]*pb.Lease{
		"unaligned":                g.lease(0, 32, 4096),
		"larger than the arena":    g.lease(0, 0, arenaBytes+alignment),
		"with its end beyond":      g.lease(0, arenaBytes-alignment, 2*alignment),
		"beyond the arena":         g.lease(0, 1<<40, 4096),
		"whose end wraps around":   g.lease(0, math.MaxUint64-alignment+1, 2*alignment),
		"of more than all numbers": g.lease(0, alignment, math.MaxUint64),
		"of generation 0":          {Generation: 0, Offset: 0, Nbytes: 4096},
	} {
		k.refuses(t, g, "a lease "+name, s.shared(2, l, 0), adapters.Invalid)
	}
	k.sameGeneration(t, g, s)
	k.asBefore(t, g, s, want)
}

// sameGeneration begins two calls that name one lease, and ends neither: the one that
// comes second has to be refused.
func (k *kit) sameGeneration(t T, g *guest, s sample) {
	l := g.lease(0, 0, 4096)
	limit := k.patient(10 * time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	type end struct {
		reply *pb.Reply
		err   error
	}
	ends := make(chan end, 2)
	for range 2 {
		held, err := s.hold(ctx, l)
		if err != nil {
			t.Fatalf("a call with a lease: %v", err)
		}
		go func() {
			r, err := held.Recv()
			ends <- end{r, err}
		}()
	}
	first := <-ends
	if ctx.Err() != nil || status.Code(first.err) == codes.DeadlineExceeded { // gRPC may know it before
		t.Errorf("two calls of one generation run, and neither is refused within %v", limit)
	} else if f := first.reply.GetFailure(); f == nil || adapters.Kind(f.Kind) != adapters.Invalid {
		t.Errorf("a second call of a generation that runs: got %v, %v, want a failure of kind %q", first.reply, first.err, adapters.Invalid)
	}
	cancel()
	<-ends
}

// hold begins a call that the host does not end.
func (s sample) hold(ctx context.Context, l *pb.Lease) (stream, error) {
	tensor, _ := s.tensor(1)
	c := s.callWith(1, tensor).with(l)
	held, err := c.method(ctx)
	if err == nil {
		err = held.Send(c.messages[0])
	}
	return held, err
}

// many is how many pictures or examples the kit's arena has room for, up to 32.
func (s sample) many() int {
	one, _ := s.tensor(1)
	return int(min(32, max(1, arenaBytes/2/max(1, one.Nbytes))))
}

// settleQuiet is how long nothing may be written after Settle has answered.
const settleQuiet = 300 * time.Millisecond

func (k *kit) settled(t T) {
	g := k.lent(t)
	defer g.kill()
	s, want := k.sharedSample(t, g)
	limit := k.patient(10 * time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 50 * time.Millisecond} {
		l := g.lease(0, 0, arenaBytes/2)
		given, giveUp := context.WithTimeout(ctx, after)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = s.shared(s.many(), l, 0).ask(given)
		}()
		<-done
		giveUp()
		if _, err := g.client.Settle(ctx, &pb.SettleRequest{Generations: []uint64{l.Generation}}); err != nil {
			t.Fatalf("Settle for a call that was given up %v after its start: %v, want an answer within %v", after, err, limit)
		}
		fill(g.arenas.out[:arenaBytes/2])
		time.Sleep(settleQuiet)
		if !isUntouched(g.arenas.out[:arenaBytes/2]) {
			t.Errorf("a call that was given up %v after its start writes to its lease after Settle has answered", after)
		}
	}
	late := g.lease(0, 0, arenaBytes/2)
	if _, err := g.client.Settle(ctx, &pb.SettleRequest{Generations: []uint64{late.Generation, math.MaxUint64}}); err != nil {
		t.Errorf("Settle for calls that have not come: %v, want an answer at once", err)
	}
	k.refuses(t, g, "a call that comes after it was settled", s.shared(2, late, 0), adapters.Invalid)
	k.asBefore(t, g, s, want)
}
