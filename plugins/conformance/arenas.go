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
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// arenaBytes is the size of an arena that the suite lends. Its pages exist once they are
// touched.
const arenaBytes = 64 << 20

// arenas is the host's end of the shared memory that the suite lends to a guest. The suite
// checks what the guest writes there, and lies to it about handles and leases.
type arenas struct {
	files [2]*os.File // to the plugin, to the host
	in    []byte      // to the plugin, which cannot write there
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
// environment variable that names them. Nil arenas have none.
func (a *arenas) handOver(first int) ([]*os.File, []string) {
	if a == nil {
		return nil, nil
	}
	return a.files[:], []string{fmt.Sprintf("%s=%d:%d,%d:%d", wire.ArenasKey, first, arenaBytes, first+1, arenaBytes)}
}

// close unmaps and closes the arenas. A second call does nothing.
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
			"map both arenas, copy the bytes that a handle names, put each tensor of the answer into the lease at a multiple of 64; the SDKs do this"), needsCall, (*suite).arenasCase},
		{about("handles that lie", "a handle with a wrong arena, call or offset, an unaligned one, or one that is larger than its arena gets a failure of kind invalid (exhausted, if it is too large), and the plugin keeps working", ruleArenas,
			"compare arena, slot and generation; check offset and size by subtraction (offset <= size && n <= size-offset) before you read"), needsCall, (*suite).lyingHandles},
		{about("leases that lie", "a lease that is unaligned, reaches beyond the arena, or names a running call gets a failure of kind invalid, and the plugin keeps working", ruleArenas,
			"check a lease like a handle, before the call begins; keep the generations of the running calls"), needsCall, (*suite).lyingLeases},
		{about("calls that are settled", "once Settle has returned, a call that was given up writes nothing, and one that comes late is refused", ruleArenas,
			"let Settle wait until the named calls have left their lease, and remember those that have not come"), needsCall, (*suite).settledCalls},
	}
}

// startWithArenas starts and loads a plugin with arenas for one case, which kills it.
func (su *suite) startWithArenas(t T) *guest {
	su.skipIfBroken(t)
	a, err := newArenas()
	if err != nil {
		t.Skipf("this machine has no memory to lend: %v", err)
	}
	g := su.startOrFail(t, a)
	if l := su.loadOrFail(t, g); l.hello == nil || !slices.Contains(l.hello.Capabilities, "arenas") {
		g.kill()
		t.Skipf("it takes no shared memory: \"arenas\" is not among the capabilities of its hello")
	}
	return g
}

// lease returns a lease with a new generation.
func (g *guest) lease(slot uint32, offset, nbytes uint64) *pb.Lease {
	g.generation++
	return &pb.Lease{Generation: g.generation, Slot: slot, Offset: offset, Nbytes: nbytes}
}

// handle returns the correct handle of a tensor in a call's request.
func handle(l *pb.Lease, offset uint64) *pb.Handle {
	return &pb.Handle{Arena: wire.ArenaToPlugin, Slot: l.Slot, Generation: l.Generation, Offset: offset}
}

// shared is like [sample.call], with the tensor at an offset of the arena.
func (s sample) shared(n int, l *pb.Lease, offset uint64) wireCall {
	tensor, data := s.tensor(n)
	copy(s.g.arenas.in[offset:], data)
	tensor.Handle = handle(l, offset)
	return s.callWith(n, tensor).with(l)
}

// with adds a lease to a call.
func (c wireCall) with(l *pb.Lease) wireCall {
	c.messages[0].Lease = l
	return c
}

// sharedSample makes a call with its tensor in the arena, and returns the sample and the
// answer.
func (su *suite) sharedSample(t T, g *guest) (sample, *answer) {
	t.Helper()
	s := su.sample(g)
	return s, su.answers(t, s.shared(2, g.lease(0, 0, arenaBytes/2), 0))
}

// tensorOf returns the tensor of an answer that may be in the arena, or nil.
func tensorOf(r *pb.Reply) *pb.Tensor {
	switch part := r.Part.(type) {
	case *pb.Reply_Encode:
		return part.Encode.Features
	case *pb.Reply_Loss:
		return part.Loss.Gradient
	}
	return nil
}

