"""Writes qformer/testdata/golden-*: the Q-Former, its objectives and every gradient.

    python qformer.py

Queries, contrast and matching run on transformers' Blip2QFormerModel and Blip2TextEmbeddings (the
parts of Blip2ForImageTextRetrieval). transformers has no generation for the Q-Former, so it runs on
the same modules with cached keys and values in plain PyTorch. The losses are the paper's, as LAVIS's
blip2_qformer.py defines them. Parameters have the names of bridge's Q-Former weights.

golden-stage1   three losses, each alone, on two batches (with and without image ids)
golden-stage2   soft prompts, and their vector-Jacobian product with a given cotangent
"""

import pathlib

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Blip2QFormerConfig
from transformers.models.blip_2.modeling_blip_2 import Blip2QFormerModel, Blip2TextEmbeddings

from common import Golden, randomize, setup

TESTDATA = pathlib.Path(__file__).resolve().parents[2] / "qformer" / "testdata"
SIZE = dict(hidden_size=24, layers=3, heads=3, intermediate=40, queries=4, cross_every=2, encoder_width=20,
            vocabulary=31, max_positions=9, projection_dim=10, language_width=28, begin=30)
SMOOTHING = 0.1


class PostNorm(nn.Module):
    """Stands for the vision model. Its last norm belongs to the Q-Former."""

    def __init__(self, width: int):
        super().__init__()
        self.post_layernorm = nn.LayerNorm(width, eps=1e-5)


class Transform(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x):
        return self.LayerNorm(F.gelu(self.dense(x)))


class Predictions(nn.Module):
    """BERT's word predictor without its matrix, because that is the word embedding."""

    def __init__(self, width: int, vocabulary: int):
        super().__init__()
        self.transform = Transform(width)
        self.bias = nn.Parameter(torch.zeros(vocabulary))


class QFormer(nn.Module):
    """All trainable weights of a stage, under bridge's names."""

    def __init__(self, text: bool):
        super().__init__()
        width = SIZE["hidden_size"]
        self.config = Blip2QFormerConfig(
            vocab_size=SIZE["vocabulary"], hidden_size=width, num_hidden_layers=SIZE["layers"],
            num_attention_heads=SIZE["heads"], intermediate_size=SIZE["intermediate"],
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
            max_position_embeddings=SIZE["max_positions"], cross_attention_frequency=SIZE["cross_every"],
            encoder_hidden_size=SIZE["encoder_width"], use_qformer_text_input=text, layer_norm_eps=1e-12)
        self.config._attn_implementation = "eager"
        self.vision_model = PostNorm(SIZE["encoder_width"])
        self.query_tokens = nn.Parameter(torch.zeros(1, SIZE["queries"], width))
        self.qformer = Blip2QFormerModel(self.config)
        if not text:
            self.language_projection = nn.Linear(width, SIZE["language_width"])
            return
        self.embeddings = Blip2TextEmbeddings(self.config)
        self.vision_projection = nn.Linear(width, SIZE["projection_dim"])
        self.text_projection = nn.Linear(width, SIZE["projection_dim"])
        self.itm_head = nn.Linear(width, 2)
        self.temp = nn.Parameter(torch.tensor(0.07))
        self.cls = nn.Module()
        self.cls.predictions = Predictions(width, SIZE["vocabulary"])

    def see(self, features):
        normed = self.vision_model.post_layernorm(features)
        tokens = self.query_tokens.expand(len(features), -1, -1)
        return self.qformer(query_embeds=tokens, encoder_hidden_states=normed).last_hidden_state

    def read_text(self, ids, visible):
        return self.qformer(query_embeds=self.embeddings(ids), query_length=0,
                            attention_mask=visible.long()).last_hidden_state

    def match(self, features, ids, visible):
        tokens = self.query_tokens.expand(len(features), -1, -1)
        mask = torch.cat([torch.ones(tokens.shape[:2], dtype=torch.long), visible.long()], 1)
        hidden = self.qformer(
            query_embeds=self.embeddings(ids, query_embeds=tokens), query_length=tokens.shape[1],
            attention_mask=mask, encoder_hidden_states=self.vision_model.post_layernorm(features)).last_hidden_state
        return self.itm_head(hidden[:, :tokens.shape[1]]).mean(1)

    def cached_keys_values(self, features):
        """Returns self-attention's keys and values of every layer, from a pass of the queries only."""
        inputs = []
        hooks = [layer.attention.attention.register_forward_pre_hook(
            lambda _, args, kwargs: inputs.append(kwargs["hidden_states"]), with_kwargs=True)
            for layer in self.qformer.encoder.layer]
        self.see(features)
        for hook in hooks:
            hook.remove()
        blocks = [layer.attention.attention for layer in self.qformer.encoder.layer]
        return [(a.key(x), a.value(x)) for a, x in zip(blocks, inputs, strict=True)]

    def heads(self, x):
        return x.unflatten(-1, (SIZE["heads"], -1)).transpose(1, 2)

    def generate_logits(self, features, ids, visible):
        """Returns the logits of text that is read causally after the queries: float[B, T, V]."""
        x = self.qformer.layernorm(self.embeddings(ids))
        batch, length = ids.shape
        causal = torch.tril(torch.ones(length, length, dtype=torch.bool)) & visible[:, None]
        mask = torch.cat([torch.ones(batch, length, SIZE["queries"], dtype=torch.bool), causal], 2)
        bias = (~mask).float()[:, None] * -10000
        for layer, (past_key, past_value) in zip(self.qformer.encoder.layer, self.cached_keys_values(features),
                                                 strict=True):
            block = layer.attention.attention
            key = self.heads(torch.cat([past_key, block.key(x)], 1))
            value = self.heads(torch.cat([past_value, block.value(x)], 1))
            scores = self.heads(block.query(x)) @ key.transpose(2, 3) * block.scaling + bias
            context = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
            x = layer.feed_forward_chunk(layer.attention.output(context, x))
        predictions = self.cls.predictions
        return predictions.transform(x) @ self.embeddings.word_embeddings.weight.T + predictions.bias


