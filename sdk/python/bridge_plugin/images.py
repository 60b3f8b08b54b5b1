"""Reads how pictures are prepared for an encoder from its checkpoint folder.

It supports the image processors of transformers that resize every picture to one size:
CLIP's, BLIP's, SigLIP's, BiT's (used by DINOv2) and ViT's. bridge supports the same.
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Tuple

import numpy as np

from .checkpoint import Path
from .contract import ImageSpec, LoadRequest
from .errors import Error, Kind
from .tensors import Array

_CLIP = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
_HALF = ([0.5] * 3, [0.5] * 3)
_IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
_FILTERS = {0: "nearest", 2: "bilinear", 3: "bicubic"}

Settings = Dict[str, Any]


def _class(size: Any, colours: Tuple[Any, Any] = _CLIP, crop: Any = None, resample: int = 3, square: bool = False) -> Settings:
    """Returns a processor's defaults; square: a size of one number means two equal sides."""
    return {"do_resize": True, "do_center_crop": crop is not None, "do_pad": False, "do_rescale": True, "do_normalize": True,
            "rescale_factor": 1 / 255, "size": size, "crop_size": crop, "resample": resample, "image_mean": colours[0],
            "image_std": colours[1], "square": square}


_CLASSES: Dict[str, Settings] = {
    "CLIP": _class({"shortest_edge": 224}, crop=224), "Bit": _class({"shortest_edge": 224}, crop=224), "Blip": _class(384, square=True),
    "Siglip": _class({"height": 224, "width": 224}, _HALF), "ViT": _class({"height": 224, "width": 224}, _HALF, resample=2, square=True),
}


def image_spec(request: LoadRequest, model_type: str, side: int) -> ImageSpec:
    """Returns the spec from preprocessor_config.json, with the size in the request.

    If there is no such file, pictures have side pixels and are prepared as usual for the
    model's family. Raises an Error if the host cannot prepare pictures in this way."""
    family = next((name for name in _CLASSES if model_type.lower().startswith(name.lower())), "Bit" if model_type.startswith("dino") else "ViT")
    found = _find(request.checkpoint)
    if found is None:
        found = {"image_mean": _IMAGENET[0], "image_std": _IMAGENET[1]} if model_type.startswith("dino") else {}
        crops = _CLASSES[family]["do_center_crop"]
        found["size"] = {"shortest_edge": round(side * 256 / 224) if model_type.startswith("dino") else side} if crops else [side, side]
        found["crop_size"] = side
    name = found.get("image_processor_type") or found.get("feature_extractor_type") or family
    plain = name.replace("ImageProcessor", "").replace("FeatureExtractor", "")
    plain = plain[: -len("Fast")] if plain.endswith("Fast") else plain[: -len("Pil")] if plain.endswith("Pil") else plain
    if plain not in _CLASSES:
        raise _unsupported(f"image_processor_type is {name!r}, want one of {', '.join(c + 'ImageProcessor' for c in sorted(_CLASSES))}")
    settings = {**_CLASSES[plain], **{key: value for key, value in found.items() if value is not None}}
    return _at(_spec(settings), request.image_width, request.image_height)


def normalize(images: Array, spec: ImageSpec) -> Array:
    """Scales and normalises uint8[B, H, W, 3] to float32[B, 3, H, W]."""
    mean, std = np.asarray(spec.mean, np.float32), np.asarray(spec.std, np.float32)
    return np.ascontiguousarray(((images.astype(np.float32) / np.float32(255) - mean) / std).transpose(0, 3, 1, 2))


def _find(folder: Path) -> Any:
    for name, part in (("processor_config.json", "image_processor"), ("preprocessor_config.json", None)):
        file = os.path.join(os.fspath(folder), name)
        if os.path.exists(file):
            with open(file, encoding="utf-8") as text:
                settings = json.load(text)
            settings = settings.get(part) if part else settings
            if settings is not None:
                return settings
    return None


def _spec(s: Settings) -> ImageSpec:
    if not s["do_resize"] or s["do_pad"]:
        raise _unsupported("pictures are padded or keep their sizes, want one size for all")
    if s["resample"] not in _FILTERS:
        raise _unsupported(f"resample is {s['resample']}, want 0 (nearest), 2 (bilinear) or 3 (bicubic)")
    size, cut = _size(s["size"], s["square"]), _size(s["crop_size"], True)
    scale = 255 * s["rescale_factor"] if s["do_rescale"] else 255.0
    scale = 1.0 if abs(scale - 1) < 1e-6 else scale
    mean, std = (_three(s["image_mean"]), _three(s["image_std"])) if s["do_normalize"] else ([0.0] * 3, [1.0] * 3)
    spec = ImageSpec(size.get("width", 0), size.get("height", 0), _FILTERS[s["resample"]], "squash",
                     (mean[0] / scale, mean[1] / scale, mean[2] / scale), (std[0] / scale, std[1] / scale, std[2] / scale))
    edge = size.get("shortest_edge", 0)
    if "longest_edge" in size or "max_height" in size or edge and not s["do_center_crop"]:
        raise _unsupported(f"size is {s['size']}, want one size for all pictures")
    if edge:
        spec.mode, spec.width, spec.height = "shortest-edge-crop", cut.get("width", 0), cut.get("height", 0)
        spec.shortest_edge = edge if edge != max(spec.width, spec.height) else 0
    elif s["do_center_crop"] and cut != size:
        raise _unsupported(f"pictures are squashed to {size} and then cut to {cut}; want one size, or a resized shortest edge")
    if spec.width < 1 or spec.height < 1 or edge and edge < max(spec.width, spec.height):
        raise _unsupported(f"size is {s['size']} and crop_size {s['crop_size']}, want no more than there is")
    return spec


def _size(value: Any, square: bool) -> Dict[str, int]:
    if isinstance(value, dict):
        return {key: int(number) for key, number in value.items()}
    if isinstance(value, (list, tuple)):
        return {"height": int(value[0]), "width": int(value[1])}
    if value is None:
        return {}
    return {"height": int(value), "width": int(value)} if square else {"shortest_edge": int(value)}


def _three(value: Any) -> Any:
    numbers = list(value) if isinstance(value, (list, tuple)) else [value] * 3
    if len(numbers) != 3:
        raise _unsupported(f"image_mean or image_std is {numbers}, want 3 numbers")
    return [float(n) for n in numbers]


def _at(spec: ImageSpec, width: int, height: int) -> ImageSpec:
    if (width, height) in ((0, 0), (spec.width, spec.height)):
        return spec
    if spec.shortest_edge:
        spec.shortest_edge = round(spec.shortest_edge * max(width, height) / max(spec.width, spec.height))
    spec.width, spec.height = width, height
    return spec


def _unsupported(message: str) -> Error:
    return Error(Kind.UNSUPPORTED, message, field="preprocessor_config.json")
