"""The error type of adapters. It mirrors Go's package adapters."""

from __future__ import annotations

import enum
from typing import Optional


class Kind(enum.IntEnum):
    """The kind of failure of an :class:`Error`. The host chooses its reaction by it."""

    UNKNOWN = 0
    INVALID = 1  #: the request breaks the contract
    NOT_FOUND = 2  #: a file, folder, id or tensor does not exist
    UNSUPPORTED = 3  #: the adapter does not support this; the message says what it supports
    CORRUPT = 4  #: a file exists but its contents are wrong
    EXHAUSTED = 5  #: memory, disk or a size limit ran out
    CANCELED = 6  #: the caller gave up
    UNAVAILABLE = 7  #: something that the adapter needs cannot be reached; a retry may work
    INTERNAL = 8  #: a bug in the adapter


class Error(Exception):
    """An error that reaches bridge's user as it was raised.

    ``message`` says what is wrong, with the actual and the expected value. ``remedy`` says
    what the user can do about it. ``field`` names the wrong part of the request or the
    checkpoint: ``"examples[3].target"``. ``op`` names the operation, if it is not the call.
    """

    def __init__(self, kind: Kind, message: str, remedy: str = "", field: str = "", op: str = "") -> None:
        super().__init__(kind, message, remedy, field, op)
        self.kind = Kind(kind)
        self.message = str(message)
        self.remedy = str(remedy)
        self.field = field
        self.op = op

    def __str__(self) -> str:
        text = f"{self.op}: {self.message}" if self.op else self.message
        return f"{text} ({self.remedy})" if self.remedy else text


class ProtocolError(Exception):
    """The host broke the protocol; this is not an error of the adapter."""


def canceled(reason: Optional[str] = None) -> Error:
    """Returns the error of a call that the host gave up."""
    return Error(Kind.CANCELED, reason or "context canceled")
