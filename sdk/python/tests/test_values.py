"""Tests tensors, checks, options, checkpoint folders and arenas."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import unittest
from pathlib import Path

import numpy as np
from bridge_plugin import (Context, DType, EmbedTokensResponse, EncodeRequest, Error, Example, FinishReason, GenerateOptions, GenerateRequest,
                           GenerateResponse, ImageSpec, Kind, LanguageModel, LanguageSpec, LossRequest, LossResponse, ScoreRequest, Segment, VisionSpec,
                           checkpoint, stop, to_bfloat16, to_float32)
from bridge_plugin import _checks as checks
from bridge_plugin import _messages as pb
from bridge_plugin._arenas import Arenas, Calls, Lease
from bridge_plugin._server import _options
from bridge_plugin._transport import Inbound, Outbound
from bridge_plugin.errors import ProtocolError
from bridge_plugin.layout import seeds
from bridge_plugin.images import image_spec, normalize

SPEC = LanguageSpec(id="m", family="f", width=3, parameters=1, digest="d", architecture="decoder-only", vocabulary=9, token_norm=1.0, end_of_answer="e")


class BFloat16(unittest.TestCase):
    def test_rounds_to_nearest_even_and_back(self):
        values = np.array([0.0, -0.0, 1.0, 1.00390625, 1.01171875, 3.3895e38, np.inf, -np.inf, np.nan, 1e-40], np.float32)
        bits = to_bfloat16(values)
        self.assertEqual(bits.dtype, np.uint16)
        back = to_float32(bits)
        self.assertEqual(back[3], 1.0)  # ties go to even
        self.assertEqual(back[4], 1.015625)
        self.assertTrue(math.isnan(back[8]) and math.isinf(back[6]) and back[7] == -np.inf)
        self.assertTrue(np.signbit(back[1]))
        np.testing.assert_allclose(back[:5], values[:5], rtol=2**-8)
        self.assertIs(to_bfloat16(bits), bits)


class Checks(unittest.TestCase):
    def refused(self, kind, text, call, *args):
        with self.assertRaises(Error) as caught:
            call(*args)
        self.assertEqual(caught.exception.kind, kind)
        self.assertIn(text, str(caught.exception))
        return caught.exception

    def test_requests(self):
        text, soft = Example((Segment("a"),)), Example((Segment(prompt=1),))
        prompts = np.zeros((1, 2, 3), np.float32)
        can = ["gradient"]
        for text_, request in [
            ("the request has no examples", LossRequest(None, [])),
            ("example 0 has no segments", LossRequest(None, [Example(())])),
            ("example 1, segment 0 names soft prompt 1, the request has 1", LossRequest(prompts, [text, soft])),
            ("prompts is float32[1, 2, 4], want shape [-1, -1, 3] (-1 is any size)", LossRequest(np.zeros((1, 2, 4), np.float32), [text])),
            ("prompts is uint8[1, 2, 3], want dtype [float32 bfloat16]", LossRequest(np.zeros((1, 2, 3), np.uint8), [text])),
            ("a gradient by the soft prompts is asked for", LossRequest(None, [text], True)),
        ]:
            self.refused(Kind.INVALID, text_, checks.loss_request, SPEC, can, request)
        self.refused(Kind.UNSUPPORTED, "m gives no gradient", checks.loss_request, SPEC, [], LossRequest(prompts, [text], True))
        self.refused(Kind.INVALID, "example 1 has 1 candidates, example 0 has 2", checks.score_request, SPEC,
                     ScoreRequest(None, [text, text], [["a", "b"], ["a"]]))

    def test_responses(self):
        request = LossRequest(np.zeros((1, 2, 3), np.float32), [Example((Segment("a"),))], True)
        for text, response in [("response has 0 losses", LossResponse([], [])), ("gradient is missing", LossResponse([1], [1])),
                               ("gradient is float64[1, 2, 3], want dtype [float32]", LossResponse([1], [1], np.zeros((1, 2, 3))))]:
            self.refused(Kind.INTERNAL, text, checks.loss_response, request, response)
        vision = VisionSpec(id="v", family="f", width=4, parameters=1, digest="d", tokens=2, image=ImageSpec(8, 6))
        images = EncodeRequest(np.zeros((1, 6, 8, 3), np.uint8))
        checks.encode_request(vision, images)
        checks.encode_response(vision, images, np.zeros((1, 2, 4), np.uint16))
        self.refused(Kind.INTERNAL, "features is float32[1, 2, 5]", checks.encode_response, vision, images, np.zeros((1, 2, 5), np.float32))
        self.refused(Kind.INTERNAL, "1 counts for 2 texts", checks.embed_tokens_response, SPEC, ["a", "b"],
                     EmbedTokensResponse(["a"], np.zeros((1, 3), np.float32), [1]))

    def test_options(self):
        self.assertEqual(_options(pb.GenerateOptions()), GenerateOptions())
        self.assertEqual(GenerateOptions().transformers()["max_new_tokens"], 20)
        for text, options in [("temperature is nan", pb.GenerateOptions(temperature=math.nan)), ("length_penalty is inf", pb.GenerateOptions(length_penalty=math.inf)),
                              ("early_stopping is 7, want true, false or never", pb.GenerateOptions(early_stopping=7)),
                              ("top_p is 2.0", pb.GenerateOptions(top_p=2.0)), ("num_beams is -1", pb.GenerateOptions(num_beams=-1)),
                              ("min_new_tokens is 9, want at most max_new_tokens (3)", pb.GenerateOptions(min_new_tokens=9, max_new_tokens=3))]:
            self.refused(Kind.INVALID, text, _options, options)
        self.refused(Kind.UNSUPPORTED, "sampling together with 2 beams", _options, pb.GenerateOptions(sample=True, num_beams=2))
        with self.assertRaises(Error):
            GenerateOptions(num_beams=2).refuse("num_beams")
        GenerateOptions(temperature=2.0).refuse("temperature")  # has no effect without sampling

    def test_generate_requests(self):
        text = Example((Segment("a"),))
        every = ["row-options", "stop-texts", "log-probs", "cancel-rows"]

        def request(rows=None, **options):
            return GenerateRequest(None, [text, text], GenerateOptions(**options), rows)

        two = [GenerateOptions(), GenerateOptions(stop=(".",), log_probs=True, copy=1)]
        checks.generate_request(SPEC, every, request(two), True)
        checks.generate_request(SPEC, [], request(), False)
        for capability, asked, cancelable in [("row-options", request(two), False), ("stop-texts", request(stop=(".",)), False),
                                              ("log-probs", request(log_probs=True), False), ("cancel-rows", request(), True)]:
            without = [c for c in every if c != capability]
            refused = self.refused(Kind.UNSUPPORTED, f"(capability {capability})", checks.generate_request, SPEC, without, asked, cancelable)
            self.assertTrue(refused.remedy and refused.field)
        self.refused(Kind.INVALID, "rows has the options of 1 examples, the request has 2", checks.generate_request, SPEC, every, request(two[:1]), False)
        self.refused(Kind.INVALID, "copy is 3 in the options of all examples", checks.generate_request, SPEC, every, request(copy=3), False)
        self.refused(Kind.INTERNAL, "response has no log_probs, example 1 asks", checks.generate_response, request(two), GenerateResponse(["", ""], [1, 1]))
        self.refused(Kind.INTERNAL, "response has finish of 1 examples", checks.generate_response, request(), GenerateResponse(["", ""], [1, 1], finish=[FinishReason.END]))
        for text_, wire in [("copy is -1", pb.GenerateOptions(copy=-1)), ("a stop text is empty", pb.GenerateOptions(stop=["a", ""])),
                            ("top_log_probs is 21", pb.GenerateOptions(log_probs=True, top_log_probs=21)),
                            ("top_log_probs is 2 without log_probs", pb.GenerateOptions(top_log_probs=2))]:
            self.assertEqual(self.refused(Kind.INVALID, text_, _options, wire, "rows[3]").field.split(".")[0], "rows[3]")
        self.refused(Kind.UNSUPPORTED, "log_probs with num_beams 2", _options, pb.GenerateOptions(log_probs=True, num_beams=2))

    def test_stop_texts(self):
        for text, texts, before, found, held in [
            ("a cat", [], "a cat", False, "a cat"), ("a cat. A dog.", ["dog", "."], "a cat", True, "a cat. A dog."),
            ("a cat", ["cat and", "dog"], "a cat", False, "a "), ("aab", ["abab", "b!"], "aab", False, "a"), ("x", ["x"], "", True, "x"),
        ]:
            self.assertEqual(stop.cut(text, texts), (before, found))
            self.assertEqual(stop.hold_back(text, texts), held)

    def test_seeds_depend_on_the_copy(self):
        text = Example((Segment("a"),))
        rows = [GenerateOptions(seed=5, copy=n) for n in (0, 1, 0)]
        self.assertEqual(seeds([text, text], 5), seeds([text] * 3, 9, rows)[:2])
        self.assertEqual(seeds([text] * 3, 9, rows)[0], seeds([text] * 3, 9, rows)[2])

    def test_capabilities_follow_the_overridden_methods(self):
        class Plain(LanguageModel):
            def load(self, request): ...
            def loss(self, request, context): ...
            def generate(self, request, context, emit): ...

        class Scores(Plain):
            def score(self, request, context): ...

        self.assertEqual(checks.capabilities(Plain(), SPEC), ["gradient"])
        self.assertEqual(checks.capabilities(Scores(), SPEC), ["gradient", "score"])

        class Stops(Scores):
            generates = ("stop-texts",)

        self.assertEqual(checks.capabilities(Stops(), SPEC), ["gradient", "score", "stop-texts"])
        lying = LanguageSpec(**{**vars(SPEC), "capabilities": ["score"]})
        self.assertEqual(checks.capabilities(Scores(), lying), ["score"])
        self.refused(Kind.INTERNAL, 'names the capability "score", but Plain lacks', checks.capabilities, Plain(), lying)


class Checkpoint(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def tensors(self, name, **entries):
        header, data = {}, b""
        for key, (dtype, array) in entries.items():
            raw = array.tobytes()
            header[key] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
            data += raw
        text = json.dumps(header).encode()
        (self.folder / name).write_bytes(len(text).to_bytes(8, "little") + text + data)

    def test_digest(self):
        (self.folder / "config.json").write_text("{}")
        whole = checkpoint.digest(self.folder)
        self.assertEqual(whole, "sha256:" + hashlib.sha256(b"{}").hexdigest())
        self.tensors("b.safetensors", x=("F32", np.ones(2, np.float32)))
        one = checkpoint.digest(self.folder)
        self.assertEqual(one, "sha256:" + hashlib.sha256((self.folder / "b.safetensors").read_bytes()).hexdigest())
        self.tensors("a.safetensors", y=("F32", np.ones(2, np.float32)))
        self.assertNotEqual(checkpoint.digest(self.folder), one)

    def test_read_tensor(self):
        x, y = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1.5], np.float16)
        self.tensors("a.safetensors", x=("F32", x), y=("F16", y), z=("BF16", to_bfloat16(x)), i=("I64", np.ones(1, np.int64)))
        np.testing.assert_array_equal(checkpoint.read_tensor(self.folder, ["w", "x"]), x)
        np.testing.assert_array_equal(checkpoint.read_tensor(self.folder, ["z"]), x)
        self.assertEqual(checkpoint.read_tensor(self.folder, ["y"]), 1.5)
        for kind, name in ((Kind.NOT_FOUND, "w"), (Kind.UNSUPPORTED, "i")):
            with self.assertRaises(Error) as caught:
                checkpoint.read_tensor(self.folder, [name])
            self.assertEqual(caught.exception.kind, kind)
        (self.folder / "a.safetensors").write_bytes((1 << 40).to_bytes(8, "little"))
        with self.assertRaises(Error):
            checkpoint.read_tensor(self.folder, ["x"])

    def test_pictures(self):
        from bridge_plugin import LoadRequest

        request = LoadRequest(checkpoint=str(self.folder))
        self.assertEqual(image_spec(request, "clip_vision_model", 30).mode, "shortest-edge-crop")
        self.assertEqual(image_spec(request, "dinov2", 224).shortest_edge, 256)
        (self.folder / "preprocessor_config.json").write_text(json.dumps({
            "image_processor_type": "SiglipImageProcessorFast", "size": {"height": 20, "width": 30}, "resample": 2}))
        spec = image_spec(request, "siglip_vision_model", 16)
        self.assertEqual((spec.width, spec.height, spec.mode, spec.resample, spec.mean), (30, 20, "squash", "bilinear", (0.5, 0.5, 0.5)))
        self.assertEqual(normalize(np.full((1, 20, 30, 3), 255, np.uint8), spec)[0, 0, 0, 0], 1.0)
        for settings in ({"do_resize": False}, {"do_pad": True}, {"resample": 1}, {"image_processor_type": "ConvNextImageProcessor"},
                         {"size": {"shortest_edge": 8}, "crop_size": 9, "do_center_crop": True}, {"size": {"shortest_edge": 8, "longest_edge": 9}}):
            (self.folder / "preprocessor_config.json").write_text(json.dumps(settings))
            with self.assertRaises(Error, msg=str(settings)) as caught:
                image_spec(request, "clip_vision_model", 16)
            self.assertEqual(caught.exception.kind, Kind.UNSUPPORTED)


def arenas(inbound=4096, outbound=4096):
    a = Arenas(np.zeros(inbound, np.uint8), np.zeros(outbound, np.uint8))
    a.inbound.flags.writeable = False
    return a


class Leases(unittest.TestCase):
    def lease(self, a, offset=64, nbytes=1024, generation=5, slot=2):
        return Lease(a, pb.Lease(generation=generation, slot=slot, offset=offset, nbytes=nbytes))

    def test_requests_are_views(self):
        a = arenas()
        inbound = Inbound(self.lease(a))
        ref = pb.Tensor(dtype=3, shape=[2, 3], nbytes=24, handle=pb.Handle(arena=1, slot=2, generation=5, offset=128))
        array = inbound.accept("prompts", ref)
        inbound.receive(iter(()))
        self.assertTrue(np.shares_memory(array, a.inbound))
        self.assertFalse(array.flags.writeable)

    def test_false_handles(self):
        good = {"arena": 1, "slot": 2, "generation": 5, "offset": 128}
        for change in ({"arena": 2}, {"arena": 0}, {"slot": 3}, {"generation": 4}, {"offset": 100}, {"offset": 4096 - 16}, {"offset": 4096},
                       {"offset": 2**64 - 64}, {"offset": 2**32 - 64}):
            with self.assertRaises(ProtocolError, msg=str(change)):
                Inbound(self.lease(arenas())).accept("x", pb.Tensor(dtype=3, shape=[2, 3], nbytes=24, handle=pb.Handle(**{**good, **change})))
        for tensor in (pb.Tensor(dtype=3, shape=[2**32, 2**32], nbytes=0), pb.Tensor(dtype=9, shape=[1], nbytes=4), pb.Tensor(dtype=3, shape=[2], nbytes=4),
                       pb.Tensor(dtype=1, shape=[2**63], nbytes=2**63)):
            with self.assertRaises(ProtocolError, msg=str(tensor)):
                Inbound(None).accept("x", tensor)
        with self.assertRaises(ProtocolError):
            Inbound(None).accept("x", pb.Tensor(dtype=3, shape=[1], nbytes=4, handle=pb.Handle(arena=1)))
        for wrong in ({"generation": 0}, {"offset": 1}, {"offset": 4096}, {"nbytes": 4096}, {"offset": 2**64 - 64, "nbytes": 128}):
            with self.assertRaises(ProtocolError, msg=str(wrong)):
                self.lease(arenas(), **wrong)

    def test_answers_go_into_the_lease_or_come_as_chunks(self):
        a = arenas()
        out = Outbound(self.lease(a))
        first, second, third = np.arange(3, dtype=np.float32), np.arange(4, dtype=np.float32), np.zeros(300, np.float32)
        refs = [out.announce(x) for x in (first, third, second)]
        self.assertEqual([r.handle and r.handle.offset for r in refs], [64, None, 128])
        np.testing.assert_array_equal(a.outbound[128:144].view(np.float32), second)
        chunks = list(out.chunks())
        self.assertEqual([(c.tensor, c.offset, len(c.data)) for c in chunks], [(1, 0, 1200)])

    def test_allocated_arrays_are_not_copied(self):
        a = arenas()
        lease = self.lease(a)
        array = lease.allocate((2, 4), np.float32)
        array[:] = 7
        self.assertTrue(np.shares_memory(array, a.outbound))
        ref = Outbound(lease).announce(array)
        self.assertEqual(ref.handle.offset, 64)
        self.assertEqual(lease.allocate((1000,), np.float32).base, None)
        self.assertEqual(a.outbound[64:96].view(np.float32).tolist(), [7] * 8)
        self.assertEqual(int(a.outbound[:64].sum()) + int(a.outbound[96:].sum()), 0)

    def test_memory_of_every_dtype(self):
        for lease in (None, self.lease(arenas())):
            context = Context(lease.allocate if lease else None)
            for dtype, want in ((DType.BFLOAT16, np.uint16), (DType.FLOAT32, np.float32), (DType.INT32, np.int32), (DType.UINT8, np.uint8),
                                (np.float32, np.float32), (np.dtype("<u2"), np.uint16), ("float32", np.float32)):
                array = context.empty((2, 3), dtype)
                self.assertEqual((array.dtype, array.shape), (np.dtype(want), (2, 3)))
                self.assertEqual(lease is not None, array.base is not None)
            self.assertEqual(context.empty([4]).dtype, np.float32)
            for wrong in (np.float64, "float16", DType.INVALID, None, "no type", object(), 4):
                with self.assertRaises(Error, msg=repr(wrong)) as caught:
                    context.empty((2, 3), wrong)
                self.assertEqual((caught.exception.kind, caught.exception.field), (Kind.INVALID, "dtype"))
                self.assertIn(f"dtype is {wrong!r}, want one of DType.UINT8, DType.INT32, DType.FLOAT32, DType.BFLOAT16, or numpy's uint8", str(caught.exception))

    def test_settled_calls_are_refused(self):
        calls = Calls()
        calls.enter(1)
        with self.assertRaises(ProtocolError):
            calls.enter(1)
        calls.settle([2], lambda: True)  # it never came, so settle does not wait for it
        with self.assertRaises(ProtocolError):
            calls.enter(2)
        calls.settle([1], lambda: False)  # the host has gone
        calls.leave(1)
        calls.settle([1], lambda: True)


class Chunks(unittest.TestCase):
    def receive(self, *chunks, size=6):
        inbound = Inbound(None)
        array = inbound.accept("x", pb.Tensor(dtype=1, shape=[size], nbytes=size))
        inbound.receive(iter(chunks))
        return array.tobytes()

    def test_in_order(self):
        self.assertEqual(self.receive(pb.Chunk(data=b"abc"), pb.Chunk(offset=3, data=b"def")), b"abcdef")
        self.assertEqual(self.receive(size=0), b"")

    def test_broken(self):
        for text, chunks in {
            "ends after 3 of 6": [pb.Chunk(data=b"abc")], "want a chunk": [None], "after the last chunk": [pb.Chunk(data=b"abcdef"), pb.Chunk(data=b"x")],
            "begins at byte 0, want 3": [pb.Chunk(data=b"abc"), pb.Chunk(data=b"abc")], "has 0 bytes": [pb.Chunk()],
            "has 7 bytes, 6 are left": [pb.Chunk(data=b"abcdefg")], "chunk of tensor 1": [pb.Chunk(tensor=1, data=b"abc")],
            f"has {(2 << 20) + 1} bytes, want 1": [pb.Chunk(data=bytes((2 << 20) + 1))],
        }.items():
            with self.assertRaises(ProtocolError) as caught:
                self.receive(*chunks)
            self.assertIn(text, str(caught.exception))

    def test_too_much_is_exhausted(self):
        with self.assertRaises(Error) as caught:
            Inbound(None).accept("x", pb.Tensor(dtype=1, shape=[1 << 40], nbytes=1 << 40))
        self.assertEqual(caught.exception.kind, Kind.EXHAUSTED)


if __name__ == "__main__":
    unittest.main()
