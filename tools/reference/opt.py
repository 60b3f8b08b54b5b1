"""Writes golden folders of OPT: adapters/opt/testdata/golden-*.

    python opt.py [FOLDER]

There are two tiny models. One is pre-norm with vocab.json and merges.txt, like the
released OPT. The other is post-norm with project_in and project_out, like the 350M model,
with bf16 weights.
"""

from __future__ import annotations

import json
import pathlib
import sys

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import OPTConfig, OPTForCausalLM

from common import Golden, randomize, setup
from decoder import Reference
from language import CORPUS, ROWS, write_beam_cases, write_cases

BOS = 2  # "</s>"
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
NOT_TEXT = ["<pad>", "</s>"]  # the tokens in tokenizer_config.json; transformers decodes the others


def train_tokenizer() -> Tokenizer:
    """Trains a byte-level BPE like OPT's, with a few merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=SPECIAL, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([line + "\n" for line in CORPUS], trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: pathlib.Path) -> None:
    """Writes the same files as facebook/opt-*."""
    tokenizer.model.save(str(folder))
    token = {"__type": "AddedToken", "content": "</s>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "add_bos_token": True, "add_prefix_space": False, "bos_token": token, "eos_token": token,
        "pad_token": "<pad>", "tokenizer_class": "GPT2Tokenizer", "unk_token": token}, indent=1) + "\n")


def load_tokenizer(folder: pathlib.Path) -> Tokenizer:
    """Reads these files as transformers does."""
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in NOT_TEXT])
    return tokenizer


def reference_of(model: OPTForCausalLM, tokenizer: Tokenizer, rows: int = ROWS) -> Reference:
    """Returns the contract's rules for OPT: a newline ends an answer."""
    return Reference(model, tokenizer, BOS, tokenizer.encode("\n").ids, rows)


def write(folder: pathlib.Path, seed: int, dtype: torch.dtype, beams: bool = False, **config) -> None:
    tokenizer = train_tokenizer()
    model = OPTForCausalLM(OPTConfig(
        vocab_size=tokenizer.get_vocab_size() + 6, num_hidden_layers=2, num_attention_heads=2, ffn_dim=40,
        max_position_embeddings=72, bos_token_id=2, eos_token_id=2, pad_token_id=1, dropout=0.0, **config)).eval()
    randomize(model, seed=seed)
    with torch.no_grad():
        table = model.get_input_embeddings().weight
        table *= 2  # for clear answers
        table[tokenizer.encode("\n").ids[0]] *= 1.7  # so that answers end now and then
    golden = Golden(folder, "language-model", model)
    model.to(dtype).save_pretrained(golden.checkpoint)
    (golden.checkpoint / "generation_config.json").unlink(missing_ok=True)
    save_tokenizer(tokenizer, golden.checkpoint)
    reference = reference_of(model.float(), load_tokenizer(golden.checkpoint))
    width = model.get_input_embeddings().embedding_dim
    if beams:
        write_beam_cases(golden, width, reference.generate, reference.search)
    else:
        write_cases(golden, width, reference.loss, reference.generate)
    golden.write()


def main(folder: pathlib.Path) -> None:
    setup()
    write(folder / "golden-pre-norm", 1, torch.float32, hidden_size=24, word_embed_proj_dim=24)
    write(folder / "golden-beams", 6, torch.float32, beams=True, hidden_size=24, word_embed_proj_dim=16, do_layer_norm_before=False)
    write(folder / "golden-post-norm", 2, torch.bfloat16, hidden_size=24, word_embed_proj_dim=16, do_layer_norm_before=False)


if __name__ == "__main__":
    default = pathlib.Path(__file__).parents[2] / "adapters/opt/testdata"
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default)
