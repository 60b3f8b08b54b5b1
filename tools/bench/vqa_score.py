"""Compares the speed of VQA accuracy with a straightforward Python scorer of the same rule.

    vqa_score.py BRIDGE BENCHMARK DATA [--rounds 5]

It needs no package. BRIDGE is the program; BENCHMARK is the test binary of eval/metrics (`make
bench-vqa` builds both). DATA has vizwiz_val_questions.json.gz, vizwiz_val_annotations.json.gz
and vizwiz_predictions.json.gz. In each round Python and Go score VizWiz val by the official
rule, one after the other: the scoring alone, of data that are read already, and whole processes
from start to end. bridge's process computes intervals, too. The figures must be equal. Printed
are medians, and their ratios.
"""

import argparse
import gzip
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

CONTRACTIONS = pathlib.Path(__file__).parents[2] / "eval" / "metrics" / "contractions.go"
SIGNS = ';/[]"{}()=+\\_-><@`,?!'
NUMBERS = {w: str(n) for n, w in enumerate("zero one two three four five six seven eight nine ten".split())} | {"none": "0"}
COMMA, PERIOD = re.compile(r"\d,\d"), re.compile(r"\.(?!\d)")


def read(path: str):
    with gzip.open(path, "rt", encoding="utf-8") as f:
        return json.load(f)


def normalize(text: str, contractions: dict) -> str:
    """Applies the official rules to a text, one after the other."""
    out = text
    for sign in SIGNS:
        if sign + " " in text or " " + sign in text or COMMA.search(text):
            out = out.replace(sign, "")
        else:
            out = out.replace(sign, " ")
    words = [NUMBERS.get(w, w) for w in PERIOD.sub("", out, count=32).lower().split()]
    return " ".join(contractions.get(w, w) for w in words if w not in ("a", "an", "the"))


def strip(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def load(data: str) -> list:
    """Returns each question's prediction and answers."""
    predictions = {p["question_id"]: p["answer"] for p in read(f"{data}/vizwiz_predictions.json.gz")}
    questions = {q["question_id"] for q in read(f"{data}/vizwiz_val_questions.json.gz")["questions"]}
    annotations = read(f"{data}/vizwiz_val_annotations.json.gz")["annotations"]
    assert questions == {q["question_id"] for q in annotations}
    return [(predictions[q["question_id"]], [a["answer"] for a in q["answers"]]) for q in annotations]


def score(cases: list) -> float:
    """Returns the VQA accuracy in percent. Each annotator is left out once, by position."""
    contractions = dict(re.findall(r'"([a-z\']+)": "([a-z\']+)"', CONTRACTIONS.read_text(encoding="utf-8")))
    scores = []
    for prediction, answers in cases:
        prediction, answers = strip(prediction), [strip(a) for a in answers]
        if len(set(answers)) > 1:
            answers = [normalize(a, contractions) for a in answers]
            prediction = normalize(prediction, contractions)
        credits = []
        for left_out in range(len(answers)):
            others = [a for i, a in enumerate(answers) if i != left_out]
            credits.append(min(1, sum(a == prediction for a in others) / 3))
        scores.append(sum(credits) / len(credits))
    return 100 * sum(scores) / len(scores)


def measured(command: list) -> tuple:
    """Runs a command. Returns its output, and its wall-clock and processor seconds."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CONTRACTIONS.parent)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return output, wall, usage.ru_utime + usage.ru_stime


def compare(bridge: str, benchmark: str, data: str, rounds: int) -> None:
    os.environ["BRIDGE_TEST_DATA"] = data
    python = [sys.executable, __file__, "--score", data]
    native = [bridge, "eval", "score", "vqa", f"{data}/vizwiz_predictions.json.gz", "--questions", f"{data}/vizwiz_val_questions.json.gz",
              "--annotations", f"{data}/vizwiz_val_annotations.json.gz", "--json"]
    scoring = [benchmark, "-test.run", "^$", "-test.bench", "VQAVizWiz", "-test.benchtime", "5x"]
    seconds, values = {}, set()

    def add(what: str, value: float, *times: float) -> None:
        values.add(round(value, 6))
        for kind, t in zip(("wall-clock", "processor"), times):
            seconds.setdefault((what, kind), []).append(t)

    for _ in range(rounds):
        output, wall, cpu = measured(python)
        own = json.loads(output)
        add("Python, process", own["value"], wall, cpu)
        add("Python, scoring", own["value"], own["wall"], own["cpu"])
        output, wall, cpu = measured(native)
        add("bridge, process", json.loads(output)["value"], wall, cpu)
        output, _, _ = measured(scoring)
        found = re.search(r"([\d.]+) ns/op\s+([\d.]+) percent", output)
        add("bridge, scoring", round(float(found[2]), 2), float(found[1]) / 1e9)
    assert max(values) - min(values) < 0.01, values
    median = {key: statistics.median(of) for key, of in seconds.items()}
    for (what, kind), t in median.items():
        print(f"{what}, {kind}: {t:.4f} s")
    for what, kind in (("scoring", "wall-clock"), ("process", "wall-clock"), ("process", "processor")):
        print(f"{what}, {kind}: bridge is {median['Python, ' + what, kind] / median['bridge, ' + what, kind]:.1f} times as fast")


if __name__ == "__main__":
    if sys.argv[1] == "--score":
        loaded = load(sys.argv[2])
        began, cpu_began = time.perf_counter(), time.process_time()
        print(json.dumps({"value": score(loaded), "wall": time.perf_counter() - began, "cpu": time.process_time() - cpu_began}))
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("bridge", type=os.path.abspath)
        parser.add_argument("benchmark", type=os.path.abspath)
        parser.add_argument("data", type=os.path.abspath)
        parser.add_argument("--rounds", type=int, default=5)
        arguments = parser.parse_args()
        compare(arguments.bridge, arguments.benchmark, arguments.data, arguments.rounds)
