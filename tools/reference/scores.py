"""Computes benchmark scores with NumPy and scikit-learn, as a reference for bridge's (eval/metrics).

    scores.py    writes eval/metrics/testdata/scores.json and eval/score/testdata/*.npy

Only this script needs scores.txt. `retrieval` is a reading of LAVIS's tasks/retrieval.py and
Blip2Qformer.compute_sim_matrix, with one difference: a candidate whose score equals that of the
right one stands before it. `binary` has scikit-learn's figures of drawn scores with many ties.
`distribution` is a reading of the official eval.py of GQA.
"""

import json
import pathlib

import numpy as np
from sklearn import metrics

MATRICES = pathlib.Path(__file__).parents[2] / "eval" / "score" / "testdata"
OUT = pathlib.Path(__file__).parents[2] / "eval" / "metrics" / "testdata" / "scores.json"


def ranks(scores: np.ndarray, own: list) -> np.ndarray:
    """Returns the best rank of each query's own candidates."""
    out = []
    for row, right in zip(scores, own):
        others = np.delete(row, right)
        out.append(int((others >= row[right].max()).sum()))
    return np.array(out)


def recall(found: np.ndarray) -> list:
    return [100.0 * float((found < k).mean()) for k in (1, 5, 10)]


def reranked(itc: np.ndarray, itm: np.ndarray, own: list, k: int) -> np.ndarray:
    """Returns -100 everywhere, and ITM + ITC for the k best candidates of each query by ITC."""
    out = np.full_like(itc, -100.0)
    for q, row in enumerate(itc):
        right = np.isin(np.arange(len(row)), own[q])
        order = np.lexsort((np.arange(len(row)), right, -row))  # own candidates last among equals
        top = order[: min(k, len(row))]
        out[q, top] = itm[q, top] + row[top]
    return out


def retrieval(rng, images: int, k: int, levels: int) -> dict:
    """Draws matrices for images with 1 to 5 captions, with few levels so that scores tie."""
    counts = rng.integers(1, 6, images)
    owner = np.repeat(np.arange(images), counts)
    own_texts = [np.flatnonzero(owner == i).tolist() for i in range(images)]
    own_images = [[int(i)] for i in owner]
    itc = (rng.integers(0, levels, (images, len(owner))) / levels).astype(np.float32)
    itc[owner, np.arange(len(owner))] += np.float32(0.25)
    itm = (rng.integers(-levels, levels, itc.shape) / levels).astype(np.float32)
    i2t, t2i = reranked(itc, itm, own_texts, k), reranked(itc.T, itm.T, own_images, k)
    return {
        "k": k, "own_texts": own_texts, "own_images": own_images, "itc": itc.tolist(), "itm": itm.tolist(),
        "text": recall(ranks(itc, own_texts)), "image": recall(ranks(itc.T, own_images)),
        "text_ranks": ranks(itc, own_texts).tolist(), "image_ranks": ranks(itc.T, own_images).tolist(),
        "text_reranked": recall(ranks(i2t, own_texts)), "image_reranked": recall(ranks(t2i, own_images)),
    }


def binary(rng, n: int, levels: int, share: float) -> dict:
    scores = rng.integers(0, levels, n) / levels
    truth = rng.random(n) < share
    decisions = scores > 0.6
    return {
        "scores": scores.tolist(), "truth": truth.tolist(), "decisions": decisions.tolist(),
        "roc_auc": metrics.roc_auc_score(truth, scores), "average_precision": metrics.average_precision_score(truth, scores),
        "accuracy": metrics.accuracy_score(truth, decisions), "precision": metrics.precision_score(truth, decisions, zero_division=0),
        "recall": metrics.recall_score(truth, decisions), "f1": metrics.f1_score(truth, decisions), "positive": float(decisions.mean()),
    }


def distribution(rng, n: int) -> dict:
    words, groups = ["red", "blue", "cat", "dog", "yes"], ["color", "animal", None]
    answers = rng.choice(words, n).tolist()
    predictions = [a if rng.random() < 0.5 else str(rng.choice([*words, "other"])) for a in answers]
    group = [groups[i] for i in rng.integers(0, 3, n)]
    total, size = 0.0, 0
    for g in ("color", "animal"):
        inside = [i for i in range(n) if group[i] == g]
        gold = {a: sum(answers[i] == a for i in inside) for a in sorted({answers[i] for i in inside})}
        chi = sum((sum(predictions[i] == a for i in inside) - e) ** 2 / e for a, e in gold.items())
        total, size = total + chi * len(inside), size + len(inside)
    return {"answers": answers, "predictions": predictions, "groups": [g or "" for g in group], "value": total / size}


def winoground_of(s: np.ndarray) -> tuple[float, float, float]:
    """Returns the text, image and group score of scores [n, caption, picture], in percent."""
    text = (s[:, 0, 0] > s[:, 1, 0]) & (s[:, 1, 1] > s[:, 0, 1])
    image = (s[:, 0, 0] > s[:, 0, 1]) & (s[:, 1, 1] > s[:, 1, 0])
    return 100 * float(text.mean()), 100 * float(image.mean()), 100 * float((text & image).mean())


def winoground(rng, n: int) -> dict:
    s = rng.integers(0, 4, (n, 2, 2)).astype(float)
    return {"scores": s.tolist()} | dict(zip(("text", "image", "group"), winoground_of(s)))


if __name__ == "__main__":
    rng = np.random.default_rng(7)
    document = {
        "retrieval": [retrieval(rng, 30, 8, 20), retrieval(rng, 12, 128, 6), retrieval(rng, 25, 4, 1000)],
        "binary": [binary(rng, 400, 10, 0.5), binary(rng, 300, 100000, 0.2), binary(rng, 200, 3, 0.7)],
        "distribution": distribution(rng, 200),
        "winoground": winoground(rng, 400),
    }
    text = json.dumps(document, separators=(",", ":"))
    OUT.write_text(text + "\n", encoding="utf-8")
    MATRICES.mkdir(parents=True, exist_ok=True)
    matrix = np.array([[0.9, 0.1, 0.5], [0.5, 0.2, 0.5]])  # caption c of picture 2 ties with caption a
    for name, m in {"f4": matrix.astype("<f4"), "f8": matrix, "fortran": np.asfortranarray(matrix), "i8": matrix.astype("<i8")}.items():
        np.save(MATRICES / f"{name}.npy", m)
