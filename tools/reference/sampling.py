"""Writes distributions for sampling tokens: adapters/internal/lm/testdata/warpers.json.

    python sampling.py [FILE]

The file has logits, options, and the probabilities after transformers' processors, which
run in the order in which generate applies them.
"""

from __future__ import annotations

import json
import pathlib
import sys

import torch
from transformers import (LogitsProcessorList, MinNewTokensLengthLogitsProcessor, RepetitionPenaltyLogitsProcessor,
                          TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)

from common import setup

SIZE, END = 40, [0, 7]
CASES = [
    {}, {"temperature": 0.5}, {"temperature": 1.7}, {"top_k": 5}, {"top_k": 1}, {"top_k": 100}, {"top_p": 0.9}, {"top_p": 0.3},
    {"top_p": 0.01}, {"top_p": 0.99}, {"temperature": 0.7, "top_k": 10, "top_p": 0.8}, {"top_k": 3, "equal": True},
    {"repetition_penalty": 1.4, "temperature": 0.8, "ids": [3, 9, 9, 21]}, {"min_new_tokens": 2, "top_p": 0.9, "ids": [4]},
    {"min_new_tokens": 1, "repetition_penalty": 1.2, "top_k": 6, "ids": [7]},
]


def processors(options: dict) -> LogitsProcessorList:
    out = LogitsProcessorList()
    if penalty := options.get("repetition_penalty"):
        out.append(RepetitionPenaltyLogitsProcessor(penalty))
    if minimum := options.get("min_new_tokens"):
        out.append(MinNewTokensLengthLogitsProcessor(0, minimum, END))
    if temperature := options.get("temperature"):
        out.append(TemperatureLogitsWarper(temperature))
    if top_k := options.get("top_k"):
        out.append(TopKLogitsWarper(top_k))
    if top_p := options.get("top_p"):
        out.append(TopPLogitsWarper(top_p))
    return out


def main(path: pathlib.Path) -> None:
    setup()
    rng = torch.Generator().manual_seed(7)
    cases = []
    for options in CASES:
        logits = torch.randn((1, SIZE), generator=rng) * 2
        if options.get("equal"):
            logits = logits.round()  # gives equal logits at the edge of the k best
        ids = torch.tensor([options.get("ids", [])], dtype=torch.long)
        probabilities = processors(options)(ids, logits.clone()).softmax(-1)
        cases.append({"options": {k: v for k, v in options.items() if k != "equal"}, "end": END,
                      "logits": logits[0].tolist(), "probabilities": probabilities[0].tolist()})
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    default = pathlib.Path(__file__).parents[2] / "adapters/internal/lm/testdata/warpers.json"
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default)
