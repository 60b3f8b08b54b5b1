package wire

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

const (
	// chunkBytes is the size of chunks that this side sends, maxChunkBytes the largest
	// that it accepts.
	chunkBytes    = 1 << 20
	maxChunkBytes = 2 << 20

	// MaxMessageBytes bounds one gRPC message on either side: a chunk, or the texts of
	// a request.
	MaxMessageBytes = 16 << 20

	// maxTensorBytes bounds the sum of one message's tensors, so that a wrong header
	// costs no more address space than this.
	maxTensorBytes = 4 << 30
)

// Outbound sends the tensors of one message: through shared memory if there is room,
// otherwise as chunks after the message.
type Outbound struct {
	Shared  Shared             // nil if there is none
	tensors []*adapters.Tensor // of the message; nil for those in shared memory
}

// Announce returns the description of a tensor for the message. If there is room, it
// copies the tensor into shared memory. The tensor must not change until Deliver has
// returned.
func (o *Outbound) Announce(t *adapters.Tensor) *pb.Tensor {
	if t == nil {
		return nil
	}
	ref := &pb.Tensor{Dtype: uint32(t.DType), Nbytes: uint64(len(t.Data))}
	for _, d := range t.Shape {
		ref.Shape = append(ref.Shape, uint64(d))
	}
	if o.Shared != nil && len(t.Data) > 0 {
		ref.Handle = o.Shared.Put(t.Data)
	}
	if ref.Handle != nil {
		t = nil
	}
	o.tensors = append(o.tensors, t)
	return ref
}

// Deliver sends the tensors that are not in shared memory, after the message.
func (o *Outbound) Deliver(send func(*pb.Chunk) error) error {
	for i, t := range o.tensors {
		if t == nil {
			continue
		}
		for offset := 0; offset < len(t.Data); {
			n := min(chunkBytes, len(t.Data)-offset)
			chunk := &pb.Chunk{Tensor: uint32(i), Offset: uint64(offset), Data: t.Data[offset : offset+n]}
			if err := send(chunk); err != nil {
				return err
			}
			offset += n
		}
	}
	return nil
}

// Inbound receives the tensors of one message.
type Inbound struct {
	Shared  Shared // nil if there is none
	tensors []arrival
	total   uint64 // bytes
}

// arrival is a tensor that is announced and not yet received.
type arrival struct {
	*adapters.Tensor
	place *Part // in shared memory; nil if the tensor comes as chunks
}

// Accept checks the description of a tensor and returns the tensor. Its bytes are there
// once Receive has returned. A nil description gives a nil tensor.
func (in *Inbound) Accept(name string, ref *pb.Tensor) (*adapters.Tensor, error) {
	if ref == nil {
		return nil, nil
	}
	dtype := adapters.DType(min(ref.Dtype, math.MaxUint8))
	if dtype.Size() == 0 {
		return nil, ProtocolErrorf("%s has the element type %d, want one of uint8, int32, float32, bfloat16", name, ref.Dtype)
	}
	n, ok := TensorBytes(ref.Shape, uint64(dtype.Size()))
	if !ok || n != ref.Nbytes {
		return nil, ProtocolErrorf("%s is announced as %s%v with %d bytes", name, dtype, ref.Shape, ref.Nbytes)
	}
	if n > maxTensorBytes-in.total {
		return nil, adapters.Errorf(adapters.Exhausted, "%s%v takes %d bytes, a message has room for %d",
			dtype, ref.Shape, n, maxTensorBytes-in.total).WithRemedy("use a smaller batch")
	}
	in.total += n
	shape := make([]int, len(ref.Shape))
	for i, d := range ref.Shape {
		shape[i] = int(d)
	}
	a := arrival{Tensor: &adapters.Tensor{DType: dtype, Shape: shape}}
	if ref.Handle == nil {
		a.Tensor = adapters.NewTensor(dtype, shape...)
	} else {
		place, err := in.find(ref.Handle, n)
		if err != nil {
			return nil, ProtocolErrorf("%s: %v", name, err)
		}
		a.place = &place
	}
	in.tensors = append(in.tensors, a)
	return a.Tensor, nil
}

// find checks a handle. No two handles of a message may have a byte in common.
func (in *Inbound) find(h *pb.Handle, n uint64) (Part, error) {
	if in.Shared == nil {
		return Part{}, ProtocolErrorf("got a handle, and there is no shared memory")
	}
	place, err := in.Shared.Find(h, n)
	if err != nil {
		return Part{}, err
	}
	for i, t := range in.tensors {
		if t.place != nil && t.place.overlaps(place) {
			return Part{}, ProtocolErrorf("handle of %d bytes at byte %d, where tensor %d is", n, h.Offset, i)
		}
	}
	return place, nil
}

// Receive fills the accepted tensors, from shared memory or from the chunks that recv
// returns.
func (in *Inbound) Receive(recv func() (*pb.Chunk, error)) (err error) {
	for i, t := range in.tensors {
		if t.place == nil {
			err = receiveChunks(i, t.Data, recv)
		} else {
			t.Data, err = in.Shared.Read(*t.place)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func receiveChunks(tensor int, data []byte, recv func() (*pb.Chunk, error)) error {
	for offset := 0; offset < len(data); {
		chunk, err := recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return ProtocolErrorf("tensor %d ends after %d of %d bytes", tensor, offset, len(data))
			}
			return err
		}
		if err := checkChunk(chunk, tensor, offset, len(data)); err != nil {
			return err
		}
		offset += copy(data[offset:], chunk.Data)
	}
	return nil
}

// checkChunk checks that a chunk holds the next bytes of the tensor that is being
// received, and no more than the tensor has left.
func checkChunk(chunk *pb.Chunk, tensor, offset, size int) error {
	switch n := len(chunk.Data); {
	case int64(chunk.Tensor) != int64(tensor):
		return ProtocolErrorf("chunk of tensor %d, want tensor %d", chunk.Tensor, tensor)
	case chunk.Offset != uint64(offset):
		return ProtocolErrorf("chunk of tensor %d begins at byte %d, want %d", tensor, chunk.Offset, offset)
	case n == 0 || n > maxChunkBytes:
		return ProtocolErrorf("chunk of tensor %d has %d bytes, want 1 to %d", tensor, n, maxChunkBytes)
	case n > size-offset:
		return ProtocolErrorf("chunk of tensor %d has %d bytes, %d are left", tensor, n, size-offset)
	}
	return nil
}

// TensorBytes returns the size of a tensor whose elements take item bytes. It reports
// false if one size, or the product of all sizes other than 0, does not fit an int.
func TensorBytes(shape []uint64, item uint64) (uint64, bool) {
	n, empty := item, false
	for _, d := range shape {
		if d == 0 {
			empty = true
			continue
		}
		if d > math.MaxInt || n > math.MaxInt/d {
			return 0, false
		}
		n *= d
	}
	if empty {
		n = 0
	}
	return n, true
}

// ProtocolError reports that the other side broke the protocol.
type ProtocolError struct{ message string }

func (e *ProtocolError) Error() string { return e.message }

// ProtocolErrorf returns a [ProtocolError].
func ProtocolErrorf(format string, args ...any) error {
	return &ProtocolError{fmt.Sprintf(format, args...)}
}
