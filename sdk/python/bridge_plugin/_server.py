"""The gRPC services of a plugin."""

from __future__ import annotations

import copy
import logging
import os
import queue
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Set, Union

import grpc
import numpy as np

from . import _checks, contract
from . import _messages as pb
from ._arenas import Arenas, Calls, Lease
from ._failures import failure, print_traceback
from ._process import TRACE
from ._transport import Inbound, Outbound
from ._wire import Field, Message, decode, describe, encode
from .contract import Context, Example, GenerateOptions, LanguageModel, LanguageSpec, Model, Segment, TokenLogProb, VisionEncoder, VisionSpec
from .errors import Error, Kind, ProtocolError, canceled
from .tensors import Array, DType, to_float32

log = logging.getLogger("bridge_plugin")

MAX_MESSAGE_BYTES = 16 << 20
GIVE_UP = 1.0  # seconds for running calls and the model to end at a shutdown

OPS = {"Encode": "encode", "Loss": "loss", "Generate": "generate", "Score": "score",
       "EmbedTokens": "embed tokens", "CountTokens": "count tokens"}


@dataclass(eq=False)
class Empty(Message):
    pass


@dataclass(eq=False)
class HealthCheckRequest(Message):
    service: str = ""


@dataclass(eq=False)
class HealthCheckResponse(Message):
    status: int = 0


describe(HealthCheckRequest, [Field(1, "service", "string")])
describe(HealthCheckResponse, [Field(1, "status", "int32")])


class Call:
    """One running RPC."""

    def __init__(self, service: Service, messages: Iterator[bytes], rpc: grpc.ServicerContext):
        self._messages = messages
        self.request: Any = None
        self.lease: Optional[Lease] = None
        self.service = service
        self.context = Context(self._allocate)
        if not rpc.add_callback(self.context.cancel):
            self.context.cancel()
        service.contexts.add(self.context)

    def _allocate(self, shape: Any, dtype: Any) -> Array:
        return self.lease.allocate(shape, dtype) if self.lease else np.empty(tuple(shape), dtype)

    def begin(self, part: str) -> None:
        """Reads the call's first message."""
        try:
            first = decode(pb.Call, next(self._messages))
        except StopIteration:
            raise ProtocolError("the call has no request") from None
        self.request = getattr(first, part)
        if self.request is None:
            raise ProtocolError(f"got {first.which('part')}, want {part}")
        if first.lease is not None and self.service.arenas is not None:
            lease = Lease(self.service.arenas, first.lease)
            self.service.calls.enter(lease.generation)
            self.lease = lease
        self.inbound, self.outbound = Inbound(self.lease), Outbound(self.lease)

    def finish(self, last: bool = True) -> None:
        """Receives the request's tensors, which are the host's last messages if last is set."""
        self.inbound.receive((decode(pb.Call, message).chunk for message in self._messages), last)

    def receive_cancelled(self) -> None:
        """Receives Cancel messages in a thread, until the call ends."""
        self.context.cancel_examples(self.request.canceled)

        def work() -> None:
            try:
                for message in self._messages:
                    cancel = decode(pb.Call, message).cancel
                    if cancel is not None:
                        self.context.cancel_examples(cancel.examples)
            except Exception:  # gRPC's way to say that the call is over
                return

        threading.Thread(target=work, daemon=True).start()

    def inputs(self, last: bool = True) -> Dict[str, Any]:
        """Receives the common inputs of Loss, Generate and Score."""
        prompts = self.inbound.accept("prompts", self.request.prompts)
        self.finish(last)
        if prompts is not None and prompts.dtype == DType.BFLOAT16.numpy:
            prompts = to_float32(prompts)
        examples = [Example(tuple(Segment(prompt=s.prompt) if s.prompt is not None else Segment(s.text or "") for s in e.segments), e.target)
                    for e in self.request.examples]
        return {"prompts": prompts, "examples": examples}

    def leave(self) -> None:
        """Gives back the lent memory."""
        if self.lease is not None:
            self.service.calls.leave(self.lease.generation)
        self.service.contexts.discard(self.context)


