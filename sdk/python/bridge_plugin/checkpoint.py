"""Helpers for checkpoint folders."""

from __future__ import annotations

import hashlib
import os
from typing import Union

Path = Union[str, "os.PathLike[str]"]

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".npz", ".npy", ".gguf", ".msgpack", ".h5")


def digest(path: Path) -> str:
    """Returns "sha256:…" over a file, or over the files of weights in a folder: their
    names, sizes and contents, in the order of their names. Of a folder that holds none,
    over all its files."""
    path = os.fspath(path)
    total = hashlib.sha256()
    if not os.path.isdir(path):
        _add(total, path)
        return "sha256:" + total.hexdigest()
    files = sorted(name for name in os.listdir(path) if os.path.isfile(os.path.join(path, name)))
    for name in [name for name in files if name.endswith(WEIGHTS)] or files:
        file = os.path.join(path, name)
        total.update(f"{name}\0{os.path.getsize(file)}\0".encode())
        _add(total, file)
    return "sha256:" + total.hexdigest()


def _add(total: "hashlib._Hash", path: str) -> None:
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
