"""Protobuf's wire format for the messages of the protocol.

``encode`` and ``decode`` behave like protobuf's own runtime with proto3 messages: unknown
fields are skipped, defaults are not sent, repeated numbers are packed, the last value of a
field counts and messages merge. Bytes that are not a message raise :class:`WireError`. Byte
fields are views of the received bytes, not copies.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, Iterator, List, Optional, Tuple, Type, TypeVar, Union

Buffer = Union[bytes, bytearray, memoryview]


class WireError(ValueError):
    """The bytes are not a message of this type."""


class Message:
    """The base class of generated messages, which are dataclasses with a table of fields."""

    FIELDS: ClassVar[Tuple[Field, ...]] = ()
    BY_NUMBER: ClassVar[Dict[int, Field]] = {}

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, f.name) == getattr(other, f.name) for f in self.FIELDS)

    __hash__ = None  # type: ignore[assignment]

    def which(self, oneof: str) -> Optional[str]:
        """Returns the name of the oneof's member that is set, or None."""
        for f in self.FIELDS:
            if f.oneof == oneof and getattr(self, f.name) is not None:
                return f.name
        return None


@dataclass(frozen=True)
class Field:
    """A field's number, its name, and a scalar type's name or a message's class."""

    number: int
    name: str
    kind: Union[str, Type[Message]]
    repeated: bool = False
    optional: bool = False
    oneof: str = ""


M = TypeVar("M", bound=Message)


def describe(cls: Type[Message], fields: List[Field]) -> None:
    """Sets the field table of a message class."""
    cls.FIELDS = tuple(sorted(fields, key=lambda f: f.number))
    cls.BY_NUMBER = {f.number: f for f in fields}


VARINT, I64, LEN, I32 = 0, 1, 2, 5
_WIRE_TYPE = {"float": I32, "double": I64, "string": LEN, "bytes": LEN}
_FORMAT = {"float": "<f", "double": "<d"}


def encode(message: Message) -> bytes:
    """Returns the message's bytes."""
    parts: List[Buffer] = []
    _encode(message, parts)
    return b"".join(parts)


def _encode(message: Message, parts: List[Buffer]) -> None:
    for f in message.FIELDS:
        value = getattr(message, f.name)
        if f.repeated:
            _encode_repeated(f, value, parts)
        elif value is None or not f.optional and not isinstance(f.kind, type) and _is_default(value):
            continue
        else:
            _encode_one(f, value, parts)


def _is_default(value: Any) -> bool:
    if isinstance(value, float):
        return struct.pack("<d", value) == bytes(8)  # −0 is sent
    return len(value) == 0 if isinstance(value, (str, bytes, bytearray, memoryview)) else not value


def _encode_repeated(f: Field, values: Any, parts: List[Buffer]) -> None:
    if not len(values):
        return
    if isinstance(f.kind, type) or f.kind in ("string", "bytes"):
        for value in values:
            _encode_one(f, value, parts)
        return
    if f.kind in _FORMAT:
        packed = struct.pack(f"<{len(values)}{_FORMAT[f.kind][1]}", *values)
    else:
        packed = b"".join(_varint(_to_varint(f, v)) for v in values)
    parts += [_varint(f.number << 3 | LEN), _varint(len(packed)), packed]


def _encode_one(f: Field, value: Any, parts: List[Buffer]) -> None:
    if isinstance(f.kind, type):
        inner: List[Buffer] = []
        _encode(value, inner)
        parts += [_varint(f.number << 3 | LEN), _varint(sum(map(len, inner)))] + inner
        return
    wire_type = _WIRE_TYPE.get(f.kind, VARINT)
    parts.append(_varint(f.number << 3 | wire_type))
    if wire_type == LEN:
        data = value.encode("utf-8") if f.kind == "string" else value
        parts += [_varint(len(data)), data]
    elif wire_type == VARINT:
        parts.append(_varint(_to_varint(f, value)))
    else:
        parts.append(struct.pack(_FORMAT[f.kind], value))


