"""Handles the process: its descriptors, its signals and its end. It imports no package that might print."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import threading
import time
from typing import IO, List, Optional

COOKIE_KEY = "BRIDGE_PLUGIN"
COOKIE_VALUE = "3d0c5a2e8f5b4c4f9d7e-bridge-adapter"
LIFELINE_KEY = "BRIDGE_LIFELINE_FD"
CERTIFICATE_KEY = "BRIDGE_SERVER_CERT_FD"
ARENAS_KEY = "BRIDGE_ARENAS"
GROUP_KEY = "BRIDGE_GROUP"

TRACE = 5  # a log level below debug

_handshake: Optional[IO[str]] = None


def started_by_host() -> bool:
    """Reports whether bridge has started this process as a plugin."""
    return os.environ.get(COOKIE_KEY) == COOKIE_VALUE


def protect() -> None:
    """Keeps file descriptor 1 for the handshake only.

    Otherwise the host could take a line that a library prints for the handshake, or the
    line could block the process. From here on, 1 leads to the standard error, child
    processes do not inherit the host's descriptors, and SIGINT is ignored, because the host
    decides when to stop. gRPC's fork support is switched off: its handlers print to the log
    at each fork, and may wait for threads forever. The function does nothing if no host has
    started the process, or if it was called before.
    """
    global _handshake
    if _handshake is not None or not started_by_host():
        return
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    sys.stdout.flush()
    saved = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3)
    os.dup2(2, 1)
    _handshake = os.fdopen(saved, "w")
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=True)
    for fd in _inherited():
        try:
            os.set_inheritable(fd, False)
        except OSError:
            pass  # using it reports the error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    _hold_lifeline()


def _inherited() -> List[int]:
    words = [os.environ.get(LIFELINE_KEY, ""), os.environ.get(CERTIFICATE_KEY, "")]
    words += [part.split(":")[0] for part in os.environ.get(ARENAS_KEY, "").split(",")]
    return [int(word) for word in words if word.isdigit()]


def say(line: str) -> None:
    """Prints the handshake."""
    global _handshake
    if _handshake is None:
        raise RuntimeError("the handshake was already printed, or bridge has not started this process")
    _handshake.write(line + "\n")
    _handshake.close()


def _hold_lifeline() -> None:
    """Ends the process when the host's end of the pipe closes, however the host died."""
    value = os.environ.get(LIFELINE_KEY, "")
    if not value:
        return
    if not value.isdigit() or int(value) < 3:
        raise SystemExit(f"{LIFELINE_KEY} is {value!r}, want a file descriptor")
    threading.Thread(target=_wait_for_end, args=(int(value),), name="lifeline", daemon=True).start()


def _wait_for_end(fd: int) -> None:
    while os.read(fd, 1):
        pass
    try:
        os.write(2, b"the host is gone: the plugin ends\n")
    except OSError:
        pass
    end_strays(os.environ.get(GROUP_KEY, ""))
    end_group()


def end_strays(folder: str) -> None:
    """Kills processes that a plugin has started and that have left its process group. They
    have the plugin's private folder in their environment. Without /proc, none is found."""
    mark = f"{GROUP_KEY}={folder}".encode()
    until = time.monotonic() + 2  # a process that hangs in the kernel does not end
    while folder and time.monotonic() < until:
        found = [pid for pid in _processes() if pid != os.getpid() and mark in _environment(pid)]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)


def _processes() -> List[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _environment(pid: int) -> List[bytes]:
    """Returns the environment that a process was started with; empty if it has ended."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def end_group() -> None:
    """Kills the process, and its whole group if it leads one."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)
