"""Evaluates tiny BLIP-2 folders on small files in the layouts of official benchmarks:
eval/benchmark/testdata/official.json.gz.

    python tasks.py

It writes the files (questions, labels, captions and pictures), and what LAVIS's flow with
transformers' classes makes of them (evaluation.py): answers, rankings and ranks, and the figures by
each benchmark's own rule, which stand here once more. Pictures and texts are made up. Right answers are
mostly answers of the models, so that the figures are neither 0 nor 100 %.

It needs numpy, pycocoevalcap (cider.txt) and scikit-learn (scores.txt).
"""

from __future__ import annotations

import gzip
import json
import re

import numpy as np
import torch
from sklearn import metrics

import evaluation
from common import setup
from evaluation import ANSWERS, REPOSITORY, SIZE, Generative, draw, golden, paint, phrase
from scores import winoground_of

import vqa_score  # evaluation.py adds its folder

PICTURES, CAPTIONS, ASKED, RERANKED = 32, 5, 16, 128
WORDS = ["cat", "dog", "apple", "photo", "background"]
MME = ["existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR",
       "commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"]
CONTRACTIONS = dict(re.findall(r'"([a-z\']+)": "([a-z\']+)"', vqa_score.CONTRACTIONS.read_text(encoding="utf-8")))
MEMES = 'This is an image with: "{}" written on it. Is it hateful? Answer:'
VSR = 'Based on the image, is this statement true or false? "{}" Answer:'


def blip_question(text: str) -> str:
    """LAVIS's processor of questions."""
    text = re.sub(r"([.!\"()*#:;~])", "", text.lower()).rstrip(" ")
    return " ".join(text.split(" ")[:50])


def blip_caption(text: str) -> str:
    """LAVIS's processor of captions."""
    text = re.sub(r"([.!\"()*#:;~])", " ", text.lower())
    text = re.sub(r"\s{2,}", " ", text).rstrip("\n").strip(" ")
    return " ".join(text.split(" ")[:50])


def normal(text: str) -> str:
    return vqa_score.normalize(vqa_score.strip(text), CONTRACTIONS)


class Files:
    """The files, and the pictures that they name: numbers of pictures by path."""

    def __init__(self):
        self.texts, self.pictures = {}, {}

    def add(self, path: str, value) -> None:
        self.texts[path] = json.dumps(value)

    def lines(self, path: str, rows: list) -> None:
        self.texts[path] = "".join(json.dumps(r) + "\n" for r in rows)


class Asked:
    """Both models' answers to questions, each about a picture."""

    def __init__(self, models: dict, rows: list[int], questions: list[str]):
        self.of = {}
        for kind in models:
            prompts = [evaluation.PROMPTS[kind].format(blip_question(q)) for q in questions]
            self.of[kind] = models[kind].generate(rows, prompts, ANSWERS[kind])

    def texts(self, kind: str) -> list[str]:
        return [a["text"] for a in self.of[kind]]

    def mixed(self, rng, i: int, n: int) -> list[str]:
        """Returns n right answers to question i: those of the models, and others."""
        mine = [texts[i]["text"] for texts in self.of.values()]
        others = [texts[rng.integers(len(texts))]["text"] for texts in self.of.values()]
        return [str((mine * 2 + others)[rng.integers(3 * len(mine))]) for _ in range(n)]

    def results(self, ids: list[str], figures) -> dict:
        """Returns the answers by id, and the figures of each model's texts."""
        return {kind: {"answers": dict(zip(ids, of)), "figures": figures(self.texts(kind))} for kind, of in self.of.items()}


def percent(values) -> float:
    return 100 * float(np.mean(values))


def ask(rng) -> str:
    return f"Is there a {rng.choice(WORDS)}? (or {rng.choice(WORDS)})"


