"""Cuts a slice of VizWiz and TextVQA with the scores of five scorers (eval/metrics).

    vqa_variants.py DATA    writes eval/metrics/testdata/vqa_variants.json.gz

It needs no package. DATA is a folder with annotations in VQA's format, predictions, and
vqa_scores.json.gz: what the official code, LAVIS, lmms-eval's rule, LLaVA's evaluator and
VizWiz's scorer give each prediction, in percent. The slice is every tenth question of VizWiz
and every twentieth of TextVQA.
"""

import gzip
import json
import pathlib
import sys

OUT = pathlib.Path(__file__).parents[2] / "eval" / "metrics" / "testdata" / "vqa_variants.json.gz"
VARIANTS = ("official", "lavis", "always", "evalai", "vizwiz")


def read(path: pathlib.Path):
    return json.loads(gzip.decompress(path.read_bytes()))


def sliced(folder: pathlib.Path, name: str, step: int) -> list:
    """Returns every step-th question with its prediction, its answers and the scores by variant."""
    predictions = {p["question_id"]: p["answer"] for p in read(folder / f"{name}_predictions.json.gz")}
    scores = read(folder / "vqa_scores.json.gz")
    questions = read(folder / f"{name}_val_annotations.json.gz")["annotations"]
    return [
        {
            "prediction": predictions[q["question_id"]],
            "answers": [a["answer"] for a in q["answers"]],
            "scores": {v: scores[f"{name}/{v}"]["per_question"][i] for v in VARIANTS},
        }
        for i, q in enumerate(questions)
        if i % step == 0
    ]


if __name__ == "__main__":
    data = pathlib.Path(sys.argv[1])
    document = {"vizwiz": sliced(data, "vizwiz", 10), "textvqa": sliced(data, "textvqa", 20)}
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
    OUT.write_bytes(gzip.compress(text.encode("utf-8"), 9, mtime=0))
