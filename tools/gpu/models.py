"""Writes checkpoint folders with the sizes of released models and random weights.

A folder has config.json, a tokenizer and random_weights.json: bridge then draws the weights on the
device, so that no weights are read or copied. The tokenizers are the kit's. Their ids fit into the
released vocabularies, so times and memory are realistic; the answers mean nothing.
"""

from __future__ import annotations

import json
import pathlib
import shutil

VITG = {"model_type": "blip_2_vision_model", "hidden_size": 1408, "intermediate_size": 6144, "num_hidden_layers": 39,
        "num_attention_heads": 16, "image_size": 224, "patch_size": 14, "hidden_act": "gelu", "layer_norm_eps": 1e-6, "qkv_bias": True}
OPT27 = {"model_type": "opt", "vocab_size": 50272, "hidden_size": 2560, "word_embed_proj_dim": 2560, "ffn_dim": 10240,
         "num_hidden_layers": 32, "num_attention_heads": 32, "max_position_embeddings": 2048, "activation_function": "relu",
         "do_layer_norm_before": True, "bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 1}
T5XL = {"model_type": "t5", "vocab_size": 32128, "d_model": 2048, "d_kv": 64, "d_ff": 5120, "num_heads": 32, "num_layers": 24,
        "num_decoder_layers": 24, "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128,
        "layer_norm_epsilon": 1e-6, "feed_forward_proj": "gated-gelu", "dense_act_fn": "gelu", "is_gated_act": True,
        "tie_word_embeddings": False, "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}

# Sizes with which the same steps end in a minute on a processor.
SMALL_VIT = VITG | {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 56}
SMALL_OPT = OPT27 | {"vocab_size": 2048, "hidden_size": 128, "word_embed_proj_dim": 128, "ffn_dim": 256, "num_hidden_layers": 2,
                     "num_attention_heads": 4, "max_position_embeddings": 256}
SMALL_T5 = T5XL | {"vocab_size": 2048, "d_model": 128, "d_kv": 32, "d_ff": 256, "num_heads": 4, "num_layers": 2, "num_decoder_layers": 2}

MODELS = {False: {"vision": VITG, "opt": OPT27, "t5": T5XL}, True: {"vision": SMALL_VIT, "opt": SMALL_OPT, "t5": SMALL_T5}}
TOKENIZERS = {"opt": "tiny-opt", "t5": "tiny-flan-t5"}
BERT_VOCABULARY = 30522


def write(bundle: pathlib.Path, work: pathlib.Path, small: bool) -> dict[str, pathlib.Path]:
    """Writes the folders of all models and of the Q-Former's tokenizer, and returns their paths."""
    paths = {}
    for name, config in MODELS[small].items():
        folder = work / "models" / name
        if name in TOKENIZERS:
            shutil.copytree(bundle / "tokenizers" / TOKENIZERS[name], folder, dirs_exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config, indent=1))
        (folder / "random_weights.json").write_text(json.dumps({"seed": 1, "std": 0.02}))
        paths[name] = folder
    paths["tokenizer"] = qformer_tokenizer(bundle, work, small)
    return paths


def qformer_tokenizer(bundle: pathlib.Path, work: pathlib.Path, small: bool) -> pathlib.Path:
    """Writes the kit's tokenizer of the Q-Former, with as many tokens as bert-base-uncased has."""
    folder = work / "models" / "qformer-tokenizer"
    shutil.copytree(bundle / "tokenizers" / "qformer", folder, dirs_exist_ok=True)
    if not small:
        path = folder / "tokenizer.json"
        tokenizer = json.loads(path.read_text())
        words = tokenizer["model"]["vocab"]
        for i in range(len(words), BERT_VOCABULARY):
            words[f"[unused{i}]"] = i
        path.write_text(json.dumps(tokenizer))
    return folder


def parameters(config: dict) -> int:
    """Returns the number of weights that a token passes, for the share of the card's peak."""
    if config["model_type"] == "opt":
        d, layers = config["hidden_size"], config["num_hidden_layers"]
        return layers * (4 * d * d + 2 * d * config["ffn_dim"]) + config["vocab_size"] * d
    if config["model_type"] == "t5":
        d, inner = config["d_model"], config["num_heads"] * config["d_kv"]
        encoder = config["num_layers"] * (4 * d * inner + 3 * d * config["d_ff"])
        decoder = config["num_decoder_layers"] * (8 * d * inner + 3 * d * config["d_ff"])
        return encoder + decoder + config["vocab_size"] * d
    d = config["hidden_size"]
    return config["num_hidden_layers"] * (4 * d * d + 2 * d * config["intermediate_size"])
