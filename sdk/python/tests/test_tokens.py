"""Tests tokenizers of Hugging Face, on those of the families' golden folders."""

from __future__ import annotations

import json
import pathlib
import unittest

try:
    from tokenizers import Tokenizer as Backend
except ImportError:
    Backend = None

from bridge_plugin.tokens import HFTokenizer

ROOT = pathlib.Path(__file__).parents[3]


@unittest.skipIf(Backend is None, "needs the package tokenizers")
class SpecialNames(unittest.TestCase):
    def test_names_of_special_tokens_are_text(self):
        files = sorted(ROOT.glob("adapters/*/testdata/*/checkpoint/tokenizer.json"))
        files += sorted(ROOT.glob("bridge/testdata/golden-*/checkpoint/tokenizer.json"))
        self.assertGreater(len(files), 8)
        for file in files:
            settings = json.loads(file.read_text())
            unknown = settings["model"].get("unk_token") or "<unk>"
            tokenizer = HFTokenizer.open(file.parent)
            backend = Backend.from_file(str(file))
            for token in settings["added_tokens"]:
                name = token["content"]
                if not token["special"] or name == unknown:
                    continue
                text = f"a {name} b"
                self.assertIn(token["id"], backend.encode(text, add_special_tokens=False).ids)
                ids, ends = tokenizer.encode(text)
                self.assertNotIn(token["id"], ids, f"{file}: {text}")
                self.assertEqual(len(ids), len(ends))
                self.assertEqual(tokenizer.count([text]), [len(ids)])
            plain = "a photo of a cat"
            self.assertEqual(tokenizer.encode(plain)[0], backend.encode(plain, add_special_tokens=False).ids)

    def test_ids_stay(self):
        for file in sorted(ROOT.glob("adapters/*/testdata/*/checkpoint/tokenizer.json")):
            tokenizer = HFTokenizer.open(file.parent)
            tokenizer.encode("</s> <pad> <bos> <|endoftext|> <image>")
            if tokenizer._plain is None:
                continue
            for id in range(tokenizer._backend.get_vocab_size()):
                if id not in tokenizer._named:
                    self.assertEqual(tokenizer._plain.id_to_token(id), tokenizer._backend.id_to_token(id))


if __name__ == "__main__":
    unittest.main()
