"""Writes what transformers' CLIPImageProcessorPil makes of pictures of extreme shapes.

    .venv/bin/python tools/reference/shapes.py imaging/testdata/shapes.json     # Pillow 13.0.0, transformers 5.23.0

Each entry has the size of a picture, the shortest edge, the crop, and the SHA-256 of the pixels, uint8[crop, crop, 3]. The
pictures are not stored: the value of a channel c at (x, y) is (x * 37 + y * 101 + c * 53 + x * y % 11 * 13) % 256.

The resized whole of the longest pictures takes gigabytes. Rows and columns are independent, so for these the
script resizes along one edge, crops, and resizes along the other. It checks that this gives the same for the others.
"""

import hashlib
import json
import sys

import numpy as np
from PIL import Image
from transformers import CLIPImageProcessorPil

SHAPES = [(2, 300), (300, 2), (1, 1), (1, 500), (500, 1), (7, 2000), (2000, 7), (3, 1000), (1000, 5), (60, 9), (1, 20000), (32000, 1), (20000, 3)]


def picture(w, h):
    y, x = np.mgrid[0:h, 0:w]
    base = x * 37 + y * 101 + x * y % 11 * 13
    return Image.fromarray(((base[..., None] + 53 * np.arange(3)) % 256).astype(np.uint8))


def parts(image, edge, crop):
    w, h = image.size
    long = int(edge * max(w, h) / min(w, h))
    nw, nh = (edge, long) if w <= h else (long, edge)
    left, top = (nw - crop) // 2, (nh - crop) // 2
    image = image.resize((nw, h), Image.BICUBIC).crop((left, 0, left + crop, h))
    strips = []  # of one column each, so that the long one stays small
    for x in range(crop):
        strip = image.crop((x, 0, x + 1, h))
        if x and strip.tobytes() == before:
            strips.append(strips[-1])
            continue
        before = strip.tobytes()
        strips.append(np.asarray(strip.resize((1, nh), Image.BICUBIC).crop((0, top, 1, top + crop))))
    return np.concatenate(strips, 1)


def main(path):
    out = []
    for w, h in SHAPES:
        for edge, crop in [(224, 224), (256, 224)]:
            image = picture(w, h)
            pixels = parts(image, edge, crop)
            if max(w, h) / min(w, h) <= 500:
                p = CLIPImageProcessorPil(size={"shortest_edge": edge}, crop_size={"height": crop, "width": crop}, do_rescale=False, do_normalize=False)
                whole = np.asarray(p(image, return_tensors="np")["pixel_values"][0]).transpose(1, 2, 0).astype(np.uint8)
                assert (whole == pixels).all(), (w, h, edge)
            out.append({"width": w, "height": h, "edge": edge, "crop": crop, "sha256": hashlib.sha256(pixels.tobytes()).hexdigest()})
    with open(path, "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(e) for e in out) + "\n]\n")


if __name__ == "__main__":
    main(sys.argv[1])
