"""Evaluates tiny BLIP-2 folders as LAVIS does: eval/testdata/blip2.json.gz.

    python evaluation.py

The models are those of blip2.py (bridge/testdata/golden-*), but the one with OPT is changed so
that its answers differ from picture to picture (eval/testdata/blip2-opt). The pictures are
rectangles, the questions and captions are made up. The flow is LAVIS's, with transformers' classes: generate and
predict_answers of Blip2OPT and Blip2T5 (a batch of prompts is padded, OPT's on the left between
queries and text), predict_class of Blip2T5Instruct (candidates are padded), and
compute_sim_matrix and the ranks of its retrieval task. Scores are by the official formulas.

Per sample the file has the answer and a margin: how far the answer is from another one. A margin
of nearly 0 is a near tie, which rounding decides.

It needs numpy and pycocoevalcap (cider.txt, installed with pip's --no-deps).
"""

from __future__ import annotations

import gzip
import json
import pathlib
import shutil
import sys

import numpy as np
import torch
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from tokenizers import Tokenizer
from transformers import Blip2ForConditionalGeneration, Blip2ForImageTextRetrieval, DynamicCache, EncoderDecoderCache

from blip2 import SIZE, pixels, queries
from common import setup

sys.path.append(str(pathlib.Path(__file__).parents[1] / "bench"))
import vqa_score  # the official rule of VQA accuracy

REPOSITORY = pathlib.Path(__file__).parents[2]
SAMPLES, PICTURES, BATCH = 200, 60, 8
BOS, NEWLINE, END, START, IGNORED = 2, "\n", 1, 0, -100

# LAVIS, predict_answers. Its min_length of 1 counts the start token.
ANSWERS = {
    "opt": {"num_beams": 5, "max_new_tokens": 10, "length_penalty": 0.0},
    "t5": {"num_beams": 5, "max_new_tokens": 10, "length_penalty": -1.0},
}
# LAVIS, CaptionTask with its defaults: max_len 30 and min_len 8, which count T5's start token and
# the four tokens of OPT's prompt.
CAPTIONS = {
    "opt": {"num_beams": 5, "max_new_tokens": 26, "min_new_tokens": 4, "length_penalty": 0.0, "repetition_penalty": 1.15},
    "t5": {"num_beams": 5, "max_new_tokens": 30, "min_new_tokens": 7, "length_penalty": 0.0, "repetition_penalty": 1.15},
}
PROMPTS = {"opt": "Question: {} Answer:", "t5": "Question: {} Short answer:"}
CAPTION_PROMPT = "a photo of"
RERANKED = 16
TEXT_TOKENS = 33  # LAVIS reads 35, this Q-Former has 33 positions

COLORS = {"red": (200, 30, 40), "green": (20, 170, 60), "blue": (30, 60, 210), "black": (10, 10, 10), "white": (245, 245, 240), "yellow": (230, 210, 30)}
THINGS = ["cat", "dog", "apple", "background", "photo"]
TEMPLATES = ["what is left of the {}?", "is there a {}?", "how many {}s are there", "what color is the {}"]


def draw(rng) -> list:
    """Returns a picture as rectangles [left, top, right, bottom, red, green, blue], drawn one over the other."""
    boxes = [[0, 0, SIZE, SIZE, *(int(c) for c in rng.integers(0, 256, 3))]]
    for _ in range(rng.integers(1, 5)):
        left, top = (int(x) for x in rng.integers(0, SIZE - 2, 2))
        right, bottom = (int(rng.integers(x + 2, SIZE + 1)) for x in (left, top))
        boxes.append([left, top, right, bottom, *(int(c) for c in rng.integers(0, 256, 3))])
    return boxes


def paint(pictures: list) -> np.ndarray:
    """Returns pictures as uint8[n, SIZE, SIZE, 3]."""
    out = np.zeros((len(pictures), SIZE, SIZE, 3), np.uint8)
    for canvas, boxes in zip(out, pictures):
        for left, top, right, bottom, *color in boxes:
            canvas[top:bottom, left:right] = color
    return out


def question(rng) -> str:
    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    return template.format(*rng.choice(THINGS, template.count("{}")))


def phrase(rng, long: float = 0) -> str:
    """Returns a made-up caption. The given share of them is longer than the Q-Former reads."""
    words = ["a", str(rng.choice(list(COLORS))), str(rng.choice(THINGS)), str(rng.choice(["left of", "above", "on", "and"])), "a", str(rng.choice(THINGS))]
    if rng.random() < long:
        words += [str(w) for w in rng.choice(THINGS + list(COLORS), 30)]
    return " ".join(words)


