"""Measures the upper limit that each frozen model sets, on held-out scenes, and prints a table.

    python check.py --scenes COMMAND --models kit/models [--strict]

For language models, the figure is the share of answers that greedy decoding gives exactly when the
context is text: once a caption and once a shuffled bag of tags. For encoders, it is the accuracy of
linear heads on the exported features of the last block. The heads are fitted here on scenes of the
training split; the table also has the accuracy of the training's own heads. With --strict the exit
status is 1 if a language model is not good enough: it must copy its context at 0.98 and answer each
kind of question at 0.95, yes/no at 0.93.
"""

import argparse
import json
import pathlib
import sys

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer, CLIPVisionModel, OPTForCausalLM

import opt
import schedule
import stream
import t5
import text
import vit

COPY, ANSWER = 0.98, 0.95
YES_NO = 0.93  # an answer of one bit, which is learnt last
SCENES = 600
SEED = 777


def table(title: str, rows: dict[str, dict[str, float]]) -> None:
    print(f"\n{title}")
    columns = list(next(iter(rows.values())))
    print(" " * 28 + "".join(f"{c:>12}" for c in columns))
    for name, row in rows.items():
        print(f"{name:28}" + "".join(f"{row[c]:12.4f}" for c in columns))


def language_models(a: argparse.Namespace) -> bool:
    """Prints the table of the language models and reports whether all are fit."""
    records = stream.texts(a.scenes, "held-out", SEED, SCENES)
    rows = {}
    for folder in sorted(a.models.iterdir()):
        config = json.loads((folder / "config.json").read_text()) if (folder / "config.json").exists() else {}
        family = config.get("model_type")
        if family == "opt":
            model, module = OPTForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), opt
        elif family == "t5":
            model, module = t5.load(folder), t5
        else:
            continue
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        same_tokens(folder, tokenizer, records)
        for name, bags in (("caption", False), ("bag of tags", True)):
            cases = text.held_out(records, module.ENDING, bags)
            rows[f"{folder.name}, {name}"] = module.exact(model, module.encoder(tokenizer), cases)
    table("Answers from text contexts, held out (exact)", rows)
    least = {kind: YES_NO if kind == "yesno" else ANSWER for kind in text.KINDS}
    return all(row["caption"] >= COPY and all(row[k] >= least[k] for k in text.KINDS) for row in rows.values())


def same_tokens(folder: pathlib.Path, tokenizer: Tokenizer, records: list[dict]) -> None:
    """Fails unless the tokenizer that transformers loads from the folder equals tokenizer.json."""
    loaded = AutoTokenizer.from_pretrained(folder)
    for line in text.corpus(records[:50]):
        got, want = loaded(line)["input_ids"], tokenizer.encode(line).ids
        if got != want:
            raise SystemExit(f"{folder.name}: transformers tokenizes {line!r} as {got}, tokenizer.json as {want}")


@torch.no_grad()
def features(tower: CLIPVisionModel, command: str, split: str, seed: int, n: int):
    records, images, labels = zip(*stream.pictures(command, split, seed, n))
    x = vit.normalised(np.stack(images))
    chunks = [tower(pixel_values=x[i:i + 100]).last_hidden_state for i in range(0, n, 100)]
    return torch.cat(chunks), vit.targets(records, np.stack(labels))


def fitted(folder: pathlib.Path, command: str, n: int = 4000, epochs: int = 8, batch: int = 100) -> vit.Supervised:
    """Returns the exported tower with linear heads, fitted on its features of n training scenes."""
    torch.manual_seed(0)
    tower = CLIPVisionModel.from_pretrained(folder, dtype=torch.float32)
    model = vit.Supervised(tower.config)
    model.tower = tower.requires_grad_(False)
    inputs, want = features(tower, command, "train", SEED, n)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-3, weight_decay=0.0)
    steps = epochs * n // batch
    for step in range(steps):
        rows = torch.randint(0, n, (batch,))
        losses = vit.loss(model.heads(inputs[rows]), {name: t[rows] for name, t in want.items()})
        schedule.step(sum(losses.values()), optimizer, 5e-3, schedule.rate(step, steps, 20))
    return model


def encoders(a: argparse.Namespace) -> None:
    rows = {}
    for folder in sorted(a.models.iterdir()):
        if not (folder / "preprocessor_config.json").exists():
            continue
        rows[f"{folder.name}, linear"] = vit.probe(fitted(folder, a.scenes), a.scenes, "held-out", SCENES, SEED)
        rows[f"{folder.name}, trained"] = json.loads((folder / "probe.json").read_text())["held-out"]
    table("What heads read from the encoder, held out", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", required=True, help="the built command tools/kit/scenes")
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--strict", action="store_true")
    a = parser.parse_args()
    schedule.prepare(a.threads)
    fit = language_models(a)
    encoders(a)
    if a.strict and not fit:
        sys.exit(f"a language model is below {COPY} (caption), {ANSWER} (questions) or {YES_NO} (yes/no)")


if __name__ == "__main__":
    main()
