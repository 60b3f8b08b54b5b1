"""Helpers for checkpoint folders."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, Dict, Sequence, Tuple, Union

import numpy as np

from .errors import Error, Kind
from .tensors import Array, to_float32

Path = Union[str, "os.PathLike[str]"]

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".npz", ".npy", ".gguf", ".msgpack", ".h5")


def digest(path: Path) -> str:
    """Returns "sha256:…" of a file, or of the weight files in a folder. If the folder has
    none, all its files count. For a folder with safetensors, bridge's own adapters return
    the same digest."""
    path = os.fspath(path)
    if not os.path.isdir(path):
        return _of_file(path)
    files = sorted(name for name in os.listdir(path) if os.path.isfile(os.path.join(path, name)))
    for endings in ((".safetensors",), WEIGHTS, ("",)):
        chosen = [name for name in files if name.endswith(endings)]
        if chosen:
            break
    digests = [_of_file(os.path.join(path, name)) for name in chosen]
    if len(digests) == 1:
        return digests[0]
    lines = "".join(f"{name} {digest}\n" for name, digest in zip(chosen, digests))
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def _of_file(path: str) -> str:
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return "sha256:" + total.hexdigest()


_STORED = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def read_tensor(folder: Path, names: Sequence[str]) -> Array:
    """Returns the first of the named tensors in the folder's safetensors, as float32. It
    helps if you need only the token embeddings. Raises an Error if there is none."""
    folder = os.fspath(folder)
    files = sorted(name for name in os.listdir(folder) if name.endswith(".safetensors"))
    where: Dict[str, Tuple[str, int, Any]] = {}
    for file in (os.path.join(folder, name) for name in files):
        header, start = _header(file)
        where.update({name: (file, start, entry) for name, entry in header.items()})
    for name in names:
        if name in where:
            file, start, entry = where[name]
            return _read(file, start, name, entry)
    raise Error(Kind.NOT_FOUND, f"{folder} has {len(files)} safetensors files and none of the tensors {', '.join(names)}", field="model.safetensors")


def _header(file: str) -> Tuple[Dict[str, Any], int]:
    with open(file, "rb") as f:
        size = int.from_bytes(f.read(8), "little")
        if size > min(os.path.getsize(file), 100 << 20):
            raise Error(Kind.CORRUPT, f"{file}: the header has {size} bytes, want fewer than the file")
        header: Dict[str, Any] = json.loads(f.read(size))
    header.pop("__metadata__", None)
    return header, 8 + size


def _read(file: str, start: int, name: str, entry: Any) -> Array:
    first, last = entry["data_offsets"]
    if entry["dtype"] not in _STORED:
        raise Error(Kind.UNSUPPORTED, f"{file}: {name} is stored as {entry['dtype']}, want one of {', '.join(_STORED)}")
    item = np.dtype(_STORED[entry["dtype"]])
    count = int(np.prod(entry["shape"], dtype=object))
    if last - first != count * item.itemsize or not 0 <= first <= last <= os.path.getsize(file) - start:
        raise Error(Kind.CORRUPT, f"{file}: {name} takes the bytes {first} to {last}, which does not match its shape {entry['shape']}")
    return to_float32(np.fromfile(file, item, count, offset=start + first)).reshape(entry["shape"])
