"""Turns exceptions of a model into failures for the host and tracebacks for the log.

The host gets one text, and the log gets a bug's traceback once. The kind, the message and
the remedy do not appear in both.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import List

import grpc

from . import _messages as pb
from ._wire import WireError
from .errors import Error, Kind, ProtocolError, canceled

MAX_ERROR_TEXT = 64 << 10  # bytes of each text
MAX_FRAMES = 12  # of a traceback, the innermost ones: the host shows only a log's last lines
SDK = os.path.dirname(os.path.abspath(__file__)) + os.sep
PYTHON = os.path.dirname(os.path.abspath(os.__file__)) + os.sep  # the standard library; packages that pip installs are in it or next to it
PACKAGES = ("site-packages", "dist-packages")


def failure(op: str, err: BaseException, loading: bool = False) -> pb.Failure:
    """Returns the failure for the host after an exception of a model in ``op``. If the
    exception is a bug, its traceback goes to the standard error first, flushed."""
    err = _error(err, loading)
    return pb.Failure(kind=int(err.kind), op=_short(err.op or op), message=_short(err.message), remedy=_short(err.remedy), field=_short(err.field))


def _error(err: BaseException, loading: bool) -> Error:
    if isinstance(err, Error):
        return err
    if isinstance(err, (ProtocolError, WireError)):
        return Error(Kind.INVALID, f"the request breaks the protocol: {err}")
    if isinstance(err, grpc.RpcError):  # while the request was received
        return canceled()
    if isinstance(err, NotImplementedError):
        return Error(Kind.UNSUPPORTED, str(err) or "the adapter does not support this")
    if isinstance(err, MemoryError) or type(err).__name__ == "OutOfMemoryError":  # torch's
        return Error(Kind.EXHAUSTED, f"out of memory: {_first_line(err)}", "use a smaller batch, or a smaller model")
    if loading and isinstance(err, FileNotFoundError):
        return Error(Kind.NOT_FOUND, str(err))
    if isinstance(err, ModuleNotFoundError):
        return Error(Kind.NOT_FOUND, f"{err} ({sys.executable}{_where(err)})",
                     "add the package to the plugin's requirements.txt, and rebuild the plugin")
    print_traceback(err)
    return Error(Kind.INTERNAL, f"exception in the adapter: {type(err).__name__}: {err}{_where(err)}",
                 "this is a bug in the adapter: its traceback is in the log")


def print_traceback(err: BaseException) -> None:
    """Prints a traceback in one piece, from the first line that is the adapter's own."""
    whole = traceback.TracebackException.from_exception(err)
    frames: List[traceback.FrameSummary] = list(whole.stack)
    own = next((i for i, frame in enumerate(frames) if not frame.filename.startswith(SDK)), 0)
    whole.stack = traceback.StackSummary.from_list(frames[own:][-MAX_FRAMES:])
    sys.stderr.write("".join(whole.format()))
    sys.stderr.flush()


def _where(err: BaseException) -> str:
    """Returns the place in the adapter's own code: ", model.py line 67". In a one-line
    message, it helps more than the library frames below it."""
    for frame in reversed(traceback.extract_tb(err.__traceback__)):
        file = frame.filename
        if not file.startswith((SDK, PYTHON, "<")) and not any(name in file for name in PACKAGES):
            return f", {os.path.basename(frame.filename)} line {frame.lineno}"
    return ""


def _first_line(err: BaseException) -> str:
    return (str(err).splitlines() or [type(err).__name__])[0]


def _short(text: str) -> str:
    data = text.encode("utf-8", "replace")
    if len(data) > MAX_ERROR_TEXT:
        data = data[:MAX_ERROR_TEXT] + "…".encode()
    return data.decode("utf-8", "replace")