// untouched is the byte with which the suite fills an arena, to see what is written.
const untouched = 0xa5

// arenasCase makes the same call with several leases.
func (su *suite) arenasCase(t T) {
	g := su.startWithArenas(t)
	defer g.kill()
	s := su.sample(g)
	want := su.answers(t, s.call(2))
	size := uint64(len(want.tensors))
	if need := size + (2 << 20); need > arenaBytes {
		t.Skipf("the answer to two takes %d bytes, more than the suite lends", size)
	}
	whole := (size + wire.Alignment - 1) / wire.Alignment * wire.Alignment
	for _, c := range []struct {
		name   string
		lease  *pb.Lease
		offset uint64 // of the request's tensor
		fits   bool
	}{
		{"a lease with room", g.lease(0, 0, size+1<<20), 0, true},
		{"a lease in the middle, of the size of the answer", g.lease(3, 1<<20, whole), 4096 + wire.Alignment, true},
		{"a lease that is too small", g.lease(1, wire.Alignment, size/2/wire.Alignment*wire.Alignment), 0, false},
		{"an empty lease", g.lease(2, 0, 0), 128, false},
	} {
		region := g.arenas.out[:min(arenaBytes, c.lease.Offset+c.lease.Nbytes+1<<20)]
		fill(region)
		got := su.answers(t, s.shared(2, c.lease, c.offset))
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
	for n := copy(memory, []byte{untouched}); n < len(memory); n *= 2 { // faster than a loop over bytes
		copy(memory[n:], memory[:n])
	}
}

func isUntouched(memory []byte) bool {
	return bytes.Count(memory, []byte{untouched}) == len(memory) // faster than a loop over bytes
}

// sameThrough compares an answer whose tensor may be in the arena with one in chunks.
func (g *guest) sameThrough(got, want *answer, l *pb.Lease, fits bool) error {
	reply := proto.CloneOf(got.reply)
	data := got.tensors
	if t := tensorOf(reply); t != nil && t.Nbytes > 0 {
		switch h := t.Handle; {
		case h == nil && fits:
			return fmt.Errorf("the tensor of %d bytes is not in the lease of %d, where it fits", t.Nbytes, l.Nbytes)
		case h == nil:
		case h.Arena != wire.ArenaToHost || h.Slot != l.Slot || h.Generation != l.Generation:
			return fmt.Errorf("the handle is of arena %d, slot %d, generation %d; the lease is of arena %d, slot %d, generation %d",
				h.Arena, h.Slot, h.Generation, wire.ArenaToHost, l.Slot, l.Generation)
		case h.Offset%wire.Alignment != 0 || h.Offset < l.Offset || h.Offset-l.Offset > l.Nbytes || t.Nbytes > l.Nbytes-(h.Offset-l.Offset):
			return fmt.Errorf("the handle names %d bytes at byte %d, the lease has %d at %d, aligned to %d", t.Nbytes, h.Offset, l.Nbytes, l.Offset, wire.Alignment)
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

// corruptHandles returns changes by name. Each turns a correct handle, of a tensor of n bytes at
// byte 4096, into a handle that a plugin must refuse.
func corruptHandles(n uint64) map[string]func(h *pb.Handle, t *pb.Tensor) {
	at := func(offset uint64) func(*pb.Handle, *pb.Tensor) {
		return func(h *pb.Handle, _ *pb.Tensor) { h.Offset = offset }
	}
	return map[string]func(*pb.Handle, *pb.Tensor){
		"of no arena":                  func(h *pb.Handle, _ *pb.Tensor) { h.Arena = 0 },
		"of the arena for answers":     func(h *pb.Handle, _ *pb.Tensor) { h.Arena = wire.ArenaToHost },
		"of a third arena":             func(h *pb.Handle, _ *pb.Tensor) { h.Arena = 3 },
		"of another slot":              func(h *pb.Handle, _ *pb.Tensor) { h.Slot++ },
		"of the call before":           func(h *pb.Handle, _ *pb.Tensor) { h.Generation-- },
		"of a call to come":            func(h *pb.Handle, _ *pb.Tensor) { h.Generation++ },
		"of generation 0":              func(h *pb.Handle, _ *pb.Tensor) { h.Generation = 0 },
		"unaligned by a byte":          at(4097),
		"unaligned by half a line":     at(4096 + wire.Alignment/2),
		"at the arena's end":           at(arenaBytes),
		"with its last bytes beyond":   at((arenaBytes - n + wire.Alignment) / wire.Alignment * wire.Alignment),
		"beyond the arena":             at(1 << 40),
		"at 2^63":                      at(1 << 63),
		"whose end wraps around":       at(math.MaxUint64 - wire.Alignment + 1),
		"of more bytes than the shape": func(_ *pb.Handle, t *pb.Tensor) { t.Nbytes += wire.Alignment },
		"of fewer bytes":               func(_ *pb.Handle, t *pb.Tensor) { t.Nbytes-- },
		"of a petabyte": func(_ *pb.Handle, t *pb.Tensor) {
			t.Shape[0] *= 1 << 40
			t.Nbytes *= 1 << 40
		},
		"of a product that overflows": func(_ *pb.Handle, t *pb.Tensor) { t.Shape[0], t.Shape[1] = 1<<62, 1<<62 },
		"of an element type of 77":    func(_ *pb.Handle, t *pb.Tensor) { t.Dtype = 77 },
	}
}

func (su *suite) lyingHandles(t T) {
	g := su.startWithArenas(t)
	defer g.kill()
	s, want := su.sharedSample(t, g)
	tensor, data := s.tensor(2)
	calls := map[string]func() wireCall{
		"without a lease":                 func() wireCall { return s.shared(2, g.lease(0, 0, 0), 4096).with(nil) },
		"and the same bytes as a chunk":   func() wireCall { return s.extra(g.lease(0, 0, 0), chunk(0, 0, data)) },
		"and a chunk of what comes after": func() wireCall { return s.extra(g.lease(0, 0, 0), chunk(1, 0, data[:4])) },
	}
	for name, lie := range corruptHandles(tensor.Nbytes) {
		calls[name] = func() wireCall {
			c := s.shared(2, g.lease(5, 0, 4096), 4096)
			announced := c.tensor()
			lie(announced.Handle, announced)
			return c
		}
	}
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		su.mustRefuse(t, g, "a handle "+name, calls[name](), adapters.Invalid, adapters.Exhausted)
	}
	su.answersAsBefore(t, g, s, want)
}

// extra returns a call whose tensor is in the arena, with a chunk too many.
func (s sample) extra(l *pb.Lease, chunk *pb.Call) wireCall {
	c := s.shared(2, l, 4096)
	c.messages = append(c.messages, chunk)
	return c
}

// tensor returns the tensor that a call announces.
func (c wireCall) tensor() *pb.Tensor {
	switch part := c.messages[0].Part.(type) {
	case *pb.Call_Encode:
		return part.Encode.Images
	case *pb.Call_Loss:
		return part.Loss.Prompts
	}
	return nil
}

// mustRefuse makes a call and fails the case unless the answer is a failure of one of the
// kinds. The failure must not say where memory is.
func (su *suite) mustRefuse(t T, g *guest, name string, c wireCall, kinds ...adapters.Kind) {
	t.Helper()
	limit := su.scaled(10 * time.Second)
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
		t.Fatalf("%s: the plugin died: %s", name, g.status())
	}
	if err != nil && ctx.Err() == nil {
		t.Errorf("%s: got %v, want a failure of kind %q", name, err, kinds[0])
	}
}

// answersAsBefore makes the correct call again and compares the answer.
func (su *suite) answersAsBefore(t T, g *guest, s sample, want *answer) {
	t.Helper()
	l := g.lease(0, 0, arenaBytes/2)
	got := su.answers(t, s.shared(2, l, 0))
	if a, b := tensorOf(got.reply), tensorOf(want.reply); a != nil && b != nil && a.Handle != nil && b.Handle != nil {
		a.Handle.Generation = b.Handle.Generation
	}
	if !sameAnswer(got, want) {
		t.Errorf("after what was refused a call has another answer than before")
	}
}

func (su *suite) lyingLeases(t T) {
	g := su.startWithArenas(t)
	defer g.kill()
	s, want := su.sharedSample(t, g)
	for name, l := range map[string]*pb.Lease{
		"unaligned":                g.lease(0, 32, 4096),
		"larger than the arena":    g.lease(0, 0, arenaBytes+wire.Alignment),
		"with its end beyond":      g.lease(0, arenaBytes-wire.Alignment, 2*wire.Alignment),
		"beyond the arena":         g.lease(0, 1<<40, 4096),
		"whose end wraps around":   g.lease(0, math.MaxUint64-wire.Alignment+1, 2*wire.Alignment),
		"of more than all numbers": g.lease(0, wire.Alignment, math.MaxUint64),
		"of generation 0":          {Generation: 0, Offset: 0, Nbytes: 4096},
	} {
		su.mustRefuse(t, g, "a lease "+name, s.shared(2, l, 0), adapters.Invalid)
	}
	su.sameGeneration(t, g, s)
	su.answersAsBefore(t, g, s, want)
}

// sameGeneration begins two calls with the same lease and ends neither. The plugin must
// refuse the second one.
func (su *suite) sameGeneration(t T, g *guest, s sample) {
	l := g.lease(0, 0, 4096)
	limit := su.scaled(10 * time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	type end struct {
		reply *pb.Reply
		err   error
	}
	ends := make(chan end, 2)
	for range 2 {
		held, err := s.openCall(ctx, l)
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

// openCall begins a call and does not end it.
func (s sample) openCall(ctx context.Context, l *pb.Lease) (stream, error) {
	tensor, _ := s.tensor(1)
	c := s.callWith(1, tensor).with(l)
	held, err := c.method(ctx)
	if err == nil {
		err = held.Send(c.messages[0])
	}
	return held, err
}

// many returns how many pictures or examples the arena has room for, up to 32.
func (s sample) many() int {
	one, _ := s.tensor(1)
	return int(min(32, max(1, arenaBytes/2/max(1, one.Nbytes))))
}

// settleQuiet is how long the suite looks for writes after Settle has answered, at least. For a
// slower model it is as long as a call takes, up to a second.
const settleQuiet = 300 * time.Millisecond

func (su *suite) settledCalls(t T) {
	g := su.startWithArenas(t)
	defer g.kill()
	s, want := su.sharedSample(t, g)
	room := uint64(1 << 20) // for the answer to many
	if t := tensorOf(want.reply); t != nil {
		room = min(arenaBytes/2, room+t.Nbytes*uint64(s.many()))
	}
	limit := su.scaled(10 * time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	su.answers(t, s.shared(2, g.lease(0, 0, room), 0))
	took := time.Since(began) // many take as long at least
	quiet := max(settleQuiet, min(took, su.scaled(time.Second)))
	for _, after := range []time.Duration{0, took / 3, 2 * took / 3} {
		l := g.lease(0, 0, room)
		given, giveUp := context.WithTimeout(ctx, after)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = s.shared(s.many(), l, 0).ask(given)
		}()
		<-done
		giveUp()
		if _, err := g.client.Settle(ctx, &pb.SettleRequest{Generations: []uint64{l.Generation}}); err != nil {
			t.Fatalf("Settle for a call that was given up %v after its start: %v, want an answer within %v", after.Round(time.Millisecond), err, limit)
		}
		fill(g.arenas.out[:room])
		time.Sleep(quiet)
		if !isUntouched(g.arenas.out[:room]) {
			t.Errorf("a call that was given up %v after its start writes to its lease after Settle has answered", after.Round(time.Millisecond))
		}
	}
	late := g.lease(0, 0, arenaBytes/2)
	if _, err := g.client.Settle(ctx, &pb.SettleRequest{Generations: []uint64{late.Generation, math.MaxUint64}}); err != nil {
		t.Errorf("Settle for calls that have not come: %v, want an answer at once", err)
	}
	su.mustRefuse(t, g, "a call that comes after it was settled", s.shared(2, late, 0), adapters.Invalid)
	su.answersAsBefore(t, g, s, want)
}
