"""Trains tiny-flan-t5, a T5 v1.1 language model, on texts about scenes.

    python t5.py --scenes COMMAND --out DIR [--steps 3000]

The encoder's input has the form that bridge's encoder-decoder contract gives to soft prompts and a
text: the context's tokens, the prompt's tokens, `</s>`. The decoder answers and ends with `</s>`.

The model is trained with one tied embedding in float32. Untied, or in bfloat16, it does not learn to
copy. It is exported untied, as FlanT5 is: `lm_head.weight` is the embedding times d_model^-0.5. The
script checks that the logits of both forms are equal.

Once the model has learnt words, most contexts come in the form of soft prompts: a position no longer
holds one word, but a word mixed with others, with noise and at another length. Without this the model
is good at words only: a bridge from stage 1 learnt backgrounds and counts, but in 800 steps no object.
"""

import collections
import json
import math
import pathlib
import re
import time

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import T5Config, T5ForConditionalGeneration

import schedule
import stream
import text

ENDING = "Short answer:"
MIX = text.Mix(captions=0.45, relation=4)
PAD, EOS, UNK = 0, 1, 2


def vocabulary(lines: list[str]) -> list[tuple[str, float]]:
    """Returns a unigram language model: whole words and punctuation with their log frequency, and
    single characters with a far lower one, for words that are not in the corpus. We do not use
    tokenizers' UnigramTrainer: in a corpus as uniform as this one, its pruning splits the most
    frequent words."""
    counts = collections.Counter()
    for line in lines:
        for word in line.split():
            counts.update(re.findall(r"^▁[A-Za-z]+|[A-Za-z]+|[^A-Za-z]", "▁" + word))
    total = sum(counts.values())
    pieces = {piece: math.log(count / total) for piece, count in counts.items()}
    for character in ["▁", *map(chr, range(33, 127))]:
        pieces.setdefault(character, -16.0)
    ordered = sorted(pieces.items(), key=lambda item: (-item[1], item[0]))
    return [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *ordered]


def make_tokenizer(lines: list[str], out: pathlib.Path) -> Tokenizer:
    """Makes T5's Unigram tokenizer, with "▁" before each word and `</s>` after the text."""
    tokenizer = Tokenizer(models.Unigram(vocabulary(lines), unk_id=UNK, byte_fallback=False))
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(),
        pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", EOS)])
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "pad_token": "<pad>",
        "unk_token": "<unk>", "model_max_length": 128, "clean_up_tokenization_spaces": False}, indent=2) + "\n")
    return tokenizer


class Encoder:
    """Turns examples into token ids, and each text only once."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer, self.known = tokenizer, {}

    def ids(self, line: str) -> list[int]:
        if line not in self.known:
            if len(self.known) > 200_000:
                self.known.clear()
            self.known[line] = self.tokenizer.encode(line, add_special_tokens=False).ids
        return self.known[line]

    def batch(self, examples: list[text.Example]) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns encoder ids and labels, both int64[B, T], padded with 0 and -100."""
        pairs = [(e.context, *e.turns[0]) for e in examples]
        inputs = [self.ids(context) + self.ids(prompt) + [EOS] for context, prompt, _ in pairs]
        labels = [self.ids(answer) + [EOS] for _, _, answer in pairs]
        return padded(inputs, PAD), padded(labels, -100)

    def context_lengths(self, examples: list[text.Example]) -> torch.Tensor:
        """Returns int64[B], the number of leading tokens that are context."""
        return torch.tensor([len(self.ids(e.context)) for e in examples])


def encoder(tokenizer: Tokenizer) -> Encoder:
    return Encoder(tokenizer)


def padded(rows: list[list[int]], value: int) -> torch.Tensor:
    out = torch.full((len(rows), max(map(len, rows))), value)
    for i, row in enumerate(rows):
        out[i, :len(row)] = torch.tensor(row)
    return out


@torch.no_grad()
def exact(model: T5ForConditionalGeneration, encoder: Encoder, cases: dict[str, list[text.Example]]) -> dict[str, float]:
    """Returns the share of answers that greedy decoding gives exactly: every target is the likeliest token."""
    model.eval()
    result = {}
    for kind, examples in cases.items():
        right = 0
        for i in range(0, len(examples), 100):
            ids, labels = encoder.batch(examples[i:i + 100])
            logits = model(input_ids=ids, attention_mask=(ids != PAD).long(), labels=labels).logits
            right += ((logits.argmax(-1) == labels) | (labels == -100)).all(1).sum().item()
        result[kind] = round(right / len(examples), 4)
    model.train()
    return result