_RANGE = {"uint32": (0, 1 << 32), "uint64": (0, 1 << 64), "int32": (-1 << 31, 1 << 31), "int64": (-1 << 63, 1 << 63), "bool": (0, 2)}


def _to_varint(f: Field, value: Any) -> int:
    number = int(value)
    low, high = _RANGE[str(f.kind)]
    if not low <= number < high:
        raise WireError(f"{f.name} is {number}, want {f.kind}")
    return number & (1 << 64) - 1


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode(cls: Type[M], data: Buffer) -> M:
    """Reads a message of class cls.

    Raises WireError if the bytes are not such a message.
    """
    return _decode(cls, cls(), memoryview(data))


def _decode(cls: Type[M], message: M, data: memoryview) -> M:
    for number, wire_type, value in _fields(data):
        f = cls.BY_NUMBER.get(number)
        if f is None:
            continue
        if f.repeated:
            _decode_repeated(f, wire_type, value, message)
            continue
        expected = LEN if isinstance(f.kind, type) else _WIRE_TYPE.get(f.kind, VARINT)
        if wire_type != expected:
            continue  # skipped like an unknown field
        if f.oneof:
            for other in cls.FIELDS:
                if other.oneof == f.oneof and other is not f:
                    setattr(message, other.name, None)
        if isinstance(f.kind, type):
            inner = getattr(message, f.name) or f.kind()
            setattr(message, f.name, _decode(f.kind, inner, value))
        else:
            setattr(message, f.name, _from_wire(f.kind, value))
    return message


def _decode_repeated(f: Field, wire_type: int, value: Any, message: Message) -> None:
    values = getattr(message, f.name)
    if isinstance(f.kind, type):
        if wire_type == LEN:
            values.append(_decode(f.kind, f.kind(), value))
        return
    single = _WIRE_TYPE.get(f.kind, VARINT)
    if wire_type == single:
        values.append(_from_wire(f.kind, value))
    elif wire_type == LEN and f.kind in _FORMAT:
        code = _FORMAT[f.kind][1]
        if len(value) % struct.calcsize(code):
            raise WireError(f"{f.name} has {len(value)} bytes, want a multiple of {struct.calcsize(code)}")
        values.extend(struct.unpack(f"<{len(value) // struct.calcsize(code)}{code}", value))
    elif wire_type == LEN:
        at = 0
        while at < len(value):
            number, at = _read_varint(value, at)
            values.append(_from_wire(f.kind, number))


def _from_wire(kind: str, value: Any) -> Any:
    if kind == "bytes":
        return value
    if kind == "string":
        try:
            return str(value, "utf-8")
        except UnicodeDecodeError as err:
            raise WireError(f"a string is not valid UTF-8: {err}") from None
    if kind in _FORMAT:
        return struct.unpack(_FORMAT[kind], value)[0]
    if kind == "bool":
        return value != 0
    if kind == "uint64":
        return value
    bits = 32 if kind in ("int32", "uint32") else 64
    value &= (1 << bits) - 1
    return value - (1 << bits) if kind[0] == "i" and value >> bits - 1 else value


def _fields(data: memoryview) -> Iterator[Tuple[int, int, Any]]:
    """Yields each field's number, wire type and value: an int for varints, otherwise bytes."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise WireError(f"field {number}, want 1 to {(1 << 29) - 1}")
        if wire_type == VARINT:
            value, at = _read_varint(data, at)
            yield number, wire_type, value
            continue
        if wire_type == LEN:
            size, at = _read_varint(data, at)
        elif wire_type in (I32, I64):
            size = 4 if wire_type == I32 else 8
        else:
            raise WireError(f"field {number} has wire type {wire_type}, which proto3 does not have")
        if size > len(data) - at:
            raise WireError(f"field {number} takes {size} bytes, {len(data) - at} are left")
        yield number, wire_type, data[at : at + size]
        at += size


def _read_varint(data: memoryview, at: int) -> Tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise WireError("the message ends in the middle of a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
    raise WireError("a number has more than 10 bytes")
