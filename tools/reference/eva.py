"""Writes golden folders of BLIP-2's vision encoder: adapters/eva/testdata/golden-*.

    python eva.py [FOLDER]

Some folders have a Blip2VisionModel alone, with and without biases of q, k and v; one of
them has larger pictures than its position table. Others are whole BLIP-2 folders, for
generation (in shards, f16) and for retrieval; only their vision encoder is run.
"""

from __future__ import annotations

import pathlib
import sys

import torch
from transformers import (Blip2Config, Blip2ForConditionalGeneration, Blip2ForImageTextRetrieval, Blip2VisionConfig,
                          Blip2VisionModel, OPTConfig)

from common import Golden, randomize, setup
from vision import cases, write_processor


def square(size: int) -> dict:
    return {"height": size, "width": size}


def alone(folder: pathlib.Path, layer: int, dtype: torch.dtype, size: tuple[int, int], processor: bool, **config) -> None:
    model = Blip2VisionModel(Blip2VisionConfig(**config)).eval()
    randomize(model)
    model.to(dtype)
    golden = Golden(folder, "vision-encoder", model, options={"feature_layer": layer})
    golden.save_checkpoint(model)
    if processor:
        write_processor(golden.checkpoint, image_processor_type="BlipImageProcessor", size=square(config["image_size"]))
    cases(golden, model.float(), size, layer, interpolate_pos_encoding=size != (config["image_size"],) * 2)
    golden.write()


def whole(folder: pathlib.Path, model_class, layer: int, dtype: torch.dtype, shard: str, **vision) -> None:
    text = OPTConfig(hidden_size=16, word_embed_proj_dim=16, ffn_dim=16, num_hidden_layers=1, num_attention_heads=2,
                     vocab_size=20, max_position_embeddings=16, bos_token_id=2, eos_token_id=2)
    qformer = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
               "encoder_hidden_size": vision["hidden_size"], "vocab_size": 20, "max_position_embeddings": 8}
    model = model_class(Blip2Config(vision_config=vision, qformer_config=qformer, text_config=text.to_dict(),
                                    num_query_tokens=2, image_text_hidden_size=8)).eval()
    randomize(model)
    model.to(dtype)
    golden = Golden(folder, "vision-encoder", f"{model_class.__name__}.vision_model", options={"feature_layer": layer})
    model.save_pretrained(golden.checkpoint, max_shard_size=shard)
    (golden.checkpoint / "generation_config.json").unlink(missing_ok=True)
    write_processor(golden.checkpoint, image_processor_type="BlipImageProcessor", processor_class="Blip2Processor",
                    size=square(vision["image_size"]))
    cases(golden, model.float().vision_model, (vision["image_size"],) * 2, layer)
    golden.write()


def main() -> None:
    setup()
    default = pathlib.Path(__file__).parents[2] / "adapters" / "eva" / "testdata"
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    alone(root / "golden-alone", -1, torch.float32, (28, 28), True, hidden_size=24, intermediate_size=44,
          num_hidden_layers=3, num_attention_heads=3, image_size=28, patch_size=7)
    alone(root / "golden-without-bias", -2, torch.bfloat16, (20, 20), False, hidden_size=32, intermediate_size=40,
          num_hidden_layers=2, num_attention_heads=2, image_size=20, patch_size=5, qkv_bias=False, hidden_act="gelu_new",
          layer_norm_eps=1e-3)
    alone(root / "golden-larger", 1, torch.float32, (36, 30), False, hidden_size=24, intermediate_size=40,
          num_hidden_layers=2, num_attention_heads=2, image_size=24, patch_size=6)
    whole(root / "golden-blip-2", Blip2ForConditionalGeneration, -1, torch.float16, "20KB", hidden_size=24,
          intermediate_size=40, num_hidden_layers=2, num_attention_heads=2, image_size=24, patch_size=8)
    whole(root / "golden-retrieval", Blip2ForImageTextRetrieval, 0, torch.float32, "5GB", hidden_size=24,
          intermediate_size=40, num_hidden_layers=1, num_attention_heads=2, image_size=18, patch_size=6)


if __name__ == "__main__":
    main()