def lively_opt() -> pathlib.Path:
    """Writes the folder of a BLIP-2 with OPT whose answers vary, and returns it. Its tokens have
    embeddings of one norm, so that the head, which is tied, does not repeat the last token.
    Tokens that are no letters and signs are rare. The weights have float16."""
    source, folder = golden("opt"), REPOSITORY / "eval/testdata/blip2-opt"
    model, tokenizer = Blip2ForConditionalGeneration.from_pretrained(source).eval(), Tokenizer.from_file(str(source / "tokenizer.json"))
    decoder, newline = model.language_model.model.decoder, tokenizer.encode(NEWLINE, add_special_tokens=False).ids[0]
    table = decoder.embed_tokens.weight
    for i, row in enumerate(table):
        text = tokenizer.decode([i]) if i < tokenizer.get_vocab_size() else ""
        if i != newline and not (text and text.isascii() and text.isprintable()):
            row *= 0.05
    table *= 2 / table.norm(dim=1, keepdim=True).clamp(min=0.3)
    for name, weight in decoder.layers.named_parameters():
        if weight.dim() == 2:
            weight *= 3
    decoder.final_layer_norm.weight *= 4
    decoder.final_layer_norm.bias *= 0
    model.language_projection.weight *= 2
    model.half().save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    for name in ("tokenizer.json", "preprocessor_config.json"):
        shutil.copy(source / name, folder)
    return folder


def golden(kind: str) -> pathlib.Path:
    return REPOSITORY / f"bridge/testdata/golden-{kind}/checkpoint"


