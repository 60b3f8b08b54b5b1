"""Writes golden folders of whole bridges: bridge/testdata/golden-*.

    python blip2.py [FOLDER]

It writes three tiny folders as transformers saves them: Blip2ForConditionalGeneration
with OPT (image tokens in the sequence), the same with T5 (float16, in shards, in the
older form without image tokens), and Blip2ForImageTextRetrieval. The numbers are
computed part by part by the contract's rules (docs/contract.md), and compared with the
class's own forward pass.
"""

from __future__ import annotations

import pathlib
import sys

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    Blip2Config, Blip2ForConditionalGeneration, Blip2ForImageTextRetrieval, Blip2QFormerConfig,
    Blip2VisionConfig, OPTConfig, T5Config)

import opt
import t5
from common import Golden, prompt, randomize, setup, text
from language import CORPUS, GENERATE_CASES, losses
from vision import CLIP_MEAN, CLIP_STD
from vit import preprocessor

SIZE = 16  # pixels per side
IMAGE = "<image>"


def example(target: str, *segments) -> dict:
    return {"segments": list(segments), "target": target}


# One picture per example, several in one, a picture after a text, no picture.
EXAMPLES = {
    "captions": [example(" a cat", prompt(0), text("a photo of")), example(" two dogs on a red background", prompt(1), text("a photo of"))],
    "bare": [example("a cat", prompt(2)), example("a dog left of an apple", prompt(0))],
    "several pictures": [example(" both", prompt(2), text("a cat. "), prompt(0), text("a dog. both:")), example(" no", text("first"), prompt(1))],
    "without a picture": [example(" a cat", text("a photo of"))],
}

ANSWERS = [
    [prompt(0), text("a photo of")], [prompt(1)], [prompt(2), text("Question: is there a dog? Answer:")], [text("a dog"), prompt(0)],
]

TEXTS = ["A cat.", "two dogs on a red background", "", "café 猫 " + "a very long text of many words " * 8]


def pictures(n: int) -> np.ndarray:
    return np.random.default_rng(11).integers(0, 256, (n, SIZE, SIZE, 3), dtype=np.uint8)


def pixels(images: np.ndarray) -> torch.Tensor:
    return ((torch.tensor(images).float() / 255 - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD)).permute(0, 3, 1, 2)


def vision_of(**config) -> Blip2VisionConfig:
    return Blip2VisionConfig(**{"hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 2, "num_attention_heads": 2,
                                "image_size": SIZE, "patch_size": 4} | config)