def gqa(files: Files, models: dict, rng) -> dict:
    rows = rng.integers(0, PICTURES, ASKED).tolist()
    questions, ids = [ask(rng) for _ in rows], [f"2{i:07}" for i in range(ASKED)]
    asked = Asked(models, rows, questions)
    answers = [asked.mixed(rng, i, 1)[0] for i in range(ASKED)]
    answers = [a.upper() + "." if i % 5 == 0 else a for i, a in enumerate(answers)]
    structural = [str(rng.choice(["query", "verify"])) for _ in rows]
    groups = [str(rng.choice(["color", "animal"])) for _ in rows]
    files.add("gqa/testdev_balanced_questions.json", {
        i: {"imageId": f"n{row}", "question": q, "answer": a, "fullAnswer": a, "isBalanced": True, "groups": {"global": g, "local": ""},
            "types": {"structural": s, "semantic": "obj", "detailed": "x"}}
        for i, row, q, a, s, g in zip(ids, rows, questions, answers, structural, groups)})
    for row in rows:
        files.pictures[f"gqa/images/n{row}.jpg"] = row

    def figures(texts: list[str]) -> dict:
        right = [normal(t) == normal(a) for t, a in zip(texts, answers)]
        chi, size = 0.0, 0
        for g in sorted(set(groups)):
            inside = [i for i in range(ASKED) if groups[i] == g]
            gold = {answers[i]: sum(answers[j] == answers[i] for j in inside) for i in inside}
            chi += len(inside) * sum((sum(texts[i] == a for i in inside) - e) ** 2 / e for a, e in gold.items())
            size += len(inside)
        kinds = {f"kind: {k}": percent([r for r, s in zip(right, structural) if (s == "query") == (k == "open")]) for k in ("open", "binary")}
        return {"value": percent(right), "distribution": chi / size} | kinds

    return asked.results(ids, figures)


def vizwiz(files: Files, models: dict, rng) -> dict:
    rows = rng.choice(PICTURES, ASKED, replace=False).tolist()
    names, questions = [f"VizWiz_val_{row:08}.jpg" for row in rows], [ask(rng) for _ in rows]
    asked = Asked(models, rows, questions)
    answers = [asked.mixed(rng, i, 10) for i in range(ASKED)]
    answerable = [int(rng.random() < 0.6) for _ in rows]
    files.add("vizwiz/val.json", [
        {"image": n, "question": q, "answers": [{"answer": normal(a), "answer_confidence": "yes"} for a in some], "answer_type": "other", "answerable": y}
        for n, q, some, y in zip(names, questions, answers, answerable)])
    for name, row in zip(names, rows):
        files.pictures[f"vizwiz/images/{name}"] = row

    def figures(texts: list[str]) -> dict:
        scores = []
        for text, some in zip(texts, answers):
            same = [normal(a) == normal(text) for a in some]  # the answers are normalised already
            scores.append(np.mean([min(1, (sum(same) - s) / 3) for s in same]))
        said, truth = [normal(t) == "unanswerable" for t in texts], [y == 0 for y in answerable]
        return {"value": percent(scores), "average_precision": 100 * metrics.average_precision_score(truth, said), "f1": 100 * metrics.f1_score(truth, said)}

    return asked.results(names, figures)


def aokvqa(files: Files, models: dict, rng) -> tuple[dict, dict]:
    rows = rng.integers(0, PICTURES, ASKED).tolist()
    ids, questions = [f"{'q' * 20}{i:02}" for i in range(ASKED)], [ask(rng) for _ in rows]
    asked = Asked(models, rows, questions)
    answers = [asked.mixed(rng, i, 10) for i in range(ASKED)]
    difficult = [i % 4 == 3 for i in range(ASKED)]
    choices = [[phrase(rng) for _ in range(4)] for _ in rows]
    right = rng.integers(0, 4, ASKED).tolist()
    files.add("aokvqa/aokvqa_v1p0_val.json", [
        {"split": "val", "image_id": row, "question_id": i, "question": q, "choices": c, "correct_choice_idx": r, "direct_answers": a,
         "difficult_direct_answer": d, "rationales": ["x"] * 3}
        for row, i, q, c, r, a, d in zip(rows, ids, questions, choices, right, answers, difficult)])
    for row in rows:
        files.pictures[f"coco/images/{row:012}.jpg"] = row

    def figures(texts: list[str]) -> dict:
        return {"value": percent([min(1, some.count(t) / 3) for t, some, d in zip(texts, answers, difficult) if not d])}

    prompts = {kind: [evaluation.PROMPTS[kind].format(blip_question(q)) for q in questions] for kind in models}
    return asked.results(ids, figures), ranked(models, rows, ids, prompts, choices, right)


def ranked(models: dict, rows: list[int], ids: list[str], asked: dict, choices: list, right: list, auc: bool = False) -> dict:
    """Ranks candidates by the sum of −log p. asked has the prompts of each model."""
    out = {}
    for kind, prompts in asked.items():
        losses = [[loss for loss, _ in models[kind].losses(row, text, some)] for row, text, some in zip(rows, prompts, choices)]
        best = [int(np.argmin(some)) for some in losses]
        figures = {"value": percent([b == r for b, r in zip(best, right)])}
        if auc:
            figures = {"roc_auc": 100 * metrics.roc_auc_score(right, [some[0] - some[1] for some in losses]), "accuracy": figures["value"]}
        out[kind] = {"answers": {i: {"text": c[b], "losses": some, "margin": float(np.sort(some)[1] - np.sort(some)[0])}
                                 for i, c, b, some in zip(ids, choices, best, losses)}, "figures": figures}
    return out


