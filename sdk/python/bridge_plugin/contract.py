"""What bridge asks of a frozen model, and the two classes that an author fills in.

docs/contract.md of bridge has the exact rules. Axes: B batch, N patches, Q queries,
T tokens, D width, M prompts, C candidates.
"""

from __future__ import annotations

import abc
import enum
import logging
import threading
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from .errors import Error, Kind, canceled
from .tensors import Array, DType, numpy_type


@dataclass(frozen=True)
class Segment:
    """A part of an example's input: a text, or the index of a soft prompt."""

    text: str = ""
    prompt: Optional[int] = None  #: index into M; None: this is a text

    @property
    def is_prompt(self) -> bool:
        return self.prompt is not None


@dataclass(frozen=True)
class Example:
    """An input and what should follow it. Strings are used as given."""

    segments: Tuple[Segment, ...]
    target: str = ""


@dataclass
class LoadRequest:
    """Which model to open and how to compute it."""

    id: str = ""  #: for the spec; empty: the folder's name
    checkpoint: str = ""  #: an absolute path; empty where the plugin brings its model
    backend: str = ""  #: "auto", "go", "xla:cpu", …: what a plugin does not know it may ignore
    dtype: DType = DType.INVALID  #: of the computation; INVALID leaves it to the adapter
    family: str = ""  #: where the plugin serves several
    feature_layer: Optional[int] = None  #: as transformers indexes hidden_states; None: the adapter chooses
    activation: str = ""  #: in place of the checkpoint's; refuse what you cannot do
    image_width: int = 0  #: pictures that a vision encoder is to take; 0: the checkpoint's own
    image_height: int = 0
    progress: Callable[..., None] = field(default=lambda stage, done=0, total=0: None, repr=False)
    """Call it with a stage ("weights", "tokenizer", …), what is done, and the total."""

    def refuse(self, *names: str) -> None:
        """Raises an Error of kind UNSUPPORTED if one of the named fields asks for something.
        For what an adapter cannot do: "activation", "feature_layer", "image_width"."""
        for name in names:
            value = getattr(self, name)
            if value is not None and value != type(value)():
                raise Error(Kind.UNSUPPORTED, f"{name} {value!r} is asked for, in place of the checkpoint's own; this adapter cannot do that",
                            f"leave {name} out", field=name)


@dataclass
class LossRequest:
    """Asks for losses. What it holds is valid during the call alone."""

    prompts: Optional[Array]  #: float32[M, Q, D], read-only; None where there are none, or none has a row
    examples: List[Example]
    gradient: bool = False  #: asks for the gradient by the prompts

    @property
    def rows(self) -> int:
        """Q: rows of each soft prompt, 0 where there are none."""
        return 0 if self.prompts is None else int(self.prompts.shape[1])


@dataclass
class LossResponse:
    """Losses, and their gradient where it is asked for."""

    loss: Any  #: [B] sum of −log p over the target's tokens, in nats
    tokens: Any  #: [B] number of these tokens, the end included
    gradient: Optional[Array] = None  #: float32[M, Q, D], ∂(Σ loss)/∂prompts


class EarlyStopping(enum.IntEnum):
    """transformers' early_stopping: False, True, "never"."""

    FALSE = 0
    TRUE = 1
    NEVER = 2

    @property
    def transformers(self) -> Any:
        """The value that transformers takes."""
        return (False, True, "never")[self]


@dataclass
class GenerateOptions:
    """Options with transformers' names and meaning; here with their defaults filled in."""

    max_new_tokens: int = 20
    min_new_tokens: int = 0
    num_beams: int = 1
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = EarlyStopping.FALSE
    repetition_penalty: float = 1.0
    sample: bool = False
    temperature: float = 1.0
    top_k: int = 0  #: 0: no limit
    top_p: float = 1.0
    seed: int = 0

    def transformers(self) -> Dict[str, Any]:
        """Returns the options as transformers' GenerationConfig takes them."""
        out: Dict[str, Any] = {name: getattr(self, name) for name in ("max_new_tokens", "min_new_tokens", "num_beams", "repetition_penalty")}
        out["do_sample"] = self.sample
        if self.num_beams > 1:
            out.update(length_penalty=self.length_penalty, early_stopping=self.early_stopping.transformers)
        if self.sample:
            out.update(temperature=self.temperature, top_k=self.top_k, top_p=self.top_p)
        return out

    def refuse(self, *names: str) -> None:
        """Raises an Error of kind UNSUPPORTED if one of the named options is not at its
        default. For models that do not have them: none may be ignored."""
        defaults = GenerateOptions()
        sampling = ("temperature", "top_k", "top_p", "seed")
        for name in names:
            value = getattr(self, name)
            if value != getattr(defaults, name) and (self.sample or name not in sampling):
                raise Error(Kind.UNSUPPORTED, f"{name} is {value}, which this model does not have", "leave the option out",
                            field=f"options.{name}")


