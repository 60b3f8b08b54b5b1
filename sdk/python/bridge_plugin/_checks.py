"""Checks requests and responses against a spec. The messages are those of Go's package adapters."""

from __future__ import annotations

import math
from typing import Any, List, Optional, Sequence

import numpy as np

from . import contract
from .contract import GenerateOptions, LanguageModel, LanguageSpec, VisionSpec
from .errors import Error, Kind
from .tensors import Array, DType, describe, dtype_of, shape_string

MAX_TOP_LOG_PROBS = 20
OPTIONAL = {"score": "score", "embed-tokens": "embed_tokens", "count-tokens": "count_tokens"}


def capabilities(model: Any, spec: LanguageSpec) -> List[str]:
    """Returns the model's capabilities: those in its spec, or those that its class overrides."""
    overridden = [name for name, method in OPTIONAL.items()
                  if getattr(type(model), method) is not getattr(LanguageModel, method)]
    if spec.capabilities is None:
        return ["gradient", *overridden, *model.generates]
    for name in spec.capabilities:
        if name in OPTIONAL and name not in overridden:
            raise broken(f"the spec names the capability \"{name}\", but {type(model).__name__} lacks the method {OPTIONAL[name]}")
    return list(spec.capabilities)


def broken(message: str) -> Error:
    """Returns the error for an answer that breaks the contract."""
    return Error(Kind.INTERNAL, f"the adapter broke the contract: {message}", "this is a bug in the adapter: report it to its author")


def invalid(message: str, field: str = "") -> Error:
    return Error(Kind.INVALID, message, field=field)


def tensor(name: str, array: Any, shape: Sequence[int], *dtypes: DType) -> Optional[str]:
    """Returns what is wrong with an array, or None; a size of −1 matches any size."""
    names = "[" + " ".join(str(d) for d in dtypes) + "]"
    if array is None:
        return f"{name} is missing, want {names}{shape_string(shape)}"
    if not isinstance(array, np.ndarray) or dtype_of(array) not in dtypes:
        return f"{name} is {describe(array)}, want dtype {names}"
    if len(array.shape) != len(shape) or any(want not in (-1, got) for got, want in zip(array.shape, shape)):
        note = " (-1 is any size)" if -1 in shape else ""
        return f"{name} is {describe(array)}, want shape {shape_string(shape)}{note}"
    return None


def answer(method: str, got: Any, want: type) -> None:
    """Raises an Error if an answer has another class, after a forgotten return for example."""
    if not isinstance(got, want):
        raise broken(f"{method} returned {describe(got) if got is not None else 'nothing'}, want a {want.__name__}")


def inputs(spec: LanguageSpec, prompts: Optional[Array], examples: Sequence[contract.Example]) -> None:
    if not examples:
        raise invalid("the request has no examples, want at least one", "examples")
    count = 0
    if prompts is not None:
        wrong = tensor("prompts", prompts, (-1, -1, spec.width), DType.FLOAT32, DType.BFLOAT16)
        if wrong:
            raise invalid(wrong, "prompts")
        count = prompts.shape[0]
    for i, example in enumerate(examples):
        if not example.segments:
            raise invalid(f"example {i} has no segments, want at least one text or soft prompt", f"examples[{i}].segments")
        for j, segment in enumerate(example.segments):
            if segment.prompt is not None and not 0 <= segment.prompt < count:
                raise invalid(f"example {i}, segment {j} names soft prompt {segment.prompt}, the request has {count}",
                              f"examples[{i}].segments[{j}].prompt")


def loss_request(spec: LanguageSpec, can: Sequence[str], request: contract.LossRequest) -> None:
    if request.gradient and "gradient" not in can:
        raise Error(Kind.UNSUPPORTED, f"{spec.id} gives no gradient by the soft prompts",
                    "train with a model that does; captioning and scoring work with this one")
    if request.gradient and request.prompts is None:
        raise invalid("a gradient by the soft prompts is asked for, but the request has none", "prompts")
    inputs(spec, request.prompts, request.examples)


def loss_response(request: contract.LossRequest, response: contract.LossResponse) -> None:
    answer("loss", response, contract.LossResponse)
    n = len(request.examples)
    if len(response.loss) != n or len(response.tokens) != n:
        raise broken(f"response has {len(response.loss)} losses and {len(response.tokens)} token counts for {n} examples, want one of each for each example")
    if request.gradient and request.prompts is not None:
        wrong = tensor("gradient", response.gradient, request.prompts.shape, DType.FLOAT32)
        if wrong:
            raise broken(wrong)


def options(o: GenerateOptions, field: str = "options") -> None:
    """Checks options before zeros are replaced by defaults. A NaN or an infinity is refused."""
    largest = float(np.finfo(np.float32).max)
    for name, value, ok, want in (
        ("max_new_tokens", o.max_new_tokens, o.max_new_tokens >= 0, "a count, or 0 for 20"),
        ("min_new_tokens", o.min_new_tokens, o.min_new_tokens >= 0, "a count"),
        ("num_beams", o.num_beams, o.num_beams >= 0, "a count, or 0 for no beam search"),
        ("length_penalty", o.length_penalty, math.isfinite(o.length_penalty), "a finite number"),
        ("early_stopping", int(o.early_stopping), 0 <= int(o.early_stopping) <= 2, "true, false or never"),
        ("repetition_penalty", o.repetition_penalty, 0 <= o.repetition_penalty <= largest, "a number above 0, or 0 for none"),
        ("temperature", o.temperature, 0 <= o.temperature <= largest, "a number above 0, or 0 for 1"),
        ("top_k", o.top_k, o.top_k >= 0, "a count, or 0 for no limit"),
        ("top_p", o.top_p, 0 <= o.top_p <= 1, "between 0 and 1"),
        ("copy", o.copy, o.copy >= 0, "a count"),
        ("top_log_probs", o.top_log_probs, 0 <= o.top_log_probs <= MAX_TOP_LOG_PROBS, f"a count, at most {MAX_TOP_LOG_PROBS}"),
    ):
        if not ok:
            raise invalid(f"{name} is {value}, want {want}", f"{field}.{name}")
    if any(not text for text in o.stop):
        raise invalid("a stop text is empty, want at least one character", f"{field}.stop")
    if o.top_log_probs and not o.log_probs:
        raise invalid(f"top_log_probs is {o.top_log_probs} without log_probs, want 0", f"{field}.top_log_probs")
    if o.log_probs and o.num_beams > 1:
        raise Error(Kind.UNSUPPORTED, f"log_probs with num_beams {o.num_beams} is not supported, only with one",
                    "ask with num_beams 1, or without log_probs", field=f"{field}.log_probs")


