"""Writes checkpoints in LAVIS's form: convert/testdata/*.pth, internal/torchfile/testdata/*.pt.

    python lavis.py

The weights are those of the golden folders of whole bridges, under LAVIS's names
(models/blip2_models at 506965b). Parts that only LAVIS has are added: the temperature,
the head that predicts words, and one more block in the encoder.
"""

from __future__ import annotations

import collections
import pathlib

import numpy as np
import torch
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).parents[2]
GOLDEN = ROOT / "bridge/testdata"
OUT = ROOT / "convert/testdata"
TORCH = ROOT / "internal/torchfile/testdata"


def qformer(name: str) -> str:
    """Returns LAVIS's name for a weight of transformers' Q-Former."""
    if name.startswith("vision_model.post_layernorm."):
        return name.replace("vision_model.post_layernorm", "ln_vision")
    if name.startswith("language_projection."):
        return name.replace("language_projection", "opt_proj")
    for side in ("vision", "text"):
        name = name.replace(f"{side}_projection.", f"{side}_proj.")
    if name.startswith("embeddings."):
        return "Qformer.bert." + name
    if name.startswith("qformer.layernorm."):
        return name.replace("qformer.layernorm", "Qformer.bert.embeddings.LayerNorm")
    return name.replace("qformer.", "Qformer.bert.").replace("attention.attention.", "attention.self.")


def encoder(weights: dict, prefix: str) -> dict:
    """Returns an encoder's weights under LAVIS's names, without the norm after it."""
    out, renames = {}, [("embeddings.class_embedding", "cls_token"), ("embeddings.position_embedding", "pos_embed"),
                        ("embeddings.patch_embedding", "patch_embed.proj"), ("encoder.layers.", "blocks."), ("layer_norm", "norm"),
                        ("self_attn.projection", "attn.proj"), ("self_attn.qkv", "attn.qkv")]
    for name, t in weights.items():
        if not name.startswith("vision_model.") or "post_layernorm" in name:
            continue
        name = name.removeprefix("vision_model.")
        for old, new in renames:
            name = name.replace(old, new)
        if name.endswith("attn.qkv.bias"):
            q, _, v = t.chunk(3)
            out[prefix + name.replace("qkv.bias", "q_bias")] = q.clone()
            out[prefix + name.replace("qkv.bias", "v_bias")] = v.clone()
            continue
        out[prefix + name] = t
    return out


def trained(weights: dict) -> dict:
    return {qformer(name): t for name, t in weights.items()
            if not name.startswith(("vision_model.", "language_model.")) or "post_layernorm" in name}


def stage2() -> None:
    """Returns a generative checkpoint as LAVIS's runner saves it, with the encoder inside."""
    weights = load_file(GOLDEN / "golden-opt/checkpoint/model.safetensors")
    state = trained(weights) | encoder(weights, "visual_encoder.")
    torch.save({"model": collections.OrderedDict(state), "optimizer": {"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-4}]},
                "config": {"run": {"task": "captioning", "dist": True}}, "scaler": None, "epoch": 4}, OUT / "stage2.pth")


def frozen() -> None:
    """Returns a generative checkpoint with its frozen models, in the types that LAVIS loads them with."""
    weights = load_file(GOLDEN / "golden-opt/checkpoint/model.safetensors")
    language = {name.replace("language_model.", "opt_model.", 1): t.half() for name, t in weights.items() if name.startswith("language_model.")}
    language["opt_model.lm_head.weight"] = language["opt_model.model.decoder.embed_tokens.weight"]  # tied
    torch.save({"model": collections.OrderedDict(trained(weights) | encoder(weights, "visual_encoder.") | language)}, OUT / "frozen.pth")


def stage1() -> None:
    """Returns a checkpoint of representation learning, with the heads that transformers lacks."""
    weights = load_file(GOLDEN / "golden-retrieval/checkpoint/model.safetensors")
    state = trained(weights)
    rng = torch.Generator().manual_seed(1)
    vocabulary, width = weights["embeddings.word_embeddings.weight"].shape
    state["temp"] = torch.tensor(0.05)
    state["Qformer.bert.embeddings.position_ids"] = torch.arange(weights["embeddings.position_embeddings.weight"].shape[0])[None]
    head = {"transform.dense.weight": (width, width), "transform.dense.bias": (width,), "transform.LayerNorm.weight": (width,),
            "transform.LayerNorm.bias": (width,), "bias": (vocabulary,)}
    for name, shape in head.items():
        state["Qformer.cls.predictions." + name] = torch.randn(shape, generator=rng)
    state["Qformer.cls.predictions.decoder.weight"] = state["Qformer.bert.embeddings.word_embeddings.weight"]
    state["Qformer.cls.predictions.decoder.bias"] = state["Qformer.cls.predictions.bias"]
    torch.save({"model": state}, OUT / "stage1.pth")


def eva() -> None:
    """Returns the encoder alone in half precision, with a head and a block that BLIP-2 does not run."""
    state = {name: t.half() for name, t in encoder(load_file(GOLDEN / "golden-opt/checkpoint/model.safetensors"), "").items()}
    state |= {name.replace("blocks.1.", "blocks.2."): t + 1 for name, t in state.items() if name.startswith("blocks.1.")}
    state |= {"norm.weight": torch.ones(20), "norm.bias": torch.ones(20), "head.weight": torch.ones(3, 20), "head.bias": torch.ones(3)}
    torch.save(state, OUT / "eva.pth")


class Evil:
    """A pickle that executes code if it is loaded carelessly."""

    def __reduce__(self):
        import os
        return os.system, ("echo executed",)


def files() -> None:
    """Returns tensors of all types: contiguous and not, shared, empty, as parameters."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = {
        "plain": base, "turned": base.t(), "every second": base[:, ::2], "a part": base[1:3], "scalar": torch.tensor(2.5), "none": torch.zeros(0, 3),
        "half": torch.tensor([1.5, -2]).half(), "bfloat16": torch.tensor([1.5, -2]).bfloat16(), "double": torch.tensor([0.1], dtype=torch.float64),
        "long": torch.tensor([[-3, 2**40]]), "int": torch.tensor([7], dtype=torch.int32), "bytes": torch.tensor([1, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False]), "parameter": torch.nn.Parameter(torch.tensor([4.0])), "broadcast": torch.tensor([3.0]).expand(2, 2),
    }
    save_file({name: t.detach().contiguous().clone() for name, t in state.items()}, TORCH / "tensors.safetensors")
    torch.save(state, TORCH / "zip.pt")
    torch.save({"state_dict": state}, TORCH / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({"model": {"a": torch.ones(1)}, "args": Evil()}, TORCH / "evil.pt")
    torch.save({"model": {"a": torch.ones(1)}, "args": Evil()}, TORCH / "evil-legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({"model": {"a": torch.ones(1)}, "lr": np.float64(0.1)}, TORCH / "numpy.pt")


def main() -> None:
    for folder in (OUT, TORCH):
        folder.mkdir(parents=True, exist_ok=True)
    stage1()
    stage2()
    frozen()
    eva()
    files()


if __name__ == "__main__":
    main()