@dataclass
class GenerateRequest:
    """Asks for text. What it holds is valid during the call alone."""

    prompts: Optional[Array]  #: float32[M, Q, D], as in LossRequest
    examples: List[Example]
    options: GenerateOptions = field(default_factory=GenerateOptions)

    @property
    def rows(self) -> int:
        """Q: rows of each soft prompt, 0 where there are none."""
        return 0 if self.prompts is None else int(self.prompts.shape[1])


@dataclass
class GenerateResponse:
    """Answers."""

    texts: Sequence[str]  #: [B] without special tokens, outer white space trimmed
    tokens: Any  #: [B] number of generated tokens, the end included


@dataclass
class ScoreRequest:
    """Asks for Σ log p of candidates. What it holds is valid during the call alone."""

    prompts: Optional[Array]  #: float32[M, Q, D], as in LossRequest
    examples: List[Example]
    candidates: List[List[str]]  #: per example, all of one length C


@dataclass
class EmbedTokensResponse:
    """Token embeddings."""

    surfaces: Sequence[str]  #: [T] the text that a token stands for, a leading space where it starts a word
    embeddings: Array  #: float32[T, D], as soft prompts would enter the model
    counts: Any = ()  #: [texts] rows of each text; empty for the whole vocabulary


@dataclass
class EncodeRequest:
    """Asks for features. What it holds is valid during the call alone."""

    images: Array  #: uint8[B, H, W, 3], RGB, read-only, of the spec's size; the encoder normalises


@dataclass
class LanguageSpec:
    """What a language model says of itself."""

    id: str
    family: str
    width: int  #: D of the soft prompts
    parameters: int
    digest: str  #: "sha256:…" over the weights: see checkpoint.digest
    architecture: str  #: "decoder-only" or "encoder-decoder"
    vocabulary: int  #: rows of the token embedding
    token_norm: float  #: mean L2 norm of the token embeddings: soft prompts start near it
    end_of_answer: str  #: what ends an answer, for people: "\\n", "</s>"
    context_tokens: int = 0  #: the longest sequence, prompts included; 0 if unbounded
    dtype: DType = DType.FLOAT32  #: of the computation
    memory_bytes: int = 0
    backend: str = ""  #: what computes, for people: "torch cpu"
    source: str = ""  #: where the weights came from, for people
    capabilities: Optional[Sequence[str]] = None
    """None: "gradient", and "score", "embed-tokens" and "count-tokens" for each of these
    methods that the class overrides. A model that gives no gradient lists what it can."""


@dataclass
class ImageSpec:
    """How the host prepares pictures."""

    width: int
    height: int
    resample: str = "bicubic"  #: "bicubic", "bilinear", "nearest"
    mode: str = "squash"  #: "squash" or "shortest-edge-crop"
    mean: Tuple[float, float, float] = (0.0, 0.0, 0.0)  #: applied by the encoder to pixel/255
    std: Tuple[float, float, float] = (1.0, 1.0, 1.0)
    shortest_edge: int = 0  #: of "shortest-edge-crop", before the cut; 0: the larger of width and height


@dataclass
class VisionSpec:
    """What a vision encoder says of itself."""

    id: str
    family: str
    width: int  #: D of the features
    parameters: int
    digest: str
    tokens: int  #: N: features of a picture, the class token included
    image: ImageSpec
    layer: int = -1  #: hidden state that is returned, as transformers indexes hidden_states
    patch: int = 0  #: pixels a side; 0 where pictures are not cut into patches
    dtype: DType = DType.FLOAT32
    memory_bytes: int = 0
    backend: str = ""
    source: str = ""


