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

// outbound carries the tensors of one message that leaves this process.
// announce gives what the message says of a tensor; deliver, after the message
// was sent, moves the bytes. Between the two the tensors must not change.
type outbound interface {
	announce(t *adapters.Tensor) *pb.Tensor
	deliver(send func(*pb.Chunk) error) error
}

// inbound takes the tensors of one message that arrives. accept believes
// nothing: it checks what the message says of a tensor and returns the tensor,
// whose bytes are there once receive has returned.
type inbound interface {
	accept(name string, ref *pb.Tensor) (*adapters.Tensor, error)
	receive(recv func() (*pb.Chunk, error)) error
}

var (
	_ outbound = (*chunkOutbound)(nil)
	_ inbound  = (*chunkInbound)(nil)
)

// chunkOutbound sends bytes as chunks in the stream itself.
type chunkOutbound struct{ tensors []*adapters.Tensor }

func (c *chunkOutbound) announce(t *adapters.Tensor) *pb.Tensor {
	if t == nil {
		return nil
	}
	c.tensors = append(c.tensors, t)
	ref := &pb.Tensor{Dtype: uint32(t.DType), Nbytes: uint64(len(t.Data))}
	for _, d := range t.Shape {
		ref.Shape = append(ref.Shape, uint64(d))
	}
	return ref
}

func (c *chunkOutbound) deliver(send func(*pb.Chunk) error) error {
	for i, t := range c.tensors {
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

// chunkInbound puts chunks together.
type chunkInbound struct {
	tensors []*adapters.Tensor
	total   uint64
}

func (c *chunkInbound) accept(name string, ref *pb.Tensor) (*adapters.Tensor, error) {
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
	if n > maxTensorBytes-c.total {
		return nil, adapters.Errorf(adapters.Exhausted, "%s%v takes %d bytes, a message has room for %d",
			dtype, ref.Shape, n, maxTensorBytes-c.total).WithRemedy("use a smaller batch")
	}
	c.total += n
	shape := make([]int, len(ref.Shape))
	for i, d := range ref.Shape {
		shape[i] = int(d)
	}
	t := adapters.NewTensor(dtype, shape...)
	c.tensors = append(c.tensors, t)
	return t, nil
}

func (c *chunkInbound) receive(recv func() (*pb.Chunk, error)) error {
	for i, t := range c.tensors {
		for offset := 0; offset < len(t.Data); {
			chunk, err := recv()
			if err != nil {
				if errors.Is(err, io.EOF) {
					return protocolErrorf("tensor %d ends after %d of %d bytes", i, offset, len(t.Data))
				}
				return err
			}
			if err := checkChunk(chunk, i, offset, len(t.Data)); err != nil {
				return err
			}
			offset += copy(t.Data[offset:], chunk.Data)
		}
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

// product multiplies item by the sizes in shape; it reports false where the
// product, or a size itself, is no positive int (zero sizes included).
func product(shape []uint64, item uint64) (uint64, bool) {
	n := item
	for _, d := range shape {
		if d > math.MaxInt || (d > 0 && n > math.MaxInt/d) {
			return 0, false
		}
		n *= d
	}
	return n, true
}

// protocolError says that the other side does not keep to the protocol.
type protocolError struct{ message string }

func (e *protocolError) Error() string { return e.message }

func protocolErrorf(format string, args ...any) error {
	return &protocolError{fmt.Sprintf(format, args...)}
}
