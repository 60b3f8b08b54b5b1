"""Writes golden folders of T5: adapters/t5/testdata/golden-*, and buckets.json.

    python t5.py [FOLDER]

There are three tiny models: FlanT5's form (gated gelu_new, an untied head), the same with
the exact gelu that BLIP-2 sets and more layers in the decoder, and the original T5 (relu,
a tied and scaled head).
"""

from __future__ import annotations

import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import T5Config, T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention

from common import Golden, randomize, setup
from language import CORPUS, greedy, joined, summed_loss, transformers_generate, write_beam_cases, write_cases

START, END = 0, 1
SPECIAL = ["<pad>", "</s>", "<unk>"]


def train_tokenizer() -> Tokenizer:
    """Trains a Unigram model with T5's normalization and "▁" for spaces."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(" {2,}", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    trainer = trainers.UnigramTrainer(vocab_size=160, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 2, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", END)])
    return tokenizer


class Reference:
    """The contract's rules for an encoder-decoder model."""

    def __init__(self, model: T5ForConditionalGeneration, tokenizer: Tokenizer):
        self.model, self.tokenizer = model, tokenizer

    def ids(self, string: str) -> list[int]:
        return self.tokenizer.encode(string, add_special_tokens=False).ids if string else []

    def embeds(self, prompts, segments: list[dict]) -> torch.Tensor:
        table, rows = self.model.get_input_embeddings(), []
        for segment in joined(segments):
            rows += list(prompts[segment["prompt"]]) if "prompt" in segment else list(table(torch.tensor(self.ids(segment["text"]))))
        rows.append(table(torch.tensor(END)))
        return torch.stack(rows)

    def logits(self, prompts, segments: list[dict], decoder: list[int]) -> torch.Tensor:
        embeds = self.embeds(prompts, segments)
        return self.model(inputs_embeds=embeds[None], decoder_input_ids=torch.tensor([decoder])).logits[0]

    def loss(self, prompts, example: dict) -> tuple[torch.Tensor, int]:
        target = self.ids(example["target"]) + [END]
        return summed_loss(self.logits(prompts, example["segments"], [START] + target[:-1]), target), len(target)

    def generate(self, prompts, segments: list[dict], options: dict) -> str:
        ids = greedy(lambda ids: self.logits(prompts, segments, [START] + ids)[-1], [START], END, options)
        return self.tokenizer.decode(ids, skip_special_tokens=True).strip()

    def search(self, prompts, segments: list[dict], options: dict) -> str:
        ids = transformers_generate(self.model, self.embeds(prompts, segments), END, options)
        return self.tokenizer.decode(ids, skip_special_tokens=True).strip()


def check_head(model: T5ForConditionalGeneration, untied: bool) -> None:
    """Checks that the reference's head is tied or untied as intended, because transformers may tie it unasked."""
    shared, head = model.shared.weight, model.lm_head.weight
    assert torch.equal(shared, head) != untied, f"untied {untied}"
    assert model.config.scale_decoder_outputs != untied


def write(folder: pathlib.Path, seed: int, untied: bool, activation: str | None = None, beams: bool = False, tokenizer=None, save=None, **config) -> None:
    """Writes a golden folder. save(folder) writes the tokenizer in another form than tokenizer.json."""
    tokenizer = tokenizer or train_tokenizer()
    model = T5ForConditionalGeneration(T5Config(
        vocab_size=tokenizer.get_vocab_size() + 5, d_model=24, d_kv=10, d_ff=40, num_heads=2, num_layers=2,
        relative_attention_num_buckets=8, relative_attention_max_distance=20, dropout_rate=0.0,
        decoder_start_token_id=START, pad_token_id=0, eos_token_id=END, tie_word_embeddings=not untied, **config)).eval()
    randomize(model, seed=seed)
    if untied:
        rng = torch.Generator().manual_seed(seed + 100)
        model.lm_head.weight = torch.nn.Parameter(torch.randn(model.shared.weight.shape, generator=rng) * 0.3)
    with torch.no_grad():
        model.lm_head.weight[END] *= 1.7  # so that answers end now and then
    if activation:
        model.config.dense_act_fn = activation
        for module in model.modules():
            if type(module).__name__ == "T5DenseGatedActDense":
                module.act = {"gelu": torch.nn.GELU()}[activation]
    check_head(model, untied)
    golden = Golden(folder, "language-model", model)
    model.config.save_pretrained(golden.checkpoint)
    weights = {name: p.detach().contiguous() for name, p in model.named_parameters()}  # without aliases
    assert ("lm_head.weight" in weights) == untied
    save_file(weights, golden.checkpoint / "model.safetensors", metadata={"format": "pt"})
    if save:
        save(golden.checkpoint)
    else:
        tokenizer.save(str(golden.checkpoint / "tokenizer.json"))
    reference = Reference(model, tokenizer)
    if beams:
        write_beam_cases(golden, 24, reference.generate, reference.search)
    else:
        write_cases(golden, 24, reference.loss, reference.generate)
    golden.write()


def write_buckets(path: pathlib.Path) -> None:
    """Writes the row of the relative position bias for each distance in −160 … 160."""
    distances = torch.arange(-160, 161)
    tables = [{
        "buckets": buckets, "max_distance": distance, "bidirectional": both, "first": -160,
        "rows": T5Attention._relative_position_bucket(distances, both, buckets, distance).tolist(),
    } for buckets, distance in ((32, 128), (8, 20), (16, 64)) for both in (True, False)]
    path.write_text(json.dumps(tables) + "\n")


def main(folder: pathlib.Path) -> None:
    setup()
    write(folder / "golden-flan", 1, untied=True, feed_forward_proj="gated-gelu")
    write(folder / "golden-exact-gelu", 2, untied=True, feed_forward_proj="gated-gelu", activation="gelu", num_decoder_layers=3)
    write(folder / "golden-original", 3, untied=False, feed_forward_proj="relu")
    write(folder / "golden-beams", 4, untied=True, beams=True, feed_forward_proj="gated-gelu", num_decoder_layers=1)
    write_buckets(folder / "buckets.json")


if __name__ == "__main__":
    default = pathlib.Path(__file__).parents[2] / "adapters/t5/testdata"
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default)
