"""Writes bridge/testdata/bert: a tiny BERT and the Q-Former that LAVIS makes from it.

    python bert.py

expected.safetensors holds every weight that comes from BERT, under the Q-Former's
names. LAVIS (models/blip2_models/blip2.py and blip2_qformer.py) loads the state of
BertLMHeadModel, then copies each parameter with "_query" in its name from the one
without. It adds the word [DEC] afterwards, so that word is not in the file.
"""

from __future__ import annotations

import pathlib
import shutil

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForMaskedLM

from blip2 import word_pieces
from common import randomize, setup

OUT = pathlib.Path(__file__).parents[2] / "bridge/testdata/bert"
LAYERS = 3


def expected(state: dict) -> dict:
    out = {"embeddings.word_embeddings.weight": state["bert.embeddings.word_embeddings.weight"],
           "embeddings.position_embeddings.weight": state["bert.embeddings.position_embeddings.weight"]}
    for kind in ("weight", "bias"):
        out[f"qformer.layernorm.{kind}"] = state[f"bert.embeddings.LayerNorm.{kind}"]
        for part in ("dense", "LayerNorm"):
            out[f"cls.predictions.transform.{part}.{kind}"] = state[f"cls.predictions.transform.{part}.{kind}"]
    out["cls.predictions.bias"] = state["cls.predictions.bias"]
    for i in range(LAYERS):
        theirs, ours = f"bert.encoder.layer.{i}.", f"qformer.encoder.layer.{i}."
        for kind in ("weight", "bias"):
            for part in ("query", "key", "value"):
                out[f"{ours}attention.attention.{part}.{kind}"] = state[f"{theirs}attention.self.{part}.{kind}"]
            for part in ("attention.output.dense", "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"):
                out[f"{ours}{part}.{kind}"] = state[f"{theirs}{part}.{kind}"]
            for part in ("intermediate.dense", "output.dense", "output.LayerNorm"):
                block, rest = part.split(".")
                out[f"{ours}{block}_query.{rest}.{kind}"] = state[f"{theirs}{part}.{kind}"]
    return {name: t.clone() for name, t in out.items()}


def main() -> None:
    setup()
    tokenizer = word_pieces()
    words = tokenizer.get_vocab_size() - 1  # without [DEC], the last
    model = BertForMaskedLM(BertConfig(vocab_size=words, hidden_size=16, num_hidden_layers=LAYERS, num_attention_heads=2,
                                       intermediate_size=24, max_position_embeddings=33)).eval()
    randomize(model, seed=9)
    shutil.rmtree(OUT, ignore_errors=True)
    model.save_pretrained(OUT)
    (OUT / "generation_config.json").unlink(missing_ok=True)
    tokenizer.save(str(OUT / "tokenizer.json"))
    save_file(expected(model.state_dict()), OUT / "expected.safetensors")


if __name__ == "__main__":
    main()
