"""Runs whole training steps with PyTorch: python trainside.py JOB.json

The program answers commands as torchside.py does. A call is one step: losses, gradients,
clipping and AdamW. The Q-Former is that of tools/reference/qformer.py, whose weights have
bridge's names. It is made here with random weights, which it writes for bridge's side to read.

If the job says "compiled", torch.compile compiles the losses (the whole forward pass) and their
backward pass. Then the first answer has "graphs", the number of graphs, and "breaks", the reasons
for which a graph ended before the losses did.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file

from torchside import Language, peak, say, timed

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import qformer

BASE = dict(hidden_size=768, layers=12, heads=12, intermediate=3072, queries=32, cross_every=2, vocabulary=30523,
            max_positions=512, projection_dim=256)


class QFormer(qformer.QFormer):
    """The Q-Former with one pass of the queries a step, as in LAVIS."""

    def __init__(self, text: bool, dropout: float):
        super().__init__(text)
        for module in self.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
            elif hasattr(module, "attention_probs_dropout_prob"):
                module.attention_probs_dropout_prob = dropout
        self.seen, self.states = None, None
        for layer in self.qformer.encoder.layer:
            for linear in (layer.attention.attention.key, layer.attention.attention.value):
                linear.register_forward_hook(lambda _, inputs, output: self.keep(output))

    def keep(self, output: torch.Tensor) -> None:
        if self.states is not None:
            self.states.append(output)

    def start(self, features: torch.Tensor) -> None:
        """Runs the queries and keeps what both ITC and ITG read."""
        self.states = []
        hidden = super().see(features)
        self.seen, self.states = (hidden, list(zip(self.states[::2], self.states[1::2], strict=True))), None

    def see(self, features: torch.Tensor) -> torch.Tensor:
        return self.seen[0] if self.seen else super().see(features)

    def cached_keys_values(self, features: torch.Tensor) -> list:
        return self.seen[1]


class Step:
    """A training step. Both stages have the same optimizer."""

    def __init__(self, job: dict):
        self.job, batch = job, job["batch"]
        qformer.SIZE.update(BASE, layers=job["layers"], encoder_width=job["width"], language_width=job["language_width"],
                            begin=job["begin"])
        torch.manual_seed(3)
        self.model = QFormer(job["stage"] == 1, job["dropout"]).train()
        initialize(self.model)
        save_file({name: p.detach().contiguous() for name, p in self.model.named_parameters()}, job["weights"])
        self.features = torch.from_numpy(np.fromfile(job["inputs"], np.float32).reshape(job["shape"]))
        decay = [p for p in self.model.parameters() if p.dim() > 1]
        other = [p for p in self.model.parameters() if p.dim() <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decay, "weight_decay": 0.05}, {"params": other, "weight_decay": 0.0}],
            lr=job["rate"], betas=(0.9, 0.98), eps=1e-8, fused=True)
        self.forward = compiled(self.losses) if job["compiled"] else self.losses

    def call(self) -> dict:
        self.optimizer.zero_grad(set_to_none=True)
        losses = self.forward()
        losses["loss"].backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return {name: value.item() for name, value in losses.items()} | {"grad_norm": norm.item()}


class Stage1(Step):
    def __init__(self, job: dict):
        super().__init__(job)
        ids = torch.tensor(job["ids"])
        self.batch = {"features": self.features, "ids": ids, "visible": ids != 0, "image_ids": torch.tensor(job["image_ids"])}
        same = self.batch["image_ids"][:, None] == self.batch["image_ids"][None]
        # Pictures with the same id are the same and so are their texts: whichever of the others is drawn, the loss is the same.
        other = (~same).float().argmax(1)
        self.batch |= {"negative_images": other, "negative_texts": other}

    def losses(self) -> dict:
        self.model.start(self.features)
        parts = {"itc": qformer.contrast, "itm": qformer.matching, "itg": qformer.generation}
        losses = {name: loss(self.model, self.batch) for name, loss in parts.items()}
        self.model.seen = None
        return losses | {"loss": sum(losses.values())}


class Stage2(Step):
    def __init__(self, job: dict):
        super().__init__(job)
        self.language = Frozen(job)

    def losses(self) -> dict:
        prompts = self.model.language_projection(self.model.see(self.features))
        return {"loss": self.language.loss(prompts)}


class Frozen(Language):
    """The frozen language model of a step."""

    def open(self, folder: str) -> None:
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)

    def loss(self, prompts: torch.Tensor) -> torch.Tensor:
        many = len(prompts)
        target = torch.cat([self.before.expand(many, -1), self.targets, self.end.expand(many, -1)], 1)
        logits = self.model(inputs_embeds=self.embeds(prompts, target), use_cache=False, logits_to_keep=target.shape[1] + 1).logits
        return F.cross_entropy(logits[:, :-1].flatten(0, 1), target.flatten())


def compiled(losses):
    """Returns losses compiled by torch.compile, which runs in this process alone and reads no cache."""
    torch._inductor.config.compile_threads = 1
    torch._inductor.config.force_disable_caches = True
    return torch.compile(losses, dynamic=False)


def compilation() -> dict:
    """Returns what torch.compile did so far."""
    counters = torch._dynamo.utils.counters
    return {"graphs": counters["stats"]["unique_graphs"], "breaks": sorted(counters["graph_break"])}


@torch.no_grad()
def initialize(model: torch.nn.Module) -> None:
    """Gives matrices BERT's random values, and vectors ones that a forgotten bias would change."""
    for name, p in model.named_parameters():
        if p.dim() > 1:
            p.normal_(0, 0.02)
        elif p.dim() == 1:
            p.add_(torch.randn_like(p) * 0.02)


def main(path: str) -> None:
    job = json.loads(pathlib.Path(path).read_text())
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    load, side = timed({1: Stage1, 2: Stage2}[job["stage"]], job)
    loaded = peak()
    first, result = timed(side.call)
    say(load=load, load_peak=loaded, first=first, **result, **(compilation() if job["compiled"] else {}))
    for command in map(str.strip, sys.stdin):
        if command == "end":
            return say(peak=peak())
        cpu = time.process_time()
        seconds, result = timed(side.call)
        say(seconds=seconds, cpu=time.process_time() - cpu, **result)


if __name__ == "__main__":
    main(sys.argv[1])
