"""Trains tiny-opt and small-opt, OPT language models, on texts about scenes.

    python opt.py --scenes COMMAND --out DIR [--steps 3000]

A sequence has the form that bridge's decoder-only contract gives to soft prompts and a text: the
context's tokens, then the tokenizer's `</s>`, the prompt, and the answer, which ends with "\\n". The
loss counts answers only. Several turns about one context share a sequence.
"""

import argparse
import json
import pathlib
import time

import torch
import torch.nn.functional as F
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import OPTConfig, OPTForCausalLM, PreTrainedModel

import schedule
import stream
import text

ENDING = "Answer:"
MIX = text.Mix(captions=0.35, relation=2)
BOS, PAD = 2, 1


def train_tokenizer(lines: list[str], size: int, context: int, out: pathlib.Path) -> Tokenizer:
    """Trains OPT's byte-level BPE, which puts `</s>` in front of a text and nothing behind it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator((" " + line for line in lines), trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    tokenizer.add_special_tokens([AddedToken(s, normalized=True, special=True) for s in specials])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="</s> $A", pair="</s> $A </s> $B", special_tokens=[("</s>", BOS)])
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out / "tokenizer.json"))
    tokenizer.model.save(str(out))  # vocab.json, merges.txt
    (out / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "add_prefix_space": False,
        "bos_token": "</s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "</s>",
        "model_max_length": context, "clean_up_tokenization_spaces": False}, indent=2) + "\n")
    return tokenizer


class Encoder:
    """Turns examples into token ids, and each text only once. bos, if not None, precedes the
    first text after the context; end ends an answer."""

    def __init__(self, tokenizer: Tokenizer, bos: int | None, end: int, pad: int):
        self.tokenizer, self.known = tokenizer, {}
        self.bos, self.end, self.pad = bos, end, pad

    def ids(self, line: str) -> list[int]:
        if line not in self.known:
            if len(self.known) > 200_000:
                self.known.clear()
            self.known[line] = self.tokenizer.encode(line, add_special_tokens=False).ids
        return self.known[line]

    def example(self, e: text.Example) -> tuple[list[int], list[bool]]:
        """Returns the token ids, and for each whether it is a target."""
        ids = (self.ids(" " + e.context) if e.context else []) + ([] if self.bos is None else [self.bos])
        targets = [False] * len(ids)
        for prompt, answer in e.turns:
            asked, said = self.ids(prompt), self.ids(" " + answer) + [self.end]
            ids = ids + asked + said
            targets += [False] * len(asked) + [True] * len(said)
        return ids, targets

    def batch(self, examples: list[text.Example]) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns ids and labels, int64[B, T]. A label is -100 if the token is not a target."""
        rows = [self.example(e) for e in examples]
        width = max(len(ids) for ids, _ in rows)
        ids = torch.full((len(rows), width), self.pad)
        labels = torch.full((len(rows), width), -100)
        for i, (row, targets) in enumerate(rows):
            ids[i, :len(row)] = torch.tensor(row)
            labels[i, :len(row)] = torch.tensor([t if scored else -100 for t, scored in zip(row, targets)])
        return ids, labels


@torch.no_grad()
def exact(model: PreTrainedModel, encoder: Encoder, cases: dict[str, list[text.Example]]) -> dict[str, float]:
    """Returns the share of answers that greedy decoding gives exactly: every target is the likeliest token."""
    model.eval()
    result = {}
    for kind, examples in cases.items():
        right = 0
        for i in range(0, len(examples), 100):
            ids, labels = encoder.batch(examples[i:i + 100])
            logits = model(input_ids=ids, attention_mask=(ids != encoder.pad).long()).logits[:, :-1]
            wanted = labels[:, 1:]
            right += ((logits.argmax(-1) == wanted) | (wanted == -100)).all(1).sum().item()
        result[kind] = round(right / len(examples), 4)
    model.train()
    return result


def encoder(tokenizer: Tokenizer) -> Encoder:
    """Returns OPT's encoder: an answer ends with "\\n", not with the end-of-text token."""
    return Encoder(tokenizer, BOS, tokenizer.token_to_id("Ċ"), PAD)


def build(tokenizer: Tokenizer, newline: int, width: int, layers: int, heads: int,
          context: int) -> OPTForCausalLM:
    model = OPTForCausalLM(OPTConfig(
        vocab_size=-(-tokenizer.get_vocab_size() // 8) * 8, hidden_size=width, word_embed_proj_dim=width,
        ffn_dim=4 * width, num_hidden_layers=layers, num_attention_heads=heads,
        max_position_embeddings=context, dropout=0.0, attention_dropout=0.0, init_std=0.05,
        pad_token_id=PAD, bos_token_id=BOS, eos_token_id=BOS))
    model.generation_config.eos_token_id = newline  # the end of an answer
    return model


def train(model: PreTrainedModel, encoder: Encoder, a: argparse.Namespace) -> None:
    """Trains on texts and prints the accuracy on held-out ones."""
    examples = text.Examples(stream.texts(a.scenes, "train", 2, 60_000, rounds=4), ENDING, MIX, seed=0)
    cases = text.held_out(stream.texts(a.scenes, "held-out", 4242, 300), ENDING, bags=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=a.rate, betas=(0.9, 0.98), weight_decay=0.02)
    start = time.time()
    for step in range(a.steps):
        ids, labels = encoder.batch([examples.next(a.turns, schedule.ease(step, a.steps)) for _ in range(a.batch)])
        logits = model(input_ids=ids, attention_mask=(ids != encoder.pad).long()).logits
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        schedule.step(loss, optimizer, a.rate, schedule.rate(step, a.steps, 100))
        if (step + 1) % 100 == 0:
            print(step + 1, f"{time.time() - start:.0f}s", round(loss.item(), 4), flush=True)
        if (step + 1) % 300 == 0 or step + 1 == a.steps:
            print("  held out, bags", exact(model, encoder, cases), flush=True)
    print(f"final {time.time() - start:.0f}s", flush=True)


def main() -> None:
    parser = schedule.parser(__doc__, steps=3000, batch=32, rate=1.5e-3)
    parser.add_argument("--vocabulary", type=int, default=640)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--context", type=int, default=128, help="the longest sequence, in tokens")
    parser.add_argument("--turns", type=int, default=3)
    a = parser.parse_args()
    schedule.prepare(a.threads)
    tokenizer = train_tokenizer(text.corpus(stream.texts(a.scenes, "train", 3, 6000)), a.vocabulary, a.context, a.out)
    encodes = encoder(tokenizer)
    model = build(tokenizer, encodes.end, a.width, a.layers, a.heads, a.context)
    print("vocabulary", tokenizer.get_vocab_size(), "newline", encodes.end,
          "parameters", sum(p.numel() for p in model.parameters()), flush=True)
    train(model, encodes, a)
    model.to(torch.bfloat16).save_pretrained(a.out)


if __name__ == "__main__":
    main()
