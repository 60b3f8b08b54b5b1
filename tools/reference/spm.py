"""Writes SentencePiece models without a tokenizer.json: adapters/llama/testdata/golden-sentencepiece,
adapters/t5/testdata/golden-sentencepiece, and tokenizer/testdata/sentencepiece.json.gz.

    python spm.py

The golden folders hold a Llama with only tokenizer.model, like Vicuna, and a T5 with only
spiece.model. The table holds several models with their configuration files. For each it
has the tokenizer.json that transformers makes, and transformers' tokens of difficult texts.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import pathlib
import tempfile

import sentencepiece
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

import decoder
import t5
from common import setup
from language import CORPUS

ROOT = pathlib.Path(__file__).parents[2]

# Vicuna 1.5's keys.
VICUNA = {
    "add_bos_token": True, "add_eos_token": False, "clean_up_tokenization_spaces": False, "legacy": False,
    "model_max_length": 4096, "pad_token": None, "padding_side": "right", "sp_model_kwargs": {}, "tokenizer_class": "LlamaTokenizer",
    **{key: {"__type": "AddedToken", "content": token, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
       for key, token in (("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>"))},
}
VICUNA_NAMES = {key: {"content": token, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
                for key, token in (("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>"))} | {"pad_token": "<unk>"}

TEXTS = [
    "", " ", "  ", "   a", "a", " a", "a ", "a cat", " a cat", "a  cat", "a   cat ", "\n", "a\ncat\n", "\ta\t", "\r\n", "\u00a0cat", "\u3000猫",
    "naïve café", "cafe\u0301", "日本語", "猫 🐱", "👩‍👩‍👧", "𝒳", "Ωmega", "ﬁne", "①", "½", "Ａ", "\u200b", "\ufeffcat", "\u0000", "\u00ad",
    "<s>", "</s>", "<unk>", "<pad>", "<s>a cat", "a<s>cat", "a <s> cat", "a cat</s> dog", " </s>  a", "<0x0A>", "a<0x41>b", "<0xZZ>", "▁", "▁a", "a▁▁cat",
    "<extra_id_0>", "a <extra_id_1> cat", "<extra_id_0><extra_id_99>", "<extra_id_100>", "<image>", "a <image>cat", "<image> <image>", "<ctl>", " hello there", "hello",
    "a photo of a cat", "Question: is there a dog? Answer: yes", "1234567890", "3.14, 2", "two cats", "TWO CATS", "don't", "a_b-c/d", "...", "!?",
    "aaaaaaaaaaaaaaaaaaaaaaaa", "the background is black" * 3,
]


# A small normalization table, from and to, in characters. SentencePiece's own would be 240 kB.
RULES = {"\uff21": "A", "\u3000": " ", "\u00a0": " ", "\n": " ", "\t": " ", "\ufb01": "fi", "e\u0301": "é", "\u200b": "", "½": "1/2"}


def train(kind: str, **options) -> bytes:
    """Trains a small SentencePiece model."""
    out = io.BytesIO()
    lines = CORPUS * 3 + ["hello there <image>", "12 and 345 of 6789"]
    code = lambda text: " ".join(f"{ord(c):X}" for c in text)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # the model contains the table's path: keep it relative
        pathlib.Path("rules.tsv").write_text("".join(f"{code(source)}\t{code(target)}\n" for source, target in RULES.items()))
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=out, model_type=kind, num_threads=1, minloglevel=2, hard_vocab_limit=False, **options)
    return out.getvalue()


def llama_model(**options) -> bytes:
    """Trains a model with Llama's options."""
    return train("bpe", **{"vocab_size": 380, "byte_fallback": True, "split_digits": True, "normalization_rule_name": "identity",
                           "remove_extra_whitespaces": False, "character_coverage": 0.98, "allow_whitespace_only_pieces": True, **options})


