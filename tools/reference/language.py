"""The shared code for golden cases of language models: the examples, and a plain
implementation of the contract's rules (docs/contract.md), one example at a time,
without padding and without a cache.
"""

from __future__ import annotations

import torch
from torch.nn.functional import log_softmax
from transformers import DynamicCache, EncoderDecoderCache

from common import Golden, prompt, text

ROWS = 3  # Q


def example(target: str, *segments) -> dict:
    return {"segments": list(segments), "target": target}


PROMPT_CASES = {  # name: (M, examples)
    "one prompt": (1, [example(" a cat", prompt(0), text("a photo of"))]),
    "batch of unequal lengths": (4, [
        example(" a dog left of an apple on a red background", prompt(0), text("a photo of")),
        example(" no", prompt(1), text("Question: is there a cat? Answer:")),
        example(" two", prompt(2), text("Question: how many apples are there in the picture? Answer:")),
        example("a", prompt(3), text("")),
    ]),
    "prompts in the middle": (2, [
        example(" a cat", text("first"), prompt(1), text(" then a photo of")),
        example("a cat", text("a dog left of"), prompt(0)),
    ]),
    "several prompts in one example": (3, [
        example(" two dogs", prompt(0), text("a cat. "), prompt(1), text("a dog."), prompt(2), text(" both:")),
        example(" red", prompt(2), prompt(0), text("color")),
    ]),
    "shared and unused prompts": (4, [
        example(" a cat", prompt(2), text("a photo of")),
        example(" a dog", prompt(2), text("a photo of")),
        example(" an apple", prompt(2), prompt(0), text("a photo of")),
    ]),
    "only prompts": (2, [example("a cat", prompt(0)), example(" a dog left of an apple", prompt(1), prompt(0))]),
    "only prompts, empty target": (1, [example("", prompt(0))]),
    "empty target": (1, [example("", prompt(0), text("a photo of"))]),
    "seams inside of words": (1, [
        example("to of a cat", prompt(0), text("a pho")),
        example("ck apple", prompt(0), text("a r"), text("ed and bla")),
        example(" dog", prompt(0), text("a "), text("photo"), text(" of a ")),
    ]),
    "unicode and white space": (1, [
        example(" naïve 猫 🐱 Ωmega", prompt(0), text("café 日本語")),
        example("\t tabs  and   spaces ", prompt(0), text("  two  spaces\n\nand lines")),
        example("\u0301 combined", prompt(0), text("e")),
    ]),
}

TEXT_CASES = {
    "no prompts": [example(" a cat", text("a photo of")), example("two apples", text("how many")), example(" x", text(""))],
}

GENERATE_CASES = {  # name: options
    "greedy": {"max_new_tokens": 12},
    "greedy with a minimum": {"max_new_tokens": 12, "min_new_tokens": 9},
    "repetition penalty": {"max_new_tokens": 14, "repetition_penalty": 1.4},
    "penalty and minimum": {"max_new_tokens": 10, "min_new_tokens": 6, "repetition_penalty": 2.5},
    "default options": {},
}

BEAM_CASES = {  # name: options; few sizes, because each one compiles a graph
    "beams": {"num_beams": 3, "max_new_tokens": 12},
    "beams, default options": {"num_beams": 5},
    "beams, short ones": {"num_beams": 3, "length_penalty": -1.0, "max_new_tokens": 12},
    "beams without length penalty": {"num_beams": 3, "length_penalty": 0.0, "max_new_tokens": 12},
    "beams, long ones": {"num_beams": 3, "length_penalty": 2.0, "max_new_tokens": 12},
    "beams, early stopping": {"num_beams": 3, "early_stopping": True, "max_new_tokens": 12},
    "beams, never stopping early": {"num_beams": 3, "early_stopping": "never", "length_penalty": 2.0, "max_new_tokens": 16},
    "beams, penalty and minimum": {"num_beams": 3, "repetition_penalty": 1.3, "min_new_tokens": 5, "max_new_tokens": 10},
    "beams, one token": {"num_beams": 5, "max_new_tokens": 1, "length_penalty": -1.0},
}

GENERATE_EXAMPLES = [
    [prompt(0), text("a photo of")],
    [prompt(1)],
    [prompt(2), text("Question: how many apples are there in the picture? Answer:")],
    [text("a dog"), prompt(0)],
    [text("what is"), prompt(1), text(" this")],
    [text("a photo of a cat")],
]

SCORE_EXAMPLES = [
    {"segments": [prompt(0), text("is there a dog?")], "candidates": [" yes", " no", ""]},
    {"segments": [prompt(1)], "candidates": ["a cat", "a dog left of an apple", " two"]},
]

CORPUS = [
    "a photo of a cat", " a photo of a dog", "a dog left of an apple on a red background", "two cats on a blue background",
    "Question: how many apples are there? Answer: three", "Question: is there a dog? Answer: yes", "Answer: no",
    "what is left of the cat", "the background is black", " a green apple above a dog", "both", "café naïve 日本語 猫 🐱 Ωmega",
]


