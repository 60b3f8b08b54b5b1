"""Cuts the caption golden file to its first pictures (eval/metrics).

    captions.py GOLDEN    writes eval/metrics/testdata/captions.json.gz

It needs pycocoevalcap 1.2 and numpy (cider.txt). GOLDEN is caption_golden.json.gz: tokenised
texts of COCO val2014, and what pycocoevalcap gives them. BLEU, ROUGE-L and CIDEr-D of the
first 80 pictures are computed anew, because CIDEr-D depends on the set of pictures.
"""

import gzip
import json
import pathlib
import sys

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

OUT = pathlib.Path(__file__).parents[2] / "eval" / "metrics" / "testdata" / "captions.json.gz"
PICTURES = 80
ODD = [  # (caption, references): empty texts, repeated words, ties of lengths
    ("", ["a dog"]), ("", [""]), ("a dog", ["", "a cat and a dog"]), ("the the the the", ["the cat", "the the dog"]),
    ("a b c", ["a b", "a b c d"]), ("a", ["a"]), ("one two three four five", ["five four three two one"]),
    ("a\u00a0b c", ["a b c", "a\u00a0b"]), ("x y  z", ["x y z"]),
]


def scored(got: list, references: list) -> dict:
    """Returns the scores of a corpus and of each caption."""
    results, truth = {i: [t] for i, t in enumerate(got)}, dict(enumerate(references))
    bleu, bleus = Bleu(4).compute_score(truth, results, verbose=0)
    rouge, rouges = Rouge().compute_score(truth, results)
    cider, ciders = Cider().compute_score(truth, results)
    return {
        "got": got, "references": references,
        "bleu": bleu, "bleus": list(zip(*bleus)), "rouge": float(rouge), "rouges": [float(x) for x in rouges],
        "cider": float(cider), "ciders": [float(x) for x in ciders],
    }


if __name__ == "__main__":
    golden = json.loads(gzip.decompress(pathlib.Path(sys.argv[1]).read_bytes()))
    ids = [str(i) for i in golden["image_ids"][:PICTURES]]
    document = {
        "coco": scored([golden["tokenized_predictions"][i][0] for i in ids], [golden["tokenized_references"][i] for i in ids]),
        "odd": scored([g for g, _ in ODD], [r for _, r in ODD]),
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
    OUT.write_bytes(gzip.compress(text.encode("utf-8"), 9, mtime=0))
