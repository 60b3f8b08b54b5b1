"""Helpers that write golden folders (../../golden has the Go side).

A golden folder holds

    checkpoint/           the frozen model as Hugging Face saves it
    cases.json            what was run
    tensors.safetensors   inputs and expected outputs: float32, int32 or uint8

A generator builds a tiny model, makes it random with `randomize`, saves it and
adds cases:

    golden = Golden(folder, "vision-encoder", model, options={"feature_layer": -2})
    golden.save_checkpoint(model, tokenizer_or_processor)
    golden.case("one picture", "encode", images=pixels, expect={"features": features})
    golden.write()

Tensors (numpy or torch) go to tensors.safetensors, and cases.json has their names.
Everything else goes to cases.json unchanged.
"""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import sys

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

# The types that the Go side reads; int64 and float64 are narrowed to them.
_NARROW = {np.dtype("float64"): np.float32, np.dtype("int64"): np.int32}
_DTYPES = (np.float32, np.int32, np.uint8)


def setup(seed: int = 0) -> None:
    """Makes a generator's run repeatable: one thread, a seed, no fused kernels."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.set_flush_denormal(True)


@torch.no_grad()
def randomize(model: torch.nn.Module, std: float = 0.15, seed: int = 1) -> None:
    """Replaces every parameter with noise, so that a forgotten weight changes the result.

    Fresh models have zero biases and unit norm weights, so an implementation that
    forgets them would pass. Norm weights become 1 + noise, all others noise.
    """
    rng = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=rng) * std
        is_norm = re.search(r"(norm|layernorm|layrnorm|ln_?\d*)[^.]*\.weight$", name, re.IGNORECASE)
        parameter.copy_(1 + noise if is_norm and parameter.dim() == 1 else noise)
    if hasattr(model, "tie_weights"):
        model.tie_weights()


def to_numpy(value) -> np.ndarray:
    """Returns a contiguous array of one of the types that golden folders hold."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        if value.is_floating_point():
            value = value.float()
        value = value.numpy()
    value = np.asarray(value)
    value = value.astype(_NARROW.get(value.dtype, value.dtype))
    if value.dtype not in _DTYPES:
        raise TypeError(f"tensor of dtype {value.dtype}, want float32, int32 or uint8")
    return np.ascontiguousarray(value).reshape(value.shape)  # because ascontiguousarray makes a scalar a vector


class Golden:
    """A golden folder that is being written."""

    def __init__(self, folder, kind: str, model, options: dict | None = None,
                 tolerance: tuple[float, float] = (1e-4, 1e-4)):
        """model is the reference, or its name if it is not a single class."""
        self.folder = pathlib.Path(folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "checkpoint").mkdir(parents=True)
        name = model if isinstance(model, str) else type(model).__name__
        self.document = {
            "kind": kind,
            "source": f"transformers {transformers.__version__} {name}",
            "options": options or {},
            "tolerance": {"abs": tolerance[0], "rel": tolerance[1]},
            "cases": [],
        }
        self.tensors: dict[str, np.ndarray] = {}

    @property
    def checkpoint(self) -> pathlib.Path:
        """The folder of the frozen model."""
        return self.folder / "checkpoint"

    def save_checkpoint(self, model, *others) -> None:
        """Saves the model and its other parts (tokenizer, image processor)."""
        for part in (model, *others):
            part.save_pretrained(self.checkpoint)
        for extra in ("generation_config.json",):
            (self.checkpoint / extra).unlink(missing_ok=True)

    def case(self, name: str, op: str, expect: dict, **inputs) -> None:
        """Adds a case. expect and inputs are the fields of a case in cases.json (golden/golden.go)."""
        case = {"name": name, "op": op}
        for key, value in {**inputs, **expect}.items():
            if value is None:
                continue
            if isinstance(value, (torch.Tensor, np.ndarray)):
                case[key] = self._tensor(f"{len(self.document['cases'])}.{key}", value)
            else:
                case[key] = value
        self.document["cases"].append(case)

    def share(self, name: str, value) -> str:
        """Stores a tensor that several cases use. Pass the result as the field."""
        return self._tensor(name, value)

    def _tensor(self, name: str, value) -> str:
        self.tensors[name] = to_numpy(value)
        return name

    def write(self) -> None:
        """Writes cases.json and tensors.safetensors, and prints the folder's size."""
        text = json.dumps(self.document, indent=1, ensure_ascii=False)
        (self.folder / "cases.json").write_text(text + "\n", encoding="utf-8")
        save_file(self.tensors, self.folder / "tensors.safetensors")
        size = sum(f.stat().st_size for f in self.folder.rglob("*") if f.is_file())
        print(f"{self.folder.name}: {len(self.document['cases'])} cases, {size / 1000:.0f} kB", file=sys.stderr)


def text(value: str) -> dict:
    """Returns a text segment."""
    return {"text": value}


def prompt(index: int) -> dict:
    """Returns a segment for soft prompt (or image) `index`."""
    return {"prompt": index}