def joined(segments: list[dict]) -> list[dict]:
    """Joins neighbouring texts and drops empty ones."""
    out: list[dict] = []
    for segment in segments:
        if "text" in segment and out and "text" in out[-1]:
            out[-1] = text(out[-1]["text"] + segment["text"])
        elif "prompt" in segment or segment["text"]:
            out.append(dict(segment))
    return out


def write_cases(golden: Golden, width: int, loss, generate, seed: int = 3) -> None:
    """Adds all cases except those with beams. loss(prompts, example) returns (tensor,
    tokens), and generate(prompts, segments, options) returns the text."""
    rng = torch.Generator().manual_seed(seed)

    def draw(m: int) -> torch.Tensor:
        return torch.randn((m, ROWS, width), generator=rng) * 0.5

    for name, (m, examples) in PROMPT_CASES.items():
        prompts = draw(m).requires_grad_()
        results = [loss(prompts, e) for e in examples]
        gradient, = torch.autograd.grad(sum(value for value, _ in results), prompts)
        golden.case(name, "loss", prompts=prompts, examples=examples, expect=losses(results) | {"gradient": gradient})
    for name, examples in TEXT_CASES.items():
        results = [(e, result) for e in examples if (result := loss(None, e))]  # without a bos, one example has no loss
        golden.case(name, "loss", examples=[e for e, _ in results], expect=losses([result for _, result in results]))
    with torch.no_grad():
        prompts = draw(3)
        shared = golden.share("generate.prompts", prompts)
        examples = [{"segments": segments} for segments in GENERATE_EXAMPLES]
        for name, options in GENERATE_CASES.items():
            texts = [generate(prompts, e["segments"], options) for e in examples]
            print(f"  {name}: {texts}")
            golden.case(name, "generate", prompts=shared, examples=examples, options=options, expect={"texts": texts})
        scores = [[-loss(prompts, e | {"target": c})[0] for c in e["candidates"]] for e in SCORE_EXAMPLES]
        golden.case("candidates", "score", prompts=shared, examples=SCORE_EXAMPLES, expect={"scores": torch.tensor(scores)})


@torch.no_grad()
def write_beam_cases(golden: Golden, width: int, generate, search, seed: int = 4) -> None:
    """Adds the cases with beams and those without. search(prompts, segments, options)
    returns the text of transformers' own generate. Without beams, the plain generate
    must give the same text."""
    prompts = torch.randn((3, ROWS, width), generator=torch.Generator().manual_seed(seed)) * 0.5
    shared = golden.share("prompts", prompts)
    examples = [{"segments": segments} for segments in GENERATE_EXAMPLES]
    for name, options in (GENERATE_CASES | BEAM_CASES).items():
        texts = [search(prompts, e["segments"], options) for e in examples]
        if "num_beams" not in options:
            assert texts == [generate(prompts, e["segments"], options) for e in examples], name
        print(f"  {name}: {texts}")
        golden.case(name, "generate", prompts=shared, examples=examples, options=options, expect={"texts": texts})


def losses(results: list) -> dict:
    return {"loss": torch.stack([value for value, _ in results]), "tokens": torch.tensor([n for _, n in results])}


def summed_loss(logits: torch.Tensor, targets: list[int]) -> torch.Tensor:
    """Returns −Σ log p of the targets under logits [K, V], in nats."""
    return -log_softmax(logits.float(), -1)[range(len(targets)), targets].sum()


def greedy(next_logits, seen: list[int], end: int, options: dict) -> list[int]:
    """Returns the ids of an answer, without the end token. next_logits(ids) returns
    [V] after the generated ids. The penalty applies to these and to seen."""
    ids: list[int] = []
    ends = end if isinstance(end, list) else [end]
    while len(ids) < options.get("max_new_tokens", 20):
        logits = next_logits(ids).float()
        if penalty := options.get("repetition_penalty"):
            for token in set(seen + ids):
                logits[token] = logits[token] / penalty if logits[token] > 0 else logits[token] * penalty
        if len(ids) < options.get("min_new_tokens", 0):
            logits[ends] = float("-inf")
        token = int(logits.argmax())
        if token in ends:
            break
        ids.append(token)
    return ids


def transformers_generate(model, embeds: torch.Tensor, end: int | list[int], options: dict) -> list[int]:
    """Returns the ids that transformers' generate gives for one input embeds [T, D], on
    its own and unpadded, without an encoder-decoder's start token and the end token."""
    cache = {}
    if model.config.is_encoder_decoder:  # the default cache has as many layers as the encoder
        cache = {"past_key_values": EncoderDecoderCache(DynamicCache(), DynamicCache())}
    ids = model.generate(
        inputs_embeds=embeds[None], attention_mask=torch.ones((1, len(embeds)), dtype=torch.long), do_sample=False,
        eos_token_id=end, pad_token_id=model.config.pad_token_id, **cache, **options)[0].tolist()
    ids = ids[1:] if model.config.is_encoder_decoder else ids
    ends = [end] if isinstance(end, int) else end
    first = next((i for i, token in enumerate(ids) if token in ends), len(ids))
    return ids[:first]
