"""Writes golden folders of Qwen: adapters/qwen/testdata/golden-*.

    python qwen.py [FOLDER]

The models are tiny: Qwen2 in the form of the release (no window, a tied head), Qwen2 with
windows shorter than the texts in its upper layers by the older keys, Qwen3 with its own
head width, and Qwen3 with biases and layer_types.
"""

from __future__ import annotations

import pathlib
import sys

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from common import setup
from decoder import byte_level, old_rope, write

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SIZES = dict(hidden_size=24, intermediate_size=40, max_position_embeddings=160, pad_token_id=None)


def make(folder: pathlib.Path, config_class, model_class, seed: int, ends: list[str], edit=None, dtype=torch.float32, shard="1GB", std=0.15, **config) -> None:
    tokenizer = byte_level(SPECIAL, digits="", nfc=True)
    ids = [tokenizer.token_to_id(token) for token in ends]
    model = model_class(config_class(
        vocab_size=tokenizer.get_vocab_size() + 5, eos_token_id=ids if len(ids) > 1 else ids[0], **config, **SIZES))
    write(folder, model, tokenizer, None, ids, seed=seed, dtype=dtype, edit=edit, shard=shard, std=std)


def qwen2_windows(config: dict) -> None:
    old_rope(config)
    del config["layer_types"]  # it follows from use_sliding_window and max_window_layers


def main(folder: pathlib.Path) -> None:
    setup()
    make(folder / "golden-qwen2", Qwen2Config, Qwen2ForCausalLM, 1, ["<|im_end|>"], dtype=torch.bfloat16, shard="20KB",
         num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
         rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})
    make(folder / "golden-qwen2-windows", Qwen2Config, Qwen2ForCausalLM, 2, ["<|endoftext|>", "<|im_end|>"], edit=qwen2_windows,
         std=0.18, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=1, use_sliding_window=True, sliding_window=6,
         max_window_layers=1, rms_norm_eps=1e-3, rope_parameters={"rope_type": "default", "rope_theta": 300.0})
    make(folder / "golden-qwen3", Qwen3Config, Qwen3ForCausalLM, 5, ["<|im_end|>", "<|endoftext|>"], dtype=torch.float16,
         num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=3, head_dim=12, rms_norm_eps=1e-3,
         rope_parameters={"rope_type": "linear", "rope_theta": 700.0, "factor": 2.0})
    make(folder / "golden-qwen3-bias", Qwen3Config, Qwen3ForCausalLM, 4, ["<|endoftext|>"],
         num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=6, attention_bias=True, tie_word_embeddings=True,
         use_sliding_window=True, sliding_window=5, layer_types=["full_attention", "sliding_attention", "full_attention"],
         rope_parameters={"rope_type": "default", "rope_theta": 5000.0})


if __name__ == "__main__":
    default = pathlib.Path(__file__).parents[2] / "adapters/qwen/testdata"
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default)
