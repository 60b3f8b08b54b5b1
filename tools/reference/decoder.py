"""The shared code for golden folders of decoder-only models: the contract's rules
for them (docs/contract.md), and the writer of a folder.
"""

from __future__ import annotations

import json
import pathlib

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from common import Golden, randomize
from language import CORPUS, ROWS, greedy, joined, summed_loss, transformers_generate, write_cases

# Llama 3's and Qwen's patterns differ in the number of digits that stay together.
WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")


class Reference:
    """The contract's rules for a decoder-only model. bos is None if the tokenizer
    adds none; ends are the ids that end an answer; a prompt has rows rows."""

    def __init__(self, model, tokenizer: Tokenizer, bos: int | None, ends: list[int], rows: int = ROWS):
        self.model, self.tokenizer, self.rows = model, tokenizer, rows
        self.bos, self.ends = [] if bos is None else [bos], ends

    def ids(self, string: str) -> list[int]:
        return self.tokenizer.encode(string, add_special_tokens=False).ids

    def split(self, given: str, target: str) -> tuple[list[int], list[int]]:
        """Tokenizes given + target as one string. Offsets count characters: a token
        for a part of a character has the offsets of the whole character."""
        if not given + target:
            return [], []
        encoding = self.tokenizer.encode(given + target, add_special_tokens=False)
        n = sum(1 for _, end in encoding.offsets if end <= len(given)) if given else 0
        return encoding.ids[:n], encoding.ids[n:]

    def layout(self, segments: list[dict], target: str | None) -> tuple[list, list[int]]:
        """Returns the input (ids, or (prompt, row)) and the target's ids."""
        runs, has_text = joined(segments), any("text" in s for s in segments)
        tail = runs.pop()["text"] if runs and "text" in runs[-1] else ""
        line, bos = [], self.bos
        for run in runs:
            if "prompt" in run:
                line += [(run["prompt"], q) for q in range(self.rows)]
                continue
            line += bos + self.ids(run["text"])
            bos = []
        given, scored = self.split(tail, target or "")
        end = [] if target is None else self.ends[:1]
        if target is None or has_text:
            return line + bos + given, scored + end
        return line, bos + scored + end

    def embeds(self, prompts, line: list) -> torch.Tensor:
        table = self.model.get_input_embeddings()
        return torch.stack([prompts[item] if isinstance(item, tuple) else table(torch.tensor(item)) for item in line])

    def logits(self, prompts, line: list) -> torch.Tensor:
        return self.model(inputs_embeds=self.embeds(prompts, line)[None]).logits[0]

    def loss(self, prompts, example: dict) -> tuple[torch.Tensor, int] | None:
        """Returns None if nothing precedes the target."""
        given, target = self.layout(example["segments"], example["target"])
        if not given:
            return None
        logits = self.logits(prompts, given + target)
        return summed_loss(logits[len(given) - 1:-1], target), len(target)

    def generate(self, prompts, segments: list[dict], options: dict) -> str:
        given, _ = self.layout(segments, None)
        ids = greedy(lambda ids: self.logits(prompts, given + ids)[-1], [], self.ends, options)
        return self.tokenizer.decode(ids, skip_special_tokens=True).strip()

    def search(self, prompts, segments: list[dict], options: dict) -> str:
        """Returns the answer of transformers' own generate."""
        given, _ = self.layout(segments, None)
        ids = transformers_generate(self.model, self.embeds(prompts, given), self.ends, options)
        return self.tokenizer.decode(ids, skip_special_tokens=True).strip()


def specials(tokens: list[str]) -> list[AddedToken]:
    return [AddedToken(token, special=True, normalized=False) for token in tokens]


def in_front(tokenizer: Tokenizer, bos: str):
    """Returns the post-processor that puts bos in front of a text."""
    return processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, tokenizer.token_to_id(bos))])


def byte_level(special: list[str], bos: str | None = None, digits: str | None = None, nfc: bool = False, size: int = 320) -> Tokenizer:
    """Trains a byte-level BPE like GPT-2's. With digits ("" or "{1,3}") it splits words like Qwen and Llama 3."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=digits == "{1,3}"))
    if digits is None:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(WORDS % digits), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(vocab_size=size - len(special), show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([line + "\n" for line in CORPUS], trainer)
    tokenizer.add_special_tokens(specials(special))
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if bos:
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), in_front(tokenizer, bos)])
    return tokenizer


def byte_fallback(special: list[str], bos: str, style: str, size: int = 340) -> Tokenizer:
    """Trains SentencePiece's BPE in the form of Llama 2 ("old": a normalizer puts "▁" in
    front; "metaspace": the pre-tokenizer does) or Gemma ("gemma": there is no "▁" in front)."""
    pieces = special + [f"<0x{byte:02X}>" for byte in range(256)]
    learner = Tokenizer(models.BPE(unk_token="<unk>"))
    learner.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    learner.train_from_iterator([line for line in CORPUS if line.isascii()], trainers.BpeTrainer(
        vocab_size=size, special_tokens=pieces, show_progress=False))
    model = json.loads(learner.to_str())["model"]
    tokenizer = Tokenizer(models.BPE(
        vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    decode = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if style == "old":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    elif style == "metaspace":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    else:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    if style != "gemma":
        decode.append(decoders.Strip(" ", 1, 0))
    tokenizer.decoder = decoders.Sequence(decode)
    tokenizer.add_special_tokens(specials(special))
    tokenizer.post_processor = in_front(tokenizer, bos)
    return tokenizer


def write(folder: pathlib.Path, model, tokenizer: Tokenizer, bos: str | None, ends: list[int], seed: int, dtype=torch.float32,
          std: float = 0.15, answer: float = 2.0, end: float = 1.7, shard: str = "1GB", prepare=None, edit=None, save=None) -> None:
    """Makes model random, saves it with its tokenizer and adds all cases.

    The head's rows are multiplied by answer, for clear answers, and the rows of ends
    also by end, so that some answers end. Then prepare(model) changes weights, and
    edit(config) changes the keys of config.json. save(tokenizer, folder) writes the
    tokenizer in another form than tokenizer.json."""
    model.eval()
    randomize(model, std=std, seed=seed)
    with torch.no_grad():
        head = model.get_output_embeddings().weight
        head *= answer
        head[ends] *= end
    if prepare:
        prepare(model)
    golden = Golden(folder, "language-model", model)
    model.to(dtype).save_pretrained(golden.checkpoint, max_shard_size=shard)
    (golden.checkpoint / "generation_config.json").unlink(missing_ok=True)
    if edit:
        path = golden.checkpoint / "config.json"
        config = json.loads(path.read_text())
        edit(config)
        path.write_text(json.dumps(config, indent=1) + "\n")
    if save:
        save(tokenizer, golden.checkpoint)
    else:
        tokenizer.save(str(golden.checkpoint / "tokenizer.json"), pretty=False)
    reference = Reference(reload(golden, model), tokenizer, tokenizer.token_to_id(bos) if bos else None, ends)
    write_cases(golden, model.get_input_embeddings().embedding_dim, reference.loss, reference.generate)
    golden.write()


def reload(golden: Golden, model):
    """Opens the folder with transformers and checks that it has the weights that were saved."""
    again, info = type(model).from_pretrained(golden.checkpoint, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    unexpected = [key for key in info["unexpected_keys"] if not key.endswith("attn.masked_bias")]  # a constant of GPT-2
    assert not info["missing_keys"] and not unexpected, info
    return again.eval()


def old_rope(config: dict) -> None:
    """Turns rope_parameters into the keys of transformers 4."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    config["torch_dtype"] = config.pop("dtype")
