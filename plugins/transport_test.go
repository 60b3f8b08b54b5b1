package plugins

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/needs"
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
	var out outbound
	var in inbound
	var got []*adapters.Tensor
	for _, tensor := range tensors {
		accepted, err := in.accept("tensor", out.announce(tensor))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, accepted)
	}
	var chunks []*pb.Chunk
	if err := out.deliver(func(c *pb.Chunk) error { chunks = append(chunks, c); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := in.receive(feed(chunks)); err != nil {
		t.Fatal(err)
	}
	for i, want := range tensors {
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
		var in inbound
		_, err := in.accept(name, c.ref)
		var broken *protocolError
		if errors.As(err, &broken) != (c.kind == adapters.Unknown) || adapters.KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: got error %v, want one of kind %q", name, err, c.kind)
		}
	}
}

func TestChunksAreChecked(t *testing.T) {
	part := func(tensor uint32, offset uint64, n int) *pb.Chunk {
		return &pb.Chunk{Tensor: tensor, Offset: offset, Data: make([]byte, n)}
	}
	for name, chunks := range map[string][]*pb.Chunk{
		"none":         {},
		"short":        {part(0, 0, 4)},
		"long":         {part(0, 0, 12)},
		"duplicate":    {part(0, 0, 4), part(0, 0, 4)},
		"gap":          {part(0, 4, 4)},
		"wrong tensor": {part(1, 0, 8)},
		"overlap":      {part(0, 0, 4), part(0, 2, 6)},
		"empty":        {part(0, 0, 0), part(0, 0, 8)},
		"far":          {part(0, math.MaxUint64-3, 8)},
	} {
		var in inbound
		if _, err := in.accept(name, &pb.Tensor{Dtype: uint32(adapters.Float32), Shape: []uint64{2}, Nbytes: 8}); err != nil {
			t.Fatal(err)
		}
		var broken *protocolError
		if err := in.receive(feed(chunks)); !errors.As(err, &broken) {
			t.Errorf("%s: got %v, want a protocol error", name, err)
		}
	}
	var in inbound
	if _, err := in.accept("large", &pb.Tensor{Dtype: uint32(adapters.Uint8), Shape: []uint64{4 << 20}, Nbytes: 4 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := in.receive(feed([]*pb.Chunk{part(0, 0, maxChunkBytes+1)})); err == nil {
		t.Error("a chunk over the limit was taken")
	}
}

// FuzzChunks holds reassembly to two promises: it never panics, and what it
// takes has the announced size.
func FuzzChunks(f *testing.F) {
	f.Add(uint32(3), uint64(2), uint64(8), uint32(0), uint64(0), []byte("12345678"))
	f.Add(uint32(1), uint64(1)<<63, uint64(0), uint32(9), uint64(1), []byte{})
	f.Fuzz(func(t *testing.T, dtype uint32, size, nbytes uint64, tensor uint32, offset uint64, data []byte) {
		if nbytes > 1<<20 {
			return // the limit of a message has a test of its own
		}
		var in inbound
		got, err := in.accept("fuzzed", &pb.Tensor{Dtype: dtype, Shape: []uint64{size}, Nbytes: nbytes})
		if err != nil {
			return
		}
		if err := in.receive(feed([]*pb.Chunk{{Tensor: tensor, Offset: offset, Data: data}})); err != nil {
			return
		}
		if uint64(len(got.Data)) != nbytes || nbytes > 0 && !bytes.Equal(got.Data, data) {
			t.Errorf("%s of %d bytes holds %d", got.Describe(), nbytes, len(got.Data))
		}
	})
}

func TestLogKeepsTheLastLines(t *testing.T) {
	cfg, err := Config{Path: "/bin/sh"}.resolve()
	if err != nil {
		needs.Lacking(t, "a shell", err)
	}
	l := &plugLog{log: cfg.Logger}
	for range keptLines + 5 {
		_, _ = l.Write([]byte("old\n"))
	}
	_, _ = l.Write(bytes.Repeat([]byte("z"), 3*keptLineSize))
	_, _ = l.Write([]byte("\nnew\r\n\nunfinished"))
	got := l.lines()
	if len(got) != keptLines || got[keptLines-1] != "unfinished" || got[keptLines-2] != "new" {
		t.Errorf("kept %d lines, the last are %q", len(got), got[len(got)-2:])
	}
	if n := len(got[keptLines-3]); n > keptLineSize+len("…") {
		t.Errorf("a long line was kept with %d bytes", n)
	}
}
