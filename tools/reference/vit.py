"""Writes golden folders of CLIP-style vision encoders: adapters/vit/testdata/golden-*.

    python vit.py [FOLDER]

The tiny models differ in everything that checkpoints may vary: activation, epsilon, layer,
image and patch size, storage type, tensor names with and without the prefix
"vision_model.". One is a whole CLIP, with its text side, in shards. Two take pictures of
another size than that of their position table, one takes two sizes.
"""

from __future__ import annotations

import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModel, CLIPVisionModelWithProjection

from common import Golden, randomize, setup
from vision import cases, write_processor

WITH_PREFIX = "vision_model."


def preprocessor(folder: pathlib.Path, size: int, squash: bool) -> None:
    """Writes preprocessor_config.json in the form of CLIP's or BLIP-2's processor."""
    square = {"height": size, "width": size}
    shape = {"size": square} if squash else {"size": {"shortest_edge": size}, "crop_size": square}
    write_processor(folder, do_center_crop=not squash, **shape)


def rename(folder: pathlib.Path, prefix: str) -> None:
    """Stores the tensors of a vision model with or without CLIP's prefix."""
    path = folder / "model.safetensors"
    tensors = {prefix + name.removeprefix(WITH_PREFIX): t for name, t in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})


def vision_only(folder: pathlib.Path, prefix: str, layer: int, squash: bool, dtype: torch.dtype, **config) -> None:
    model = CLIPVisionModel(CLIPVisionConfig(**config)).eval()
    randomize(model)
    model.to(dtype)
    golden = Golden(folder, "vision-encoder", model, options={"feature_layer": layer})
    golden.save_checkpoint(model)
    rename(golden.checkpoint, prefix)
    preprocessor(golden.checkpoint, config["image_size"], squash)
    cases(golden, model.float(), (config["image_size"],) * 2, layer)
    golden.write()


def resized(folder: pathlib.Path, size: tuple[int, int], dtype: torch.dtype, layer: int, **config) -> None:
    """Writes a model with a projection that takes larger (or smaller) pictures than it was made for."""
    model = CLIPVisionModelWithProjection(CLIPVisionConfig(**config)).eval()
    randomize(model)
    model.to(dtype)
    golden = Golden(folder, "vision-encoder", model, options={"feature_layer": layer})
    golden.save_checkpoint(model)
    write_processor(golden.checkpoint, image_processor_type="BlipImageProcessor", size={"height": size[0], "width": size[1]})
    cases(golden, model.float().vision_model, size, layer, interpolate_pos_encoding=True)
    golden.write()


def two_sizes(folder: pathlib.Path, sizes: list[tuple[int, int]], layer: int, **config) -> None:
    """Writes cases with pictures of two sizes. The encoder is opened for each size."""
    model = CLIPVisionModel(CLIPVisionConfig(**config)).eval()
    randomize(model)
    golden = Golden(folder, "vision-encoder", model, options={"feature_layer": layer})
    golden.save_checkpoint(model)
    preprocessor(golden.checkpoint, config["image_size"], squash=True)
    for size in sizes:
        cases(golden, model, size, layer, behind=f", {size[0]} by {size[1]}", interpolate_pos_encoding=True)
    golden.write()


def whole_clip(folder: pathlib.Path, layer: int, **config) -> None:
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "vocab_size": 20, "max_position_embeddings": 8}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=config, projection_dim=16)).eval()
    randomize(model)
    golden = Golden(folder, "vision-encoder", model, options={"feature_layer": layer})
    model.save_pretrained(golden.checkpoint, max_shard_size="60KB")
    cases(golden, model.vision_model, (config["image_size"],) * 2, layer)
    golden.write()


def main() -> None:
    setup()
    default = pathlib.Path(__file__).parents[2] / "adapters" / "vit" / "testdata"
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    vision_only(root / "golden-quick-gelu", WITH_PREFIX, layer=-2, squash=False, dtype=torch.float32,
                hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
                image_size=24, patch_size=8, hidden_act="quick_gelu")
    vision_only(root / "golden-bfloat16", "", layer=1, squash=True, dtype=torch.bfloat16,
                hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3,
                image_size=16, patch_size=4, hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6)
    whole_clip(root / "golden-whole-clip", layer=-1,
               hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
               image_size=20, patch_size=5, hidden_act="gelu", layer_norm_eps=1e-3)
    resized(root / "golden-larger", (40, 40), torch.float16, layer=-2,
            hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2, image_size=24, patch_size=8)
    resized(root / "golden-smaller", (18, 27), torch.float32, layer=0,
            hidden_size=24, intermediate_size=40, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=5)
    two_sizes(root / "golden-two-sizes", [(16, 16), (24, 16)], layer=-2,
              hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8)


if __name__ == "__main__":
    main()
