"""The two arenas: memory that the host shares with the plugin.

The host makes them, without names and of fixed size, and passes them as inherited
descriptors. The first one is for requests and is read-only here. The second one is for
answers: each call is lent a part of it, its lease.
"""

from __future__ import annotations

import mmap
import os
import threading
from typing import Any, Dict, Iterable, List, Optional, Sequence, Set

import numpy as np

from ._messages import Handle
from ._messages import Lease as LeaseMessage
from .errors import ProtocolError
from .tensors import Array

ALIGNMENT = 64
TO_PLUGIN, TO_HOST = 1, 2


class Arenas:
    """Both arenas, mapped into memory."""

    def __init__(self, inbound: Array, outbound: Array):
        self.inbound = inbound  # uint8, read-only
        self.outbound = outbound  # uint8

    @classmethod
    def map(cls, value: str) -> Arenas:
        """Maps the arenas of BRIDGE_ARENAS, "FD:BYTES,FD:BYTES". Raises OSError or ValueError
        if that is not possible."""
        arrays = []
        for part, access in zip(_two(value), (mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE)):
            fd, size = (int(number) for number in part.split(":"))
            arrays.append(np.frombuffer(mmap.mmap(fd, size, mmap.MAP_SHARED, access), np.uint8))
            os.close(fd)
        return cls(*arrays)


def _two(value: str) -> List[str]:
    parts = value.split(",")
    if len(parts) != 2:
        raise ValueError(f"BRIDGE_ARENAS is {value!r}, want FD:BYTES,FD:BYTES")
    return parts


class Lease:
    """One call's part of the arena for answers."""

    def __init__(self, arenas: Arenas, message: LeaseMessage):
        self._arenas = arenas
        self.generation = message.generation
        self._slot = message.slot
        if message.generation == 0:
            raise ProtocolError("the lease has the generation 0")
        if message.nbytes:
            _check("the lease", message.offset, message.nbytes, len(arenas.outbound))
        self._part = arenas.outbound[message.offset : message.offset + message.nbytes] if message.nbytes else arenas.outbound[:0]
        self._offset = message.offset
        self._used = 0
        self._given: Dict[int, int] = {}  # the offset of each array that allocate returned, by address

    def read(self, name: str, handle: Handle, nbytes: int) -> Array:
        """Returns the bytes that a handle of the request names, without a copy."""
        if handle.arena != TO_PLUGIN:
            raise ProtocolError(f"{name} is in arena {handle.arena}, want {TO_PLUGIN}")
        if handle.generation != self.generation or handle.slot != self._slot:
            raise ProtocolError(f"{name} is of generation {handle.generation}, slot {handle.slot}; "
                                f"the lease is of generation {self.generation}, slot {self._slot}")
        _check(name, handle.offset, nbytes, len(self._arenas.inbound))
        return self._arenas.inbound[handle.offset : handle.offset + nbytes]

    def allocate(self, shape: Sequence[int], dtype: Any) -> Array:
        """Returns an array in the lease, or an ordinary one if it does not fit."""
        shape = tuple(int(d) for d in shape)
        nbytes = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
        offset = self._take(nbytes)
        if offset is None or nbytes == 0:
            return np.empty(shape, dtype)
        array = self._part[offset : offset + nbytes].view(dtype).reshape(shape)
        self._given[_address(array)] = offset
        return array

    def place(self, array: Array) -> Optional[Handle]:
        """Puts a contiguous array into the lease. Returns None if it does not fit."""
        offset = self._given.pop(_address(array), None)
        if offset is None:
            offset = self._take(array.nbytes)
            if offset is None:
                return None
            self._part[offset : offset + array.nbytes] = array.reshape(-1).view(np.uint8)
        return Handle(arena=TO_HOST, slot=self._slot, generation=self.generation, offset=self._offset + offset)

    def holds(self, array: Array) -> bool:
        """Reports whether the array is in memory that is lent only for the call."""
        return any(np.may_share_memory(array, arena) for arena in (self._arenas.inbound, self._arenas.outbound))

    def _take(self, nbytes: int) -> Optional[int]:
        offset = -(-self._used // ALIGNMENT) * ALIGNMENT
        if offset > len(self._part) or nbytes > len(self._part) - offset:
            return None
        self._used = offset + nbytes
        return offset


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _check(name: str, offset: int, nbytes: int, capacity: int) -> None:
    if offset % ALIGNMENT:
        raise ProtocolError(f"{name} begins at byte {offset}, want a multiple of {ALIGNMENT}")
    if offset > capacity or nbytes > capacity - offset:
        raise ProtocolError(f"{name} reaches from byte {offset} over {nbytes} bytes, the arena has {capacity}")


class Calls:
    """Tracks which calls with a lease are running, and which are refused."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: Set[int] = set()
        self._settled: Set[int] = set()

    def enter(self, generation: int) -> None:
        """Registers a call. Raises ProtocolError if the host has already settled it."""
        with self._changed:
            if generation in self._settled or generation in self._running:
                raise ProtocolError(f"generation {generation} was settled or is in use")
            self._running.add(generation)

    def leave(self, generation: int) -> None:
        """Records that the call no longer uses its lent memory."""
        with self._changed:
            self._running.discard(generation)
            self._changed.notify_all()

    def settle(self, generations: Iterable[int], active: Any) -> None:
        """Returns once none of the calls is running, or active() is false."""
        wanted = set(generations)
        with self._changed:
            self._settled |= wanted
            while wanted & self._running and active():
                self._changed.wait(0.2)
