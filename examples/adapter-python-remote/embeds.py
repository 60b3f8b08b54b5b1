"""Encodes prompt embeddings for vLLM: a tensor in the format of torch.save, in base64.

The format is a zip with a pickle that names a storage, and the storage's bytes. It is
written here so that the adapter does not need torch. The test reads it with torch.
"""

import base64
import io
import struct
import zipfile

import numpy as np


def encode(array):
    """Encodes float32[T, D] as text."""
    array = np.ascontiguousarray(array, "<f4")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in (("data.pkl", _pickle(array.shape, array.size)), ("byteorder", b"little"), ("data/0", array.tobytes()), ("version", b"3\n")):
            archive.writestr("archive/" + name, data)
    return base64.b64encode(out.getvalue()).decode()


def _pickle(shape, count):
    """Returns torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())
    in pickle's protocol 2."""

    def text(s):
        return b"X" + struct.pack("<I", len(s)) + s.encode()

    def number(n):
        return b"J" + struct.pack("<i", n)

    def pair(numbers):
        return b"(" + b"".join(map(number, numbers)) + b"t"

    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(count) + b"tQ"
    arguments = b"(" + storage + number(0) + pair(shape) + pair((shape[1], 1)) + b"\x89" + b"ccollections\nOrderedDict\n)R" + b"t"
    return b"\x80\x02" + b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R."
