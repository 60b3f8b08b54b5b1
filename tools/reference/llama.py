"""Writes golden folders of Llama: adapters/llama/testdata/golden-*, and
adapters/internal/lm/decoder/testdata/rotary.json.

    python llama.py [FOLDER]

The models are tiny and have the forms of released ones: Llama 2 (as many key heads as
query heads, an untied head, an older tokenizer), Llama 3 (grouped heads, llama3 scaling,
a tied head, several ends), linear scaling (biases everywhere, an own head width, the
config keys of transformers 4), and Mistral with a window shorter than the texts.
"""

from __future__ import annotations

import json
import pathlib
import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from common import setup
from decoder import byte_fallback, byte_level, old_rope, write

LLAMA2 = ["<unk>", "<s>", "</s>"]
LLAMA3 = ["<|begin_of_text|>", "<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"]
SIZES = dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2, max_position_embeddings=160, pad_token_id=None)


def llama2(folder: pathlib.Path) -> None:
    tokenizer = byte_fallback(LLAMA2, "<s>", "old")
    config = LlamaConfig(vocab_size=tokenizer.get_vocab_size(), num_attention_heads=3, rms_norm_eps=1e-3, **SIZES)
    write(folder / "golden-llama-2", LlamaForCausalLM(config), tokenizer, "<s>", [2], seed=1, dtype=torch.float16, edit=old_rope)


def llama3(folder: pathlib.Path) -> None:
    tokenizer = byte_level(LLAMA3, "<|begin_of_text|>", digits="{1,3}")
    ends = [tokenizer.token_to_id(token) for token in ("<|end_of_text|>", "<|eot_id|>")]
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size() + 4, num_attention_heads=6, num_key_value_heads=2, tie_word_embeddings=True,
        bos_token_id=tokenizer.token_to_id("<|begin_of_text|>"), eos_token_id=ends, rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "llama3", "rope_theta": 2000.0, "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 40}, head_dim=12, **SIZES)
    write(folder / "golden-llama-3", LlamaForCausalLM(config), tokenizer, "<|begin_of_text|>", ends, seed=2,
          dtype=torch.bfloat16, shard="20KB")


def linear(folder: pathlib.Path) -> None:
    tokenizer = byte_fallback(LLAMA2, "<s>", "metaspace")
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size() + 3, num_attention_heads=4, num_key_value_heads=1, head_dim=10, attention_bias=True,
        mlp_bias=True, hidden_act="gelu", rope_parameters={"rope_type": "linear", "rope_theta": 500.0, "factor": 2.5}, **SIZES)

    def edit(config: dict) -> None:
        old_rope(config)
        config["rope_scaling"]["type"] = config["rope_scaling"].pop("rope_type")
        for default in ("rms_norm_eps", "attention_dropout", "eos_token_id", "tie_word_embeddings"):
            del config[default]

    write(folder / "golden-linear", LlamaForCausalLM(config), tokenizer, "<s>", [2], seed=3, edit=edit)


def mistral(folder: pathlib.Path) -> None:
    tokenizer = byte_fallback(LLAMA2, "<s>", "metaspace")
    config = MistralConfig(vocab_size=tokenizer.get_vocab_size(), num_attention_heads=4, num_key_value_heads=2, sliding_window=7, **SIZES)
    write(folder / "golden-mistral", MistralForCausalLM(config), tokenizer, "<s>", [2], seed=4, std=0.25, dtype=torch.bfloat16)


def write_rotary(path: pathlib.Path) -> None:
    """Writes the angles for the sizes of released models."""
    llama3 = {"rope_type": "llama3", "rope_theta": 500000.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    cases = [
        (128, {"rope_type": "default", "rope_theta": 10000.0}), (64, {"rope_type": "default", "rope_theta": 1000000.0}),
        (128, {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}),
        (128, llama3 | {"factor": 8.0}), (64, llama3 | {"factor": 32.0}),
    ]
    tables = [{"head_dim": width, **rope, "inverse": LlamaRotaryEmbedding(LlamaConfig(
        head_dim=width, max_position_embeddings=131072, rope_parameters=dict(rope))).inv_freq.tolist()} for width, rope in cases]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(tables) + "\n")


def main(folder: pathlib.Path) -> None:
    setup()
    llama2(folder)
    llama3(folder)
    linear(folder)
    mistral(folder)


if __name__ == "__main__":
    root = pathlib.Path(__file__).parents[2]
    write_rotary(root / "adapters/internal/lm/decoder/testdata/rotary.json")
    default = root / "adapters/llama/testdata"
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default)
