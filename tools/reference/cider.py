"""Computes CIDEr-D with pycocoevalcap, as a reference for bridge's (eval/cider.go).

    cider.py    writes eval/testdata/cider.json

Only this script needs cider.txt. It does not use the PTB tokenizer of pycocoevalcap:
like bridge, it makes texts lower case and splits them at white space.
"""

import importlib.metadata
import json
import pathlib
import random

from pycocoevalcap.cider.cider import Cider

# (purpose, candidate, references)
WRITTEN = [
    ("equal to the one reference", "a red ball lies on the grass", ["a red ball lies on the grass"]),
    ("equal to one of two", "two dogs run along the beach", ["two dogs run along the beach", "a pair of dogs on wet sand"]),
    ("equal to all of three", "a man rides a bicycle", ["a man rides a bicycle"] * 3),
    ("equal up to case", "A Cat Sleeps ON the sofa", ["a cat sleeps on the sofa"]),
    ("case in the reference", "a blue car in front of a house", ["A blue CAR in front of a House", "The car is blue"]),
    ("equal up to white space", "  a bird\tsits on \n a wire ", ["a bird sits on a wire"]),
    ("white space of other scripts", "a\u00a0bird\u3000flies\u2003over\u2028water", ["a bird flies over water"]),
    ("another word", "a green ball lies on the grass", ["a red ball lies on the grass", "the ball is red"]),
    ("another order", "the grass lies on a red ball", ["a red ball lies on the grass"]),
    ("reversed", "beach the along run dogs two", ["two dogs run along the beach"]),
    ("beginning of the reference", "a woman holds", ["a woman holds a large yellow umbrella in the rain"]),
    ("end of the reference", "umbrella in the rain", ["a woman holds a large yellow umbrella in the rain"]),
    ("longer than the reference", "a small white boat sails on the calm sea in the evening sun", ["a small white boat", "a boat on the sea"]),
    ("nothing in common", "seven purple elephants", ["a plate with bread and cheese", "someone has breakfast"]),
    ("only frequent words in common", "a the on of in", ["a lamp on the corner of the table in the hall"]),
    ("words that no reference of any picture has", "zyx wvu tsr qpo", ["a clock on a tower"]),
    ("one word too often", "dog dog dog dog dog dog", ["a dog in the snow"]),
    ("one word too rarely", "very tall tree", ["very very very tall tree", "a tall tall tree"]),
    ("all words twice", "a kite in the sky a kite in the sky", ["a kite in the sky", "a kite flies in the sky"]),
    ("repeated in both", "train after train after train", ["train after train after train", "trains after trains"]),
    ("empty candidate", "", ["a horse on a field", "a brown horse"]),
    ("white space only", " \t\n ", ["a sheep on a hill"]),
    ("empty reference", "a cup of tea", [""]),
    ("one empty reference of two", "a cup of tea", ["", "a cup of tea on a saucer"]),
    ("both empty", "", [""]),
    ("one word, equal", "pizza", ["pizza"]),
    ("one word, not equal", "bread", ["pizza", "a pizza"]),
    ("one word of a sentence", "giraffe", ["a giraffe eats leaves from a tree"]),
    ("one word against none", "spoon", [""]),
    ("two words, equal", "wooden bench", ["wooden bench", "a wooden bench in a park"]),
    ("three words, equal", "old stone bridge", ["old stone bridge"]),
    ("five references", "a child throws a ball to a dog", [
        "a child throws a ball to a dog", "a boy plays with a dog", "a dog waits for the ball",
        "child and dog play in the garden", "a girl throws something"]),
    ("four references, none equal", "a bus stops at the corner", [
        "a red bus at a corner", "the bus stops at a station", "people get on a bus", "a street with a bus and cars"]),
    ("references that are equal among themselves", "a clock on a wall", ["a clock on a tower"] * 4),
    ("60 words against 8", " ".join(f"word{i % 17}" for i in range(60)), ["word0 word1 word2 word3 word4 word5 word6 word7"]),
    ("200 words, equal", " ".join(f"long{i * i % 41}" for i in range(200)), [" ".join(f"long{i * i % 41}" for i in range(200))]),
    ("200 words against 10", " ".join(f"long{i % 41}" for i in range(200)), [" ".join(f"long{i}" for i in range(10))]),
    ("600 words, a penalty of nothing", "lion " * 600, ["a lion under a tree"]),
    ("punctuation stays with its word", "a dog, a cat.", ["a dog , a cat .", "a dog, a cat."]),
    ("accents", "UN CAFÉ À LA TERRASSE", ["un café à la terrasse", "un cafe a la terrasse"]),
    ("accents composed in another way", "un cafe\u0301 noir", ["un caf\u00e9 noir"]),
    ("Cyrillic and Greek", "Красный МЯЧ και μια ΓΑΤΑ", ["красный мяч και μια γατα"]),
    ("Chinese and emoji", "一只 红色 的 球 🐶", ["一只 红色 的 球 🐶", "一只 蓝色 的 球 🐱"]),
    ("German sharp s", "Die große STRASSE", ["die große strasse", "die grosse straße"]),
]


def drawn(images: int) -> list:
    """Draws captions of few words. Some words are far more frequent than others, so that
    n-grams repeat within texts and among pictures."""
    rng = random.Random(5)
    words = ["a", "the", "dog", "cat", "on", "of", "left", "red", "blue", "big", "box", "tree"]
    weights = [1 / (rank + 1) for rank in range(len(words))]

    def sentence() -> str:
        return " ".join(rng.choices(words, weights, k=rng.randint(1, 14)))

    return [(f"drawn {i}", sentence(), [sentence() for _ in range(1 + i % 5)]) for i in range(images)]


def scored(name: str, captions: list) -> dict:
    """Returns one corpus with the scores of all its captions."""
    got = {i: [text.lower()] for i, (_, text, _) in enumerate(captions)}
    references = {i: [text.lower() for text in texts] for i, (_, _, texts) in enumerate(captions)}
    mean, each = Cider().compute_score(references, got)
    return {
        "name": name,
        "mean": float(mean),
        "captions": [
            {"name": what, "got": text, "references": texts, "score": float(score)}
            for (what, text, texts), score in zip(captions, each, strict=True)
        ],
    }


if __name__ == "__main__":
    document = {
        "source": "pycocoevalcap {} Cider, numpy {}".format(*map(importlib.metadata.version, ("pycocoevalcap", "numpy"))),
        "corpora": [
            scored("written", WRITTEN),
            scored("drawn", drawn(40)),
            scored("two pictures", WRITTEN[:2]),
            scored("a single picture", WRITTEN[1:2]),
        ],
    }
    path = pathlib.Path(__file__).parents[2] / "eval" / "testdata" / "cider.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
