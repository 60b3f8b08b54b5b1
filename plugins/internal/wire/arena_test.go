package wire

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// memory is shared memory whose two ends are in one process. Put fills the window from its
// beginning.
type memory struct {
	Window
	data []byte
	used uint64 // bytes of the window
}

var _ Shared = (*memory)(nil)

// newMemory returns an arena of size bytes, with a window at byte 0.
func newMemory(size, window uint64) *memory {
	return &memory{data: make([]byte, size), Window: Window{Arena: ArenaToHost, Slot: 3, Generation: 9, Part: Part{Bytes: window}}}
}

func (m *memory) Put(data []byte) *pb.Handle {
	p := Part{Offset: m.Offset + m.used, Bytes: uint64(len(data))}
	if !m.Holds(p.Offset, p.Bytes) {
		return nil
	}
	m.used = Align(m.used + p.Bytes)
	copy(p.In(m.data), data)
	return m.Handle(p.Offset)
}

func (m *memory) Read(p Part) ([]byte, error) { return slices.Clone(p.In(m.data)), nil }

func wantProtocolError(t *testing.T, what string, err error, text string) {
	t.Helper()
	var broken *ProtocolError
	if !errors.As(err, &broken) || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: got %v, want a protocol error with %q", what, err, text)
	}
}

func TestHandlesAreChecked(t *testing.T) {
	const room = 1024
	w := Window{Arena: ArenaToHost, Slot: 3, Generation: 9, Part: Part{Offset: 4096, Bytes: room}}
	handle := func(offset uint64) *pb.Handle {
		return &pb.Handle{Arena: ArenaToHost, Slot: 3, Generation: 9, Offset: offset}
	}
	with := func(h *pb.Handle, change func(*pb.Handle)) *pb.Handle { change(h); return h }
	for name, c := range map[string]struct {
		h    *pb.Handle
		n    uint64
		text string // of the error; empty: it is good
	}{
		"all of it":               {handle(4096), room, ""},
		"its last bytes":          {handle(4096 + room - 64), 64, ""},
		"nothing, at its end":     {handle(4096 + room), 0, ""},
		"one byte at its end":     {handle(4096 + room), 1, "outside"},
		"one byte too many":       {handle(4096), room + 1, "outside"},
		"before it":               {handle(4096 - 64), 64, "outside"},
		"behind it":               {handle(4096 + room + 64), 0, "outside"},
		"at 2**64-64":             {handle(math.MaxUint64 - 63), 128, "outside"},
		"at 2**64-32":             {handle(math.MaxUint64 - 31), 4, "multiple of 64"},
		"of 2**64-32 bytes":       {handle(4096), math.MaxUint64 - 31, "outside"},
		"wrapping around to fit":  {handle(4096 + 64), math.MaxUint64 - 4096 - 127 + 4096 + 64, "outside"},
		"not aligned":             {handle(4096 + 4), 4, "multiple of 64"},
		"of the other arena":      {with(handle(4096), func(h *pb.Handle) { h.Arena = ArenaToPlugin }), 4, "arena 1"},
		"of no arena":             {with(handle(4096), func(h *pb.Handle) { h.Arena = 0 }), 4, "arena 0"},
		"of an older generation":  {with(handle(4096), func(h *pb.Handle) { h.Generation-- }), 4, "another call"},
		"of a later generation":   {with(handle(4096), func(h *pb.Handle) { h.Generation++ }), 4, "another call"},
		"of the same, other slot": {with(handle(4096), func(h *pb.Handle) { h.Slot++ }), 4, "another call"},
	} {
		got, err := w.Find(c.h, c.n)
		if c.text == "" {
			if err != nil || got != (Part{Offset: c.h.Offset, Bytes: c.n}) {
				t.Errorf("%s: got %v, %v", name, got, err)
			}
			continue
		}
		wantProtocolError(t, name, err, c.text)
	}
}

