"""Writes the fixtures of Go's package tokenizer, and the Python library's results for them.

    python3 -m venv .venv && .venv/bin/pip install -r tools/tokenizer/requirements.txt
    .venv/bin/python tools/tokenizer/golden.py tokenizer/testdata

Each NAME.json.gz holds a tokenizer that was trained here on a few hundred strings, the strings, and for each
string the ids, the offsets in bytes and the decoded text, with and without special tokens. opt/ is a folder
without tokenizer.json, like facebook/opt-125m. opt.json.gz and gpt2.json.gz hold the results of transformers'
GPT2Tokenizer for its vocab.json and merges.txt, with OPT's and with GPT-2's configuration.
"""

import gzip
import json
import os
import random
import sys

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

WORDS = """a photo of the cat dog sitting on mat and two people riding bicycles down street in rain with umbrellas
question what colour is answer red it's they're don't I'LL we've isn't naïve café Zürich São Paulo straße
Hello World GPT BERT 2024 1,234.56 3.14159 100% $5 user@example.com https://example.com/a?b=c#d C++ f(x)=x^2""".split()

NASTY = ["", " ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", "\x00", "a\x00b", "\u00a0", "\u200b", "\u200d", "\ufeff", "\u00ad",
         "\u3000", "\u2028", "\u0085", "\x7f", "\x1b[0m", "\ufffd", "\U0010ffff", "\ue000",
         "é", "e\u0301", "n\u0303o\u0308", "a\u0300\u0301\u0302\u0303\u0304", "\u0301", "ﬁ", "ﬀ", "①", "½", "Å", "Å", "ǅ", "ß", "ẞ", "İ", "ı",
         "日本語", "中文字符", "漢字とかな", "カタカナ", "ｶﾞ", "が", "한국어", "한국", "ไทย", "हिन्दी", "عربى", "עִבְרִית", "Ελληνικά", "Русский", "Ё",
         "😀", "👩‍👩‍👧‍👦", "👍🏽", "🇩🇪", "❤️", "🏳️‍🌈", "𝒳", "𠀀", "𝟘",
         "</s>", "<s>", "<unk>", "<pad>", "[CLS]", "[MASK]", "[SEP]", "[DEC]", "<|endoftext|>", "<|im_start|>", "<0x0A>", "<extra_id_0>",
         "▁", "▁▁", "Ġ", "Ċ", "##a", "``", "''", "“q”", "…", "—", "‘’", "~~~", "!!!", "?!", "a,b", "x_y", "a-b",
         "'s", "'S", "1234567890", "٣", "Ⅷ", "²", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]

SPACES = ["", " ", " ", " ", "  ", "   ", "\n", "\n\n", " \n", "\t", "\u00a0", " \u3000"]


def strings(n):
    rng = random.Random(7)
    out = list(NASTY)
    while len(out) < n:
        parts = []
        for _ in range(rng.randint(1, 9)):
            parts += [rng.choice(WORDS if rng.random() < 0.5 else NASTY), rng.choice(SPACES)]
        out.append("".join(parts))
    return out


TEXTS = strings(400)
CORPUS = TEXTS + [" ".join(random.Random(i).choices(WORDS, k=12)) for i in range(300)]
BYTES = pre_tokenizers.ByteLevel.alphabet()
QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def bert_like(cls, sep):
    return dict(single=f"{cls} $A {sep}", pair=f"{cls} $A {sep} $B {sep}")


