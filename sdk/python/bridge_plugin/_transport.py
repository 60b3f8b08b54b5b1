"""Sends the bytes of tensors in shared memory, if the host lends it, or else as chunks.

An :class:`Inbound` receives the tensors of a request, an :class:`Outbound` sends those of an
answer. Both check every number that they did not compute themselves.
"""

from __future__ import annotations

from typing import Iterator, List, Optional, Tuple

import numpy as np

from ._arenas import Lease
from ._messages import Chunk, Tensor
from .errors import Error, Kind, ProtocolError
from .tensors import Array, DType, dtype_of, product, shape_string

CHUNK_BYTES = 1 << 20  # of a chunk that is sent
MAX_CHUNK_BYTES = 2 << 20  # of a chunk that is accepted
MAX_TENSOR_BYTES = 4 << 30  # of all tensors of a message


class Inbound:
    """The tensors of one request."""

    def __init__(self, lease: Optional[Lease]):
        self._lease = lease
        self._pending: List[Tuple[int, memoryview]] = []
        self._count = 0
        self._room = MAX_TENSOR_BYTES

    def accept(self, name: str, ref: Optional[Tensor]) -> Optional[Array]:
        """Returns a read-only array, filled once receive has returned."""
        if ref is None:
            return None
        dtype, nbytes = self._checked(name, ref)
        index, self._count = self._count, self._count + 1
        if ref.handle is not None:
            if self._lease is None:
                raise ProtocolError(f"{name} is in shared memory, which this call does not have")
            raw = self._lease.read(name, ref.handle, nbytes)
        else:
            if nbytes > self._room:
                raise Error(Kind.EXHAUSTED, f"{dtype}{shape_string(ref.shape)} takes {nbytes} bytes, a message has room for {self._room}",
                            "use a smaller batch")
            self._room -= nbytes
            raw = np.empty(nbytes, np.uint8)
            if nbytes:
                self._pending.append((index, memoryview(raw.data)))
        array = raw.view(dtype.numpy).reshape([int(d) for d in ref.shape])
        array.flags.writeable = False
        return array

    @staticmethod
    def _checked(name: str, ref: Tensor) -> Tuple[DType, int]:
        if not 1 <= ref.dtype <= 4:
            raise ProtocolError(f"{name} has the element type {ref.dtype}, want one of uint8, int32, float32, bfloat16")
        dtype = DType(ref.dtype)
        n, fits = product(ref.shape, dtype.size)
        if not fits or n != ref.nbytes:
            raise ProtocolError(f"{name} is announced as {dtype}{shape_string(ref.shape)} with {ref.nbytes} bytes")
        return dtype, n

    def receive(self, chunks: Iterator[Optional[Chunk]], last: bool = True) -> None:
        """Fills the tensors that come as chunks. chunks yields None for any other message. If
        last is set, no message may follow."""
        for index, into in self._pending:
            offset = 0
            while offset < len(into):
                try:
                    chunk = next(chunks)
                except StopIteration:
                    raise ProtocolError(f"tensor {index} ends after {offset} of {len(into)} bytes") from None
                if chunk is None:
                    raise ProtocolError("got another message, want a chunk")
                _check_chunk(chunk, index, offset, len(into))
                into[offset : offset + len(chunk.data)] = chunk.data
                offset += len(chunk.data)
        if last:
            for _ in chunks:
                raise ProtocolError("got a message after the last chunk")


def _check_chunk(chunk: Chunk, tensor: int, offset: int, size: int) -> None:
    n = len(chunk.data)
    if chunk.tensor != tensor:
        raise ProtocolError(f"chunk of tensor {chunk.tensor}, want tensor {tensor}")
    if chunk.offset != offset:
        raise ProtocolError(f"chunk of tensor {tensor} begins at byte {chunk.offset}, want {offset}")
    if not 0 < n <= MAX_CHUNK_BYTES:
        raise ProtocolError(f"chunk of tensor {tensor} has {n} bytes, want 1 to {MAX_CHUNK_BYTES}")
    if n > size - offset:
        raise ProtocolError(f"chunk of tensor {tensor} has {n} bytes, {size - offset} are left")


class Outbound:
    """The tensors of one answer."""

    def __init__(self, lease: Optional[Lease]):
        self._lease = lease
        self._chunked: List[Tuple[int, Array]] = []
        self._count = 0

    def announce(self, array: Optional[Array]) -> Optional[Tensor]:
        """Puts the array into shared memory if it fits, and returns its description for the
        message."""
        if array is None:
            return None
        index, self._count = self._count, self._count + 1
        array = np.ascontiguousarray(array).reshape(array.shape)
        ref = Tensor(dtype=int(dtype_of(array)), shape=list(array.shape), nbytes=array.nbytes)
        if array.nbytes == 0:
            return ref
        if self._lease is not None:
            ref.handle = self._lease.place(array)
        if ref.handle is None:
            if self._lease is not None and self._lease.holds(array):
                array = array.copy()  # the call ends before its chunks are sent
            self._chunked.append((index, array))
        return ref

    def chunks(self) -> Iterator[Chunk]:
        """Yields the chunks of the arrays that are not in shared memory."""
        for index, array in self._chunked:
            data = memoryview(array.reshape(-1).view(np.uint8))
            for offset in range(0, len(data), CHUNK_BYTES):
                yield Chunk(tensor=index, offset=offset, data=data[offset : offset + CHUNK_BYTES])
