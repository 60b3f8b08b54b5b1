"""Writes the fixtures of Go's package imaging, and Pillow's results for them.

    python3 -m venv .venv && .venv/bin/pip install -r tools/imaging/requirements.txt
    .venv/bin/python tools/imaging/golden.py imaging/testdata

files/ holds small images of every kind. golden.json.gz holds, in base64, the RGB pixels that Pillow decodes from each
(convert("RGB")), resized pictures and centre crops. For a 16-bit grey file it holds the high byte, because Pillow clips
the values to 255, which turns nearly every pixel white.

Pillow is pinned to a version before 13. If an image shrinks most in height, Pillow 13 resizes columns first. Earlier
versions, with which BLIP-2 was trained and measured, always resize rows first.
"""

import base64
import gzip
import json
import os
import sys

import numpy as np
import PIL
from PIL import Image

FILTERS = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
SIZES = [(24, 24), (16, 8), (7, 31), (1, 1), (61, 43), (100, 90), (16, 10), (61, 20), (20, 43), (224, 224)]


def picture(w, h, seed=3):
    """Returns smooth gradients, hard edges and noise, so that a filter overshoots and every rounding shows."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    planes = [127 + 120 * np.sin(x / 5 + y / 9), 255.0 * ((x // 7 + y // 5) % 2), rng.integers(0, 256, (h, w))]
    return np.stack(planes, -1).clip(0, 255).astype(np.uint8)


def pack(image):
    a = np.asarray(image)
    return {"width": a.shape[1], "height": a.shape[0], "pix": base64.b64encode(a.tobytes()).decode()}


def files(folder):
    rgb = Image.fromarray(picture(37, 29))
    smooth = np.asarray(rgb).copy()
    smooth[..., 2] = 255 - smooth[..., 0]
    smooth = Image.fromarray(smooth)
    alpha = Image.fromarray(np.dstack([picture(37, 29), picture(37, 29, 5)[..., 0]]), "RGBA")
    palette = rgb.quantize(16)
    gif = [rgb.quantize(64), Image.fromarray(picture(37, 29, 9)).quantize(64)]
    save = {
        "rgb.png": (rgb, {}), "rgba.png": (alpha, {}), "grey.png": (rgb.convert("L"), {}), "la.png": (alpha.convert("LA"), {}),
        "palette.png": (palette, {}), "palette-alpha.png": (palette, {"transparency": 3}),
        "bits.png": (rgb.convert("1"), {}), "grey16.png": (Image.fromarray(picture(37, 29)[..., 0].astype(np.uint16) * 257), {}),
        "rgb.webp": (rgb, {"lossless": True}), "rgba.webp": (alpha, {"lossless": True, "exact": True}),
        "lossy.webp": (smooth, {"quality": 90}),
        "frames.gif": (gif[0], {"save_all": True, "append_images": gif[1:]}),
        "444.jpg": (smooth, {"quality": 90, "subsampling": 0}), "420.jpg": (smooth, {"quality": 90, "subsampling": 2}),
        "422.jpg": (smooth, {"quality": 90, "subsampling": 1}), "narrow.jpg": (smooth.crop((0, 0, 4, 29)), {"quality": 90, "subsampling": 2}),
        "lossy-alpha.webp": (Image.merge("RGBA", (*smooth.split(), alpha.split()[3])), {"quality": 90, "exact": True}),
        "progressive.jpg": (smooth, {"quality": 90, "progressive": True, "subsampling": 0}),
        "grey.jpg": (smooth.convert("L"), {"quality": 90}), "cmyk.jpg": (smooth.convert("CMYK"), {"quality": 95}),
    }
    out = []
    os.makedirs(folder, exist_ok=True)
    for name, (image, options) in save.items():
        path = os.path.join(folder, name)
        image.save(path, **options)
        decoded = Image.open(path)
        if decoded.mode == "I;16":
            decoded = Image.fromarray((np.asarray(decoded) >> 8).astype(np.uint8))
        out.append({"name": name, **pack(decoded.convert("RGB"))})
    return out


def resized():
    source = Image.fromarray(picture(61, 43))
    out = []
    for name, f in FILTERS.items():
        for size in SIZES:
            out.append({"filter": name, **pack(source.resize(size, f))})
    return pack(source), out


def crops():
    """Resizes the shortest edge to a length and crops the centre, like transformers' CLIPImageProcessor (and
    DINOv2's BitImageProcessor, whose crop is smaller than the edge)."""
    out = []
    for w, h, edge, size in [(61, 43, 24, 24), (43, 61, 24, 24), (30, 30, 31, 31), (90, 31, 15, 15), (31, 90, 15, 15),
                             (50, 37, 40, 40), (61, 43, 32, 28), (43, 61, 25, 22), (40, 40, 33, 28)]:
        source = Image.fromarray(picture(w, h))
        nw, nh = (edge, int(edge * h / w)) if w <= h else (int(edge * w / h), edge)
        assert min(nw, nh) == edge
        big = np.asarray(source.resize((nw, nh), Image.BICUBIC))
        top, left = (nh - size) // 2, (nw - size) // 2
        out.append({"size": size, "edge": edge, "source": pack(source), **pack(big[top:top + size, left:left + size])})
    return out


def main(folder):
    decoded = files(os.path.join(folder, "files"))
    source, resizes = resized()
    value = {"pillow": PIL.__version__, "decoded": decoded, "source": source, "resized": resizes, "crops": crops()}
    with open(os.path.join(folder, "golden.json.gz"), "wb") as f:
        f.write(gzip.compress(json.dumps(value).encode(), 9, mtime=0))


if __name__ == "__main__":
    main(sys.argv[1])
