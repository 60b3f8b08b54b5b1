"""Computes VQA accuracy with the official code, as a reference for bridge's (eval/metrics).

    git clone https://github.com/GT-Vision-Lab/VQA && git -C VQA checkout a013f00
    vqa.py VQA [DATA]    writes eval/metrics/testdata/vqa.json.gz

It needs no package. vqaEval.py is for Python 2; only its two print statements are changed.
DATA is a folder with annotations of TextVQA and VizWiz in VQA's format and predictions
(textvqa_val_annotations.json.gz, textvqa_predictions.json.gz, the same of vizwiz). Without
it, the slices that the file has now are scored again.
"""

import argparse
import gzip
import json
import pathlib
import random
import re
import sys

OUT = pathlib.Path(__file__).parents[2] / "eval" / "metrics" / "testdata" / "vqa.json.gz"

# Texts to normalise: each rule, its exceptions, and what Python's own functions do to texts of
# other scripts.
TEXTS = """Yes.|1,000|1,000 - 2,000|1,2,3|one, two|t-shirt|t -shirt|red/white|twenty-two|3.5|3.|.5|x.y.z 1.5.|U.S.A.|No.1|10:30 am
$5.00|50%|black & white|what?!|left (side)|The man's hat|DONT|somebody'd|Im|I'dve|its|none.|a|an the A|THE|it`s|let's|shes|she's
""".replace("\n", "|").split("|") + [
    "", " ", "." * 40, "a." * 40, "one\ttwo\nthree", "\u00a0yes\u3000", "\x1cyes\x1f", "two\x1dthree", "\u0130stanbul", "\u039f\u0394\u039f\u03a3",
    "\u0663,\u0664", "\u0663.\u0664", "STRASSE \u1e9e", "caf\u00e9", "\u4e00 \u4e8c", "a\u2028the\u2029b", "\x85none\x85", "None of  them",
    "zero ten eleven", "y'allll'd've", "ow's'at", "'OWS'AT", "a-b - c", "(a)(b) (c)", "[x]{y}=z+w", "a\\b_c", "<b>@`,", "1,a", "a,1", "1 ,2", "1, 2",
    "50,000.00", "...5", "5...", "1.2.3.", "hello.world", "e.g., a dog", "dr. who?", "isnt arent", "isn't", "youre the one", "ten-four",
]


def official(checkout: pathlib.Path):
    """Returns the class VQAEval of a checkout, with print statements turned into calls."""
    source = (checkout / "PythonEvaluationTools" / "vqaEvaluation" / "vqaEval.py").read_text(encoding="utf-8")
    source, changed = re.subn(r'(?m)^(\s*)print "(.*)"$', r'\1print("\2", file=sys.stderr)', source.replace("sys.stdout", "sys.stderr"))
    assert changed == 2, changed
    space = {}
    exec(compile(source, "vqaEval.py", "exec"), space)
    return space["VQAEval"]


class Answers:
    """Stands for the class VQA, which reads files: questions by id."""

    def __init__(self, qa: dict):
        self.qa = qa

    def getQuesIds(self) -> list:
        return list(self.qa)


def score(kind, cases: list) -> list:
    """Returns the accuracy of each (prediction, answers), unrounded."""
    truth = {i: {"question_type": "any", "answer_type": "any", "answers": [{"answer": a, "answer_id": n} for n, a in enumerate(answers)]}
             for i, (_, answers) in enumerate(cases)}
    found = {}
    evaluation = kind(Answers(truth), Answers({i: {"answer": prediction} for i, (prediction, _) in enumerate(cases)}))
    evaluation.setEvalQA = lambda question, accuracy: found.__setitem__(question, accuracy)
    evaluation.evaluate()
    return [found[i] for i in range(len(cases))]


def drawn(n: int) -> list:
    """Draws predictions and answers of words that the rules change. Lists have 1 to 12 answers."""
    rng = random.Random(5)
    words = ["a", "The", "red", "RED", "two", "2", "none", "dont", "t-shirt", "1,000", "U.S.", "it's", "yes!", " no", "half/half", "3.5", "man's"]

    def text() -> str:
        return " ".join(rng.choices(words, k=rng.randint(1, 3)))

    cases = []
    for i in range(n):
        pool = [text() for _ in range(1 + i % 4)]
        cases.append((rng.choice([*pool, text(), pool[0].lower()]), rng.choices(pool, k=rng.randint(1, 12))))
    return cases


def real(folder: pathlib.Path, name: str, step: int) -> list:
    """Returns every step-th question of a data set as (prediction, answers)."""
    def read(part: str):
        with gzip.open(folder / f"{name}_{part}.json.gz", "rt", encoding="utf-8") as f:
            return json.load(f)

    predictions = {p["question_id"]: p["answer"] for p in read("predictions")}
    return [(predictions[q["question_id"]], [a["answer"] for a in q["answers"]]) for q in read("val_annotations")["annotations"][::step]]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path, nargs="?")
    parser.add_argument("--all", type=pathlib.Path, help="write all questions of DATA to this file instead of a slice")
    arguments = parser.parse_args()
    kind, sets = official(arguments.checkout), {"drawn": drawn(400)}
    for name in ("textvqa", "vizwiz"):
        if arguments.data:
            sets[name] = real(arguments.data, name, 1 if arguments.all else 10)
        else:
            before = json.loads(gzip.decompress(OUT.read_bytes()))["sets"][name]
            sets[name] = [(case["prediction"], case["answers"]) for case in before]
    evaluation = kind(Answers({}), Answers({}))
    document = {
        "source": "GT-Vision-Lab/VQA a013f00 vqaEval.py, Python " + sys.version.split()[0],
        "normalized": {t: evaluation.processDigitArticle(evaluation.processPunctuation(t.replace("\n", " ").replace("\t", " ").strip())) for t in [*TEXTS, *evaluation.contractions]},
        "sets": {
            name: [{"prediction": p, "answers": a, "score": s} for (p, a), s in zip(cases, score(kind, cases), strict=True)]
            for name, cases in sets.items()
        },
    }
    out = arguments.all or OUT
    out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
    out.write_bytes(gzip.compress(text.encode("utf-8"), 9, mtime=0))
