"""Writes golden folders of SigLIP's vision encoder: adapters/siglip/testdata/golden-*.

    python siglip.py [FOLDER]

Some folders have a SiglipVisionModel alone: with a picture that is not a multiple of the
patch, and without a head. Others have a whole SiglipModel: one in shards, and one without
a processor's file, which gets SigLIP's defaults. One has pictures of another size than
that of its positions.
"""

from __future__ import annotations

import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import SiglipConfig, SiglipModel, SiglipVisionConfig, SiglipVisionModel

from common import Golden, randomize, setup
from vision import cases, write_processor

HALF = [0.5, 0.5, 0.5]


def processor(folder: pathlib.Path, size: int, resample: int) -> None:
    """Writes preprocessor_config.json: bicubic for SigLIP, bilinear for SigLIP 2."""
    write_processor(folder, image_processor_type="SiglipImageProcessor", resample=resample,
                    size={"height": size, "width": size}, image_mean=HALF, image_std=HALF)


def alone(folder: pathlib.Path, layer: int, dtype: torch.dtype, size: tuple[int, int], prefix: str, **config) -> None:
    model = SiglipVisionModel(SiglipVisionConfig(**config)).eval()
    randomize(model)
    model.to(dtype)
    golden = Golden(folder, "vision-encoder", model, options={"feature_layer": layer})
    golden.save_checkpoint(model)
    path = golden.checkpoint / "model.safetensors"
    save_file({prefix + name: t for name, t in load_file(path).items()}, path, metadata={"format": "pt"})
    processor(golden.checkpoint, config["image_size"], 3)
    cases(golden, model.float(), size, layer, HALF, HALF, interpolate_pos_encoding=size != (config["image_size"],) * 2)
    golden.write()


def whole(folder: pathlib.Path, layer: int, dtype: torch.dtype, shard: str, with_processor: bool, **vision) -> None:
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "vocab_size": 20, "max_position_embeddings": 8, "bos_token_id": 1, "eos_token_id": 2}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).eval()
    randomize(model)
    model.to(dtype)
    golden = Golden(folder, "vision-encoder", "SiglipModel.vision_model", options={"feature_layer": layer})
    model.save_pretrained(golden.checkpoint, max_shard_size=shard)
    if with_processor:
        processor(golden.checkpoint, vision["image_size"], 2)
    cases(golden, model.float().vision_model, (vision["image_size"],) * 2, layer, HALF, HALF)
    golden.write()


def main() -> None:
    setup()
    default = pathlib.Path(__file__).parents[2] / "adapters" / "siglip" / "testdata"
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    alone(root / "golden-alone", -1, torch.float32, (30, 30), "", hidden_size=24, intermediate_size=44,
          num_hidden_layers=2, num_attention_heads=3, image_size=30, patch_size=7)
    alone(root / "golden-without-head", -2, torch.bfloat16, (24, 24), "vision_model.", hidden_size=32, intermediate_size=40,
          num_hidden_layers=3, num_attention_heads=2, image_size=24, patch_size=8, vision_use_head=False,
          hidden_act="gelu", layer_norm_eps=1e-3)
    alone(root / "golden-larger", 1, torch.float32, (44, 34), "", hidden_size=24, intermediate_size=40,
          num_hidden_layers=1, num_attention_heads=2, image_size=24, patch_size=8)
    whole(root / "golden-whole", -1, torch.float16, "15KB", True, hidden_size=24, intermediate_size=40,
          num_hidden_layers=2, num_attention_heads=2, image_size=20, patch_size=5)
    whole(root / "golden-without-processor", 0, torch.float32, "5GB", False, hidden_size=24, intermediate_size=40,
          num_hidden_layers=1, num_attention_heads=2, image_size=18, patch_size=6)


if __name__ == "__main__":
    main()
