"""Writes log-probabilities of generated tokens: adapters/{opt,t5}/testdata/logprobs.json.

    python logprobs.py

They are transformers' compute_transition_scores of the logits, before any processor, for
greedy answers of the golden checkpoints. The options change which tokens are chosen, and not
their log-probabilities. opt.py and t5.py must have written the checkpoints.
"""

from __future__ import annotations

import json
import pathlib

import torch
from transformers import (AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, DynamicCache, EncoderDecoderCache)

from common import setup

ADAPTERS = pathlib.Path(__file__).parents[2] / "adapters"
TEXTS = ["a photo of", "Question: how many apples are there in the picture? Answer:", "a dog left of an apple"]
OPTIONS = [{"max_new_tokens": 8}, {"max_new_tokens": 10, "min_new_tokens": 6, "repetition_penalty": 2.5}]
TOP = 3


def token(log_probs: torch.Tensor, id: int) -> dict:
    best = log_probs.topk(TOP).values
    return {"log_prob": log_probs[id].item(), "top": best.tolist()}


@torch.no_grad()
def write(kind, family: str, folder: str) -> None:
    checkpoint = ADAPTERS / family / "testdata" / folder / "checkpoint"
    model, tokenizer = kind.from_pretrained(checkpoint).eval(), AutoTokenizer.from_pretrained(checkpoint)
    end = tokenizer("\n", add_special_tokens=False).input_ids[0] if family == "opt" else model.config.eos_token_id
    cases = []
    for text in TEXTS:
        ids = torch.tensor([tokenizer(text).input_ids])
        for options in OPTIONS:
            cache = {}
            if model.config.is_encoder_decoder:  # the default cache has as many layers as the encoder
                cache = {"past_key_values": EncoderDecoderCache(DynamicCache(), DynamicCache())}
            out = model.generate(inputs_embeds=model.get_input_embeddings()(ids), attention_mask=torch.ones_like(ids), do_sample=False, eos_token_id=end,
                                 pad_token_id=end, return_dict_in_generate=True, output_logits=True, **cache, **options)
            scores = model.compute_transition_scores(out.sequences, out.logits, normalize_logits=True)[0]
            generated = out.sequences[0][-len(out.logits):].tolist()
            tokens = [token(logits[0].float().log_softmax(-1), id) for logits, id in zip(out.logits, generated)]
            assert all(abs(t["log_prob"] - s) < 1e-5 for t, s in zip(tokens, scores.tolist()))
            if end in generated:
                tokens = tokens[: generated.index(end)]
            cases.append({"text": text, "options": options, "tokens": tokens})
    (ADAPTERS / family / "testdata/logprobs.json").write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    setup()
    write(AutoModelForCausalLM, "opt", "golden-pre-norm")
    write(AutoModelForSeq2SeqLM, "t5", "golden-flan")