def pope(files: Files, models: dict, rng, name: str) -> dict:
    rows = rng.integers(0, PICTURES, ASKED).tolist()
    questions, labels = [f"Is there a {rng.choice(WORDS)} in the image?" for _ in rows], [str(rng.choice(["yes", "no"])) for _ in rows]
    files.lines(f"pope/coco_pope_{name}.json", [
        {"question_id": i + 1, "image": f"COCO_val2014_{row:012}.jpg", "text": q, "label": a} for i, (row, q, a) in enumerate(zip(rows, questions, labels))])
    for row in rows:
        files.pictures[f"coco/images/COCO_val2014_{row:012}.jpg"] = row

    def figures(texts: list[str]) -> dict:
        said = [not {"No", "no", "not"} & set(t.split(".")[0].replace(",", "").split(" ")) for t in texts]
        truth = [a == "yes" for a in labels]
        return {"accuracy": 100 * metrics.accuracy_score(truth, said), "precision": 100 * metrics.precision_score(truth, said, zero_division=0),
                "recall": 100 * metrics.recall_score(truth, said), "f1": 100 * metrics.f1_score(truth, said), "yes_ratio": percent(said)}

    return Asked(models, rows, questions).results([str(i + 1) for i in range(ASKED)], figures)


def mme(files: Files, models: dict, rng) -> dict:
    rows, questions, ids, labels, categories = [], [], [], [], []
    for category in MME:
        row = int(rng.integers(PICTURES))
        pair = [(f"Is it a {w}? Please answer yes or no.", str(a)) for w, a in zip(rng.choice(WORDS, 2), rng.permutation(["Yes", "No"]))]
        files.texts[f"mme/{category}/p{row}.txt"] = "".join(f"{q}\t{a}\n" for q, a in pair)
        files.pictures[f"mme/{category}/p{row}.png"] = row
        for n, (q, a) in enumerate(pair):
            rows.append(row), questions.append(q), ids.append(f"{category}/p{row}/{n + 1}"), labels.append(a.lower()), categories.append(category)

    def said(text: str) -> str:
        text = text.lower().strip().replace(".", "")
        if text in ("yes", "no"):
            return text
        if len(text) == 1:
            return {"y": "yes", "n": "no"}.get(text, "other")
        return "yes" if "yes" in text[:4] else "no" if "no" in text[:4] else "other"

    def figures(texts: list[str]) -> dict:
        score = {}
        for c in MME:
            right = [said(t) == a for t, a, of in zip(texts, labels, categories) if of == c]
            score[c] = percent(right) + 100 * all(right)
        return {"perception": sum(score[c] for c in MME[:10]), "cognition": sum(score[c] for c in MME[10:])}

    return Asked(models, rows, questions).results(ids, figures)


def scienceqa(files: Files, models: dict, rng) -> dict:
    problems, ids, rows, questions, choices, right = {}, [], [], [], [], []
    for i in range(ASKED + 4):
        row, some = int(rng.integers(PICTURES)), [phrase(rng) for _ in range(rng.integers(2, 5))]
        image = i % 5 != 4  # the others have no picture, and are left out
        p = {"question": ask(rng), "choices": some, "answer": int(rng.integers(len(some))), "hint": phrase(rng) if i % 3 else "", "image": "image.png" if image else None,
             "subject": str(rng.choice(["natural science", "social science"])), "lecture": "", "solution": "", "split": "test"}
        problems[str(100 + i)] = p
        if image:
            files.pictures[f"scienceqa/images/{100 + i}/image.png"] = row
            letters = " ".join(f"({chr(97 + n)}) {c}" for n, c in enumerate(some))
            ids.append(str(100 + i)), rows.append(row), choices.append(some), right.append(p["answer"])
            questions.append(f"context: {p['hint']}. Question: {blip_question(p['question'])} Options: {letters}. Answer:")
    files.add("scienceqa/problems.json", problems)
    files.add("scienceqa/pid_splits.json", {"test": list(problems), "train": []})
    return ranked(models, rows, ids, {"t5": questions}, choices, right)


