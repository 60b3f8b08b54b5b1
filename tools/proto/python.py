"""Writes sdk/python/bridge_plugin/_messages.py from plugins/proto.

    python3 tools/proto/python.py [PROTO [OUTPUT]]

It needs only Python 3.9. It reads the part of proto3 that the file uses: messages, enums,
services, oneof, optional, repeated, scalars. At anything else it stops and names the line.
docs/decisions/0009-python-without-protobuf.md explains why the SDK does not use protobuf's
runtime. sdk/python/tests/test_codec.py compares the result with that runtime.
"""

from __future__ import annotations

import pathlib
import re
import sys
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROTO = ROOT / "plugins/proto/bridge/v1/adapter.proto"
OUTPUT = ROOT / "sdk/python/bridge_plugin/_messages.py"

SCALARS = {  # proto type: (Python type, default)
    "uint32": ("int", "0"), "uint64": ("int", "0"), "int32": ("int", "0"), "int64": ("int", "0"),
    "bool": ("bool", "False"), "float": ("float", "0.0"), "double": ("float", "0.0"),
    "string": ("str", '""'), "bytes": ("Buffer", 'b""'),
}

TOKEN = re.compile(r'\s*(?:(?P<comment>//[^\n]*)|(?P<word>[\w.]+)|(?P<string>"[^"]*")|(?P<mark>[{}=;()]))')


@dataclass
class Field:
    name: str
    type: str
    number: int
    repeated: bool = False
    optional: bool = False  # "optional", or part of a oneof: the field can be absent
    oneof: str = ""


@dataclass
class Block:
    """A message or an enum, with its fields in the order of the file."""

    name: str
    kind: str
    fields: list[Field] = field(default_factory=list)


@dataclass
class Method:
    name: str
    request: str
    response: str
    streams: tuple[bool, bool]  # the request, the response


@dataclass
class File:
    package: str = ""
    blocks: list[Block] = field(default_factory=list)
    services: dict[str, list[Method]] = field(default_factory=dict)


class Parser:
    def __init__(self, text: str):
        self.tokens: list[tuple[str, int]] = []
        at = 0
        while match := TOKEN.match(text, at):
            at = match.end()
            if not match["comment"]:
                self.tokens.append((match[match.lastgroup or 0], text.count("\n", 0, at) + 1))
        if text[at:].strip():
            raise SystemExit(f"line {text.count(chr(10), 0, at) + 1}: cannot be read: {text[at:].split()[0]!r}")
        self.next = 0

    def peek(self) -> str:
        return self.tokens[self.next][0] if self.next < len(self.tokens) else ""

    def take(self, *wanted: str) -> str:
        token, line = self.tokens[self.next] if self.next < len(self.tokens) else ("the end", 0)
        if wanted and token not in wanted:
            raise SystemExit(f"line {line}: got {token!r}, want {' or '.join(map(repr, wanted))}")
        self.next += 1
        return token

    def file(self) -> File:
        file = File()
        while self.peek():
            keyword = self.take("syntax", "package", "option", "service", "message", "enum")
            if keyword == "package":
                file.package = self.take()
                self.take(";")
            elif keyword in ("syntax", "option"):
                while self.take() != ";":
                    pass
            elif keyword == "service":
                name = self.take()
                file.services[name] = self.service()
            else:
                block = Block(self.take(), keyword)
                self.take("{")
                (self.enum if keyword == "enum" else self.message)(block, "")
                file.blocks.append(block)
        return file

    def service(self) -> list[Method]:
        methods = []
        self.take("{")
        while self.peek() != "}":
            self.take("rpc")
            name = self.take()
            sides = []
            for _ in range(2):
                self.take("(")
                word = self.take()
                streams = word == "stream"
                sides.append((self.take() if streams else word, streams))
                self.take(")")
                if len(sides) == 1:
                    self.take("returns")
            self.take(";")
            methods.append(Method(name, sides[0][0], sides[1][0], (sides[0][1], sides[1][1])))
        self.take("}")
        return methods

    def message(self, block: Block, oneof: str) -> None:
        while self.peek() != "}":
            word = self.take()
            if word == "oneof" and not oneof:
                name = self.take()
                self.take("{")
                self.message(block, name)
                continue
            repeated, optional = word == "repeated", word == "optional"
            kind = self.take() if repeated or optional else word
            name = self.take()
            self.take("=")
            block.fields.append(Field(name, kind, int(self.take()), repeated, optional or bool(oneof), oneof))
            self.take(";")
        self.take("}")

    def enum(self, block: Block, _: str) -> None:
        while self.peek() != "}":
            name = self.take()
            self.take("=")
            block.fields.append(Field(name, "int", int(self.take())))
            self.take(";")
        self.take("}")


def python_field(f: Field, enums: set[str]) -> str:
    scalar, default = SCALARS.get(f.type, ("int", "0") if f.type in enums else (f.type, "None"))
    if f.repeated:
        return f"{f.name}: List[{scalar}] = dataclasses.field(default_factory=list)"
    if f.optional or default == "None":
        return f"{f.name}: Optional[{scalar}] = None"
    return f"{f.name}: {scalar} = {default}"


def table_entry(f: Field, enums: set[str]) -> str:
    kind = "int32" if f.type in enums else f.type
    kind = f'"{kind}"' if kind in SCALARS else kind
    options = "".join(f", {name}={value!r}" for name, value in
                      (("repeated", f.repeated), ("optional", f.optional), ("oneof", f.oneof)) if value)
    return f'Field({f.number}, "{f.name}", {kind}{options})'


def generate(text: str, source: str) -> str:
    file = Parser(text).file()
    enums = {b.name for b in file.blocks if b.kind == "enum"}
    out = [
        f'"""The messages of {source}.',
        "",
        "Written by tools/proto/python.py. Do not edit.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "import dataclasses",
        "from typing import List, Optional",
        "",
        "from ._wire import Buffer, Field, Message, describe",
        "",
        f'PACKAGE = "{file.package}"',
    ]
    for b in file.blocks:
        if b.kind == "enum":
            out += ["", ""] if out[-1] == "" else [""]
            out += [f"{f.name} = {f.number}" for f in b.fields]
    for b in file.blocks:
        if b.kind == "message":
            out += ["", "", "@dataclasses.dataclass(eq=False)", f"class {b.name}(Message):"]
            out += [f"    {python_field(f, enums)}" for f in b.fields] or ["    pass"]
    out += ["", ""]
    for b in file.blocks:
        if b.kind == "message":
            entries = "".join(f"\n    {table_entry(f, enums)}," for f in b.fields)
            out.append(f"describe({b.name}, [{entries}{chr(10) if entries else ''}])")
    for service, methods in file.services.items():
        out += ["", f"# {service}: name, request, response, whether each is a stream.", f"{service.upper()} = ("]
        out += [f'    ("{m.name}", {m.request}, {m.response}, {m.streams[0]}, {m.streams[1]}),' for m in methods]
        out += [")"]
    return "\n".join(out) + "\n"


def main(proto: pathlib.Path = PROTO, output: pathlib.Path = OUTPUT) -> None:
    output.write_text(generate(proto.read_text(), "plugins/proto/bridge/v1/" + proto.name))


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:]))
