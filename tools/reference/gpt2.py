"""Writes golden folders of GPT-2: adapters/gpt2/testdata/golden-*.

    python gpt2.py [FOLDER]

The models are tiny. One has the form of the release: names without a prefix, causal
masks among the weights, vocab.json and merges.txt, few keys in config.json. Another has
every option switched, an untied head and a bos.
"""

from __future__ import annotations

import json
import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import GPT2Config, GPT2LMHeadModel

from common import setup
from decoder import byte_level, write

END = "<|endoftext|>"


def save_old_tokenizer(tokenizer: Tokenizer, folder: pathlib.Path) -> None:
    """Writes the files of the first release, with the weights' old names."""
    tokenizer.model.save(str(folder))
    vocab = json.loads((folder / "vocab.json").read_text())
    vocab[END] = tokenizer.token_to_id(END)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 160, "tokenizer_class": "GPT2Tokenizer"}) + "\n")
    weights = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        weights[name.removeprefix("transformer.")] = tensor
        if name.endswith("attn.c_attn.weight"):
            at = name.removeprefix("transformer.").removesuffix("c_attn.weight")
            weights[at + "bias"] = torch.tril(torch.ones((1, 1, 160, 160), dtype=torch.uint8))[:, :, :9, :9].contiguous()
            weights[at + "masked_bias"] = torch.tensor(-1e4)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def released(folder: pathlib.Path) -> None:
    tokenizer = byte_level([END])
    end = tokenizer.token_to_id(END)
    config = GPT2Config(vocab_size=tokenizer.get_vocab_size(), n_positions=160, n_embd=24, n_layer=2, n_head=3,
                        bos_token_id=end, eos_token_id=end)

    def edit(config: dict) -> None:
        keep = ("model_type", "architectures", "vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "bos_token_id", "eos_token_id",
                "activation_function", "layer_norm_epsilon")
        for key in set(config) - set(keep):
            del config[key]
        config["n_ctx"] = 160

    write(folder / "golden-released", GPT2LMHeadModel(config), tokenizer, None, [end], seed=1, end=3.0, edit=edit, save=save_old_tokenizer)


def turned(folder: pathlib.Path) -> None:
    tokenizer = byte_level([END, "<s>"], bos="<s>")
    end = tokenizer.token_to_id(END)
    config = GPT2Config(
        vocab_size=tokenizer.get_vocab_size() + 4, n_positions=160, n_embd=20, n_layer=3, n_head=2, n_inner=28, activation_function="relu",
        layer_norm_epsilon=1e-2, scale_attn_weights=False, scale_attn_by_inverse_layer_idx=True, reorder_and_upcast_attn=True,
        tie_word_embeddings=False, bos_token_id=end, eos_token_id=[end, tokenizer.token_to_id("t")])
    write(folder / "golden-turned", GPT2LMHeadModel(config), tokenizer, "<s>", config.eos_token_id, seed=2, dtype=torch.bfloat16, end=2.2)


def main(folder: pathlib.Path) -> None:
    setup()
    released(folder)
    turned(folder)


if __name__ == "__main__":
    default = pathlib.Path(__file__).parents[2] / "adapters/gpt2/testdata"
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default)
