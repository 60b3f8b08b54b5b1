"""Implements LanguageModel.generate with the generate method of a transformers model."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Dict, Iterator, List, Sequence, Set, Tuple

from . import stop
from .contract import Context, Emit, FinishReason, GenerateOptions, GenerateRequest, GenerateResponse, TokenLogProb
from .layout import Batch, Layout, seeds
from .layout import Sequence as Laid

#: The capabilities of a model that generates by this module, for LanguageModel.generates.
CAPABILITIES = ("row-options", "cancel-rows", "stop-texts", "log-probs", "token-counts")


def generate(model: Any, layout: Layout, request: GenerateRequest, context: Context, emit: Emit,
             inputs: Callable[[Batch], Dict[str, Any]]) -> GenerateResponse:
    """Continues each example. ``inputs`` returns the arguments of model.generate that stand for a
    batch. Examples with equal options and lengths are computed together, a sampled one alone.
    An answer is emitted once it is complete."""
    import torch
    import transformers

    config: Any = transformers.GenerationConfig

    sequences = layout.open(request.examples, request.rows)
    starts = seeds(request.examples, request.options.seed, request.row_options)
    answers = [_Answer(len(s.input)) for s in sequences]
    for chosen, batch in _groups(layout, request, sequences, context):
        options = request.options_of(chosen[0])
        torch.manual_seed(starts[chosen[0]])
        criterion = _Criterion(layout, options, context, chosen)
        found = model.generate(
            **inputs(batch), generation_config=config(**layout.generation(options)), stopping_criteria=[criterion],
            return_dict_in_generate=True, output_logits=options.log_probs)
        context.check()
        for row, (i, ids) in enumerate(zip(chosen, found.sequences.tolist())):
            logits = [step[row] for step in found.logits] if options.log_probs else []
            answers[i] = _answer(layout, options, ids, logits, i in criterion.cancelled, answers[i].input)
            emit(i, answers[i].text, answers[i].log_probs)
    return GenerateResponse(
        [a.text for a in answers], [a.tokens for a in answers], [a.input for a in answers], [a.finish for a in answers],
        [a.log_probs for a in answers] if any(request.options_of(i).log_probs for i in range(len(answers))) else [])


@dataclasses.dataclass
class _Answer:
    input: int  # positions
    text: str = ""
    tokens: int = 0
    finish: FinishReason = FinishReason.CANCELED
    log_probs: List[TokenLogProb] = dataclasses.field(default_factory=list)


def _groups(layout: Layout, request: GenerateRequest, sequences: Sequence[Laid], context: Context) -> Iterator[Tuple[List[int], Batch]]:
    """Yields examples that are computed together, without those that are cancelled by then."""
    equal: Dict[str, List[int]] = {}
    for i in range(len(sequences)):
        options = request.options_of(i)
        equal.setdefault(repr(dataclasses.replace(options, copy=0, seed=0)), []).append(i)
    for indices in equal.values():
        alone = request.options_of(indices[0]).sample
        for group, _ in layout.groups([sequences[i] for i in indices], alone=alone):
            chosen = [indices[at] for at in group if indices[at] not in context.cancelled_examples]
            if chosen:
                yield chosen, layout.batch([sequences[i] for i in chosen])


class _Criterion:
    """Ends rows whose answer has a stop text or is cancelled, and all once the call is."""

    def __init__(self, layout: Layout, options: GenerateOptions, context: Context, chosen: List[int]):
        self._layout, self._options, self._context, self._chosen = layout, options, context, chosen
        self.cancelled: Set[int] = set()

    def __call__(self, ids: Any, _: Any, **__: Any) -> Any:
        return ids.new_tensor([self._ends(i, row) for i, row in zip(self._of_rows(len(ids)), ids.tolist())], dtype=bool)

    def _of_rows(self, rows: int) -> Iterator[int]:
        """Yields the example of each row: a beam search has several for each."""
        for i in self._chosen:
            yield from [i] * (rows // len(self._chosen))

    def _ends(self, example: int, ids: List[int]) -> bool:
        if self._context.cancelled or example in self.cancelled:
            return True
        cancelled = example in self._context.cancelled_examples
        if not cancelled and not self._options.stop:
            return False
        kept, ended = self._layout.before_end(ids)
        stopped = bool(self._options.stop) and stop.cut(self._layout.tokenizer.decode(kept), self._options.stop)[1]
        if cancelled and not ended and not stopped and len(kept) < self._options.max_new_tokens:
            self.cancelled.add(example)
        return stopped or example in self.cancelled


def _answer(layout: Layout, options: GenerateOptions, ids: List[int], logits: List[Any], cancelled: bool, positions: int) -> _Answer:
    kept, ended = layout.before_end(ids)
    before, stopped = stop.cut(layout.tokenizer.decode(kept), options.stop)
    text = before.strip()
    if stopped:
        scored = [id for at, id in enumerate(kept) if len(layout.tokenizer.decode(kept[:at])) < len(before)]
        return _Answer(positions, text, len(kept), FinishReason.STOP, _log_probs(layout, options, scored, logits))
    scores = _log_probs(layout, options, kept, logits)
    if cancelled:  # the tokens after kept are padding
        return _Answer(positions, text, len(kept), FinishReason.CANCELED, scores)
    return _Answer(positions, text, len(kept) + ended, FinishReason.END if ended else FinishReason.LENGTH, scores)


def _log_probs(layout: Layout, options: GenerateOptions, ids: List[int], logits: List[Any]) -> List[TokenLogProb]:
    out = []
    for id, row in zip(ids, logits):
        scores = row.float().log_softmax(-1)
        best = scores.topk(min(options.top_log_probs, len(scores)))
        top = [TokenLogProb(layout.tokenizer.text_of(int(i)), float(x)) for x, i in zip(best.values, best.indices)]
        out.append(TokenLogProb(layout.tokenizer.text_of(id), float(scores[id]), top=top))
    return out
