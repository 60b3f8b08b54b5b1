"""Makes the Q-Former's own WordPiece vocabulary, in the form of bert-base-uncased's.

    python qformer_tokenizer.py --scenes COMMAND --out DIR

[PAD] is 0, followed by [UNK], [CLS], [SEP] and [MASK]. [DEC] starts a text that the Q-Former writes
itself. It is the last token, because BLIP-2 adds it to BERT's vocabulary. Letters are lower-cased.
"""

import argparse
import collections
import json
import pathlib
import string

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

import stream
import text

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LAST = "[DEC]"


def vocabulary(lines: list[str]) -> dict[str, int]:
    """Returns every word of the corpus, most frequent first, and single characters for all other words."""
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    counts = collections.Counter()
    for line in lines:
        counts.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(line)))
    words = sorted(counts, key=lambda word: (-counts[word], word))
    characters = [c for c in string.digits + string.ascii_lowercase + string.punctuation if c not in counts]
    continued = ["##" + c for c in string.digits + string.ascii_lowercase]
    return {token: i for i, token in enumerate([*SPECIALS, *words, *characters, *continued, LAST])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", required=True, help="the built command tools/kit/scenes")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    a = parser.parse_args()
    vocab = vocabulary(text.corpus(stream.texts(a.scenes, "train", 3, 6000)))
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.add_special_tokens([*SPECIALS, LAST])
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    cls, sep = vocab["[CLS]"], vocab["[SEP]"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", cls), ("[SEP]", sep)])
    a.out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(a.out / "tokenizer.json"))
    (a.out / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "BertTokenizer", "do_lower_case": True, "pad_token": "[PAD]", "unk_token": "[UNK]",
        "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]", "bos_token": LAST,
        "model_max_length": 32}, indent=2) + "\n")
    print("vocabulary", tokenizer.get_vocab_size())


if __name__ == "__main__":
    main()
