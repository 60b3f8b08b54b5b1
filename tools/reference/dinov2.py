"""Writes golden folders of DINOv2: adapters/dinov2/testdata/golden-*.

    python dinov2.py [FOLDER]

The models are Dinov2Model and Dinov2WithRegistersModel. They vary MLP and SwiGLU, biases,
a processor whose crop is smaller than the edge, f16 and bf16, classifiers, shards, and
the weight names that transformers 5 has in memory. Most take pictures of another size
than that of their position table, as DINOv2 always does in use.
"""

from __future__ import annotations

import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import (Dinov2Config, Dinov2ForImageClassification, Dinov2Model, Dinov2WithRegistersConfig,
                          Dinov2WithRegistersForImageClassification, Dinov2WithRegistersModel)

from common import Golden, randomize, setup
from vision import cases, write_processor

MEAN = [0.485, 0.456, 0.406]
STD = [0.229, 0.224, 0.225]


def write(folder: pathlib.Path, model, size: tuple[int, int], layer: int, dtype=torch.float32, processor: bool = True,
          shard: str = "5GB", in_memory: bool = False) -> None:
    """in_memory saves the weights under the names that the class has in memory."""
    model.eval()
    randomize(model)
    model.to(dtype)
    golden = Golden(folder, "vision-encoder", model, options={"feature_layer": layer})
    model.save_pretrained(golden.checkpoint, max_shard_size=shard)
    if in_memory:
        save_file(model.state_dict(), golden.checkpoint / "model.safetensors", metadata={"format": "pt"})
    if processor:
        write_processor(golden.checkpoint, image_processor_type="BitImageProcessor", do_center_crop=True, do_convert_rgb=True,
                        size={"shortest_edge": size[0] * 8 // 7}, crop_size={"height": size[0], "width": size[1]},
                        image_mean=MEAN, image_std=STD)
    cases(golden, model.float(), size, layer, MEAN, STD)
    golden.write()


def main() -> None:
    setup()
    default = pathlib.Path(__file__).parents[2] / "adapters" / "dinov2" / "testdata"
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    small = {"hidden_size": 24, "num_attention_heads": 3}
    write(root / "golden-own-size", Dinov2Model(Dinov2Config(**small, num_hidden_layers=2, image_size=30, patch_size=7, mlp_ratio=2)),
          (30, 30), -1, processor=False)
    write(root / "golden-smaller", Dinov2Model(Dinov2Config(**small, num_hidden_layers=2, image_size=66, patch_size=6, mlp_ratio=2,
                                                            drop_path_rate=0.1, hidden_act="relu")), (28, 28), -2, torch.float16)
    write(root / "golden-swiglu", Dinov2Model(Dinov2Config(**small, num_hidden_layers=2, image_size=24, patch_size=8, qkv_bias=False,
                                                           use_swiglu_ffn=True, use_mask_token=False, layer_norm_eps=1e-3)),
          (40, 48), 1, processor=False, shard="20KB")
    write(root / "golden-registers", Dinov2WithRegistersModel(Dinov2WithRegistersConfig(
        **small, num_hidden_layers=2, image_size=54, patch_size=6, mlp_ratio=2, num_register_tokens=3)), (28, 28), -1, torch.bfloat16)
    write(root / "golden-registers-swiglu", Dinov2WithRegistersModel(Dinov2WithRegistersConfig(
        hidden_size=16, num_attention_heads=2, num_hidden_layers=1, image_size=24, patch_size=8, use_swiglu_ffn=True)), (33, 41), -1,
        processor=False, in_memory=True)
    write(root / "golden-classifier", Dinov2ForImageClassification(Dinov2Config(
        **small, num_hidden_layers=1, image_size=24, patch_size=6, mlp_ratio=2)), (24, 24), 0)
    write(root / "golden-registers-classifier", Dinov2WithRegistersForImageClassification(Dinov2WithRegistersConfig(
        **small, num_hidden_layers=1, image_size=24, patch_size=6, mlp_ratio=2, num_register_tokens=1)), (24, 24), -1)


if __name__ == "__main__":
    main()
