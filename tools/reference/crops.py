"""Writes imaging/testdata/crops.json: random resized crops and flips by torchvision.

Each case has the size of a picture, the numbers that torchvision drew, the crop that it chose,
and the digest of the pixels that RandomResizedCrop and RandomHorizontalFlip made of the picture.
Needs torchvision.txt.
"""

import hashlib
import json
import math
from pathlib import Path

import numpy
import torch
from PIL import Image
from torchvision import transforms

OUT = Path(__file__).parent / "../../imaging/testdata/crops.json"
SIZES = [(64, 48), (48, 64), (500, 375), (37, 211), (211, 37), (16, 16), (1, 1), (2, 300), (300, 2), (224, 224), (3, 5)]
SIDE = 56


def picture(width, height):
    """A picture that a test can compute: red is x, green is y, blue mixes both."""
    x, y = numpy.meshgrid(numpy.arange(width), numpy.arange(height))
    return Image.fromarray(numpy.stack([x * 7 % 256, y * 5 % 256, (x * x + 3 * y) % 256], 2).astype(numpy.uint8))


class Recorder:
    """Records the numbers that are drawn while it is in force."""

    def __enter__(self):
        self.numbers = []
        self.uniform, self.randint, self.rand = torch.Tensor.uniform_, torch.randint, torch.rand
        recorder = self

        def uniform_(tensor, low=0.0, high=1.0, **options):
            out = recorder.uniform(tensor, low, high, **options)
            recorder.numbers.append(float(out.item()))
            return out

        def randint(*arguments, **options):
            out = recorder.randint(*arguments, **options)
            recorder.numbers.append(int(out.item()))
            return out

        def rand(*arguments, **options):
            out = recorder.rand(*arguments, **options)
            recorder.numbers.append(float(out.item()))
            return out

        torch.Tensor.uniform_, torch.randint, torch.rand = uniform_, randint, rand
        return self

    def __exit__(self, *_):
        torch.Tensor.uniform_, torch.randint, torch.rand = self.uniform, self.randint, self.rand


def case(width, height, seed, scale):
    image = picture(width, height)
    crop = transforms.RandomResizedCrop(SIDE, scale=scale, interpolation=transforms.InterpolationMode.BICUBIC)
    flip = transforms.RandomHorizontalFlip()
    torch.manual_seed(seed)
    top, left, h, w = crop.get_params(image, list(crop.scale), list(crop.ratio))
    torch.manual_seed(seed)
    with Recorder() as drawn:
        out = flip(crop(image))
    pixels = numpy.asarray(out.convert("RGB"))
    assert pixels.shape == (SIDE, SIDE, 3)
    return {
        "width": width, "height": height, "scale": list(scale), "drawn": drawn.numbers, "top": top, "left": left, "crop_height": h,
        "crop_width": w, "flipped": drawn.numbers[-1] < 0.5, "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
    }


def main():
    cases = [case(w, h, 100 * i + seed, (0.5, 1.0)) for i, (w, h) in enumerate(SIZES) for seed in range(8)]
    cases += [case(500, 375, 7000 + seed, (0.08, 1.0)) for seed in range(4)]
    OUT.resolve().parent.mkdir(exist_ok=True)
    OUT.resolve().write_text(json.dumps({"side": SIDE, "cases": cases}, indent=0) + "\n")
    print(len(cases), "cases,", math.ceil(OUT.resolve().stat().st_size / 1000), "kB")


main()