class Service:
    """Serves the RPCs of the process's one model."""

    def __init__(self, make: Callable[[], Model], name: str, version: str, arenas: Optional[Arenas] = None, again: bool = False):
        self.make, self.name, self.version, self.arenas = make, name, version, arenas
        self.again = again  # Load may come again: one bridge after another attaches
        self.calls = Calls()
        self.contexts: Set[Context] = set()
        self.stop = threading.Event()
        self.model: Optional[Model] = None
        self.spec: Any = None
        self.can: List[str] = []
        self._loading = False
        self._state = threading.Lock()
        self._turn = threading.Lock()

    # Load

    def load(self, request: pb.LoadRequest, rpc: grpc.ServicerContext) -> Iterator[pb.LoadEvent]:
        """Opens the model, and yields hello, progress and the spec."""
        capabilities = ["arenas"] if self.arenas is not None else []
        yield pb.LoadEvent(hello=pb.Hello(name=self.name, version=self.version, capabilities=capabilities))
        gone = threading.Event()
        if not rpc.add_callback(gone.set):
            return
        yield from _streamed(lambda send: self._open(request, send, gone), gone)

    def _open(self, w: pb.LoadRequest, send: Callable[[pb.LoadEvent], None], gone: threading.Event) -> Iterator[pb.LoadEvent]:
        def progress(stage: str, done: int = 0, total: int = 0) -> None:
            if gone.is_set():
                raise canceled()
            send(pb.LoadEvent(progress=pb.Progress(stage=stage, done=int(done), total=int(total))))

        try:
            with self._state:
                if self._loading and not self.again:
                    raise _checks.invalid("load was called a second time; a plugin process holds one model")
                self._loading = True
            request = contract.LoadRequest(
                id=w.id, checkpoint=w.checkpoint, backend=w.backend, dtype=DType(w.dtype) if w.dtype <= 4 else DType.INVALID,
                family=w.family, feature_layer=w.feature_layer, activation=w.activation,
                image_width=w.image_width, image_height=w.image_height, progress=progress)
            self._wait_for_calls()
            self.close()
            model = self.make()
            if model.needs_checkpoint and not os.path.exists(request.checkpoint):
                raise Error(Kind.NOT_FOUND, f"the checkpoint folder {request.checkpoint!r} does not exist",
                            "set path, next to plugin, to the model's folder", field="checkpoint")
            spec = model.load(request)
            wire, can = _spec_to_wire(model, spec)
            self.model, self.spec, self.can = model, spec, can
            yield pb.LoadEvent(spec=wire)
        except BaseException as err:  # noqa: B036 an adapter may call sys.exit
            yield pb.LoadEvent(failure=failure("load", err, loading=True))

    def _wait_for_calls(self) -> None:
        """Waits until the calls of a bridge that was attached before have ended."""
        deadline = time.monotonic() + 2
        while self.contexts:
            if time.monotonic() > deadline:
                raise _checks.invalid("another bridge is attached and has running calls; a plugin process holds one model")
            time.sleep(0.02)

    def close(self) -> None:
        """Frees the model."""
        model, self.model = self.model, None
        if model is not None:
            model.close()

    # Calls

    def handler(self, rpc: str) -> Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[pb.Reply]]:
        """Returns the body of one of the streaming RPCs."""
        op = OPS[rpc]
        part = op.replace(" ", "_")
        answer = getattr(self, "_" + part)

        def run(call: Call, send: Callable[[pb.Reply], None]) -> Iterator[pb.Reply]:
            began = time.monotonic()
            try:
                call.begin(part)
                reply = pb.Reply(**{part: answer(call, send)})
            except BaseException as err:  # noqa: B036
                reply = pb.Reply(failure=failure(op, err))
            finally:
                call.leave()
            log.log(TRACE, "%s took %.1f ms%s", rpc, 1e3 * (time.monotonic() - began), " and failed" if reply.failure else "")
            yield reply
            if reply.failure is None:
                yield from (pb.Reply(chunk=chunk) for chunk in call.outbound.chunks())

        def handle(messages: Iterator[bytes], rpc_context: grpc.ServicerContext) -> Iterator[pb.Reply]:
            call = Call(self, messages, rpc_context)
            if rpc == "Generate":
                return _streamed(lambda send: run(call, send), call.context._gone)
            return run(call, lambda _: None)

        return handle

    def _take_turn(self, context: Context) -> _Turn:
        return _Turn(self._turn if self.model is not None and not self.model.concurrent else None, context)

    def _language(self) -> LanguageModel:
        if not isinstance(self.model, LanguageModel):
            raise _checks.invalid("no language model is loaded")
        return self.model

    def _with(self, capability: str) -> LanguageModel:
        model = self._language()
        if capability not in self.can:
            can = " ".join(f'"{c}"' for c in self.can)
            raise Error(Kind.UNSUPPORTED, f'{self.spec.id} lacks the capability "{capability}", it has [{can}]')
        return model

    def _loss(self, call: Call, _: Any) -> pb.LossResponse:
        request = contract.LossRequest(gradient=call.request.gradient, **call.inputs())
        model = self._language()
        _checks.loss_request(self.spec, self.can, request)
        asked = _without_empty_prompts(request)
        with self._take_turn(call.context):
            response = model.loss(asked, call.context)
        if asked is not request and request.gradient and isinstance(response, contract.LossResponse):
            response.gradient = np.zeros_like(request.prompts)
        _checks.loss_response(request, response)
        gradient = call.outbound.announce(response.gradient) if request.gradient else None
        return pb.LossResponse(loss=[float(x) for x in response.loss], tokens=[int(n) for n in response.tokens], gradient=gradient)

    def _generate(self, call: Call, send: Callable[[pb.Reply], None]) -> pb.GenerateResponse:
        w = call.request
        inputs = call.inputs(last=not w.cancelable)
        model = self._language()
        rows = [_options(o, f"rows[{i}]") for i, o in enumerate(w.rows)] or None
        request = contract.GenerateRequest(options=_options(w.options or pb.GenerateOptions()), row_options=rows, **inputs)
        _checks.generate_request(self.spec, self.can, request, w.cancelable)
        if w.cancelable:
            call.receive_cancelled()

        def emit(example: int, text: str, log_probs: Sequence[TokenLogProb] = ()) -> None:
            call.context.check()
            if not 0 <= example < len(request.examples):
                raise _checks.broken(f"got a piece of example {example}, the request has {len(request.examples)}")
            if text or log_probs:
                send(pb.Reply(piece=pb.Piece(example=example, text=text, log_probs=_log_probs(log_probs))))

        with self._take_turn(call.context):
            response = model.generate(_without_empty_prompts(request), call.context, emit)
        _checks.generate_response(request, response)
        return pb.GenerateResponse(
            texts=[str(t) for t in response.texts], tokens=[int(n) for n in response.tokens], input_tokens=[int(n) for n in response.input_tokens],
            finish=[int(f) for f in response.finish], log_probs=[pb.TokenLogProbs(tokens=_log_probs(row)) for row in response.log_probs])

    def _score(self, call: Call, _: Any) -> pb.ScoreResponse:
        inputs = call.inputs()
        model = self._with("score")
        request = contract.ScoreRequest(candidates=[list(c.texts) for c in call.request.candidates], **inputs)
        _checks.score_request(self.spec, request)
        with self._take_turn(call.context):
            scores = model.score(_without_empty_prompts(request), call.context)
        _checks.score_response(request, scores)
        return pb.ScoreResponse(scores=call.outbound.announce(scores))

    def _embed_tokens(self, call: Call, _: Any) -> pb.EmbedTokensResponse:
        call.finish()
        model = self._with("embed-tokens")
        texts = list(call.request.texts)
        with self._take_turn(call.context):
            response = model.embed_tokens(texts, call.context)
        _checks.embed_tokens_response(self.spec, texts, response)
        return pb.EmbedTokensResponse(surfaces=list(response.surfaces), counts=[int(n) for n in response.counts],
                                      embeddings=call.outbound.announce(response.embeddings))

    def _count_tokens(self, call: Call, _: Any) -> pb.CountTokensResponse:
        call.finish()
        model = self._with("count-tokens")
        texts = list(call.request.texts)
        with self._take_turn(call.context):
            counts = model.count_tokens(texts, call.context)
        _checks.counts(texts, counts)
        return pb.CountTokensResponse(counts=[int(n) for n in counts])

    def _encode(self, call: Call, _: Any) -> pb.EncodeResponse:
        images = call.inbound.accept("images", call.request.images)
        call.finish()
        if not isinstance(self.model, VisionEncoder):
            raise _checks.invalid("no vision encoder is loaded")
        request = contract.EncodeRequest(images)
        _checks.encode_request(self.spec, request)
        with self._take_turn(call.context):
            features = self.model.encode(request, call.context)
        _checks.encode_response(self.spec, request, features)
        return pb.EncodeResponse(features=call.outbound.announce(features))

    # Other RPCs

    def settle(self, request: pb.SettleRequest, rpc: grpc.ServicerContext) -> pb.SettleResponse:
        """Waits until the plugin has left the calls that the host gave up."""
        self.calls.settle(request.generations, rpc.is_active)
        return pb.SettleResponse()

    def shutdown(self, _: Empty, __: grpc.ServicerContext) -> Empty:
        """Ends the plugin, as go-plugin requests it."""
        self.stop.set()
        return Empty()

    @staticmethod
    def health(request: HealthCheckRequest, rpc: grpc.ServicerContext) -> HealthCheckResponse:
        """Answers gRPC's health check, which go-plugin uses as a ping."""
        if request.service not in ("", "plugin"):
            rpc.abort(grpc.StatusCode.NOT_FOUND, f"unknown service {request.service!r}")
        return HealthCheckResponse(status=1)  # SERVING

    def register(self, server: grpc.Server) -> None:
        """Adds all services to a gRPC server."""
        methods: Dict[str, Any] = {}
        for name, request, _response, asks, answers in pb.ADAPTER:
            if asks:
                methods[name] = grpc.stream_stream_rpc_method_handler(self.handler(name), None, encode)
            elif answers:
                methods[name] = grpc.unary_stream_rpc_method_handler(self.load, _reader(request), encode)
            else:
                methods[name] = grpc.unary_unary_rpc_method_handler(self.settle, _reader(request), encode)
        server.add_generic_rpc_handlers((
            grpc.method_handlers_generic_handler(pb.PACKAGE + ".Adapter", methods),
            grpc.method_handlers_generic_handler("plugin.GRPCController", {
                "Shutdown": grpc.unary_unary_rpc_method_handler(self.shutdown, _reader(Empty), encode)}),
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", {
                "Check": grpc.unary_unary_rpc_method_handler(self.health, _reader(HealthCheckRequest), encode)}),
        ))

    def end(self) -> None:
        """Cancels the running calls, waits briefly for them, and frees the model."""
        deadline = time.monotonic() + GIVE_UP
        while self.contexts and time.monotonic() < deadline:
            for context in list(self.contexts):
                context.cancel()
            time.sleep(0.01)
        closing = threading.Thread(target=self._close_quietly, daemon=True)
        closing.start()
        closing.join(max(0.3, deadline - time.monotonic()))

    def _close_quietly(self) -> None:
        try:
            self.close()
        except BaseException as err:  # noqa: B036
            print_traceback(err)


