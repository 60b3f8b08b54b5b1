"""Tokenizers as the layout of examples needs them.

:class:`Tokenizer` says what that is. :class:`HFTokenizer` is one for the tokenizers of
Hugging Face, which come with transformers; the SDK itself does not need that package.
"""

from __future__ import annotations

import json
import os
from typing import Any, List, Optional, Protocol, Sequence, Tuple

from .checkpoint import Path
from .contract import EmbedTokensResponse
from .errors import Error, Kind
from .tensors import Array


class Tokenizer(Protocol):
    """Turns text into ids and back."""

    def encode(self, text: str) -> Tuple[List[int], List[int]]:
        """Returns the ids of a text without special tokens, and for each the index of the
        character after its last one. A token of a part of a character has the whole's."""

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of ids, without special tokens and clean-up of spaces."""

    def token(self, id: int) -> str:
        """Returns a token as the vocabulary spells it, "" for a hole."""


class HFTokenizer:
    """A tokenizer of the package tokenizers (``tokenizers.Tokenizer``)."""

    def __init__(self, backend: Any, bos: Optional[int]):
        """``bos`` is the id in front of a text, None where there is none."""
        self.bos = bos
        settings = json.loads(backend.to_str())
        settings.update(post_processor=None, truncation=None, padding=None)  # no trimmed offsets, nothing added
        self._backend = type(backend).from_str(json.dumps(settings))
        self._byte_fallback = bool(settings["model"].get("byte_fallback"))
        self._special = {token["id"] for token in settings["added_tokens"] if token["special"]}

    @classmethod
    def open(cls, folder: Path) -> HFTokenizer:
        """Opens the tokenizer of a checkpoint folder: tokenizer.json as it is, else what
        transformers makes of the folder's other files."""
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
            return [], []  # whatever prefix a tokenizer puts before a text
        encoding = self._backend.encode(text, add_special_tokens=False)
        return list(encoding.ids), [end for _, end in encoding.offsets]

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._backend.decode(list(ids), skip_special_tokens=True))

    def token(self, id: int) -> str:
        """Returns a token as the vocabulary spells it, "" for a hole."""
        return str(self._backend.id_to_token(id) or "")

    def count(self, texts: Sequence[str]) -> List[int]:
        """Returns what LanguageModel.count_tokens does."""
        return [len(self.encode(text)[0]) for text in texts]

    def embed(self, texts: Sequence[str], table: Array) -> EmbedTokensResponse:
        """Returns what LanguageModel.embed_tokens does, of a table float32[V, D]."""
        surfaces = self.surfaces(len(table))
        counts = self.count(texts)
        ids = [id for text in texts for id in self.encode(text)[0]]
        if not texts:
            ids = [id for id, surface in enumerate(surfaces) if surface]
        return EmbedTokensResponse([surfaces[id] for id in ids], table[ids].reshape(-1, table.shape[1]), counts)

    def surfaces(self, vocabulary: int) -> List[str]:
        """Returns, for each id below vocabulary, the plain text that it stands for, with a
        space in front where it starts a word; "" for special tokens, parts of
        characters, unprintable tokens and holes."""
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


def _bos(whole: List[int], text: List[int]) -> Optional[int]:
    """Finds what a tokenizer puts in front of a text."""
    for front in range(len(whole) - len(text) + 1):
        if whole[front : front + len(text)] == text:
            if front > 1:
                break
            return whole[0] if front else None
    raise Error(Kind.UNSUPPORTED, f'the tokenizer makes {text} of "a", and {whole} with special tokens: want at most one token in front')
