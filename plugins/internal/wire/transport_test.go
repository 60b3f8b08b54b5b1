package wire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// feed hands out chunks, then io.EOF.
func feed(chunks []*pb.Chunk) func() (*pb.Chunk, error) {
	return func() (*pb.Chunk, error) {
		if len(chunks) == 0 {
			return nil, io.EOF
		}
		c := chunks[0]
		chunks = chunks[1:]
		return c, nil
	}
}

func TestChunksRoundTrip(t *testing.T) {
	big := adapters.NewTensor(adapters.BFloat16, 3, chunkBytes/4+1)
	for i := range big.Data {
		big.Data[i] = byte(i * 7)
	}
	tensors := []*adapters.Tensor{
		big, adapters.NewTensor(adapters.Int32, 0, 5), nil, adapters.FromFloat32([]float32{1, -2}, 2), adapters.FromUint8([]byte{9}),
	}
	var out Outbound
	var in Inbound
	var got []*adapters.Tensor
	for _, tensor := range tensors {
		accepted, err := in.Accept("tensor", out.Announce(tensor))
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

func wantTensors(t *testing.T, got, want []*adapters.Tensor) {
	t.Helper()
	for i, want := range want {
		if got[i].Describe() != want.Describe() || want != nil && !bytes.Equal(got[i].Data, want.Data) {
			t.Errorf("tensor %d: got %s, want %s", i, got[i].Describe(), want.Describe())
		}
	}
}

func TestAnnouncementsAreChecked(t *testing.T) {
	const f32 = uint32(adapters.Float32)
	for name, c := range map[string]struct {
		ref  *pb.Tensor
		kind adapters.Kind // Unknown: a protocol error
	}{
		"no type":         {ref: &pb.Tensor{Shape: []uint64{1}, Nbytes: 4}},
		"unknown type":    {ref: &pb.Tensor{Dtype: 77, Shape: []uint64{1}, Nbytes: 4}},
		"type over 8 bit": {ref: &pb.Tensor{Dtype: 256 + f32, Shape: []uint64{1}, Nbytes: 4}},
		"too few bytes":   {ref: &pb.Tensor{Dtype: f32, Shape: []uint64{2}, Nbytes: 4}},
		"too many bytes":  {ref: &pb.Tensor{Dtype: f32, Shape: []uint64{1}, Nbytes: 8}},
		"overflow":        {ref: &pb.Tensor{Dtype: f32, Shape: []uint64{1 << 32, 1 << 32}, Nbytes: 0}},
		"overflow to fit": {ref: &pb.Tensor{Dtype: f32, Shape: []uint64{1<<62 + 1}, Nbytes: 4}},
		"huge size":       {ref: &pb.Tensor{Dtype: f32, Shape: []uint64{math.MaxUint64}, Nbytes: math.MaxUint64 - 3}},
		"huge by nothing": {ref: &pb.Tensor{Dtype: f32, Shape: []uint64{0, math.MaxUint64}, Nbytes: 0}},
		"too large":       {ref: &pb.Tensor{Dtype: f32, Shape: []uint64{1 << 31}, Nbytes: 1 << 33}, kind: adapters.Exhausted},
	} {
		var in Inbound
		_, err := in.Accept(name, c.ref)
		var broken *ProtocolError
		if errors.As(err, &broken) != (c.kind == adapters.Unknown) || adapters.KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: got error %v, want one of kind %q", name, err, c.kind)
		}
	}
}

func TestChunksAreChecked(t *testing.T) {
	chunk := func(tensor uint32, offset uint64, n int) *pb.Chunk {
		return &pb.Chunk{Tensor: tensor, Offset: offset, Data: make([]byte, n)}
	}
	for name, chunks := range map[string][]*pb.Chunk{
		"none":         {},
		"short":        {chunk(0, 0, 4)},
		"long":         {chunk(0, 0, 12)},
		"duplicate":    {chunk(0, 0, 4), chunk(0, 0, 4)},
		"gap":          {chunk(0, 4, 4)},
		"wrong tensor": {chunk(1, 0, 8)},
		"overlap":      {chunk(0, 0, 4), chunk(0, 2, 6)},
		"empty":        {chunk(0, 0, 0), chunk(0, 0, 8)},
		"far":          {chunk(0, math.MaxUint64-3, 8)},
	} {
		var in Inbound
		if _, err := in.Accept(name, &pb.Tensor{Dtype: uint32(adapters.Float32), Shape: []uint64{2}, Nbytes: 8}); err != nil {
			t.Fatal(err)
		}
		var broken *ProtocolError
		if err := in.Receive(feed(chunks)); !errors.As(err, &broken) {
			t.Errorf("%s: got %v, want a protocol error", name, err)
		}
	}
	var in Inbound
	if _, err := in.Accept("large", &pb.Tensor{Dtype: uint32(adapters.Uint8), Shape: []uint64{4 << 20}, Nbytes: 4 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := in.Receive(feed([]*pb.Chunk{chunk(0, 0, maxChunkBytes+1)})); err == nil {
		t.Error("a chunk over the limit was taken")
	}
}

// FuzzChunks compares the reassembly of a message of several tensors, some of them with
// handles, with a plain model. A byte of sizes is a tensor: its size, and with the highest bit
// set a handle. Three bytes of stream are the head of a chunk (tensor, offset, size), and its
// data follows.
func FuzzChunks(f *testing.F) {
	const handled = 0x80
	f.Add([]byte{4}, []byte("\x00\x00\x041234"))
	f.Add([]byte{4, 0, 3}, []byte("\x00\x00\x0212\x00\x02\x0234\x02\x00\x03567"))
	f.Add([]byte{4, handled | 5, 2}, []byte("\x00\x00\x041234\x02\x00\x0256"))
	f.Add([]byte{handled | 64, handled | 3}, []byte{})
	f.Add([]byte{4}, []byte("\x00\x00\x0212"))                     // short
	f.Add([]byte{4}, []byte("\x00\x00\x0512345"))                  // long
	f.Add([]byte{4}, []byte("\x00\x00\x0212\x00\x00\x0212"))       // duplicate
	f.Add([]byte{4}, []byte("\x00\x02\x0234\x00\x00\x0212"))       // out of order
	f.Add([]byte{4}, []byte("\x00\x00\x00\x00\x00\x041234"))       // empty
	f.Add([]byte{2, 2}, []byte("\x00\x00\x041234"))                // of two tensors at once
	f.Add([]byte{handled | 2, 2}, []byte("\x00\x00\x0212"))        // of a tensor with a handle
	f.Add([]byte{2}, []byte("\x00\x00\x0212\x00\x00\x0212"))       // more than there is, left unread
	f.Add([]byte{200, 1, 0}, []byte("\x01\x00\x01x\xff\xff\xff1")) // the last chunk is cut off
	f.Fuzz(func(t *testing.T, sizes, stream []byte) {
		if len(sizes) > 64 {
			return
		}
		m := newMemory(1<<16, 1<<14)
		in := &Inbound{Shared: m}
		var got []*adapters.Tensor
		var want [][]byte
		for i, s := range sizes {
			n := int(s &^ handled)
			ref := &pb.Tensor{Dtype: uint32(adapters.Uint8), Shape: []uint64{uint64(n)}, Nbytes: uint64(n)}
			data := bytes.Repeat([]byte{byte(i + 1)}, n)
			if s&handled != 0 && n > 0 {
				ref.Handle = m.Put(data)
			} else {
				data = nil // as the chunks say
			}
			tensor, err := in.Accept("fuzzed", ref)
			if err != nil {
				t.Fatal(err)
			}
			got, want = append(got, tensor), append(want, data)
		}
		chunks := readChunks(stream)
		good := reassemble(sizes, handled, chunks, want)
		if err := in.Receive(feed(chunks)); good != (err == nil) {
			t.Fatalf("%v of %v: got %v", chunks, sizes, err)
		} else if err != nil {
			return
		}
		for i := range want {
			if !bytes.Equal(got[i].Data, want[i]) {
				t.Errorf("tensor %d holds %x, want %x", i, got[i].Data, want[i])
			}
		}
	})
}

func readChunks(stream []byte) (chunks []*pb.Chunk) {
	for len(stream) >= 3 {
		n := min(int(stream[2]), len(stream)-3)
		chunks = append(chunks, &pb.Chunk{Tensor: uint32(stream[0]), Offset: uint64(stream[1]), Data: stream[3 : 3+n]})
		stream = stream[3+n:]
	}
	return chunks
}

// reassemble is the model. It joins chunks to tensors as long as they are the next bytes of
// the next tensor without a handle, and reports whether the tensors are complete.
func reassemble(sizes []byte, handled byte, chunks []*pb.Chunk, tensors [][]byte) bool {
	for i, s := range sizes {
		if s&handled != 0 && s != handled {
			continue
		}
		for n := int(s &^ handled); len(tensors[i]) < n; chunks = chunks[1:] {
			if len(chunks) == 0 {
				return false
			}
			c := chunks[0]
			if int(c.Tensor) != i || int(c.Offset) != len(tensors[i]) || len(c.Data) == 0 || len(tensors[i])+len(c.Data) > n {
				return false
			}
			tensors[i] = append(tensors[i], c.Data...)
		}
	}
	return true
}