def t5_model(**options) -> bytes:
    """Trains a model with T5's options, and with a small normalization table unless options name one."""
    rules = {} if "normalization_rule_name" in options else {"normalization_rule_tsv": "rules.tsv"}
    return train("unigram", **{"vocab_size": 170, "pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1, **rules, **options})


def fill(folder: pathlib.Path, name: str, model: bytes, files: dict) -> None:
    (folder / name).write_bytes(model)
    for file, content in files.items():
        (folder / file).write_text(json.dumps(content, indent=1) + "\n")


def opened(name: str, model: bytes, files: dict):
    """Returns transformers' tokenizer of a folder."""
    with tempfile.TemporaryDirectory() as folder:
        fill(pathlib.Path(folder), name, model, files)
        return AutoTokenizer.from_pretrained(folder)


def golden_llama(folder: pathlib.Path) -> None:
    files = {"tokenizer_config.json": VICUNA, "special_tokens_map.json": VICUNA_NAMES}
    model = llama_model()
    tokenizer = opened("tokenizer.model", model, files | {"config.json": {"model_type": "llama"}}).backend_tokenizer
    config = LlamaConfig(vocab_size=tokenizer.get_vocab_size(), num_attention_heads=2, hidden_size=24, intermediate_size=40,
                         num_hidden_layers=2, max_position_embeddings=160, pad_token_id=0)
    decoder.write(folder / "golden-sentencepiece", LlamaForCausalLM(config), tokenizer, "<s>", [2], seed=5, edit=decoder.old_rope,
                  save=lambda _, checkpoint: fill(checkpoint, "tokenizer.model", model, files))


def golden_t5(folder: pathlib.Path) -> None:
    model, files = t5_model(), {"tokenizer_config.json": {"model_max_length": 512}}
    tokenizer = opened("spiece.model", model, files | {"config.json": {"model_type": "t5"}}).backend_tokenizer
    t5.write(folder / "golden-sentencepiece", 5, untied=True, tokenizer=tokenizer,
             save=lambda checkpoint: fill(checkpoint, "spiece.model", model, files), feed_forward_proj="gated-gelu")


def added(content: str, **flags) -> dict:
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True} | flags


def variants() -> list[tuple[str, str, bytes, dict]]:
    """Returns the variants: name, file, model and configuration files."""
    plain, llama, t5_type = llama_model(), {"config.json": {"model_type": "llama"}}, {"config.json": {"model_type": "t5"}}
    symbols = llama_model(user_defined_symbols=["<image>", "hello there"], control_symbols=["<ctl>"])
    bytes_missing = llama_model(byte_fallback=False, vocab_size=120)
    spiece = t5_model()
    config = lambda **keys: {"tokenizer_config.json": keys}
    llama_config = lambda **keys: llama | config(tokenizer_class="LlamaTokenizer", **keys)
    decoder_keys = {"0": added("<unk>"), "1": added("<s>"), "2": added("</s>"), "PAD": added("<pad>")}

    def numbered(model: bytes, entries: dict) -> dict:
        """Returns added_tokens_decoder. Keys that are not ids get the first free ids."""
        free = sentencepiece.SentencePieceProcessor(model_proto=model).get_piece_size()
        out = {}
        for key, token in entries.items():
            out[key if key.isdigit() else str(free)] = token
            free += not key.isdigit()
        return {"added_tokens_decoder": out}

    size = sentencepiece.SentencePieceProcessor(model_proto=plain).get_piece_size()
    rows = [
        ("vicuna", plain, llama | {"tokenizer_config.json": VICUNA, "special_tokens_map.json": VICUNA_NAMES}),
        ("class alone", plain, config(tokenizer_class="LlamaTokenizerFast")),
        ("legacy", plain, llama_config(legacy=True, add_bos_token=True)),
        ("legacy null", plain, llama_config(legacy=None, add_bos_token=True, add_eos_token=True)),
        ("no prefix", plain, llama_config(add_prefix_space=False, add_bos_token=True)),
        ("end alone", plain, llama_config(add_eos_token=True, add_bos_token=False)),
        ("bos null", plain, llama_config(bos_token=None, add_bos_token=True)),
        ("padding added", plain, llama_config(add_bos_token=True) | {
            "added_tokens.json": {"<pad>": size}, "special_tokens_map.json": {"pad_token": "<pad>"}}),
        ("words added", plain, llama_config(add_bos_token=True) | {"added_tokens.json": {" hello": size, "cat": size + 1}}),
        ("extra tokens", plain, llama_config(add_bos_token=True, additional_special_tokens=["<image>", "<ctl>"])),
        ("extra tokens in the map", plain, llama_config(add_bos_token=True) | {"special_tokens_map.json": {"additional_special_tokens": ["<image>"]}}),
        ("decoder", plain, llama_config(add_bos_token=True, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
                                          **numbered(plain, decoder_keys))),
        ("decoder with flags", plain, llama_config(add_bos_token=True, **numbered(plain, {
            "1": added("<s>", special=False, normalized=True), "IMAGE": added("<image>", lstrip=True, rstrip=True),
            "CAT": added("cat", special=False, single_word=True, normalized=True)}))),
        ("normalized names", plain, llama_config(add_bos_token=True, bos_token={
            "__type": "AddedToken", "content": "<s>", "lstrip": False, "normalized": True, "rstrip": True, "single_word": False})),
        ("symbols", symbols, llama_config(add_bos_token=True)),
        ("symbols, extra tokens", symbols, llama_config(add_bos_token=True, additional_special_tokens=[])),
        ("other bos", symbols, llama_config(add_bos_token=True, bos_token="<ctl>", eos_token="<end>")),
        ("no bytes", bytes_missing, llama_config(add_bos_token=True)),
        ("a table of normalization", llama_model(normalization_rule_name="", normalization_rule_tsv="rules.tsv"), llama_config(add_bos_token=True)),
    ]
    out = [(name, "tokenizer.model", model, files) for name, model, files in rows]
    extra = [f"<extra_id_{i}>" for i in range(100)]
    spieces = sentencepiece.SentencePieceProcessor(model_proto=spiece).get_piece_size()
    rows = [
        ("t5", spiece, t5_type),
        ("t5, its keys", spiece, t5_type | config(
            eos_token="</s>", unk_token="<unk>", pad_token="<pad>", extra_ids=100, additional_special_tokens=extra, tokenizer_class="T5Tokenizer")
            | {"special_tokens_map.json": {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "additional_special_tokens": extra}}),
        ("t5, decoder", spiece, t5_type | config(added_tokens_decoder={
            "0": added("<pad>"), "1": added("</s>"), "2": added("<unk>"),
            **{str(spieces + 99 - i): added(f"<extra_id_{i}>", lstrip=True, rstrip=True) for i in range(100)}}, additional_special_tokens=extra)),
        ("t5, no gaps", spiece, t5_type | config(extra_ids=0)),
        ("t5, a token of its own", spiece, t5_type | config(extra_ids=10, pad_token="<gap>")),
        ("t5, no normalization", t5_model(normalization_rule_name="identity"), t5_type | config(extra_ids=3)),
        ("t5, symbols", t5_model(user_defined_symbols=["<image>"], control_symbols=["<ctl>"]), t5_type | config(extra_ids=3)),
    ]
    return out + [(name, "spiece.model", model, files) for name, model, files in rows]


def write_table(path: pathlib.Path) -> None:
    models, rows = [], []
    for name, file, model, files in variants():
        tokenizer = opened(file, model, files)
        text = base64.b64encode(model).decode()
        if text not in models:
            models.append(text)
        cases = []
        for value in TEXTS:
            bare, full = (tokenizer.encode(value, add_special_tokens=special) for special in (False, True))
            cases.append({"text": value, "bare": bare, "full": full, "decoded": tokenizer.decode(full, skip_special_tokens=True),
                          "decoded_full": tokenizer.decode(full, skip_special_tokens=False)})
        rows.append({"name": name, "file": file, "model": models.index(text), "files": files,
                     "tokenizer": json.loads(tokenizer.backend_tokenizer.to_str()), "cases": cases})
    text = json.dumps({"models": models, "rows": rows}, ensure_ascii=False, separators=(",", ":")).encode()
    path.write_bytes(gzip.compress(text, 9, mtime=0))
    print(f"{path.name}: {len(rows)} tokenizers, {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    setup()
    golden_llama(ROOT / "adapters/llama/testdata")
    golden_t5(ROOT / "adapters/t5/testdata")
    write_table(ROOT / "tokenizer/testdata/sentencepiece.json.gz")


if __name__ == "__main__":
    main()