class Generative:
    """A BLIP-2 with a language model, as LAVIS evaluates it."""

    def __init__(self, kind: str, folder: pathlib.Path, images: np.ndarray):
        self.kind = kind
        self.model = Blip2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self.language = self.model.language_model
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.end = END if kind == "t5" else self.ids(NEWLINE)[0]
        self.table = self.language.get_input_embeddings()
        self.prompts = torch.cat([self.model.language_projection(queries(self.model, part)) for part in np.array_split(images, len(images) // 20)])

    def ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def inputs(self, rows: list[int], texts: list[str]) -> dict:
        """Returns the padded input of a batch: queries, then texts."""
        lines = [self.ids(t) + [END] if self.kind == "t5" else [BOS] + self.ids(t) for t in texts]
        longest = max(map(len, lines))
        ids, mask = torch.zeros((len(rows), longest), dtype=torch.long), torch.zeros((len(rows), longest), dtype=torch.long)
        for i, line in enumerate(lines):
            at = slice(0, len(line)) if self.kind == "t5" else slice(longest - len(line), longest)
            ids[i, at], mask[i, at] = torch.tensor(line), 1
        soft = self.prompts[rows]
        return {"inputs_embeds": torch.cat([soft, self.table(ids)], 1),
                "attention_mask": torch.cat([torch.ones(soft.shape[:2], dtype=torch.long), mask], 1)}

    def generate(self, rows: list[int], texts: list[str], options: dict) -> list[dict]:
        """Returns the answers, with the distance of their scores to those of the second best."""
        out = []
        for lo in range(0, len(rows), BATCH):
            inputs = self.inputs(rows[lo:lo + BATCH], texts[lo:lo + BATCH])
            if self.kind == "t5":  # the default cache has as many layers as the encoder
                inputs["past_key_values"] = EncoderDecoderCache(DynamicCache(), DynamicCache())
            found = self.language.generate(
                **inputs, do_sample=False, eos_token_id=self.end, pad_token_id=self.language.config.pad_token_id,
                num_return_sequences=2, output_scores=True, return_dict_in_generate=True, **options)
            scores = found.sequences_scores.reshape(-1, 2)
            for ids, (best, second) in zip(found.sequences[::2].tolist(), scores.tolist()):
                ids = ids[1:] if self.kind == "t5" else ids
                ids = ids[:ids.index(self.end)] if self.end in ids else ids
                out.append({"text": self.tokenizer.decode(ids, skip_special_tokens=True).strip(), "margin": best - second})
        return out

    def losses(self, row: int | None, text: str, candidates: list[str]) -> list[tuple[float, int]]:
        """Returns the sum of −log p and the number of tokens of a sample's candidates, which are
        one padded batch. Without a row the picture is left out."""
        end = [self.end]
        soft = self.prompts[[row]] if row is not None else torch.zeros((1, 0, self.prompts.shape[2]))
        if self.kind == "t5":
            targets = [self.ids(c) + end for c in candidates]
            given = torch.cat([soft, self.table(torch.tensor([self.ids(text) + end]))], 1)
            labels = self.padded(targets)
            logits = self.language(inputs_embeds=given.expand(len(candidates), -1, -1), labels=labels).logits
        else:  # prompt and candidate are one text
            before = self.ids(text)
            targets = [self.ids(text + " " + c)[len(before):] + end for c in candidates]
            assert all(self.ids(text + " " + c)[:len(before)] == before for c in candidates)
            given = torch.cat([soft, self.table(torch.tensor([[BOS] + before]))], 1).expand(len(candidates), -1, -1)
            labels = self.padded(targets)
            embeds = torch.cat([given, self.table(labels.clamp(min=0))], 1)
            mask = torch.cat([torch.ones(given.shape[:2], dtype=torch.long), (labels != IGNORED).long()], 1)
            logits = self.language(inputs_embeds=embeds, attention_mask=mask).logits[:, given.shape[1] - 1:-1]
        loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none").sum(1)
        return list(zip(loss.tolist(), map(len, targets)))

    @staticmethod
    def padded(targets: list[list[int]]) -> torch.Tensor:
        longest = max(map(len, targets))
        return torch.tensor([t + [IGNORED] * (longest - len(t)) for t in targets])

    def rank(self, rows: list[int], texts: list[str], candidates: list[list[str]]) -> dict:
        """Returns, for each way to rank, the best candidates (of equals the first) and their margins."""
        found = {way: [] for way in ("sum", "mean", "sum - unconditional")}
        for row, text, some in zip(rows, texts, candidates):
            given, alone = self.losses(row, text, some), self.losses(None, text, some)
            sums = [loss for loss, _ in given]
            for way, scores in (("sum", sums), ("mean", [loss / n for loss, n in given]), ("sum - unconditional", [a - b for a, (b, _) in zip(sums, alone)])):
                best = min(range(len(scores)), key=lambda i: (scores[i], i))
                others = [s for c, s in zip(some, scores) if c != some[best]]
                found[way].append({"best": some.index(some[best]), "score": scores[best], "margin": min(others) - scores[best]})
        return found


def mixed(rng, mine: list[str], n: int, i: int) -> list[str]:
    """Returns n texts, among them often the i-th of mine, in capitals now and then."""
    out = [mine[i] if rng.random() < 0.35 else mine[rng.integers(len(mine))] for _ in range(n)]
    return [t.upper() if rng.random() < 0.1 else t for t in out]


def generative(images: np.ndarray, questions: list[str], candidates: list[list[str]], rng) -> dict:
    out, rows = {}, list(range(SAMPLES))
    contractions = dict(vqa_score.re.findall(r'"([a-z\']+)": "([a-z\']+)"', vqa_score.CONTRACTIONS.read_text(encoding="utf-8")))
    for kind, folder in ("opt", lively_opt()), ("t5", golden("t5")):
        model = Generative(kind, folder, images)
        prompts = [PROMPTS[kind].format(q) for q in questions]
        answers = model.generate(rows, prompts, ANSWERS[kind])
        captions = model.generate(rows, [CAPTION_PROMPT] * SAMPLES, CAPTIONS[kind])
        truth = [mixed(rng, [a["text"] for a in answers], 10, i) for i in rows]
        references = [mixed(rng, [c["text"] for c in captions], 5, i) for i in rows]
        ranked = model.rank(rows, prompts, candidates)
        for name, found in ("answers", answers), ("captions", captions):
            print(f"{kind}: {len({f['text'] for f in found})} different {name}, such as {[f['text'] for f in found[:3]]}, "
                  f"smallest margin {min(f['margin'] for f in found):.1e}")
        for way, found in ranked.items():
            print(f"{kind}: ranked by {way}: {np.bincount([f['best'] for f in found]).tolist()}, smallest margin {min(f['margin'] for f in found):.1e}")
        results, gts = {i: [c["text"]] for i, c in enumerate(captions)}, {i: r for i, r in enumerate(references)}
        out[kind] = {
            "answers": answers, "truth": truth, "vqa": vqa_score.score([(a["text"], t) for a, t in zip(answers, truth)]),
            "captions": captions, "references": references,
            "bleu": Bleu(4).compute_score(gts, results, verbose=0)[0], "rouge": float(Rouge().compute_score(gts, results)[0]),
            "cider": float(Cider().compute_score(gts, results)[0]), "ranked": ranked,
            "answer_options": ANSWERS[kind], "caption_options": CAPTIONS[kind], "prompt": PROMPTS[kind], "caption_prompt": CAPTION_PROMPT,
        }
        print(kind, {k: out[kind][k] for k in ("vqa", "bleu", "rouge", "cider")})
    return out


def matcher():
    """Returns the model of image-text retrieval, and a function that returns ids and masks of texts."""
    folder = golden("retrieval")
    model, tokenizer = Blip2ForImageTextRetrieval.from_pretrained(folder).eval(), Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(TEXT_TOKENS)
    tokenizer.enable_padding(length=TEXT_TOKENS, pad_id=0)

    def encode(texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        encoded = tokenizer.encode_batch(texts)
        return torch.tensor([e.ids for e in encoded]), torch.tensor([e.attention_mask for e in encoded])

    return model, encode


def matched(images: np.ndarray, pictures: list[list[int]], captions: list[list[str]]) -> np.ndarray:
    """Returns ITM's logits [n, 2, 2] of caption c of an example with its picture i, at [c, i]."""
    model, encode = matcher()
    values, out = pixels(images), []
    for two, texts in zip(pictures, captions):
        ids, mask = encode([texts[0], texts[0], texts[1], texts[1]])
        logits = model(pixel_values=values[two + two], input_ids=ids, attention_mask=mask, use_image_text_matching_head=True).logits_per_image
        out.append(logits[:, 1].reshape(2, 2).numpy())
    return np.stack(out)


def retrieval(images: np.ndarray, captions: list[list[str]], reranked: int = RERANKED) -> dict:
    """LAVIS's compute_sim_matrix and ranks: tasks/retrieval.py. Ties count against the model."""
    model, encode = matcher()
    texts = [c for some in captions for c in some]
    own = [i for i, some in enumerate(captions) for _ in some]
    ids, mask = encode(texts)
    values = pixels(images)
    itc = torch.cat([model(pixel_values=v[None], input_ids=ids, attention_mask=mask, use_image_text_matching_head=False).logits_per_image for v in values])
    by_text, by_image = torch.full(itc.shape, -100.0), torch.full(itc.shape[::-1], -100.0)

    def matched(pictures: list[int], lines: list[int]) -> torch.Tensor:
        return model(pixel_values=values[pictures], input_ids=ids[lines], attention_mask=mask[lines], use_image_text_matching_head=True).logits_per_image[:, 1]

    for matrix, sims, pair in ((by_text, itc, lambda q, c: (q, c)), (by_image, itc.T, lambda q, c: (c, q))):
        for q, row in enumerate(sims):
            best, index = row.topk(min(reranked, len(row)))
            matrix[q, index] = matched(*pair([q] * len(index), index.tolist())) + best
    owns = [[t for t, p in enumerate(own) if p == i] for i in range(len(images))]
    picture = [[p] for p in own]
    out = {"rerank": reranked, "text_tokens": TEXT_TOKENS}
    for name, matrix, sims, right in (("text_itc", itc, None, owns), ("image_itc", itc.T, None, picture), ("text", by_text, itc, owns), ("image", by_image, itc.T, picture)):
        found = [rank(row.tolist(), mine, texts if "text" in name else None) for row, mine in zip(matrix, right)]
        ranks, margins = [r for r, _ in found], [m for _, m in found]
        if sims is not None and reranked < sims.shape[1]:  # which candidates are ranked again may be a near tie, too
            last = sims.sort(1, descending=True).values[:, reranked - 1:reranked + 1]
            margins = [min(m, a - b) for m, (a, b) in zip(margins, last.tolist())]
        out[name] = {"ranks": ranks, "margins": margins, "recall": [100 * sum(r < k for r in ranks) / len(ranks) for k in (1, 5, 10)]}
        print(f"{name}: R@1, 5, 10 {out[name]['recall']}, smallest margin {min(out[name]['margins']):.1e}")
    return out


def rank(row: list[float], mine: list[int], texts: list[str] | None) -> tuple[int, float]:
    """Returns the rank of the best own candidate, and how near another candidate with another text comes to it."""
    best = max(mine, key=lambda c: row[c])
    same = [c for c in range(len(row)) if texts and texts[c] == texts[best]]
    others = [c for c in range(len(row)) if c not in mine and c not in same]
    ahead = sum(row[c] >= row[best] for c in others) + sum(c not in mine for c in same)
    return ahead, min(abs(row[c] - row[best]) for c in others) if row[best] > -100 else 1e9


@torch.no_grad()
def main() -> None:
    setup()
    rng = np.random.default_rng(17)
    pictures = [draw(rng) for _ in range(SAMPLES)]
    questions = [question(rng) for _ in range(SAMPLES)]
    candidates = [[phrase(rng) for _ in range(rng.integers(2, 7))] for _ in range(SAMPLES)]
    for some in candidates[::10]:
        some.append(some[0])  # equal candidates
    images = paint(pictures)
    captions = [[phrase(rng, long=0.1) for _ in range(n)] for n in np.bincount(rng.integers(0, PICTURES, SAMPLES - PICTURES), minlength=PICTURES) + 1]
    document = {
        "size": SIZE, "pictures": pictures, "questions": questions, "candidates": candidates, "captions": captions,
        **generative(images, questions, candidates, rng), "retrieval": retrieval(images[:PICTURES], captions),
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
    out = REPOSITORY / "eval/testdata/blip2.json.gz"
    out.write_bytes(gzip.compress(text.encode("utf-8"), 9, mtime=0))
    print(f"{out.name}: {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
