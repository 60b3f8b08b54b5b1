"""The error of every adapter, as Go's package adapters has it."""

from __future__ import annotations

import enum
from typing import Optional


class Kind(enum.IntEnum):
    """What sort of failure an :class:`Error` is. The host decides by it what to do."""

    UNKNOWN = 0
    INVALID = 1  #: the request breaks the contract: mend the request
    NOT_FOUND = 2  #: a file, folder, id or tensor is not there
    UNSUPPORTED = 3  #: the adapter cannot do this, and says what it can
    CORRUPT = 4  #: a file is there and is not what it should be
    EXHAUSTED = 5  #: memory, disk or a size limit ran out
    CANCELED = 6  #: the caller gave up
    UNAVAILABLE = 7  #: what the adapter needs cannot be reached: a repeat may work
    INTERNAL = 8  #: a bug in the adapter


class Error(Exception):
    """An error that reaches bridge's user as it was raised.

    ``message`` says what, got and wanted; ``remedy`` what the user can do about it;
    ``field`` what is wrong in the request or the checkpoint: ``"examples[3].target"``;
    ``op`` what was being done, where it is not the call's name.
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
    """The host does not keep to the protocol; no error of an adapter."""


def canceled(reason: Optional[str] = None) -> Error:
    """Returns the error of a call that the host gave up."""
    return Error(Kind.CANCELED, reason or "context canceled")
