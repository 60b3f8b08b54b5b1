"""The messages of plugins/proto/bridge/v1/adapter.proto.

Written by tools/proto/python.py. Do not edit.
"""

from __future__ import annotations

import dataclasses
from typing import List, Optional

from ._wire import Buffer, Field, Message, describe

PACKAGE = "bridge.v1"

EARLY_STOPPING_FALSE = 0
EARLY_STOPPING_TRUE = 1
EARLY_STOPPING_NEVER = 2

FINISH_REASON_UNKNOWN = 0
FINISH_REASON_END = 1
FINISH_REASON_STOP = 2
FINISH_REASON_LENGTH = 3
FINISH_REASON_CANCELED = 4


@dataclasses.dataclass(eq=False)
class Call(Message):
    chunk: Optional[Chunk] = None
    encode: Optional[EncodeRequest] = None
    loss: Optional[LossRequest] = None
    generate: Optional[GenerateRequest] = None
    score: Optional[ScoreRequest] = None
    embed_tokens: Optional[EmbedTokensRequest] = None
    count_tokens: Optional[CountTokensRequest] = None
    cancel: Optional[Cancel] = None
    lease: Optional[Lease] = None


@dataclasses.dataclass(eq=False)
class Lease(Message):
    generation: int = 0
    slot: int = 0
    offset: int = 0
    nbytes: int = 0


