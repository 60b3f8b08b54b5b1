"""Writes tokenizer/testdata/settings.json.gz: what transformers' tokenizers do with each key of the
configuration files beside tokenizer.json.

For each case, a golden folder is copied, keys of its files are set, and texts are encoded and
decoded by AutoTokenizer. A case without edits says what the folder does as it is. Needs
transformers, tokenizers, sentencepiece and protobuf; no torch.

    python tools/reference/tokenizer_settings.py
"""

import gzip
import json
import os
import shutil
import tempfile
from pathlib import Path

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import transformers  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
# Folders with the class that they get: with PreTrainedTokenizerFast, transformers reads
# tokenizer.json itself, as bridge does.
FAST = "PreTrainedTokenizerFast"
FOLDERS = {
    "llama/golden-llama-3": FAST,
    "llama/golden-llama-2": FAST,
    "qwen/golden-qwen2": None,
    "gemma2/golden-alternating": FAST,
    "gpt2/golden-turned": FAST,
    "t5/golden-flan": FAST,
    "opt/golden-pre-norm": None,
    "gpt2/golden-released": None,
    "llama/golden-sentencepiece": None,
    "t5/golden-sentencepiece": None,
}
# Classes that apply a key even beside tokenizer.json.
CLASSES = {
    "gpt2/golden-turned": [("GPT2Tokenizer", {"add_prefix_space": True}), ("GPT2Tokenizer", {"add_prefix_space": False})],
    "llama/golden-llama-2": [("LlamaTokenizer", {"add_prefix_space": False}), ("LlamaTokenizer", {"add_prefix_space": True})],
    "t5/golden-flan": [("T5Tokenizer", {"eos_token": "cat"}), ("T5Tokenizer", {"eos_token": "</s>"})],
}
TEXTS = ["a cat", "a dog and a cat.", "cat <new> dog", "a cat, a dog <new>", "a</s>cat<s> dog", "dog <|endoftext|> cat <unk> a", "a cat , a dog ."]
CONFIG, MAP, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"


def token(content, **flags):
    plain = {"content": content, "lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True}
    return plain | flags


def cases(name, folder):
    """Yields edits: file -> key -> value."""
    for key in ("add_bos_token", "add_eos_token", "add_prefix_space", "legacy", "clean_up_tokenization_spaces", "do_lower_case",
                "split_special_tokens", "use_default_system_prompt", "use_fast", "spaces_between_special_tokens", "strip_accents",
                "trim_offsets", "keep_accents", "remove_space", "tokenize_chinese_chars", "from_slow"):
        for value in (True, False):
            yield {CONFIG: {key: value}}
    for key in ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token", "image_token"):
        for value in ("<new>", "cat", token("<new>", lstrip=True) | {"__type": "AddedToken"}, None):
            yield {CONFIG: {key: value}}
    yield {CONFIG: {"bos_token": "<new>", "add_bos_token": True}}
    yield {CONFIG: {"eos_token": "<new>", "add_eos_token": True}}
    for key in ("extra_special_tokens", "additional_special_tokens"):
        for value in (["<new>"], ["cat"], [], [token("<new>", rstrip=True) | {"__type": "AddedToken"}]):
            yield {CONFIG: {key: value}}
    yield {CONFIG: {"extra_special_tokens": {"image_token": "<new>"}}}
    for key, value in (("model_max_length", 2), ("padding_side", "left"), ("truncation_side", "left"), ("chat_template", "{{ x }}"),
                       ("errors", "ignore"), ("extra_ids", 0), ("extra_ids", 3), ("sp_model_kwargs", {"enable_sampling": True}),
                       ("processor_class", "Blip2Processor"), ("name_or_path", "elsewhere"), ("max_length", 3), ("stride", 1),
                       ("truncation_strategy", "longest_first"), ("pad_to_multiple_of", 8), ("pad_token_type_id", 1),
                       ("model_input_names", ["input_ids"]), ("unknown_key", 1), ("tokenizer_file", "elsewhere.json"),
                       ("special_tokens_map_file", "elsewhere.json"), ("fix_mistral_regex", True), ("backend", "tokenizers"),
                       ("is_local", True), ("device_map", "auto"), ("response_template", "x")):
        yield {CONFIG: {key: value}}
    for cls, keys in CLASSES.get(name, []):
        yield {CONFIG: {"tokenizer_class": cls} | keys}
    free, cat = free_id(folder), id_of(folder, "cat")
    for flags in ({}, {"lstrip": True}, {"rstrip": True}, {"normalized": True}, {"special": False}, {"single_word": True}):
        yield {CONFIG: {"added_tokens_decoder": {str(free): token("<new>", **flags)}}}
        if cat is not None:
            yield {CONFIG: {"added_tokens_decoder": {str(cat): token("cat", **flags)}}}
    yield {CONFIG: {"added_tokens_decoder": {}}}
    yield {CONFIG: {"added_tokens_decoder": {}, "bos_token": "<new>"}, MAP: {"bos_token": "cat"}}
    for key in ("bos_token", "eos_token", "unk_token", "pad_token", "mask_token", "additional_special_tokens", "extra_special_tokens", "image_token"):
        for value in ("<new>", "cat", token("<new>", lstrip=True)):
            yield {MAP: {key: [value] if key.endswith("tokens") else value}}
    yield {ADDED: {"<new>": free}}
    yield {ADDED: {"<new>": free}, MAP: {"bos_token": "<new>"}}
    if cat is not None:
        yield {ADDED: {"cat": cat}}


def free_id(folder):
    return len(AutoTokenizer.from_pretrained(folder))


def id_of(folder, content):
    return AutoTokenizer.from_pretrained(folder).get_vocab().get(content)


def edited(folder, edits, to):
    shutil.copytree(folder, to)
    for name, keys in edits.items():
        path = Path(to) / name
        content = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(content | keys))


def outcome(folder):
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        out = []
        for text in TEXTS:
            whole, plain = tokenizer(text)["input_ids"], tokenizer(text, add_special_tokens=False)["input_ids"]
            out.append({"ids": whole, "plain": plain, "text": tokenizer.decode(plain, skip_special_tokens=True)})
        return {"class": type(tokenizer).__name__, "texts": out}
    except Exception as error:  # the folder is refused
        return {"error": f"{type(error).__name__}: {error}"[:120].split("/tmp/")[0]}


def main():
    result = {"source": f"transformers {transformers.__version__} AutoTokenizer", "texts": TEXTS, "folders": {}}
    for name, cls in FOLDERS.items():
        family, golden = name.split("/")
        folder = ROOT / "adapters" / family / "testdata" / golden / "checkpoint"
        base_edit = {CONFIG: {"tokenizer_class": cls}} if cls else {}
        with tempfile.TemporaryDirectory() as tmp:
            base_dir = Path(tmp) / "base"
            edited(folder, base_edit, base_dir)
            base = outcome(base_dir)
            entries = []
            for i, edits in enumerate(cases(name, base_dir)):
                to = Path(tmp) / str(i)
                edited(base_dir, edits, to)
                got = outcome(to)
                shutil.rmtree(to)
                entry = {"edits": edits}
                if got != base:
                    entry |= got if "error" in got else {"got": {
                        str(n): text for n, text in enumerate(got["texts"]) if text != base["texts"][n]}}
                entries.append(entry)
            result["folders"][name] = {"edits": base_edit, "base": base, "cases": entries}
    path = ROOT / "tokenizer" / "testdata" / "settings.json.gz"
    path.write_bytes(gzip.compress(json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