def contrast(model, batch):
    image = F.normalize(model.vision_projection(model.see(batch["features"])), dim=-1)
    text = F.normalize(model.text_projection(model.read_text(batch["ids"], batch["visible"])[:, 0]), dim=-1)
    scores = torch.einsum("iqp,tp->itq", image, text).amax(-1) / model.temp
    if "image_ids" not in batch:
        own = torch.arange(len(scores))
        return sum(F.cross_entropy(s, own, label_smoothing=SMOOTHING) for s in (scores, scores.T)) / 2
    same = (batch["image_ids"][:, None] == batch["image_ids"][None]).float()
    target = same / same.sum(1, keepdim=True) * (1 - SMOOTHING) + SMOOTHING / len(scores)
    return sum(-(s.log_softmax(1) * target).sum(1).mean() for s in (scores, scores.T)) / 2


def matching(model, batch):
    features, ids, visible = batch["features"], batch["ids"], batch["visible"]
    images, texts = batch["negative_images"], batch["negative_texts"]
    logits = model.match(torch.cat([features, features[images], features]), torch.cat([ids, ids, ids[texts]]),
                         torch.cat([visible, visible, visible[texts]]))
    labels = (torch.arange(len(logits)) < len(ids)).long()
    return F.cross_entropy(logits, labels)


def generation(model, batch):
    ids = batch["ids"].clone()
    ids[:, 0] = SIZE["begin"]
    labels = ids.masked_fill(~batch["visible"], -100)
    logits = model.generate_logits(batch["features"], ids, batch["visible"])
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), label_smoothing=SMOOTHING)


def make_batch(size: int, seed: int) -> dict:
    rng = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, 8, (size,), generator=rng)
    visible = torch.arange(7)[None] < lengths[:, None]
    ids = torch.randint(3, 30, (size, 7), generator=rng).masked_fill(~visible, 0)
    ids[:, 0] = 1
    return {"features": torch.randn(size, 5, SIZE["encoder_width"], generator=rng), "ids": ids, "visible": visible}


def gradients(model, loss) -> dict:
    """Returns the gradients of all parameters, zero for those that the loss does not depend on."""
    model.zero_grad()
    loss.backward()
    return {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in model.named_parameters()}


def dump(golden: Golden, model) -> None:
    for name, parameter in model.named_parameters():
        golden.share("weight." + name, parameter)


def stage1() -> None:
    model = QFormer(text=True)
    randomize(model, std=0.3)
    with torch.no_grad():
        model.temp.fill_(0.3)
    golden = Golden(TESTDATA / "golden-stage1", "qformer", "Blip2QFormerModel", options=SIZE)
    dump(golden, model)
    plain, grouped = make_batch(4, 5), make_batch(5, 6)
    plain |= {"negative_images": torch.tensor([1, 2, 3, 1]), "negative_texts": torch.tensor([3, 0, 0, 2])}
    grouped |= {"image_ids": torch.tensor([7, 3, 7, 9, 3]),
                "negative_images": torch.tensor([1, 0, 4, 2, 3]), "negative_texts": torch.tensor([3, 2, 1, 4, 2])}
    for label, batch in (("plain", plain), ("image ids", grouped)):
        for name, loss in (("itc", contrast), ("itm", matching), ("itg", generation)):
            value = loss(model, batch)
            index = len(golden.document["cases"])
            expect = {"loss": value}
            for parameter, gradient in gradients(model, value).items():
                golden.share(f"{index}.gradient.{parameter}", gradient)
            inputs = {k: v.int() if v.dtype == torch.bool else v for k, v in batch.items()}
            golden.case(f"{label}, {name}", name, expect, **inputs)
    finish(golden)


def stage2() -> None:
    model = QFormer(text=False)
    randomize(model, std=0.3, seed=2)
    golden = Golden(TESTDATA / "golden-stage2", "qformer", "Blip2QFormerModel", options=SIZE)
    dump(golden, model)
    features = make_batch(3, 8)["features"]
    queries = model.see(features)
    prompts = model.language_projection(queries)
    cotangent = torch.randn(prompts.shape, generator=torch.Generator().manual_seed(9))
    for name, gradient in gradients(model, (prompts * cotangent).sum()).items():
        golden.share(f"0.gradient.{name}", gradient)
    golden.case("prompts and their VJP", "prompts", {"queries": queries, "prompts": prompts},
                features=features, cotangent=cotangent)
    finish(golden)


def finish(golden: Golden) -> None:
    golden.write()
    golden.checkpoint.rmdir()  # the weights are in tensors.safetensors, because transformers has no such model


if __name__ == "__main__":
    setup()
    stage1()
    stage2()