def trained(tokenizer, trainer):
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def bytelevel():
    """Trains a byte-level BPE with trimmed offsets and a template, like RoBERTa's and Llama 3's."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    trained(t, trainers.BpeTrainer(vocab_size=600, initial_alphabet=BYTES, special_tokens=["<s>", "</s>"]))
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        processors.TemplateProcessing(special_tokens=[("<s>", 0), ("</s>", 1)], **bert_like("<s>", "</s>"))])
    return t


def qwen():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    trained(t, trainers.BpeTrainer(vocab_size=600, initial_alphabet=BYTES))
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>"])
    return t


def llama():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace()  # only in training, so that tokens start with "▁"
    t.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    special = ["<unk>", "<s>", "</s>"] + [AddedToken(f"<0x{b:02X}>", special=False) for b in range(256)]
    trained(t, trainers.BpeTrainer(vocab_size=700, limit_alphabet=100, special_tokens=special))
    d = json.loads(t.to_str())
    d["added_tokens"] = d["added_tokens"][:3]
    t = Tokenizer.from_str(json.dumps(d | {"pre_tokenizer": None}))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return t


def wordpiece():
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=True)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trained(t, trainers.WordPieceTrainer(vocab_size=600, special_tokens=special))
    t.post_processor = processors.TemplateProcessing(
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)], **bert_like("[CLS]", "[SEP]"))
    return t


def unigram(normalizer):
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>", "<extra_id_0>"]
    trained(t, trainers.UnigramTrainer(vocab_size=500, unk_token="<unk>", special_tokens=special))
    t.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return t


def t5():
    """Trains a Unigram tokenizer like T5's. Its normalizer is the compiled nmt_nfkc table that
    sentencepiece puts into its models."""
    writer = bytearray()

    class Sink:
        def write(self, b):
            writer.extend(b)

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([c for c in CORPUS if "\x00" not in c and c.strip()]), model_writer=Sink(),
        vocab_size=300, normalization_rule_name="nmt_nfkc", hard_vocab_limit=False, minloglevel=2)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(bytes(writer))
    return unigram(normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap))


def nmt():
    return unigram(normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]))


def opt_folder(folder):
    """Writes vocab.json and merges.txt with OPT's first ids; returns transformers' two tokenizers of them."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<|endoftext|>"]
    trained(t, trainers.BpeTrainer(vocab_size=600, initial_alphabet=BYTES, special_tokens=special))
    os.makedirs(folder, exist_ok=True)
    t.model.save(folder)
    dump = lambda name, value: open(os.path.join(folder, name), "w").write(json.dumps(value, indent=1) + "\n")
    dump("config.json", {"model_type": "opt", "bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 1})
    added = lambda s: {"__type": "AddedToken", "content": s, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    dump("tokenizer_config.json", {
        "errors": "replace", "unk_token": added("</s>"), "bos_token": added("</s>"), "eos_token": added("</s>"),
        "pad_token": "<pad>", "add_prefix_space": False, "add_bos_token": True, "tokenizer_class": "GPT2Tokenizer"})

    def build(tokens, bos):
        t = Tokenizer(models.BPE.from_file(os.path.join(folder, "vocab.json"), os.path.join(folder, "merges.txt"),
                                           continuing_subword_prefix="", end_of_word_suffix=""))
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        t.decoder = decoders.ByteLevel()
        t.add_special_tokens([AddedToken(s, normalized=True) for s in tokens])
        t.post_processor = processors.ByteLevel(trim_offsets=False)
        if bos:
            t.post_processor = processors.TemplateProcessing(single="</s> $A", pair="</s> $A </s> $B", special_tokens=[("</s>", 2)])
        return t

    return build(["</s>", "<pad>"], True), build(["<|endoftext|>"], False)


def byte_offsets(text, encoding):
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [[at[s], at[e]] for s, e in encoding.offsets]


def golden(t, with_tokenizer=True):
    # Reads back the text that the test reads, because parsing may change a score by one unit in the last place.
    t = Tokenizer.from_str(json.dumps(json.loads(t.to_str()), ensure_ascii=False, separators=(",", ":")))
    rng = random.Random(11)
    out = {"tokenizers": tokenizers.__version__, "cases": [], "decodes": []}
    if with_tokenizer:
        out["tokenizer"] = json.loads(t.to_str())
    for text in TEXTS:
        bare, full = t.encode(text, add_special_tokens=False), t.encode(text)
        out["cases"].append({
            "text": text, "bare": bare.ids, "bare_offsets": byte_offsets(text, bare),
            "full": full.ids, "full_offsets": byte_offsets(text, full),
            "decoded": t.decode(full.ids, skip_special_tokens=True),
            "decoded_full": t.decode(full.ids, skip_special_tokens=False)})
    for _ in range(200):
        ids = [rng.randrange(t.get_vocab_size() + 5) for _ in range(rng.randint(0, 20))]
        out["decodes"].append({"ids": ids, "text": t.decode(ids, skip_special_tokens=True)})
    return out


def write(folder, name, value):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    with open(os.path.join(folder, name + ".json.gz"), "wb") as f:
        f.write(gzip.compress(text, 9, mtime=0))


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for build in (bytelevel, qwen, llama, wordpiece, t5, nmt):
        write(folder, build.__name__, golden(build()))
    opt, gpt2 = opt_folder(os.path.join(folder, "opt"))
    write(folder, "opt", golden(opt, with_tokenizer=False))
    write(folder, "gpt2", golden(gpt2, with_tokenizer=False))


if __name__ == "__main__":
    main(sys.argv[1])
