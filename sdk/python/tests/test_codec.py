"""Tests that the messages match the .proto and have the same bytes as in protobuf's runtime."""

from __future__ import annotations

import importlib.util
import math
import random
import struct
import sys
import tempfile
import unittest
from pathlib import Path

from support import ROOT, SDK, lacking

from bridge_plugin import _messages as pb
from bridge_plugin._wire import Message, WireError, decode, encode

PROTO = ROOT / "plugins/proto/bridge/v1/adapter.proto"


def messages():
    return [c for c in vars(pb).values() if isinstance(c, type) and issubclass(c, Message) and c is not Message]


class Generated(unittest.TestCase):
    def test_the_file_matches_the_generator(self):
        spec = importlib.util.spec_from_file_location("generator", ROOT / "tools/proto/python.py")
        generator = importlib.util.module_from_spec(spec)
        sys.modules["generator"] = generator  # dataclasses look there
        spec.loader.exec_module(generator)
        with tempfile.TemporaryDirectory() as folder:
            again = Path(folder) / "messages.py"
            generator.main(output=again)
            self.assertEqual(again.read_text(), (SDK / "bridge_plugin/_messages.py").read_text(),
                             "run python3 tools/proto/python.py")


class Random:
    """Fills our messages and protobuf's with the same random values."""

    INTS = {"uint32": (0, 2**32 - 1), "uint64": (0, 2**64 - 1), "int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
    TEXTS = ["", "a", "a photo of", "über 猫 🐱", "\0\n", "x" * 300, "\U0010ffff"]
    FLOATS = [0.0, -0.0, 1.5, -1e30, math.inf, -math.inf, 1e-40]

    def __init__(self, seed):
        self.rng = random.Random(seed)

    def scalar(self, kind):
        if kind in self.INTS:
            low, high = self.INTS[kind]
            return self.rng.choice([0, 1, low, high, self.rng.randint(low, high), self.rng.randint(0, 300)])
        if kind == "bool":
            return self.rng.random() < 0.5
        if kind == "string":
            return self.rng.choice(self.TEXTS)
        if kind == "bytes":
            return self.rng.choice([b"", b"\0", bytes(self.rng.getrandbits(8) for _ in range(200))])
        value = self.rng.choice(self.FLOATS + [self.rng.gauss(0, 1e3)])
        return struct.unpack("<f", struct.pack("<f", value))[0] if kind == "float" else value

    def fill(self, ours, theirs):
        """Sets the same fields in both."""
        members = {}
        for f in ours.FIELDS:
            if f.oneof:
                members.setdefault(f.oneof, []).append(f.name)
        chosen = {oneof: self.rng.choice(names) for oneof, names in members.items()}
        for f in ours.FIELDS:
            if self.rng.random() < 0.2 or f.oneof and chosen[f.oneof] != f.name:
                continue
            if isinstance(f.kind, type) and f.repeated:
                for _ in range(self.rng.randrange(3)):
                    inner = f.kind()
                    getattr(ours, f.name).append(inner)
                    self.fill(inner, getattr(theirs, f.name).add())
            elif isinstance(f.kind, type):
                setattr(ours, f.name, f.kind())
                getattr(theirs, f.name).SetInParent()
                self.fill(getattr(ours, f.name), getattr(theirs, f.name))
            elif f.repeated:
                values = [self.scalar(f.kind) for _ in range(self.rng.choice([0, 1, 3, 200]))]
                getattr(ours, f.name).extend(values)
                getattr(theirs, f.name).extend(values)
            else:
                value = self.rng.choice([0, 1, 2, 7, -1]) if f.name == "early_stopping" else self.scalar(f.kind)
                setattr(ours, f.name, value)
                setattr(theirs, f.name, value)


class AgainstProtobuf(unittest.TestCase):
    """Needs the packages protobuf and grpcio-tools."""

    @classmethod
    def setUpClass(cls):
        try:
            from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
            from grpc_tools import protoc
        except ImportError as err:
            lacking("the Python packages protobuf and grpcio-tools", err)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "set"
            status = protoc.main(["protoc", f"--proto_path={PROTO.parent}", f"--descriptor_set_out={out}", PROTO.name])
            assert status == 0
            files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
        pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            pool.Add(file)
        cls.file = pool.FindFileByName(PROTO.name)
        cls.theirs = {name: message_factory.GetMessageClass(d) for name, d in cls.file.message_types_by_name.items()}

    def test_every_message_and_field_exists(self):
        self.assertEqual({c.__name__ for c in messages()}, set(self.theirs))
        for ours in messages():
            theirs = self.file.message_types_by_name[ours.__name__]
            oneofs = {f.name: o.name for o in theirs.oneofs if not o.name.startswith("_") for f in o.fields}
            self.assertEqual({f.number: (f.name, f.oneof) for f in ours.FIELDS},
                             {f.number: (f.name, oneofs.get(f.name, "")) for f in theirs.fields}, ours.__name__)
        service = self.file.services_by_name["Adapter"]
        self.assertEqual([(name, request.__name__, response.__name__) for name, request, response, _, _ in pb.ADAPTER],
                         [(m.name, m.input_type.name, m.output_type.name) for m in service.methods])

    def test_random_messages_both_ways(self):
        for seed in range(40):
            for cls in messages():
                ours, theirs = cls(), self.theirs[cls.__name__]()
                Random(seed).fill(ours, theirs)
                data = theirs.SerializeToString(deterministic=True)
                self.assertEqual(encode(ours), data, f"{cls.__name__} {seed}")
                self.assertEqual(decode(cls, data), ours, f"{cls.__name__} {seed}")

    def test_damaged_messages_are_read_as_in_protobuf(self):
        rng = random.Random(1)
        refused = read = 0
        for seed in range(600):
            cls = rng.choice([pb.Call, pb.Reply, pb.LoadEvent, pb.ModelSpec, pb.GenerateOptions, pb.Tensor])
            ours, theirs = cls(), self.theirs[cls.__name__]()
            Random(seed).fill(ours, theirs)
            data = bytearray(encode(ours))[:120]
            for _ in range(rng.randrange(1, 4)):
                if data:
                    data[rng.randrange(len(data))] = rng.getrandbits(8)
            data = bytes(data[: rng.randrange(len(data) + 1)])
            if any(byte & 7 in (3, 4) for byte in data):
                continue  # perhaps a group: proto3 has none, and protobuf skips it
            try:
                want = self.theirs[cls.__name__].FromString(data)
            except Exception:
                with self.assertRaises(WireError, msg=f"{cls.__name__} {data!r}"):
                    decode(cls, data)
                refused += 1
                continue
            want.DiscardUnknownFields()
            self.assertEqual(encode(decode(cls, data)), want.SerializeToString(deterministic=True), f"{cls.__name__} {data!r}")
            read += 1
        self.assertGreater(min(refused, read), 10)


class Wire(unittest.TestCase):
    def test_unknown_fields_are_skipped(self):
        data = encode(pb.Piece(example=3, text="a")) + b"\xf8\x06\x05" + b"\xfa\x06\x02hi" + b"\xfd\x06" + bytes(4) + b"\xf9\x06" + bytes(8)
        self.assertEqual(decode(pb.Piece, data), pb.Piece(example=3, text="a"))

    def test_the_last_member_of_a_oneof_counts(self):
        both = encode(pb.Segment(text="a")) + encode(pb.Segment(prompt=0))
        segment = decode(pb.Segment, both)
        self.assertEqual((segment.text, segment.prompt, segment.which("part")), (None, 0, "prompt"))

    def test_absent_fields_are_none(self):
        self.assertEqual(encode(pb.LoadRequest(feature_layer=0)), b"\x30\x00")
        self.assertIsNone(decode(pb.LoadRequest, b"").feature_layer)
        self.assertEqual(decode(pb.LoadRequest, encode(pb.LoadRequest(feature_layer=-2))).feature_layer, -2)

    def test_bytes_are_not_copied(self):
        data = encode(pb.Chunk(data=b"abc" * 100))
        view = decode(pb.Chunk, data).data
        self.assertIsInstance(view, memoryview)
        self.assertIs(view.obj, data)

    def test_bytes_that_are_not_a_message(self):
        for cls, data in [(pb.Piece, b"\x08"), (pb.Piece, b"\x12\x05ab"), (pb.Piece, b"\x12\x01\xff"), (pb.Piece, b"\x0b"), (pb.Piece, b"\x00\x00"),
                          (pb.Piece, b"\x08" + b"\xff" * 11), (pb.LossResponse, b"\x0a\x03abc"), (pb.LossResponse, b"\x12\x01\xff")]:
            with self.assertRaises(WireError, msg=repr(data)):
                decode(cls, data)

    def test_numbers_out_of_range_are_not_sent(self):
        for message in (pb.Piece(example=-1), pb.Piece(example=1 << 32), pb.EmbedTokensResponse(counts=[1 << 31])):
            with self.assertRaises(WireError):
                encode(message)


if __name__ == "__main__":
    unittest.main()
