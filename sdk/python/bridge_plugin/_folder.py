"""A private folder for a socket. If this process cannot remove it, the next start does.

It is in the same place as bridge's own folders, and follows the same rules. A lock on the
file beside it marks it as in use; the kernel releases the lock however the process ends.
When bridge or a plugin makes such a folder, it removes those that are not locked.
"""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import stat
import tempfile
from typing import IO

from . import _process
from .errors import Error, Kind

MAX_BASE = 47  # bytes of the path; a socket's address may have 104


class PrivateFolder:
    """A folder for this process only, until remove or the end of the process."""

    def __init__(self) -> None:
        base = _base()
        with _locked(os.path.join(base, "lock")):
            _sweep(base)
            self.path = tempfile.mkdtemp(prefix="p", dir=base)
            self._lock = _locked(self.path + ".lock")

    def remove(self) -> None:
        _remove(self.path)
        self._lock.close()


def _base() -> str:
    """Returns this user's folder, which no other user can enter."""
    name = f"bridge-{os.getuid()}"
    base = os.path.join(tempfile.gettempdir(), name)
    if len(os.fsencode(base)) > MAX_BASE:
        base = os.path.join("/tmp", name)
    try:
        os.mkdir(base, 0o700)
    except FileExistsError:
        pass
    found = os.lstat(base)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700:
        raise Error(Kind.INVALID, f"{base} is {stat.filemode(found.st_mode)}, want a folder of this user with mode 0700", "remove it")
    return base


def _locked(path: str, how: int = fcntl.LOCK_EX) -> IO[bytes]:
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
    try:
        fcntl.flock(file, how)
    except OSError:
        file.close()
        raise
    return file


def _sweep(base: str) -> None:
    """Removes the folders that are not locked, and kills what is left of their plugins."""
    for path in glob.glob(os.path.join(glob.escape(base), "p*.lock")):
        try:
            lock = _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # in use
        folder = path[: -len(".lock")]
        _process.end_strays(os.path.join(folder, "work"))
        _remove(folder)
        lock.close()


def _remove(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    try:
        os.unlink(folder + ".lock")
    except FileNotFoundError:
        pass
