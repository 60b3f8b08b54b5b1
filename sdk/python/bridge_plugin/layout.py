"""Lays out the tokens that a language model reads and scores, by the rules of docs/contract.md.

:class:`Layout` turns examples into :class:`Sequence` values, and these into padded
arrays (:class:`Batch`) for any framework. A decoder-only model reads one sequence:

    segments in order │ target │ end

An encoder-decoder model reads the segments in its encoder and the target in its decoder.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple
from typing import Sequence as Seq

import numpy as np

from .checkpoint import Path
from .contract import Example, GenerateOptions
from .errors import Error, Kind
from .tensors import Array
from .tokens import HFTokenizer, Tokenizer

IGNORED = -100  # the target value for padding, as in torch's cross_entropy


@dataclass
class Sequence:
    """One example as the model reads it."""

    input: List[int]  #: a token id, or −1−r for row r of the soft prompts flattened to [M·Q, D]
    target: List[int]  #: ids that the loss is summed over; empty if there is no target
    first: int = 0  #: decoder-only: target[i] is predicted at input position first+i


@dataclass
class Batch:
    """Sequences padded on the right."""

    ids: Array  #: int64[B, T]: token ids, 0 for prompts and padding
    rows: Array  #: int64[B, T]: row of the soft prompts flattened to [M·Q, D], −1 for tokens and padding
    mask: Array  #: int64[B, T]: 1 for input, 0 for padding
    targets: Array  #: int64[B, K]: ids, IGNORED for padding
    positions: Array  #: int64[B, K]: the input position that predicts each, 0 for padding
    decoder: Array  #: int64[B, K]: the decoder's input of an encoder-decoder model
    tokens: List[int]  #: [B] number of targets


class Layout:
    """Applies the rules for one model."""

    def __init__(self, tokenizer: Tokenizer, ends: Seq[int], bos: Optional[int] = None, start: Optional[int] = None,
                 context: int = 0, vocabulary: int = 0):
        """``ends`` are the ids that end an answer; the first is scored, and ends an encoder's
        input. ``bos`` stands before the first text of a decoder-only input. ``start`` is the
        decoder's first token; if it is set, this is an encoder-decoder model. ``context`` is
        the longest sequence and ``vocabulary`` the number of embeddings; 0 means no limit.
        Examples that exceed a limit are refused."""
        if not ends:
            raise Error(Kind.CORRUPT, "no token ends an answer", "set eos_token_id in config.json", field="config.json")
        self.tokenizer: Any = tokenizer  # Any: a Hugging Face tokenizer does more than Tokenizer
        self.ends, self.bos, self.start = list(ends), bos, start
        self.context, self.vocabulary = context, vocabulary

    @classmethod
    def of_transformers(cls, folder: Path, config: Any) -> Layout:
        """Reads the rules from a checkpoint folder's tokenizer and from config (a
        transformers.PretrainedConfig), which has the end and start tokens. OPT's answers end
        with a newline, those of other models with eos."""
        tokenizer = HFTokenizer.open(folder)
        ends = config.eos_token_id
        if ends is None:
            ends = _generation_ends(folder)
        ends = list(ends) if isinstance(ends, (list, tuple)) else [] if ends is None else [int(ends)]
        if config.model_type == "opt":
            ends = tokenizer.encode("\n")[0]
        if not config.is_encoder_decoder:
            context = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 0
            return cls(tokenizer, ends, bos=tokenizer.bos, context=context, vocabulary=config.vocab_size)
        start = config.decoder_start_token_id
        return cls(tokenizer, ends, start=config.pad_token_id if start is None else start, vocabulary=config.vocab_size)

    def scored(self, examples: Iterable[Example], rows: int) -> List[Sequence]:
        """Lays out examples with their targets. rows is Q of the soft prompts."""
        return [self._checked(i, self._sequence(i, e, rows, True)) for i, e in enumerate(examples)]

    def open(self, examples: Iterable[Example], rows: int) -> List[Sequence]:
        """Lays out examples without their targets, for generation."""
        return [self._checked(i, self._sequence(i, e, rows, False)) for i, e in enumerate(examples)]

    def batch(self, sequences: Seq[Sequence]) -> Batch:
        """Pads sequences on the right."""
        longest = max(len(s.input) for s in sequences)
        most = max(len(s.target) for s in sequences)
        inputs = np.zeros((len(sequences), longest), np.int64)
        mask = np.zeros_like(inputs)
        targets = np.full((len(sequences), most), IGNORED, np.int64)
        positions = np.zeros_like(targets)
        decoder = np.zeros_like(targets)
        for i, s in enumerate(sequences):
            inputs[i, : len(s.input)], mask[i, : len(s.input)] = s.input, 1
            n = len(s.target)
            targets[i, :n] = s.target
            positions[i, :n] = np.arange(n) if self.start is not None else np.arange(s.first, s.first + n)
            if self.start is not None and n:
                decoder[i, :n] = [self.start, *s.target[:-1]]
        return Batch(np.maximum(inputs, 0), np.where(inputs < 0, -1 - inputs, -1), mask, targets, positions, decoder,
                     [len(s.target) for s in sequences])

    def batches(self, sequences: Seq[Sequence], size: int = 16) -> Iterator[Tuple[List[int], Batch]]:
        """Yields indices and batches of at most size sequences of similar length."""
        order = sorted(range(len(sequences)), key=lambda i: len(sequences[i].input))
        for at in range(0, len(order), size):
            chosen = order[at : at + size]
            yield chosen, self.batch([sequences[i] for i in chosen])

    def groups(self, sequences: Seq[Sequence], size: int = 16, alone: bool = False) -> Iterator[Tuple[List[int], Batch]]:
        """Yields indices and batches of at most size sequences of equal length, for generation
        without padding. ``alone`` makes batches of one."""
        size = 1 if alone else size
        by_length: Dict[int, List[int]] = {}
        for i, s in enumerate(sequences):
            by_length.setdefault(len(s.input), []).append(i)
        for indices in by_length.values():
            for at in range(0, len(indices), size):
                chosen = indices[at : at + size]
                yield chosen, self.batch([sequences[i] for i in chosen])

    def end_of_answer(self) -> str:
        """Returns the text that ends an answer, for people."""
        end = self.ends[0]
        return str(self.tokenizer.decode([end]) or self.tokenizer.token(end))

    def generation(self, options: GenerateOptions) -> Dict[str, Any]:
        """Returns the arguments of transformers' GenerationConfig for a request."""
        return {**options.transformers(), "eos_token_id": self.ends, "pad_token_id": self.ends[0], "decoder_start_token_id": self.start}

    def answer(self, ids: Iterable[int]) -> Tuple[str, int]:
        """Returns the text of generated ids, and the number of generated tokens including the
        end. The ids may begin with the decoder's start token, which does not count."""
        kept, ended = self.before_end(ids)
        return self.tokenizer.decode(kept).strip(), len(kept) + ended

    def before_end(self, ids: Iterable[int]) -> Tuple[List[int], bool]:
        """Returns the generated ids before the end, without the decoder's start token, and
        whether there is an end."""
        kept: List[int] = []
        for at, id in enumerate(ids):
            if at == 0 and id == self.start:
                continue
            if id in self.ends:
                return kept, True
            kept.append(int(id))
        return kept, False

    def _checked(self, index: int, s: Sequence) -> Sequence:
        if 0 < self.context < len(s.input):
            raise Error(Kind.INVALID, f"the text takes {len(s.input)} tokens, including rows of soft prompts; the model reads {self.context}",
                        "use shorter texts", field=f"examples[{index}]")
        largest = max(*s.input, *s.target, -1, -1)
        if 0 < self.vocabulary <= largest:
            raise Error(Kind.INVALID, f"the text holds the token {self.tokenizer.token(largest)} (id {largest}), and the model has "
                                      f"{self.vocabulary} embeddings", "leave the token out: soft prompts stand for pictures", field=f"examples[{index}]")
        return s

    def _sequence(self, index: int, example: Example, rows: int, scored: bool) -> Sequence:
        runs, has_text = _runs(example)
        if self.start is not None:
            line = [item for run in runs for item in self._run(run, rows)] + self.ends[:1]
            return Sequence(line, [*self.tokenizer.encode(example.target)[0], self.ends[0]] if scored else [])
        tail = str(runs.pop()) if runs and isinstance(runs[-1], str) else ""
        line, bos = [], [] if self.bos is None else [self.bos]
        for run in runs:
            if isinstance(run, str):
                line, bos = line + bos, []
            line += self._run(run, rows)
        first = len(line)
        line += bos
        ids, ends = self.tokenizer.encode(tail + example.target if scored else tail)
        if has_text or not bos:
            first = len(line) + (sum(1 for end in ends if end <= len(tail)) if tail else 0)
        line += ids
        if not scored:
            if not line:
                raise Error(Kind.INVALID, f"example {index}: the input has no token, want a text or a soft prompt", field=f"examples[{index}].segments")
            return Sequence(line, [])
        if first == 0:
            raise Error(Kind.INVALID, "nothing precedes the target's first token, want a text or a soft prompt",
                        field=f"examples[{index}].segments")
        return Sequence(line, [*line[first:], self.ends[0]], first - 1)

    def _run(self, run: object, rows: int) -> List[int]:
        if isinstance(run, str):
            return list(self.tokenizer.encode(run)[0])
        return [-1 - int(run) * rows - q for q in range(rows)]  # type: ignore[call-overload]