class Context:
    """One call on its way through the model.

    A long computation asks now and then whether the host still wants its result::

        context.check()          # raises, and the SDK does the rest
        if context.cancelled: …  # or asks
    """

    def __init__(self, allocate: Optional[Callable[[Sequence[int], Any], Array]] = None) -> None:
        self._gone = threading.Event()
        self._allocate = allocate
        self.log = logging.getLogger("bridge_plugin")

    @property
    def cancelled(self) -> bool:
        """Whether the host has given the call up."""
        return self._gone.is_set()

    def check(self) -> None:
        """Raises the Error that ends a call that was given up."""
        if self.cancelled:
            raise canceled()

    def wait(self, seconds: float) -> None:
        """Sleeps; raises at once when the host gives the call up."""
        self._gone.wait(seconds)
        self.check()

    def empty(self, shape: Sequence[int], dtype: Any = np.float32) -> Array:
        """Returns an array for the answer, in shared memory where there is room: what is
        written to it needs no copy. Otherwise it is an array like any other.

        ``dtype`` is a DType or one of numpy's: FLOAT32, BFLOAT16 (an array of ``uint16``
        for the bits, which ``to_bfloat16`` makes), INT32, UINT8. Another one is an Error of
        kind INVALID."""
        own = numpy_type(dtype)
        if self._allocate is not None:
            return self._allocate(shape, own)
        return np.empty(tuple(shape), own)

    def cancel(self) -> None:
        """Gives the call up, as the host does; tests of an adapter use it."""
        self._gone.set()


Emit = Callable[[int, str], None]


class Model(abc.ABC):
    """What both kinds of model have in common."""

    #: Whether calls may run at the same time, each in its own thread. Otherwise the SDK
    #: lets one in after the other.
    concurrent = False

    #: Whether load needs a checkpoint folder. A plugin that brings its model says False.
    needs_checkpoint = True

    @abc.abstractmethod
    def load(self, request: LoadRequest) -> Any:
        """Opens the model and returns its spec. Called once, before anything else."""

    def close(self) -> None:
        """Frees the model; nothing is called afterwards."""


class LanguageModel(Model):
    """A frozen language model that reads soft prompts beside text.

    A plugin's subclass overrides load, loss and generate, and what it can of score,
    embed_tokens and count_tokens. Requests were checked against the spec before a
    method is called; responses are checked after it.
    """

    @abc.abstractmethod
    def load(self, request: LoadRequest) -> LanguageSpec:
        """Opens the model and returns its spec."""

    @abc.abstractmethod
    def loss(self, request: LossRequest, context: Context) -> LossResponse:
        """Scores each example's target, and gives the gradient if it is asked for."""

    @abc.abstractmethod
    def generate(self, request: GenerateRequest, context: Context, emit: Emit) -> GenerateResponse:
        """Continues each example. ``emit(example, text)`` streams a piece of an answer: the
        pieces of an answer, trimmed, are its text. It raises when the host has gone."""

    def score(self, request: ScoreRequest, context: Context) -> Array:
        """Returns float32[B, C]: Σ log p over each candidate's tokens, the end included."""
        raise NotImplementedError

    def embed_tokens(self, texts: Sequence[str], context: Context) -> EmbedTokensResponse:
        """Returns the embeddings of the texts' tokens, each text on its own and without
        special tokens; of the whole vocabulary (every token that stands for plain text)
        where there are no texts."""
        raise NotImplementedError

    def count_tokens(self, texts: Sequence[str], context: Context) -> Sequence[int]:
        """Returns how many tokens each text takes, without special tokens."""
        raise NotImplementedError


def score_by_loss(model: LanguageModel, request: ScoreRequest, context: Context) -> Array:
    """Does what LanguageModel.score shall do with the model's loss."""
    asked = [Example(e.segments, candidate) for e, candidates in zip(request.examples, request.candidates) for candidate in candidates]
    losses = model.loss(LossRequest(request.prompts, asked), context).loss
    return -np.asarray(losses, np.float32).reshape(len(request.examples), -1)


class VisionEncoder(Model):
    """A frozen vision encoder."""

    @abc.abstractmethod
    def load(self, request: LoadRequest) -> VisionSpec:
        """Opens the model and returns its spec."""

    @abc.abstractmethod
    def encode(self, request: EncodeRequest, context: Context) -> Array:
        """Returns float32[B, N, D], or bfloat16 as the bits in uint16. The same picture has
        the same features in every batch."""
