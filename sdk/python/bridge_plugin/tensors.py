"""Tensors as numpy arrays.

numpy has no bfloat16. An array of ``uint16`` holds the bits of bfloat16 numbers; the
contract uses ``uint16`` for nothing else.
"""

from __future__ import annotations

import enum
from typing import Any, Dict, Sequence, Tuple

import numpy as np

from .errors import Error, Kind

Array = Any  # numpy.ndarray; before numpy 1.22 it is not generic


class DType(enum.IntEnum):
    """The element types of the contract."""

    INVALID = 0
    UINT8 = 1
    INT32 = 2
    FLOAT32 = 3
    BFLOAT16 = 4

    def __str__(self) -> str:
        return self.name.lower()

    @property
    def numpy(self) -> Any:
        """The numpy type of arrays of this type, little-endian."""
        return _NUMPY[self]

    @property
    def size(self) -> int:
        """The bytes of one element."""
        return int(_NUMPY[self].itemsize)


_NUMPY: Dict[DType, Any] = {
    DType.UINT8: np.dtype("u1"),
    DType.INT32: np.dtype("<i4"),
    DType.FLOAT32: np.dtype("<f4"),
    DType.BFLOAT16: np.dtype("<u2"),
}


def numpy_type(dtype: Any) -> Any:
    """Returns the numpy type of the elements for a DType or a numpy type. For BFLOAT16 it is
    ``uint16``, which holds the bits. Raises an Error of kind INVALID if an answer cannot
    have such elements."""
    own = None
    if isinstance(dtype, DType):
        own = _NUMPY.get(dtype)
    elif dtype is not None:  # numpy takes None for float64
        try:
            own = next((t for t in _NUMPY.values() if t == np.dtype(dtype)), None)
        except (TypeError, ValueError):
            pass
    if own is None:
        raise Error(Kind.INVALID, f"dtype is {dtype!r}, want one of {', '.join(f'DType.{d.name}' for d in _NUMPY)}, or numpy's "
                    + ", ".join(str(t) for t in _NUMPY.values()),
                    "name an element type that an answer can have: DType.FLOAT32, or DType.BFLOAT16 for the bits as uint16", field="dtype")
    return own


def dtype_of(array: Array) -> DType:
    """Returns the DType of an array, or INVALID if the contract has none for it."""
    for dtype, own in _NUMPY.items():
        if array.dtype == own:
            return dtype
    return DType.INVALID


def to_float32(array: Array) -> Array:
    """Converts an array of float32, bfloat16 (``uint16``) or another number type to float32.
    If it is float32 already, returns the array itself."""
    array = np.asarray(array)
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32, copy=False)


def to_bfloat16(array: Array) -> Array:
    """Converts numbers to bfloat16, rounded to nearest even, and returns the bits as
    ``uint16``. NaN stays NaN."""
    array = np.asarray(array)
    if array.dtype == np.uint16:
        return array
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = ((bits.astype(np.uint64) + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    nan = (bits & 0x7FFFFFFF) > 0x7F800000
    return np.where(nan, (bits >> 16).astype(np.uint16) | np.uint16(0x40), rounded).reshape(array.shape)


def shape_string(shape: Sequence[int]) -> str:
    """Returns "[2, 32, 768]"."""
    return "[" + ", ".join(str(d) for d in shape) + "]"


def describe(array: Array) -> str:
    """Returns "float32[2, 32, 768]"."""
    if array is None:
        return "none"
    if not isinstance(array, np.ndarray):
        return type(array).__name__
    dtype = dtype_of(array)
    return (str(dtype) if dtype else str(array.dtype)) + shape_string(array.shape)


def product(shape: Sequence[int], item: int) -> Tuple[int, bool]:
    """Multiplies item by the sizes; the bool is false if the result does not fit 63 bits."""
    n = item
    for d in shape:
        n *= d
        if d > MAX_INT or n > MAX_INT:
            return 0, False
    return n, True


MAX_INT = (1 << 63) - 1