def qformer_of(**config) -> Blip2QFormerConfig:
    return Blip2QFormerConfig(**{"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2,
                                 "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0} | config)


def fast(tokenizer: Tokenizer, folder: pathlib.Path) -> None:
    """Saves a tokenizer with BLIP-2's extra token as tokenizer.json, which all programs read."""
    tokenizer.add_special_tokens([AddedToken(IMAGE, special=True, normalized=False)])
    tokenizer.save(str(folder / "tokenizer.json"))
    preprocessor(folder, SIZE, squash=True)


def queries(model, images: np.ndarray) -> torch.Tensor:
    features = model.vision_model(pixels(images)).last_hidden_state
    tokens = model.query_tokens.expand(len(images), -1, -1)
    return model.qformer(query_embeds=tokens, encoder_hidden_states=features,
                         encoder_attention_mask=torch.ones(features.shape[:2], dtype=torch.long)).last_hidden_state


def generative(golden: Golden, model, reference) -> None:
    """Adds the cases of a bridge with a language model."""
    images = pictures(3)
    states = queries(model, images)
    prompts = model.language_projection(states)
    shared = golden.share("images", images)
    golden.case("three pictures", "queries", images=shared, expect={"queries": states})
    golden.case("one of them alone", "queries", images=images[1:2], expect={"queries": states[1:2]})
    golden.case("three pictures", "soft_prompts", images=shared, expect={"prompts": prompts})
    for name, examples in EXAMPLES.items():
        golden.case(name, "loss", images=shared, examples=examples, expect=losses([reference.loss(prompts, e) for e in examples]))
    for name, options in GENERATE_CASES.items():
        texts = [reference.generate(prompts, segments, options) for segments in ANSWERS]
        print(f"  {name}: {texts}")
        golden.case(name, "generate", images=shared, examples=[{"segments": s} for s in ANSWERS], options=options, expect={"texts": texts})
    golden.write()


@torch.no_grad()
def with_opt(folder: pathlib.Path) -> None:
    tokenizer = opt.train_tokenizer()
    rows = 5
    newline, = tokenizer.encode("\n").ids
    words = tokenizer.get_vocab_size()
    config = Blip2Config(
        vision_config=vision_of(layer_norm_eps=1e-3), qformer_config=qformer_of(layer_norm_eps=1e-3), num_query_tokens=rows, image_token_index=words,
        text_config=OPTConfig(vocab_size=words + 3, hidden_size=24, num_hidden_layers=2, num_attention_heads=2, ffn_dim=32,
                              max_position_embeddings=72, dropout=0.0, eos_token_id=newline))
    model = Blip2ForConditionalGeneration(config).eval()
    randomize(model, std=0.2, seed=4)
    table = model.language_model.get_input_embeddings().weight
    table *= 2
    table[newline] *= 1.7
    golden = Golden(folder, "bridge", model)
    golden.save_checkpoint(model)
    reference = opt.reference_of(model.language_model, tokenizer, rows)
    agree(model, reference, tokenizer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in opt.SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(single="</s> $A", special_tokens=[("</s>", opt.BOS)])
    fast(tokenizer, golden.checkpoint)
    generative(golden, model, reference)


def agree(model, reference, tokenizer) -> None:
    """Checks that a caption's logits are the same if computed by parts and by the class."""
    images = pictures(1)
    ids = [opt.BOS] + reference.ids("a photo of a cat")
    line = [model.config.image_token_index] * model.config.num_query_tokens + ids
    whole = model(pixel_values=pixels(images), input_ids=torch.tensor([line]), attention_mask=torch.ones(1, len(line), dtype=torch.long)).logits[0]
    parts = reference.logits(model.language_projection(queries(model, images)), [(0, q) for q in range(reference.rows)] + ids)
    assert torch.allclose(whole, parts, atol=1e-5), (whole - parts).abs().max()


@torch.no_grad()
def with_t5(folder: pathlib.Path) -> None:
    tokenizer = t5.train_tokenizer()
    config = Blip2Config(
        vision_config=vision_of(num_hidden_layers=3, hidden_size=18, hidden_act="gelu_pytorch_tanh"),
        qformer_config=qformer_of(num_hidden_layers=4, cross_attention_frequency=3, num_attention_heads=4, hidden_act="relu"), num_query_tokens=4,
        text_config=T5Config(vocab_size=tokenizer.get_vocab_size(), d_model=24, d_kv=10, d_ff=40, num_heads=2, num_layers=2,
                             num_decoder_layers=3, relative_attention_num_buckets=8, relative_attention_max_distance=20, dropout_rate=0.0,
                             decoder_start_token_id=t5.START, feed_forward_proj="gated-gelu", dense_act_fn="gelu",
                             tie_word_embeddings=False))
    model = Blip2ForConditionalGeneration(config).eval()
    randomize(model, std=0.2, seed=5)
    language = model.language_model
    rng = torch.Generator().manual_seed(105)
    language.lm_head.weight = torch.nn.Parameter(torch.randn(language.shared.weight.shape, generator=rng) * 0.3)
    language.lm_head.weight[t5.END] *= 1.7
    t5.check_head(language, untied=True)
    act, = {type(m.act).__name__ for m in language.modules() if type(m).__name__ == "T5DenseGatedActDense"}
    assert act.startswith("GELU"), act
    golden = Golden(folder, "bridge", model)
    model.half().save_pretrained(golden.checkpoint, max_shard_size="60KB")
    (golden.checkpoint / "generation_config.json").unlink(missing_ok=True)
    reference = t5.Reference(model.float().language_model, tokenizer)
    fast(tokenizer, golden.checkpoint)  # one more token than embeddings
    generative(golden, model, reference)


def word_pieces() -> Tokenizer:
    """Returns a BERT tokenizer of few words, including [DEC]."""
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    found = sorted({word for line in CORPUS for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(line))})
    letters = [prefix + c for prefix in ("", "##") for c in "abcdefghijklmnopqrstuvwxyz"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(found + letters), "[DEC]"]
    tokenizer = Tokenizer(models.WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens([*tokens[:5], "[DEC]"])
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, splitter, decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


@torch.no_grad()
def retrieval(folder: pathlib.Path) -> None:
    tokenizer = word_pieces()
    config = Blip2Config(
        vision_config=vision_of(), num_query_tokens=5, image_text_hidden_size=12, text_config={"model_type": "opt"},
        qformer_config=qformer_of(use_qformer_text_input=True, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=33, layer_norm_eps=1e-4))
    model = Blip2ForImageTextRetrieval(config).eval()
    randomize(model, std=0.2, seed=6)
    golden = Golden(folder, "bridge", model)
    golden.save_checkpoint(model)
    fast(tokenizer, golden.checkpoint)
    images = pictures(3)
    shared = golden.share("images", images)
    golden.case("three pictures", "queries", images=shared, expect={"queries": queries(model, images)})
    for name, some, texts in (("all", images, TEXTS), ("one pair", images[1:2], TEXTS[:1])):
        itc, itm = match(model, tokenizer, some, texts)
        golden.case(name, "match", images=some, texts=texts, expect={"itc": itc, "itm": itm})
    golden.write()


def match(model, tokenizer: Tokenizer, images: np.ndarray, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Runs every pair on its own through the class."""
    itc, itm = [], []
    for image in pixels(images)[:, None]:
        for line in texts:
            ids = tokenizer.encode(line, add_special_tokens=False).ids[:30]
            ids = torch.tensor([[2, *ids, 3]])
            both = [model(pixel_values=image, input_ids=ids, attention_mask=torch.ones_like(ids), use_image_text_matching_head=head).logits_per_image
                    for head in (False, True)]
            itc.append(both[0][0, 0])
            itm.append(both[1][0])
    shape = (len(images), len(texts))
    return torch.stack(itc).reshape(shape), torch.stack(itm).reshape(*shape, 2)


def main(folder: pathlib.Path) -> None:
    setup()
    with_opt(folder / "golden-opt")
    with_t5(folder / "golden-t5")
    retrieval(folder / "golden-retrieval")


if __name__ == "__main__":
    default = pathlib.Path(__file__).parents[2] / "bridge/testdata"
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default)