@dataclasses.dataclass(eq=False)
class Cancel(Message):
    examples: List[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class SettleRequest(Message):
    generations: List[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class SettleResponse(Message):
    pass


@dataclasses.dataclass(eq=False)
class Reply(Message):
    chunk: Optional[Chunk] = None
    encode: Optional[EncodeResponse] = None
    loss: Optional[LossResponse] = None
    generate: Optional[GenerateResponse] = None
    score: Optional[ScoreResponse] = None
    embed_tokens: Optional[EmbedTokensResponse] = None
    count_tokens: Optional[CountTokensResponse] = None
    piece: Optional[Piece] = None
    failure: Optional[Failure] = None


@dataclasses.dataclass(eq=False)
class Failure(Message):
    kind: int = 0
    op: str = ""
    message: str = ""
    remedy: str = ""
    field: str = ""


@dataclasses.dataclass(eq=False)
class Tensor(Message):
    dtype: int = 0
    shape: List[int] = dataclasses.field(default_factory=list)
    nbytes: int = 0
    handle: Optional[Handle] = None


@dataclasses.dataclass(eq=False)
class Handle(Message):
    arena: int = 0
    slot: int = 0
    generation: int = 0
    offset: int = 0


@dataclasses.dataclass(eq=False)
class Chunk(Message):
    tensor: int = 0
    offset: int = 0
    data: Buffer = b""


@dataclasses.dataclass(eq=False)
class LoadRequest(Message):
    family: str = ""
    id: str = ""
    checkpoint: str = ""
    backend: str = ""
    dtype: int = 0
    feature_layer: Optional[int] = None
    activation: str = ""
    image_width: int = 0
    image_height: int = 0


@dataclasses.dataclass(eq=False)
class LoadEvent(Message):
    hello: Optional[Hello] = None
    progress: Optional[Progress] = None
    spec: Optional[ModelSpec] = None
    failure: Optional[Failure] = None


@dataclasses.dataclass(eq=False)
class Hello(Message):
    name: str = ""
    version: str = ""
    capabilities: List[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class Progress(Message):
    stage: str = ""
    done: int = 0
    total: int = 0


@dataclasses.dataclass(eq=False)
class ModelSpec(Message):
    id: str = ""
    family: str = ""
    kind: str = ""
    width: int = 0
    dtype: int = 0
    parameters: int = 0
    memory_bytes: int = 0
    digest: str = ""
    backend: str = ""
    capabilities: List[str] = dataclasses.field(default_factory=list)
    source: str = ""
    vision: Optional[VisionPart] = None
    language: Optional[LanguagePart] = None


@dataclasses.dataclass(eq=False)
class VisionPart(Message):
    tokens: int = 0
    image_width: int = 0
    image_height: int = 0
    resample: str = ""
    mode: str = ""
    mean: List[float] = dataclasses.field(default_factory=list)
    std: List[float] = dataclasses.field(default_factory=list)
    layer: int = 0
    shortest_edge: int = 0
    patch: int = 0


@dataclasses.dataclass(eq=False)
class LanguagePart(Message):
    architecture: str = ""
    context_tokens: int = 0
    vocabulary: int = 0
    token_norm: float = 0.0
    end_of_answer: str = ""


@dataclasses.dataclass(eq=False)
class EncodeRequest(Message):
    images: Optional[Tensor] = None


@dataclasses.dataclass(eq=False)
class EncodeResponse(Message):
    features: Optional[Tensor] = None


@dataclasses.dataclass(eq=False)
class Segment(Message):
    text: Optional[str] = None
    prompt: Optional[int] = None


@dataclasses.dataclass(eq=False)
class Example(Message):
    segments: List[Segment] = dataclasses.field(default_factory=list)
    target: str = ""


@dataclasses.dataclass(eq=False)
class LossRequest(Message):
    prompts: Optional[Tensor] = None
    examples: List[Example] = dataclasses.field(default_factory=list)
    gradient: bool = False


@dataclasses.dataclass(eq=False)
class LossResponse(Message):
    loss: List[float] = dataclasses.field(default_factory=list)
    tokens: List[int] = dataclasses.field(default_factory=list)
    gradient: Optional[Tensor] = None


@dataclasses.dataclass(eq=False)
class GenerateRequest(Message):
    prompts: Optional[Tensor] = None
    examples: List[Example] = dataclasses.field(default_factory=list)
    options: Optional[GenerateOptions] = None
    rows: List[GenerateOptions] = dataclasses.field(default_factory=list)
    cancelable: bool = False
    canceled: List[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class GenerateOptions(Message):
    max_new_tokens: int = 0
    min_new_tokens: int = 0
    num_beams: int = 0
    length_penalty: Optional[float] = None
    repetition_penalty: float = 0.0
    sample: bool = False
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 0.0
    seed: int = 0
    early_stopping: int = 0
    copy: int = 0
    stop: List[str] = dataclasses.field(default_factory=list)
    log_probs: bool = False
    top_log_probs: int = 0


@dataclasses.dataclass(eq=False)
class Piece(Message):
    example: int = 0
    text: str = ""
    log_probs: List[TokenLogProb] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class TokenLogProb(Message):
    text: str = ""
    data: Optional[Buffer] = None
    log_prob: float = 0.0
    top: List[TokenLogProb] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class TokenLogProbs(Message):
    tokens: List[TokenLogProb] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class GenerateResponse(Message):
    texts: List[str] = dataclasses.field(default_factory=list)
    tokens: List[int] = dataclasses.field(default_factory=list)
    input_tokens: List[int] = dataclasses.field(default_factory=list)
    finish: List[int] = dataclasses.field(default_factory=list)
    log_probs: List[TokenLogProbs] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class Candidates(Message):
    texts: List[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class ScoreRequest(Message):
    prompts: Optional[Tensor] = None
    examples: List[Example] = dataclasses.field(default_factory=list)
    candidates: List[Candidates] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class ScoreResponse(Message):
    scores: Optional[Tensor] = None


@dataclasses.dataclass(eq=False)
class EmbedTokensRequest(Message):
    texts: List[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class EmbedTokensResponse(Message):
    surfaces: List[str] = dataclasses.field(default_factory=list)
    counts: List[int] = dataclasses.field(default_factory=list)
    embeddings: Optional[Tensor] = None


@dataclasses.dataclass(eq=False)
class CountTokensRequest(Message):
    texts: List[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class CountTokensResponse(Message):
    counts: List[int] = dataclasses.field(default_factory=list)


describe(Call, [
    Field(1, "chunk", Chunk, optional=True, oneof='part'),
    Field(2, "encode", EncodeRequest, optional=True, oneof='part'),
    Field(3, "loss", LossRequest, optional=True, oneof='part'),
    Field(4, "generate", GenerateRequest, optional=True, oneof='part'),
    Field(5, "score", ScoreRequest, optional=True, oneof='part'),
    Field(6, "embed_tokens", EmbedTokensRequest, optional=True, oneof='part'),
    Field(7, "count_tokens", CountTokensRequest, optional=True, oneof='part'),
    Field(9, "cancel", Cancel, optional=True, oneof='part'),
    Field(8, "lease", Lease),
])
describe(Lease, [
    Field(1, "generation", "uint64"),
    Field(2, "slot", "uint32"),
    Field(3, "offset", "uint64"),
    Field(4, "nbytes", "uint64"),
])
describe(Cancel, [
    Field(1, "examples", "uint32", repeated=True),
])
describe(SettleRequest, [
    Field(1, "generations", "uint64", repeated=True),
])
describe(SettleResponse, [])
describe(Reply, [
    Field(1, "chunk", Chunk, optional=True, oneof='part'),
    Field(2, "encode", EncodeResponse, optional=True, oneof='part'),
    Field(3, "loss", LossResponse, optional=True, oneof='part'),
    Field(4, "generate", GenerateResponse, optional=True, oneof='part'),
    Field(5, "score", ScoreResponse, optional=True, oneof='part'),
    Field(6, "embed_tokens", EmbedTokensResponse, optional=True, oneof='part'),
    Field(7, "count_tokens", CountTokensResponse, optional=True, oneof='part'),
    Field(8, "piece", Piece, optional=True, oneof='part'),
    Field(9, "failure", Failure, optional=True, oneof='part'),
])
describe(Failure, [
    Field(1, "kind", "uint32"),
    Field(2, "op", "string"),
    Field(3, "message", "string"),
    Field(4, "remedy", "string"),
    Field(5, "field", "string"),
])
describe(Tensor, [
    Field(1, "dtype", "uint32"),
    Field(2, "shape", "uint64", repeated=True),
    Field(3, "nbytes", "uint64"),
    Field(4, "handle", Handle),
])
describe(Handle, [
    Field(1, "arena", "uint32"),
    Field(2, "slot", "uint32"),
    Field(3, "generation", "uint64"),
    Field(4, "offset", "uint64"),
])
describe(Chunk, [
    Field(1, "tensor", "uint32"),
    Field(2, "offset", "uint64"),
    Field(3, "data", "bytes"),
])
describe(LoadRequest, [
    Field(1, "family", "string"),
    Field(2, "id", "string"),
    Field(3, "checkpoint", "string"),
    Field(4, "backend", "string"),
    Field(5, "dtype", "uint32"),
    Field(6, "feature_layer", "int32", optional=True),
    Field(7, "activation", "string"),
    Field(8, "image_width", "int64"),
    Field(9, "image_height", "int64"),
])
describe(LoadEvent, [
    Field(1, "hello", Hello, optional=True, oneof='part'),
    Field(2, "progress", Progress, optional=True, oneof='part'),
    Field(3, "spec", ModelSpec, optional=True, oneof='part'),
    Field(4, "failure", Failure, optional=True, oneof='part'),
])
describe(Hello, [
    Field(1, "name", "string"),
    Field(2, "version", "string"),
    Field(3, "capabilities", "string", repeated=True),
])
describe(Progress, [
    Field(1, "stage", "string"),
    Field(2, "done", "int64"),
    Field(3, "total", "int64"),
])
describe(ModelSpec, [
    Field(1, "id", "string"),
    Field(2, "family", "string"),
    Field(3, "kind", "string"),
    Field(4, "width", "int64"),
    Field(5, "dtype", "uint32"),
    Field(6, "parameters", "int64"),
    Field(7, "memory_bytes", "int64"),
    Field(8, "digest", "string"),
    Field(9, "backend", "string"),
    Field(10, "capabilities", "string", repeated=True),
    Field(11, "source", "string"),
    Field(12, "vision", VisionPart),
    Field(13, "language", LanguagePart),
])
describe(VisionPart, [
    Field(1, "tokens", "int64"),
    Field(2, "image_width", "int64"),
    Field(3, "image_height", "int64"),
    Field(4, "resample", "string"),
    Field(5, "mode", "string"),
    Field(6, "mean", "float", repeated=True),
    Field(7, "std", "float", repeated=True),
    Field(8, "layer", "int32"),
    Field(9, "shortest_edge", "int64"),
    Field(10, "patch", "int64"),
])
describe(LanguagePart, [
    Field(1, "architecture", "string"),
    Field(2, "context_tokens", "int64"),
    Field(3, "vocabulary", "int64"),
    Field(4, "token_norm", "float"),
    Field(5, "end_of_answer", "string"),
])
describe(EncodeRequest, [
    Field(1, "images", Tensor),
])
describe(EncodeResponse, [
    Field(1, "features", Tensor),
])
describe(Segment, [
    Field(1, "text", "string", optional=True, oneof='part'),
    Field(2, "prompt", "uint32", optional=True, oneof='part'),
])
describe(Example, [
    Field(1, "segments", Segment, repeated=True),
    Field(2, "target", "string"),
])
describe(LossRequest, [
    Field(1, "prompts", Tensor),
    Field(2, "examples", Example, repeated=True),
    Field(3, "gradient", "bool"),
])
describe(LossResponse, [
    Field(1, "loss", "float", repeated=True),
    Field(2, "tokens", "int32", repeated=True),
    Field(3, "gradient", Tensor),
])
describe(GenerateRequest, [
    Field(1, "prompts", Tensor),
    Field(2, "examples", Example, repeated=True),
    Field(3, "options", GenerateOptions),
    Field(4, "rows", GenerateOptions, repeated=True),
    Field(5, "cancelable", "bool"),
    Field(6, "canceled", "uint32", repeated=True),
])
describe(GenerateOptions, [
    Field(1, "max_new_tokens", "int64"),
    Field(2, "min_new_tokens", "int64"),
    Field(3, "num_beams", "int64"),
    Field(4, "length_penalty", "double", optional=True),
    Field(5, "repetition_penalty", "double"),
    Field(6, "sample", "bool"),
    Field(7, "temperature", "double"),
    Field(8, "top_k", "int64"),
    Field(9, "top_p", "double"),
    Field(10, "seed", "uint64"),
    Field(11, "early_stopping", "int32"),
    Field(12, "copy", "int64"),
    Field(13, "stop", "string", repeated=True),
    Field(14, "log_probs", "bool"),
    Field(15, "top_log_probs", "int64"),
])
describe(Piece, [
    Field(1, "example", "uint32"),
    Field(2, "text", "string"),
    Field(3, "log_probs", TokenLogProb, repeated=True),
])
describe(TokenLogProb, [
    Field(1, "text", "string"),
    Field(2, "data", "bytes", optional=True),
    Field(3, "log_prob", "float"),
    Field(4, "top", TokenLogProb, repeated=True),
])
describe(TokenLogProbs, [
    Field(1, "tokens", TokenLogProb, repeated=True),
])
describe(GenerateResponse, [
    Field(1, "texts", "string", repeated=True),
    Field(2, "tokens", "int32", repeated=True),
    Field(3, "input_tokens", "int32", repeated=True),
    Field(4, "finish", "int32", repeated=True),
    Field(5, "log_probs", TokenLogProbs, repeated=True),
])
describe(Candidates, [
    Field(1, "texts", "string", repeated=True),
])
describe(ScoreRequest, [
    Field(1, "prompts", Tensor),
    Field(2, "examples", Example, repeated=True),
    Field(3, "candidates", Candidates, repeated=True),
])
describe(ScoreResponse, [
    Field(1, "scores", Tensor),
])
describe(EmbedTokensRequest, [
    Field(1, "texts", "string", repeated=True),
])
describe(EmbedTokensResponse, [
    Field(1, "surfaces", "string", repeated=True),
    Field(2, "counts", "int32", repeated=True),
    Field(3, "embeddings", Tensor),
])
describe(CountTokensRequest, [
    Field(1, "texts", "string", repeated=True),
])
describe(CountTokensResponse, [
    Field(1, "counts", "int32", repeated=True),
])

# Adapter: name, request, response, whether each is a stream.
ADAPTER = (
    ("Load", LoadRequest, LoadEvent, False, True),
    ("Encode", Call, Reply, True, True),
    ("Loss", Call, Reply, True, True),
    ("Generate", Call, Reply, True, True),
    ("Score", Call, Reply, True, True),
    ("EmbedTokens", Call, Reply, True, True),
    ("CountTokens", Call, Reply, True, True),
    ("Settle", SettleRequest, SettleResponse, False, False),
)
