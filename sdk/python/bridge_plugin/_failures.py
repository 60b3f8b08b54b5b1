"""What a model raised, as the host and the log get it.

The host gets one text, and the log a bug's traceback, once: the kind, the message and
the remedy are not said in both.
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
MAX_FRAMES = 12  # of a traceback, the innermost: the host shows a log's last lines alone
SDK = os.path.dirname(os.path.abspath(__file__)) + os.sep
PYTHON = os.path.dirname(os.path.abspath(os.__file__)) + os.sep  # the standard library, and in it or beside it what pip installs
PACKAGES = ("site-packages", "dist-packages")


def failure(op: str, err: BaseException, loading: bool = False) -> pb.Failure:
    """Returns what the host gets for what a model raised in ``op``. A bug's traceback goes
    to the standard error, flushed before the host has the failure."""
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
        return Error(Kind.UNSUPPORTED, str(err) or "the adapter does not have this")
    if isinstance(err, MemoryError) or type(err).__name__ == "OutOfMemoryError":  # torch's
        return Error(Kind.EXHAUSTED, f"out of memory: {_first_line(err)}", "use a smaller batch, or a smaller model")
    if loading and isinstance(err, FileNotFoundError):
        return Error(Kind.NOT_FOUND, str(err))
    if isinstance(err, ModuleNotFoundError):
        return Error(Kind.NOT_FOUND, f"{err} ({sys.executable}{_where(err)})",
                     "add the package to the plugin's requirements.txt, and build the plugin anew")
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
    """Returns where the adapter's own code was: ", model.py line 67". A library's frames
    below it say less to who reads one line."""
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