// Tensors of a message must not overlap, and a handle needs shared memory.
func TestHandlesOfAMessageAreApart(t *testing.T) {
	m := newMemory(1<<16, 4096)
	at := func(offset uint64, n uint64) *pb.Tensor {
		return &pb.Tensor{Dtype: uint32(adapters.Uint8), Shape: []uint64{n}, Nbytes: n, Handle: m.Handle(offset)}
	}
	in := &Inbound{Shared: m}
	for name, ref := range map[string]*pb.Tensor{"first": at(64, 100), "second": at(192, 64), "an empty one within": at(128, 0)} {
		if _, err := in.Accept(name, ref); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, ref := range map[string]*pb.Tensor{"the same again": at(64, 100), "around": at(0, 512), "begins within": at(128, 64), "ends within": at(0, 65)} {
		_, err := in.Accept(name, ref)
		wantProtocolError(t, name, err, "where tensor")
	}
	_, err := (&Inbound{}).Accept("alone", at(0, 4))
	wantProtocolError(t, "without shared memory", err, "no shared memory")
}

// Tensors go through shared memory if there is room, with the same bits.
func TestMixedMessages(t *testing.T) {
	filled := func(seed int, n ...int) *adapters.Tensor {
		t := adapters.NewTensor(adapters.Float32, n...)
		for i := range t.Data {
			t.Data[i] = byte(i*seed + i>>8)
		}
		return t
	}
	tensors := []*adapters.Tensor{
		filled(3, 1000), nil, filled(5, 8000), filled(7, 0), filled(11, 1), filled(13, 2, 500), filled(17, 2, 4, 200),
	}
	m := newMemory(1<<14, 1<<13)
	out, in := &Outbound{Shared: m}, &Inbound{Shared: m}
	var got []*adapters.Tensor
	for i, tensor := range tensors {
		ref := out.Announce(tensor)
		if (ref.GetHandle() != nil) != strings.Contains("045", fmt.Sprint(i)) {
			t.Errorf("tensor %d has the handle %v", i, ref.GetHandle())
		}
		accepted, err := in.Accept("tensor", ref)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, accepted)
	}
	var chunks []*pb.Chunk
	if err := out.Deliver(func(c *pb.Chunk) error { chunks = append(chunks, c); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := in.Receive(feed(chunks)); err != nil {
		t.Fatal(err)
	}
	wantTensors(t, got, tensors)
}

// FuzzHandle compares the checks of a tensor's description and handle with the same
// conditions in integers that cannot wrap around, and reads the accepted tensors.
func FuzzHandle(f *testing.F) {
	const size = 1 << 14
	const u8, f32, bf16 = uint32(adapters.Uint8), uint32(adapters.Float32), uint32(adapters.BFloat16)
	const far = math.MaxUint64
	add := func(dtype uint32, d0, d1, n uint64, arena, slot uint32, generation, offset, from, length uint64) {
		f.Add(dtype, d0, d1, n, arena, slot, generation, offset, from, length)
	}
	add(f32, 2, 8, 64, ArenaToHost, 0, 1, 0, 0, size)
	add(u8, 1, 32, 32, ArenaToHost, 0, 1, far-31, 64, 64)       // an offset of 2**64-32
	add(u8, 1, far-31, far-31, ArenaToHost, 0, 1, 0, 0, size)   // a size of 2**64-32
	add(u8, 1, far-63, far-63, ArenaToHost, 0, 1, 128, 64, 128) // which wrap around together
	add(f32, 1<<33, 1<<33, 0, ArenaToHost, 0, 1, 0, 0, size)    // a product that does
	add(f32, 1<<62+1, 1, 4, ArenaToHost, 0, 1, 0, 0, size)
	add(f32, 1<<62+1, 0, 0, ArenaToHost, 0, 1, 0, 0, size) // found by the fuzzer: refused, and not in the other order
	add(f32, 0, 1<<62+1, 0, ArenaToHost, 0, 1, 0, 0, size)
	add(bf16, 0, far, 0, ArenaToHost, 0, 1, size, 0, size)
	add(0, 1, 1, 1, ArenaToHost, 0, 1, 0, 0, size)
	add(256+f32, 1, 1, 4, ArenaToHost, 0, 1, 0, 0, size)
	add(u8, 1, 1, 1, ArenaToPlugin, 0, 1, 0, 0, size)
	add(u8, 1, 1, 1, ArenaToHost, 1, 1, 0, 0, size)
	add(u8, 1, 1, 1, ArenaToHost, 0, 2, 0, 0, size)
	add(u8, 1, 65, 65, ArenaToHost, 0, 1, size-64, size-64, 64)
	add(u8, 1, 64, 64, ArenaToHost, 0, 1, size-64, size-64, 64)
	add(u8, 1, 1, 1, ArenaToHost, 0, 1, 63, 0, size)
	f.Fuzz(func(t *testing.T, dtype uint32, d0, d1, n uint64, arena, slot uint32, generation, offset, from, length uint64) {
		m := &memory{Window: Window{Arena: ArenaToHost, Generation: 1}, data: make([]byte, size)}
		m.Offset = from % (size + 1)
		m.Bytes = length % (size - m.Offset + 1)

		b := func(v uint64) *big.Int { return new(big.Int).SetUint64(v) }
		item := map[uint32]uint64{u8: 1, uint32(adapters.Int32): 4, f32: 4, bf16: 2}[dtype]
		bytes := new(big.Int).Mul(b(item), new(big.Int).Mul(b(d0), b(d1)))
		sizes := new(big.Int).Mul(b(item), new(big.Int).Mul(b(max(1, d0)), b(max(1, d1))))
		end, limit := new(big.Int).Add(b(offset), b(n)), new(big.Int).Add(b(m.Offset), b(m.Bytes))
		good := item > 0 && d0 <= math.MaxInt && d1 <= math.MaxInt && sizes.Cmp(b(math.MaxInt)) <= 0 && bytes.Cmp(b(n)) == 0 && n <= maxTensorBytes &&
			arena == ArenaToHost && slot == 0 && generation == 1 && offset%Alignment == 0 &&
			offset >= m.Offset && end.Cmp(limit) <= 0

		in := &Inbound{Shared: m}
		got, err := in.Accept("fuzzed", &pb.Tensor{Dtype: dtype, Shape: []uint64{d0, d1}, Nbytes: n,
			Handle: &pb.Handle{Arena: arena, Slot: slot, Generation: generation, Offset: offset}})
		if good != (err == nil) {
			t.Fatalf("%d bytes at %d in %+v: got %v", n, offset, m.Part, err)
		}
		if err != nil {
			return
		}
		if err := in.Receive(feed(nil)); err != nil || uint64(len(got.Data)) != n {
			t.Fatalf("%s holds %d bytes, %v", got.Describe(), len(got.Data), err)
		}
	})
}