def _reader(cls: Any) -> Callable[[bytes], Any]:
    return lambda data: decode(cls, data)


class _Turn:
    """Runs one call after another; a call that was given up stops waiting."""

    def __init__(self, lock: Optional[threading.Lock], context: Context):
        self._lock, self._context = lock, context

    def __enter__(self) -> None:
        self._context.check()
        while self._lock is not None and not self._lock.acquire(timeout=0.05):
            self._context.check()

    def __exit__(self, *_: Any) -> None:
        if self._lock is not None:
            self._lock.release()


_End = object()


def _streamed(run: Callable[[Callable[[Any], None]], Iterator[Any]], gone: threading.Event) -> Iterator[Any]:
    """Yields the messages that run sends while it works, and then those that it yields.

    gRPC takes messages from a generator, but models pass them to a callback, so run works
    in a separate thread. If the host has gone, sent messages are discarded."""
    messages: queue.Queue[Any] = queue.Queue(maxsize=64)

    def send(message: Any) -> None:
        while True:
            try:
                return messages.put(message, timeout=0.1)
            except queue.Full:
                if gone.is_set():
                    return

    def work() -> None:
        try:
            for message in run(send):
                send(message)
        finally:
            send(_End)

    threading.Thread(target=work, daemon=True).start()
    while True:
        message = messages.get()
        if message is _End:
            return
        yield message


