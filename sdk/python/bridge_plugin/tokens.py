"""Tokenizers for the layout of examples.

:class:`Tokenizer` is the interface. :class:`HFTokenizer` wraps the tokenizers of Hugging
Face, which come with transformers; the SDK itself does not need that package.
"""

from __future__ import annotations

import json
import os
import secrets
from typing import Any, Dict, List, Optional, Protocol, Sequence, Set, Tuple

from .checkpoint import Path
from .contract import EmbedTokensResponse
from .errors import Error, Kind
from .tensors import Array


class Tokenizer(Protocol):
    """Turns text into ids and back."""

    def encode(self, text: str) -> Tuple[List[int], List[int]]:
        """Returns the ids of a text without special tokens, and for each id the index of the
        first character after it. A token for a part of a character has the index for the
        whole character. The name of a special token ("</s>", "<image>") is text like any
        other: it never becomes that token."""

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of ids, without special tokens and without cleaning up spaces."""

    def token(self, id: int) -> str:
        """Returns a token as the vocabulary spells it, or "" for an unused id."""


class HFTokenizer:
    """A tokenizer of the package tokenizers (``tokenizers.Tokenizer``). It reads the names of
    special tokens in a text as text."""

    def __init__(self, backend: Any, bos: Optional[int]):
        """``bos`` is the id in front of a text, or None."""
        self.bos = bos
        settings = json.loads(backend.to_str())
        settings.update(post_processor=None, truncation=None, padding=None)  # no trimmed offsets, nothing added
        self._backend = type(backend).from_str(json.dumps(settings))
        self._byte_fallback = bool(settings["model"].get("byte_fallback"))
        self._special = {token["id"] for token in settings["added_tokens"] if token["special"]}
        self._named = self._special | {token["id"] for token in settings["added_tokens"] if token["content"] == _IMAGE}
        self._plain: Any = None  # for texts with the name of a special token

    @classmethod
    def open(cls, folder: Path) -> HFTokenizer:
        """Opens the tokenizer of a checkpoint folder: tokenizer.json, or else the one that
        transformers makes from the folder's other files."""
        file = os.path.join(os.fspath(folder), "tokenizer.json")
        if os.path.exists(file):
            from tokenizers import Tokenizer as Backend

            backend = Backend.from_file(file)
            return cls(backend, _bos(backend.encode("a").ids, backend.encode("a", add_special_tokens=False).ids))
        from transformers import AutoTokenizer

        whole = AutoTokenizer.from_pretrained(os.fspath(folder))
        if getattr(whole, "backend_tokenizer", None) is None:
            raise Error(Kind.UNSUPPORTED, f"{os.fspath(folder)}: {type(whole).__name__} gives no offsets",
                        "save it with a tokenizer.json", field="tokenizer.json")
        return cls(whole.backend_tokenizer, _bos(whole("a").input_ids, whole("a", add_special_tokens=False).input_ids))

    def encode(self, text: str) -> Tuple[List[int], List[int]]:
        if not text:
            return [], []  # without the prefix that some tokenizers put before a text
        encoding = self._backend.encode(text, add_special_tokens=False)
        if not self._named.isdisjoint(encoding.ids):
            if self._plain is None:
                settings = json.loads(self._backend.to_str())
                _hide_names(settings)
                self._plain = type(self._backend).from_str(json.dumps(settings))
            encoding = self._plain.encode(text, add_special_tokens=False)
        return list(encoding.ids), [end for _, end in encoding.offsets]

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._backend.decode(list(ids), skip_special_tokens=True))

    def token(self, id: int) -> str:
        """Returns a token as the vocabulary spells it, or "" for an unused id."""
        return str(self._backend.id_to_token(id) or "")

    def text_of(self, id: int) -> str:
        """Returns the text of one token inside an answer, with a leading space if it starts a
        word. It is "" for a special token; a part of a character reads as U+FFFD."""
        anchor = self.encode("a")[0]
        return self.decode([*anchor, id])[len(self.decode(anchor)) :]

    def count(self, texts: Sequence[str]) -> List[int]:
        """Implements LanguageModel.count_tokens."""
        return [len(self.encode(text)[0]) for text in texts]

    def embed(self, texts: Sequence[str], table: Array) -> EmbedTokensResponse:
        """Implements LanguageModel.embed_tokens with a table float32[V, D]."""
        surfaces = self.surfaces(len(table))
        counts = self.count(texts)
        ids = [id for text in texts for id in self.encode(text)[0]]
        if not texts:
            ids = [id for id, surface in enumerate(surfaces) if surface]
        return EmbedTokensResponse([surfaces[id] for id in ids], table[ids].reshape(-1, table.shape[1]), counts)

    def surfaces(self, vocabulary: int) -> List[str]:
        """Returns the plain text of each id below vocabulary, with a leading space if it
        starts a word. It is "" for special tokens, parts of characters, unprintable tokens
        and unused ids."""
        anchor = self.encode("a")[0]
        start = len(self.decode(anchor))
        out = []
        for id in range(vocabulary):
            token = self._backend.id_to_token(id)
            text = ""
            if token is not None and id not in self._special and not self._is_byte(token):
                text = self.decode([*anchor, id])[start:]
            out.append(text if text.isprintable() and "\ufffd" not in text else "")
        return out

    def _is_byte(self, token: str) -> bool:
        return self._byte_fallback and len(token) == 6 and token.startswith("<0x") and token.endswith(">")


_IMAGE = "<image>"  # the placeholder of BLIP-2's processors: special even if a folder does not say so


def _hide_names(settings: Dict[str, Any]) -> None:
    """Gives the special tokens of a tokenizer.json other names, which no text contains. All
    ids stay. A name of one character, or one that merges make, is kept."""
    model = settings["model"]
    made: Set[str] = {"".join(merge) if isinstance(merge, list) else merge.replace(" ", "", 1) for merge in model.get("merges") or []}
    base = secrets.token_hex(16)
    names: Dict[str, str] = {}
    for token in settings["added_tokens"]:
        name = token["content"]
        if (token["special"] or name == _IMAGE) and len(name) > 1 and name not in made:
            token["content"] = names.setdefault(name, f"hidden{base}x{len(names)}x")
    if model.get("unk_token"):
        model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    if isinstance(model["vocab"], list):
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
    else:
        model["vocab"] = {names.get(piece, piece): id for piece, id in model["vocab"].items()}


def _bos(whole: List[int], text: List[int]) -> Optional[int]:
    """Returns the token that a tokenizer puts in front of a text, or None."""
    for front in range(len(whole) - len(text) + 1):
        if whole[front : front + len(text)] == text:
            if front > 1:
                break
            return whole[0] if front else None
    raise Error(Kind.UNSUPPORTED, f'the tokenizer makes {text} of "a", and {whole} with special tokens: want at most one token in front')
