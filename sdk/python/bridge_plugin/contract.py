"""The contract between bridge and a frozen model, and the two classes that an author subclasses.

bridge's docs/contract.md has the exact rules. Axes: B batch, N patches, Q queries,
T tokens, D width, M prompts, C candidates.
"""

from __future__ import annotations

import abc
import enum
import logging
import threading
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, Optional, Sequence, Tuple

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
    """An input and the target that should follow it. Strings are used as given."""

    segments: Tuple[Segment, ...]
    target: str = ""


@dataclass
class LoadRequest:
    """The model to open, and how to compute it."""

    id: str = ""  #: for the spec; empty: the folder's name
    checkpoint: str = ""  #: an absolute path; empty if the plugin brings its model
    backend: str = ""  #: "auto", "go", "xla:cpu", …: a plugin may ignore those that it does not know
    dtype: DType = DType.INVALID  #: of the computation; INVALID leaves it to the adapter
    family: str = ""  #: if the plugin serves several
    feature_layer: Optional[int] = None  #: as transformers indexes hidden_states; None: the adapter chooses
    activation: str = ""  #: replaces the checkpoint's; refuse those that you cannot compute
    image_width: int = 0  #: size of a vision encoder's pictures; 0: the checkpoint's own
    image_height: int = 0
    progress: Callable[..., None] = field(default=lambda stage, done=0, total=0: None, repr=False)
    """Call it with a stage ("weights", "tokenizer", …), the amount done, and the total."""

    def refuse(self, *names: str) -> None:
        """Raises an Error of kind UNSUPPORTED if one of the named fields is set. Name the
        fields that the adapter does not support: "activation", "feature_layer", "image_width"."""
        for name in names:
            value = getattr(self, name)
            if value is not None and value != type(value)():
                raise Error(Kind.UNSUPPORTED, f"{name} is {value!r} instead of the checkpoint's own, which this adapter does not support",
                            f"leave {name} out", field=name)


@dataclass
class LossRequest:
    """Requests losses. Its contents are valid only during the call."""

    prompts: Optional[Array]  #: float32[M, Q, D], read-only; None if there are none, or if they have no rows
    examples: List[Example]
    gradient: bool = False  #: requests the gradient with respect to the prompts

    @property
    def rows(self) -> int:
        """Q: rows of each soft prompt, 0 if there are none."""
        return 0 if self.prompts is None else int(self.prompts.shape[1])