def build(tokenizer: Tokenizer) -> T5ForConditionalGeneration:
    model = T5ForConditionalGeneration(T5Config(
        vocab_size=-(-tokenizer.get_vocab_size() // 8) * 8, d_model=128, d_kv=32, num_heads=4, d_ff=256,
        num_layers=3, num_decoder_layers=3, feed_forward_proj="gated-gelu", dropout_rate=0.0,
        decoder_start_token_id=PAD, pad_token_id=PAD, eos_token_id=EOS,
        relative_attention_num_buckets=32, relative_attention_max_distance=32, tie_word_embeddings=True))
    for stack in (model.encoder, model.decoder):
        attend_to_neighbours(stack.block[0].layer[0].SelfAttention)
    return model


def attend_to_neighbours(attention: torch.nn.Module) -> None:
    """Starts the relative positions with a strong sense of order: one head looks at the previous
    token, and in the encoder one looks at the next. Without this, for thousands of steps the model
    knows which words a context holds but not their order."""
    bias = attention.relative_attention_bias.weight  # float32[buckets, H]
    torch.nn.init.normal_(bias)
    after = attention.relative_attention_num_buckets // 2 + 1
    with torch.no_grad():
        bias[1, 0] += 4.0
        if not attention.is_decoder:
            bias[after, 1] += 4.0


SOFT_FROM = 600  # steps in which the model first learns words
SOFT_SHARE = 0.6
SOFT_OTHERS = 3


def softened(table: torch.Tensor, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Returns the embeddings float32[B, T, D] of ids int64[B, T]. Most rows get a soft context: a
    position is 40 % to 100 % its own word's embedding (from the table float32[V, D]), and the rest
    is a mixture of other words' embeddings. Noise is added, and the vector is scaled up or down."""
    rows, tokens = ids.shape
    chosen = torch.rand(rows, 1) < SOFT_SHARE
    plain = table[ids]
    own = 0.4 + 0.6 * torch.rand(rows, tokens, 1)
    others = table[torch.randint(UNK + 1, len(table), (rows, tokens, SOFT_OTHERS))]
    share = torch.rand(rows, tokens, SOFT_OTHERS, 1)
    soft = own * plain + (1 - own) * (others * share / share.sum(2, keepdim=True)).sum(2)
    size = plain.detach().pow(2).mean().sqrt()
    soft = soft + torch.randn_like(soft) * size * 0.4 * torch.rand(rows, 1, 1)
    soft = soft * (0.5 + torch.rand(rows, 1, 1))
    chosen = chosen & (torch.arange(tokens)[None] < lengths[:, None])
    return torch.where(chosen[..., None], soft, plain)


def export(model: T5ForConditionalGeneration, encoder: Encoder, examples: list[text.Example], out: pathlib.Path) -> None:
    """Writes the untied form and checks that it gives the same logits."""
    config = model.config.to_dict()
    model.eval().to(torch.bfloat16).save_pretrained(out)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()
               if name not in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")}
    model.float()
    scaled = model.shared.weight.detach() * model.config.d_model ** -0.5
    weights["lm_head.weight"] = scaled.to(torch.bfloat16)
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    config |= {"tie_word_embeddings": False, "architectures": ["T5ForConditionalGeneration"], "dtype": "bfloat16"}
    config.pop("scale_decoder_outputs", None)
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")

    untied = load(out)
    ids, labels = encoder.batch(examples)
    mask = (ids != PAD).long()
    with torch.no_grad():
        got = untied(input_ids=ids, attention_mask=mask, labels=labels).logits
        want = model(input_ids=ids, attention_mask=mask, labels=labels).logits
    difference = (got - want).abs().max().item()
    # The head is rounded to bfloat16 a second time.
    if difference > 0.005 * want.abs().max().item():
        raise SystemExit(f"untied logits differ by {difference}")
    print("untied logits differ by at most", round(difference, 5), "of", round(want.abs().max().item(), 2), flush=True)


def load(folder: pathlib.Path) -> T5ForConditionalGeneration:
    """Returns the exported model in float32. transformers keeps the head untied, because the file has one."""
    return T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()


def main() -> None:
    a = schedule.parser(__doc__, steps=3000, batch=64, rate=1.5e-3).parse_args()
    schedule.prepare(a.threads)
    tokenizer = make_tokenizer(text.corpus(stream.texts(a.scenes, "train", 3, 6000)), a.out)
    encodes, model = encoder(tokenizer), build(tokenizer)
    print("vocabulary", tokenizer.get_vocab_size(), "parameters", sum(p.numel() for p in model.parameters()), flush=True)
    examples = text.Examples(stream.texts(a.scenes, "train", 2, 60_000, rounds=4), ENDING, MIX, seed=0)
    cases = text.held_out(stream.texts(a.scenes, "held-out", 4242, 300), ENDING, bags=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=a.rate, betas=(0.9, 0.98), weight_decay=0.0)
    start = time.time()
    for step in range(a.steps):
        batch = [examples.next(1, schedule.ease(step, a.steps)) for _ in range(a.batch)]
        ids, labels = encodes.batch(batch)
        table = model.shared.weight
        inputs = softened(table, ids, encodes.context_lengths(batch)) if step > SOFT_FROM else table[ids]
        loss = model(inputs_embeds=inputs, attention_mask=(ids != PAD).long(), labels=labels).loss
        schedule.step(loss, optimizer, a.rate, schedule.rate(step, a.steps, 200))
        if (step + 1) % 100 == 0:
            print(step + 1, f"{time.time() - start:.0f}s", round(loss.item(), 4), flush=True)
        if (step + 1) % 300 == 0 or step + 1 == a.steps:
            print("  held out, bags", exact(model, encodes, cases), flush=True)
    export(model, encodes, cases["caption"][:50], a.out)
    print(f"final {time.time() - start:.0f}s", flush=True)


if __name__ == "__main__":
    main()
