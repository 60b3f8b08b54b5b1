"""Writes golden folders of Gemma 2: adapters/gemma2/testdata/golden-*.

    python gemma2.py [FOLDER]

The models are tiny. One has windows shorter than the texts, in every other layer by
default, and caps that are low enough to have an effect. Another has layer_types, biases,
one cap and a list of ends.
"""

from __future__ import annotations

import pathlib
import sys

import torch
from transformers import Gemma2Config, Gemma2ForCausalLM

from common import setup
from decoder import byte_fallback, old_rope, write

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
SIZES = dict(hidden_size=24, intermediate_size=40, max_position_embeddings=160)


@torch.no_grad()
def prepare(model) -> None:
    """Adjusts the weights. In this family's norms they are offsets from 1. Embeddings
    are scaled by √D, which is too much for a random tied head."""
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter -= 1
    model.get_input_embeddings().weight *= 0.4


def alternating(folder: pathlib.Path) -> None:
    tokenizer = byte_fallback(SPECIAL, "<bos>", "gemma", size=344)
    config = Gemma2Config(
        vocab_size=tokenizer.get_vocab_size() + 4, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        query_pre_attn_scalar=11, sliding_window=6, attn_logit_softcapping=1.5, final_logit_softcapping=5.0, rms_norm_eps=1e-3, **SIZES)

    def edit(config: dict) -> None:
        old_rope(config)
        config["hidden_act"] = "relu"  # bridge must not read this key
        for default in ("layer_types", "hidden_activation", "eos_token_id", "tie_word_embeddings", "attention_bias"):
            del config[default]

    write(folder / "golden-alternating", Gemma2ForCausalLM(config), tokenizer, "<bos>", [1], seed=1, std=0.2, end=3.0,
          dtype=torch.bfloat16, shard="30KB", prepare=prepare, edit=edit)


def turned(folder: pathlib.Path) -> None:
    tokenizer = byte_fallback(SPECIAL, "<bos>", "gemma", size=344)
    ends = [1, tokenizer.token_to_id("<end_of_turn>")]
    config = Gemma2Config(
        vocab_size=tokenizer.get_vocab_size(), num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, head_dim=6,
        query_pre_attn_scalar=6, sliding_window=9, attn_logit_softcapping=None, final_logit_softcapping=2.5, attention_bias=True,
        hidden_activation="gelu", layer_types=["full_attention", "sliding_attention"], eos_token_id=ends, tie_word_embeddings=False,
        rope_parameters={"rope_type": "linear", "rope_theta": 800.0, "factor": 3.0}, **SIZES)
    write(folder / "golden-turned", Gemma2ForCausalLM(config), tokenizer, "<bos>", ends, seed=2, end=2.0, dtype=torch.float16, prepare=prepare)


def main(folder: pathlib.Path) -> None:
    setup()
    alternating(folder)
    turned(folder)


if __name__ == "__main__":
    default = pathlib.Path(__file__).parents[2] / "adapters/gemma2/testdata"
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default)