@dataclass
class LossResponse:
    """Losses, and their gradient if the request has gradient set."""

    loss: Any  #: [B] sum of −log p over the target's tokens, in nats
    tokens: Any  #: [B] number of these tokens, including the end
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
    copy: int = 0  #: which of several equal examples this is, in GenerateRequest.row_options
    stop: Tuple[str, ...] = ()  #: texts that end an answer ("stop-texts")
    log_probs: bool = False  #: requests the log-probabilities of the tokens ("log-probs")
    top_log_probs: int = 0  #: and those of so many most probable tokens beside each

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
        default. Use it for options that the model lacks: none may be ignored."""
        defaults = GenerateOptions()
        sampling = ("temperature", "top_k", "top_p", "seed")
        for name in names:
            value = getattr(self, name)
            if value != getattr(defaults, name) and (self.sample or name not in sampling):
                raise Error(Kind.UNSUPPORTED, f"{name} is {value}, which this model does not support", "leave the option out",
                            field=f"options.{name}")


@dataclass
class GenerateRequest:
    """Requests text. Its contents are valid only during the call."""

    prompts: Optional[Array]  #: float32[M, Q, D], as in LossRequest
    examples: List[Example]
    options: GenerateOptions = field(default_factory=GenerateOptions)
    row_options: Optional[List[GenerateOptions]] = None  #: [B] of each example, in place of options ("row-options")

    @property
    def rows(self) -> int:
        """Q: rows of each soft prompt, 0 if there are none."""
        return 0 if self.prompts is None else int(self.prompts.shape[1])

    def options_of(self, example: int) -> GenerateOptions:
        """Returns the options of one example."""
        return self.options if self.row_options is None else self.row_options[example]


@dataclass
class TokenLogProb:
    """A generated token, or one that was probable in its place."""

    text: str  #: of the token alone; empty for a special token
    log_prob: float  #: log-softmax of the model's logits, before penalties, temperature, top-k and top-p
    data: Optional[bytes] = None  #: the token's part of the answer's UTF-8; None if it is not known
    top: Sequence[TokenLogProb] = ()  #: the most probable tokens in its place, the most probable first


class FinishReason(enum.IntEnum):
    """The reason for the end of an answer."""

    UNKNOWN = 0
    END = 1  #: the end-of-answer token
    STOP = 2  #: a stop text
    LENGTH = 3  #: the maximal number of tokens
    CANCELED = 4  #: the host canceled this example


@dataclass
class GenerateResponse:
    """Answers."""

    texts: Sequence[str]  #: [B] without special tokens, outer white space trimmed
    tokens: Any  #: [B] number of generated tokens, including the end
    input_tokens: Any = ()  #: [B] positions of each input, rows of soft prompts included ("token-counts")
    finish: Sequence[FinishReason] = ()  #: [B], or empty
    log_probs: Sequence[Sequence[TokenLogProb]] = ()
    """[B][T] of each answer's tokens, without the end token and without tokens that begin at or
    after a stop text; empty for an example that does not request them."""


@dataclass
class ScoreRequest:
    """Requests Σ log p of candidates. Its contents are valid only during the call."""

    prompts: Optional[Array]  #: float32[M, Q, D], as in LossRequest
    examples: List[Example]
    candidates: List[List[str]]  #: one list for each example, all of the same length C


@dataclass
class EmbedTokensResponse:
    """Token embeddings."""

    surfaces: Sequence[str]  #: [T] the text that a token stands for, with a leading space if it starts a word
    embeddings: Array  #: float32[T, D], as soft prompts would enter the model
    counts: Any = ()  #: [texts] rows of each text; empty for the whole vocabulary


@dataclass
class EncodeRequest:
    """Requests features. Its contents are valid only during the call."""

    images: Array  #: uint8[B, H, W, 3], RGB, read-only, in the spec's size; the encoder normalises them


@dataclass
class LanguageSpec:
    """The description that a language model gives of itself."""

    id: str
    family: str
    width: int  #: D of the soft prompts
    parameters: int
    digest: str  #: "sha256:…" over the weights: see checkpoint.digest
    architecture: str  #: "decoder-only" or "encoder-decoder"
    vocabulary: int  #: rows of the token embedding
    token_norm: float  #: mean L2 norm of the token embeddings; soft prompts start near it
    end_of_answer: str  #: the token that ends an answer, for people: "\\n", "</s>"
    context_tokens: int = 0  #: length of the longest sequence, including prompts; 0 if unlimited
    dtype: DType = DType.FLOAT32  #: of the computation
    memory_bytes: int = 0
    backend: str = ""  #: the backend that computes, for people: "torch cpu"
    source: str = ""  #: where the weights came from, for people
    capabilities: Optional[Sequence[str]] = None
    """None: "gradient", and "score", "embed-tokens" and "count-tokens" if the class overrides
    these methods, and what the class names in ``generates``. A model without a gradient lists
    its capabilities here."""


@dataclass
class ImageSpec:
    """How the host prepares pictures."""

    width: int
    height: int
    resample: str = "bicubic"  #: "bicubic", "bilinear", "nearest"
    mode: str = "squash"  #: "squash" or "shortest-edge-crop"
    mean: Tuple[float, float, float] = (0.0, 0.0, 0.0)  #: applied by the encoder to pixel/255
    std: Tuple[float, float, float] = (1.0, 1.0, 1.0)
    shortest_edge: int = 0  #: for "shortest-edge-crop", before the crop; 0: the larger of width and height


@dataclass
class VisionSpec:
    """The description that a vision encoder gives of itself."""

    id: str
    family: str
    width: int  #: D of the features
    parameters: int
    digest: str
    tokens: int  #: N: features of a picture, including the class token
    image: ImageSpec
    layer: int = -1  #: the hidden state that is returned, as transformers indexes hidden_states
    patch: int = 0  #: pixels of each side; 0 if pictures are not cut into patches
    dtype: DType = DType.FLOAT32
    memory_bytes: int = 0
    backend: str = ""
    source: str = ""


class Context:
    """One running call.

    A long computation checks from time to time whether the host still needs its result::

        context.check()          # raises, and the SDK does the rest
        if context.cancelled: …  # returns a bool
    """

    def __init__(self, allocate: Optional[Callable[[Sequence[int], Any], Array]] = None) -> None:
        self._gone = threading.Event()
        self._cancelled: FrozenSet[int] = frozenset()
        self._allocate = allocate
        self.log = logging.getLogger("bridge_plugin")

    @property
    def cancelled(self) -> bool:
        """Whether the host has given up the call."""
        return self._gone.is_set()

    @property
    def cancelled_examples(self) -> FrozenSet[int]:
        """The examples of a generate request whose answers nobody wants any more. A model with
        the capability "cancel-rows" ends them where they are, and goes on with the others."""
        return self._cancelled

    def cancel_examples(self, examples: Iterable[int]) -> None:
        """Gives up examples, as the host does; tests of an adapter use it."""
        self._cancelled |= frozenset(examples)

    def check(self) -> None:
        """Raises the Error that ends the call, if the host has given it up."""
        if self.cancelled:
            raise canceled()

    def wait(self, seconds: float) -> None:
        """Sleeps; raises as soon as the host gives up the call."""
        self._gone.wait(seconds)
        self.check()

    def empty(self, shape: Sequence[int], dtype: Any = np.float32) -> Array:
        """Returns an array for the answer. If there is room, it is in shared memory and
        needs no copy. Otherwise it is an ordinary array.

        ``dtype`` is a DType or a numpy type: FLOAT32, BFLOAT16 (an array of ``uint16`` for
        the bits, as ``to_bfloat16`` returns them), INT32, UINT8. Any other type raises an
        Error of kind INVALID."""
        own = numpy_type(dtype)
        if self._allocate is not None:
            return self._allocate(shape, own)
        return np.empty(tuple(shape), own)

    def cancel(self) -> None:
        """Gives up the call, as the host does; tests of an adapter use it."""
        self._gone.set()


Emit = Callable[..., None]


class Model(abc.ABC):
    """The base class of both kinds of model."""

    #: Whether calls may run at the same time, each in its own thread. Otherwise the SDK
    #: runs one after another.
    concurrent = False

    #: Whether load needs a checkpoint folder. False if the plugin brings its model.
    needs_checkpoint = True

    @abc.abstractmethod
    def load(self, request: LoadRequest) -> Any:
        """Opens the model and returns its spec. Called once, before all other methods."""

    def close(self) -> None:
        """Frees the model; no method is called afterwards."""


class LanguageModel(Model):
    """A frozen language model that reads soft prompts and text.

    A plugin's subclass overrides load, loss and generate, and those of score, embed_tokens
    and count_tokens that the model supports. The SDK checks requests against the spec
    before it calls a method, and checks the response afterwards.
    """

    #: What generate supports beside the options of one request: "row-options", "cancel-rows",
    #: "stop-texts", "log-probs", "token-counts". The SDK refuses requests for the others.
    generates: Sequence[str] = ()

    @abc.abstractmethod
    def load(self, request: LoadRequest) -> LanguageSpec:
        """Opens the model and returns its spec."""

    @abc.abstractmethod
    def loss(self, request: LossRequest, context: Context) -> LossResponse:
        """Scores each example's target, and returns the gradient if the request has it set."""

    @abc.abstractmethod
    def generate(self, request: GenerateRequest, context: Context, emit: Emit) -> GenerateResponse:
        """Continues each example. ``emit(example, text)`` streams a piece of an answer. The
        pieces of an answer, joined and trimmed, are its text. ``emit(example, text, log_probs)``
        also gives the TokenLogProbs of the tokens that the piece completes. emit raises if the
        host has gone."""

    def score(self, request: ScoreRequest, context: Context) -> Array:
        """Returns float32[B, C]: Σ log p over each candidate's tokens, including the end."""
        raise NotImplementedError

    def embed_tokens(self, texts: Sequence[str], context: Context) -> EmbedTokensResponse:
        """Returns the embeddings of the texts' tokens. Each text is tokenized separately,
        without special tokens. If there are no texts, it returns those of the whole
        vocabulary (every token that stands for plain text)."""
        raise NotImplementedError

    def count_tokens(self, texts: Sequence[str], context: Context) -> Sequence[int]:
        """Returns the number of tokens of each text, without special tokens."""
        raise NotImplementedError


def score_by_loss(model: LanguageModel, request: ScoreRequest, context: Context) -> Array:
    """Implements LanguageModel.score with the model's loss."""
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
        """Returns float32[B, N, D], or bfloat16 as bits in uint16. A picture must have the
        same features in every batch."""