def generate_request(spec: LanguageSpec, can: Sequence[str], request: contract.GenerateRequest, cancelable: bool) -> None:
    """Refuses what the model does not name among its capabilities."""
    rows = request.row_options
    if rows is not None and "row-options" not in can:
        raise _lacks(spec, "row-options", "takes one set of options a request", "send the examples of each set of options in a request of their own", "rows")
    if cancelable and "cancel-rows" not in can:
        raise _lacks(spec, "cancel-rows", "cannot give up single answers of a request", "cancel the whole call", "cancel")
    if rows is not None and len(rows) != len(request.examples):
        raise invalid(f"rows has the options of {len(rows)} examples, the request has {len(request.examples)}; want one of each for each example", "rows")
    if rows is None and request.options.copy:
        raise invalid(f"copy is {request.options.copy} in the options of all examples, want 0: equal examples are counted", "options.copy")
    for i in range(len(request.examples)):
        o, field = request.options_of(i), "options" if rows is None else f"rows[{i}]"
        if o.stop and "stop-texts" not in can:
            raise _lacks(spec, "stop-texts", "cannot end an answer at a text", "ask without stop texts, and cut the answer", f"{field}.stop")
        if o.log_probs and "log-probs" not in can:
            raise _lacks(spec, "log-probs", "gives no log-probabilities of generated tokens", "ask without them", f"{field}.log_probs")
    inputs(spec, request.prompts, request.examples)


def _lacks(spec: LanguageSpec, capability: str, what: str, remedy: str, field: str) -> Error:
    return Error(Kind.UNSUPPORTED, f"{spec.id} {what} (capability {capability})", remedy, field=field)


def generate_response(request: contract.GenerateRequest, response: contract.GenerateResponse) -> None:
    answer("generate", response, contract.GenerateResponse)
    n = len(request.examples)
    if len(response.texts) != n or len(response.tokens) != n:
        raise broken(f"response has {len(response.texts)} texts and {len(response.tokens)} token counts for {n} examples, want one of each for each example")
    for name, values in (("input_tokens", response.input_tokens), ("finish", response.finish), ("log_probs", response.log_probs)):
        if len(values) not in (0, n):
            raise broken(f"response has {name} of {len(values)} examples, the request has {n}")
    for i in range(n):
        if request.options_of(i).log_probs and not len(response.log_probs):
            raise broken(f"response has no log_probs, example {i} asks for them")


def score_request(spec: LanguageSpec, request: contract.ScoreRequest) -> None:
    if len(request.candidates) != len(request.examples):
        raise invalid(f"{len(request.candidates)} lists of candidates for {len(request.examples)} examples", "candidates")
    for i, candidates in enumerate(request.candidates):
        if not candidates or len(candidates) != len(request.candidates[0]):
            raise invalid(f"example {i} has {len(candidates)} candidates, example 0 has {len(request.candidates[0])}; "
                          "want one equal, positive number", f"candidates[{i}]")
    inputs(spec, request.prompts, request.examples)


def score_response(request: contract.ScoreRequest, scores: Any) -> None:
    wrong = tensor("scores", scores, (len(request.examples), len(request.candidates[0])), DType.FLOAT32)
    if wrong:
        raise broken(wrong)


def embed_tokens_response(spec: LanguageSpec, texts: Sequence[str], response: contract.EmbedTokensResponse) -> None:
    answer("embed_tokens", response, contract.EmbedTokensResponse)
    if texts and len(response.counts) != len(texts):
        raise broken(f"response has {len(response.counts)} counts for {len(texts)} texts, want one for each")
    wrong = tensor("embeddings", response.embeddings, (len(response.surfaces), spec.width), DType.FLOAT32)
    if wrong:
        raise broken(wrong)


def counts(texts: Sequence[str], got: Sequence[int]) -> None:
    if len(got) != len(texts):
        raise broken(f"response has {len(got)} counts for {len(texts)} texts, want one for each")


def encode_request(spec: VisionSpec, request: contract.EncodeRequest) -> None:
    wrong = tensor("images", request.images, (-1, spec.image.height, spec.image.width, 3), DType.UINT8)
    if wrong:
        raise invalid(wrong, "images")
    if request.images.shape[0] == 0:
        raise invalid(f"images is {describe(request.images)}, want at least one picture", "images")


def encode_response(spec: VisionSpec, request: contract.EncodeRequest, features: Any) -> None:
    wrong = tensor("features", features, (request.images.shape[0], spec.tokens, spec.width), DType.FLOAT32, DType.BFLOAT16)
    if wrong:
        raise broken(wrong)