def _without_empty_prompts(request: Any) -> Any:
    """Removes soft prompts without rows, and the request for their gradient."""
    if request.prompts is None or request.prompts.size:
        return request
    asked = copy.copy(request)
    asked.prompts = None
    if isinstance(asked, contract.LossRequest):
        asked.gradient = False
    return asked


def _log_probs(tokens: Sequence[TokenLogProb]) -> List[pb.TokenLogProb]:
    return [pb.TokenLogProb(text=t.text, data=t.data, log_prob=float(t.log_prob), top=_log_probs(t.top)) for t in tokens]


def _options(w: pb.GenerateOptions, field: str = "options") -> GenerateOptions:
    """Checks the options and replaces zeros by defaults."""
    early: Any = w.early_stopping
    o = GenerateOptions(
        max_new_tokens=w.max_new_tokens, min_new_tokens=w.min_new_tokens, num_beams=w.num_beams,
        length_penalty=1.0 if w.length_penalty is None else w.length_penalty, early_stopping=early,
        repetition_penalty=w.repetition_penalty, sample=w.sample, temperature=w.temperature, top_k=w.top_k, top_p=w.top_p, seed=w.seed,
        copy=w.copy, stop=tuple(w.stop), log_probs=w.log_probs, top_log_probs=w.top_log_probs)
    _checks.options(o, field)
    o.early_stopping = contract.EarlyStopping(early)
    o.max_new_tokens, o.num_beams = o.max_new_tokens or 20, o.num_beams or 1
    o.repetition_penalty, o.temperature, o.top_p = o.repetition_penalty or 1.0, o.temperature or 1.0, o.top_p or 1.0
    if o.sample and o.num_beams > 1:
        raise Error(Kind.UNSUPPORTED, f"sampling together with {o.num_beams} beams", "sample, or search with beams", field=f"{field}.sample")
    if o.min_new_tokens > o.max_new_tokens:
        raise _checks.invalid(f"min_new_tokens is {o.min_new_tokens}, want at most max_new_tokens ({o.max_new_tokens})", f"{field}.min_new_tokens")
    return o


