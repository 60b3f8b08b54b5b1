package plugins

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

const (
	// chunkBytes is what this side sends at once; maxChunkBytes is what it takes.
	chunkBytes    = 1 << 20
	maxChunkBytes = 2 << 20

	// maxMessageBytes bounds one gRPC message on either side: a chunk, or the
	// texts of a request.
	maxMessageBytes = 16 << 20

	// maxTensorBytes bounds the tensors of one message together, so that a
	// header that lies costs no more than this in address space.
	maxTensorBytes = 4 << 30
)

// outbound carries the tensors of one message that leaves this process: through
// shared memory where there is room, the others as chunks after the message.
type outbound struct {
	shared  shared             // nil: there is none
	tensors []*adapters.Tensor // of the message; nil for those that have been put
}

// announce puts a tensor where the other side finds it, if there is room, and
// returns what the message says of it. Until deliver has returned the tensor
// must not change.
func (o *outbound) announce(t *adapters.Tensor) *pb.Tensor {
	if t == nil {
		return nil
	}
	ref := &pb.Tensor{Dtype: uint32(t.DType), Nbytes: uint64(len(t.Data))}
	for _, d := range t.Shape {
		ref.Shape = append(ref.Shape, uint64(d))
	}
	if o.shared != nil && len(t.Data) > 0 {
		ref.Handle = o.shared.put(t.Data)
	}
	if ref.Handle != nil {
		t = nil
	}
	o.tensors = append(o.tensors, t)
	return ref
}

// deliver sends, after the message, what has not been put.
func (o *outbound) deliver(send func(*pb.Chunk) error) error {
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

// inbound takes the tensors of one message that arrives.
type inbound struct {
	shared  shared // nil: there is none
	tensors []arrival
	total   uint64 // bytes
}

// arrival is a tensor on its way.
type arrival struct {
	*adapters.Tensor
	place *part // in shared memory; nil: it comes as chunks
}

// accept believes nothing: it checks what the message says of a tensor and
// returns the tensor, whose bytes are there once receive has returned.
func (in *inbound) accept(name string, ref *pb.Tensor) (*adapters.Tensor, error) {
	if ref == nil {
		return nil, nil
	}
	dtype := adapters.DType(min(ref.Dtype, math.MaxUint8))
	if dtype.Size() == 0 {
		return nil, protocolErrorf("%s has the element type %d, want one of uint8, int32, float32, bfloat16", name, ref.Dtype)
	}
	n, ok := product(ref.Shape, uint64(dtype.Size()))
	if !ok || n != ref.Nbytes {
		return nil, protocolErrorf("%s is announced as %s%v with %d bytes", name, dtype, ref.Shape, ref.Nbytes)
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
			return nil, protocolErrorf("%s: %v", name, err)
		}
		a.place = &place
	}
	in.tensors = append(in.tensors, a)
	return a.Tensor, nil
}

// find checks a handle; no two of a message may have a byte in common.
func (in *inbound) find(h *pb.Handle, n uint64) (part, error) {
	if in.shared == nil {
		return part{}, protocolErrorf("got a handle, and there is no shared memory")
	}
	place, err := in.shared.find(h, n)
	if err != nil {
		return part{}, err
	}
	for i, t := range in.tensors {
		if t.place != nil && t.place.overlaps(place) {
			return part{}, protocolErrorf("handle of %d bytes at byte %d, where tensor %d is", n, h.Offset, i)
		}
	}
	return place, nil
}

// receive copies out of shared memory and puts chunks together.
func (in *inbound) receive(recv func() (*pb.Chunk, error)) (err error) {
	for i, t := range in.tensors {
		if t.place == nil {
			err = receiveChunks(i, t.Data, recv)
		} else {
			t.Data, err = in.shared.read(*t.place)
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
				return protocolErrorf("tensor %d ends after %d of %d bytes", tensor, offset, len(data))
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

// checkChunk holds a chunk against the tensor that is being received: the next
// bytes, neither missing nor twice nor more than there is room for.
func checkChunk(chunk *pb.Chunk, tensor, offset, size int) error {
	switch n := len(chunk.Data); {
	case int64(chunk.Tensor) != int64(tensor):
		return protocolErrorf("chunk of tensor %d, want tensor %d", chunk.Tensor, tensor)
	case chunk.Offset != uint64(offset):
		return protocolErrorf("chunk of tensor %d begins at byte %d, want %d", tensor, chunk.Offset, offset)
	case n == 0 || n > maxChunkBytes:
		return protocolErrorf("chunk of tensor %d has %d bytes, want 1 to %d", tensor, n, maxChunkBytes)
	case n > size-offset:
		return protocolErrorf("chunk of tensor %d has %d bytes, %d are left", tensor, n, size-offset)
	}
	return nil
}

// product multiplies item by the sizes in shape. It reports false where a size, or
// the product of those that are not 0, in whatever order, is no int.
func product(shape []uint64, item uint64) (uint64, bool) {
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

// protocolError says that the other side does not keep to the protocol.
type protocolError struct{ message string }

func (e *protocolError) Error() string { return e.message }

func protocolErrorf(format string, args ...any) error {
	return &protocolError{fmt.Sprintf(format, args...)}
}