def _generation_ends(folder: Path) -> Any:
    try:
        with open(os.path.join(os.fspath(folder), "generation_config.json"), encoding="utf-8") as file:
            return json.load(file).get("eos_token_id")
    except FileNotFoundError:
        return None


def _runs(example: Example) -> Tuple[List[object], bool]:
    """Returns soft prompts as numbers and neighbouring texts joined, without empty ones, and
    whether there is any text."""
    runs: List[object] = []
    has_text = False
    for segment in example.segments:
        if segment.prompt is not None:
            runs.append(segment.prompt)
            continue
        has_text = True
        if runs and isinstance(runs[-1], str):
            runs[-1] += segment.text
        elif segment.text:
            runs.append(segment.text)
    return runs, has_text


def seeds(examples: Seq[Example], seed: int, rows: Optional[Seq[GenerateOptions]] = None) -> List[int]:
    """Returns a seed below 2⁶³ for each example, for sampling. It depends only on the
    request's seed, the example, and the number of equal examples before it. With the options
    of each example it depends on their seed, the example and their copy."""
    seen: Dict[Tuple[object, ...], int] = {}
    out = []
    for i, example in enumerate(examples):
        before = seen.get(example.segments, 0)
        seen[example.segments] = before + 1
        if rows is not None:
            seed, before = rows[i].seed, rows[i].copy
        key = repr((seed, [(s.prompt, s.text) for s in example.segments], before)).encode("utf-8", "surrogatepass")
        out.append(int.from_bytes(hashlib.sha256(key).digest()[:8], "little") >> 1)
    return out