def _spec_to_wire(model: Model, spec: Union[LanguageSpec, VisionSpec]) -> Any:
    """Returns the spec's message and the model's capabilities."""
    if not isinstance(spec, (LanguageSpec, VisionSpec)):
        raise _checks.broken(f"load returned {type(spec).__name__}, want a LanguageSpec or a VisionSpec")
    w = pb.ModelSpec(
        id=spec.id, family=spec.family, width=int(spec.width), dtype=int(spec.dtype), parameters=int(spec.parameters),
        memory_bytes=int(spec.memory_bytes), digest=spec.digest, backend=spec.backend, source=spec.source)
    if isinstance(model, VisionEncoder) and isinstance(spec, VisionSpec):
        i = spec.image
        w.kind = "vision-encoder"
        w.vision = pb.VisionPart(
            tokens=int(spec.tokens), image_width=int(i.width), image_height=int(i.height), resample=i.resample, mode=i.mode,
            mean=[float(x) for x in i.mean], std=[float(x) for x in i.std], layer=int(spec.layer),
            shortest_edge=int(i.shortest_edge), patch=int(spec.patch))
        return w, []
    if isinstance(model, LanguageModel) and isinstance(spec, LanguageSpec):
        w.kind, w.capabilities = "language-model", _checks.capabilities(model, spec)
        w.language = pb.LanguagePart(
            architecture=spec.architecture, context_tokens=int(spec.context_tokens), vocabulary=int(spec.vocabulary),
            token_norm=float(spec.token_norm), end_of_answer=spec.end_of_answer)
        return w, w.capabilities
    raise _checks.broken(f"{type(model).__name__} returned a {type(spec).__name__}")
