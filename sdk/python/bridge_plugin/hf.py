"""Helpers for models of Hugging Face transformers. Only ``libraries`` imports that package;
the other functions use the objects that are passed in."""

from __future__ import annotations

import os
from typing import Any, Tuple

import numpy as np

from . import checkpoint
from .contract import ImageSpec, LanguageSpec, LoadRequest, VisionSpec
from .errors import Error, Kind
from .layout import Layout
from .tensors import Array, DType


def libraries(request: LoadRequest) -> Tuple[Any, Any]:
    """Imports torch and transformers, which takes seconds, and reports it to the host as
    progress. Call it in load, because the handshake must not wait for it."""
    request.progress("importing torch and transformers")
    import torch
    import transformers

    return torch, transformers


def open_model(kind: Any, folder: str, **options: Any) -> Any:
    """Opens a checkpoint with a class of transformers (AutoModel, …), frozen. Raises an
    Error if weights are missing, because transformers would fill them with random numbers."""
    model, info = kind.from_pretrained(folder, output_loading_info=True, **options)
    missing = sorted(info["missing_keys"])
    if missing:
        raise Error(Kind.CORRUPT, f"{folder} lacks {len(missing)} of {type(model).__name__}'s tensors: {', '.join(missing[:3])}, …",
                    "use a complete checkpoint of a model that transformers knows by its config.json", field="model.safetensors")
    return model.eval().requires_grad_(False)


def language_spec(request: LoadRequest, model: Any, layout: Layout, table: Array) -> LanguageSpec:
    """Returns the spec of a transformers.PreTrainedModel with a language model head.
    ``table`` is float32[V, D], the token embeddings as they enter the model."""
    return LanguageSpec(
        **_common(request, model), width=table.shape[1], vocabulary=table.shape[0],
        token_norm=float(np.sqrt(np.square(table).sum(axis=1)).mean()),
        architecture="decoder-only" if layout.start is None else "encoder-decoder",
        context_tokens=layout.context, end_of_answer=layout.end_of_answer())


def vision_spec(request: LoadRequest, model: Any, features: Any, image: ImageSpec, layer: int) -> VisionSpec:
    """Returns the spec of a vision model from its features [1, N, D] for one picture."""
    patch = getattr(model.config, "patch_size", 0)
    return VisionSpec(**_common(request, model), width=features.shape[2], tokens=features.shape[1], image=image, layer=layer,
                      patch=patch if isinstance(patch, int) else 0)


def dtype_of(model: Any) -> DType:
    """Returns the DType that a torch model computes in."""
    return DType[str(model.dtype).rpartition(".")[2].upper()]


def _common(request: LoadRequest, model: Any) -> Any:
    return {
        "id": request.id or os.path.basename(os.path.abspath(request.checkpoint)), "family": model.config.model_type,
        "parameters": model.num_parameters(), "memory_bytes": model.get_memory_footprint(), "dtype": dtype_of(model),
        "digest": checkpoint.digest(request.checkpoint), "backend": f"torch {model.device}", "source": request.checkpoint,
    }
