"""Writes resized position tables: adapters/internal/vision/testdata/positions.json.

    python positions.py [FILE]

It uses torch.nn.functional.interpolate(mode="bicubic", align_corners=False): without
antialias like CLIP, SigLIP, BLIP-2 and DINOv2, and with antialias like DINOv2 with
registers. A table has the shape [height · width, width of the embeddings].
"""

from __future__ import annotations

import json
import pathlib
import sys

import torch

from common import setup

CASES = [((3, 3), (5, 5)), ((5, 5), (3, 3)), ((4, 4), (2, 3)), ((2, 2), (7, 4)), ((9, 9), (4, 4)),
         ((16, 16), (5, 7)), ((1, 1), (3, 2)), ((7, 7), (7, 7)), ((6, 6), (9, 4)), ((37, 37), (16, 16))]


def main(path: pathlib.Path) -> None:
    setup()
    torch.use_deterministic_algorithms(False)  # interpolate has no deterministic backward pass, and none is run here
    cases = []
    for (rows, columns), size in CASES:
        for antialias in (False, True):
            table = torch.randn(1, 2, rows, columns)
            out = torch.nn.functional.interpolate(table, size=size, mode="bicubic", align_corners=False, antialias=antialias)
            flat = [t[0].permute(1, 2, 0).flatten().tolist() for t in (table, out)]
            cases.append({"side": rows, "height": size[0], "width": size[1], "antialias": antialias,
                          "table": [float(f"{x:.9g}") for x in flat[0]], "want": [float(f"{x:.9g}") for x in flat[1]]})
    path.write_text(json.dumps(cases, separators=(",", ":")).replace("},{", "},\n{") + "\n")


if __name__ == "__main__":
    default = pathlib.Path(__file__).parents[2] / "adapters/internal/vision/testdata/positions.json"
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default)