def binary(files: Files, models: dict, rng, memes: bool) -> dict:
    rows, labels = rng.choice(PICTURES, ASKED, replace=False).tolist(), [i % 2 for i in range(ASKED)]
    texts = [f"The {rng.choice(WORDS)} is left of the {rng.choice(WORDS)}." for _ in rows]
    if memes:
        ids = [f"{10000 + row}" for row in rows]
        files.lines("hatefulmemes/dev_seen.jsonl", [{"id": int(i), "img": f"img/{i}.png", "label": y, "text": t} for i, y, t in zip(ids, labels, texts)])
        files.pictures |= {f"hatefulmemes/img/{i}.png": row for i, row in zip(ids, rows)}
    else:
        ids = [str(i) for i in range(ASKED)]
        files.lines("vsr/zeroshot_test.jsonl", [
            {"image": f"{row:012}.jpg", "image_link": f"http://images.cocodataset.org/train2017/{row:012}.jpg", "caption": t, "label": y, "relation": "left of"}
            for row, y, t in zip(rows, labels, texts)])
        files.pictures |= {f"coco/images/{row:012}.jpg": row for row in rows}
    prompts = [(MEMES if memes else VSR).format(blip_question(t)) for t in texts]
    return ranked(models, rows, ids, {"t5": prompts}, [["no", "yes"]] * ASKED, labels, memes)


def retrieval(files: Files, images: np.ndarray, rng) -> dict:
    captions = [[phrase(rng).capitalize() + "." for _ in range(CAPTIONS)] for _ in range(PICTURES)]
    files.add("flickr30k/flickr30k_test.json", [{"image": f"flickr30k-images/{i}.jpg", "caption": c} for i, c in enumerate(captions)])
    files.pictures |= {f"flickr30k/images/{i}.jpg": i for i in range(PICTURES)}
    found = evaluation.retrieval(images, [[blip_caption(c) for c in some] for some in captions], RERANKED)
    out = {"text_tokens": found["text_tokens"], "figures": {}}
    for name in ("text", "image"):
        out[name] = {k: found[name][k] for k in ("ranks", "margins")}
        out["figures"] |= {f"{name}_r{k}": r for k, r in zip((1, 5, 10), found[name]["recall"])}
    return {"retrieval": out}


def winoground(files: Files, images: np.ndarray, rng) -> dict:
    rows, pairs = rng.permutation(PICTURES).reshape(-1, 2).tolist(), []
    for i, two in enumerate(rows):
        captions = [phrase(rng).capitalize() for _ in range(2)]
        pairs.append({"id": i, "image_0": f"ex_{i}_img_0", "image_1": f"ex_{i}_img_1", "caption_0": captions[0], "caption_1": captions[1],
                      "tag": "x", "secondary_tag": "", "num_main_preds": 1, "collapsed_tag": str(rng.choice(["Object", "Relation"]))})
        files.pictures |= {f"winoground/images/ex_{i}_img_{n}.png": row for n, row in enumerate(two)}
    files.lines("winoground/examples.jsonl", pairs)
    scores = evaluation.matched(images, rows, [[blip_caption(p["caption_0"]), blip_caption(p["caption_1"])] for p in pairs])
    text, image, group = winoground_of(scores)
    return {"retrieval": {"matches": scores.tolist(), "figures": {"text": text, "image": image, "group": group}}}


@torch.no_grad()
def main() -> None:
    setup()
    torch.set_num_threads(1)
    rng = np.random.default_rng(23)
    pictures, files = [draw(rng) for _ in range(PICTURES)], Files()
    images = paint(pictures)
    models = {"opt": Generative("opt", REPOSITORY / "eval/testdata/blip2-opt", images), "t5": Generative("t5", golden("t5"), images)}
    direct, choice = aokvqa(files, models, rng)
    results = {
        "gqa-testdev": gqa(files, models, rng), "vizwiz-val": vizwiz(files, models, rng), "aokvqa-val-da": direct, "aokvqa-val-mc": choice,
        **{f"pope-{name}": pope(files, models, rng, name) for name in ("random", "popular", "adversarial")}, "mme": mme(files, models, rng),
        "scienceqa-img": scienceqa(files, models, rng), "vsr": binary(files, models, rng, False), "hatefulmemes": binary(files, models, rng, True),
        "flickr30k-retrieval": retrieval(files, images, rng), "winoground": winoground(files, images, rng),
    }
    for task, of in results.items():
        for kind, found in of.items():
            print(task, kind, {k: round(v, 3) for k, v in found["figures"].items()})
    document = {"size": SIZE, "boxes": pictures, "files": files.texts, "pictures": files.pictures, "results": results}
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
    out = REPOSITORY / "eval/benchmark/testdata/official.json.gz"
    out.parent.mkdir(exist_ok=True)
    out.write_bytes(gzip.compress(text.encode("utf-8"), 9, mtime=0))
    print(f"{out.name}: {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
