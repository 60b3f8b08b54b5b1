"""The shared code for golden folders of vision encoders."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import torch

from common import Golden

CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]


def write_processor(folder: pathlib.Path, **values) -> None:
    """Writes preprocessor_config.json: the given keys override those that CLIP's and BLIP-2's share."""
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "do_resize": True, "resample": 3, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
        "image_mean": CLIP_MEAN, "image_std": CLIP_STD, **values}, indent=1) + "\n")


def pictures(height: int, width: int) -> dict[str, np.ndarray]:
    """Returns noise, flat colours and a gradient, alone and in batches."""
    rng = np.random.default_rng(7)
    noise = rng.integers(0, 256, (5, height, width, 3), dtype=np.uint8)
    flat = np.stack([np.full((height, width, 3), v, np.uint8) for v in (0, 255)])
    down, across = np.linspace(0, 255, height, dtype=np.uint8), np.linspace(0, 255, width, dtype=np.uint8)
    slope = np.stack([np.broadcast_to(down[:, None], (height, width)), np.broadcast_to(across, (height, width)),
                      np.full((height, width), 90)], -1).astype(np.uint8)[None]
    return {"noise": noise, "one of them alone": noise[2:3], "black and white": flat, "slope": slope}


def cases(golden: Golden, tower: torch.nn.Module, size: tuple[int, int], layer: int,
          mean=CLIP_MEAN, std=CLIP_STD, behind: str = "", **options) -> None:
    """Adds cases that encode pictures of size (height, width) and expect hidden state
    layer. behind is appended to the cases' names."""
    for name, images in pictures(*size).items():
        pixels = (torch.tensor(images).float() / 255 - torch.tensor(mean)) / torch.tensor(std)
        with torch.no_grad():
            states = tower(pixels.permute(0, 3, 1, 2), output_hidden_states=True, **options).hidden_states
        golden.case(name + behind, "encode", images=images, expect={"features": states[layer]})
