"""Runs a row with PyTorch: python torchside.py JOB.json

The program loads the model, makes one call and prints its results. Then it reads commands
from stdin, one per line, and answers each with a line of JSON. main.go does the same for
bridge.

    repeat       makes one more call: {"seconds": …, "cpu": …}, wall-clock and processor time
    targets      makes one with logits at the targets only, if transformers can: {"seconds": …}
    end          ends: {"peak": bytes}
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
import time

import numpy as np
import torch
import transformers
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def peak() -> int:
    """Returns the highest resident size of this process so far, in bytes."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


class Encoder:
    """CLIP's vision tower without its last block, whose output BLIP-2 does not read."""

    def __init__(self, job: dict):
        config = transformers.CLIPVisionConfig.from_pretrained(job["checkpoint"])
        config.num_hidden_layers += job["layer"] + 1
        self.model = transformers.CLIPVisionModel.from_pretrained(job["checkpoint"], config=config, dtype=torch.float32).eval()
        self.images = torch.from_numpy(np.fromfile(job["inputs"], np.uint8).reshape(job["shape"]))

    @torch.no_grad()
    def call(self) -> dict:
        pixels = (self.images.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
        return {"tensor": self.model(pixel_values=pixels.permute(0, 3, 1, 2)).last_hidden_state}


class Language:
    """A frozen language model that reads soft prompts."""

    def __init__(self, job: dict):
        self.job = job
        self.encoder_decoder = job["family"] == "t5"
        self.open(job["checkpoint"])
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=job["checkpoint"] + "/tokenizer.json")
        self.before, self.after = self.ids([job["before"]]), self.ids([job["after"]])
        self.end = self.ids([job["end"]])
        self.texts, self.targets = self.ids(job["texts"]), self.ids(job["targets"])

    def open(self, folder: str) -> None:
        auto = transformers.AutoModelForSeq2SeqLM if self.encoder_decoder else transformers.AutoModelForCausalLM
        self.model = auto.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)
        self.prompts = torch.from_numpy(np.fromfile(self.job["inputs"], np.float32).reshape(self.job["shape"]))

    def ids(self, texts: list[str]) -> torch.Tensor:
        return torch.tensor([self.tokenizer.encode(t, add_special_tokens=False) for t in texts], dtype=torch.long)

    def embeds(self, prompts: torch.Tensor, *ids: torch.Tensor) -> torch.Tensor:
        rows = torch.cat([i.expand(len(prompts), -1) for i in ids], 1)
        return torch.cat([prompts, self.model.get_input_embeddings()(rows)], 1)


class Loss(Language):
    """The loss of the targets and its gradient with respect to the prompts."""

    def call(self, targets_alone: bool = False) -> dict:
        prompts = self.prompts.clone().requires_grad_()
        end = self.end.expand(len(prompts), -1)
        if self.encoder_decoder:
            target = torch.cat([self.targets, end], 1)
            loss = self.model(inputs_embeds=self.embeds(prompts, self.texts, self.after), labels=target, use_cache=False).loss
        else:
            target = torch.cat([self.before.expand(len(prompts), -1), self.targets, end], 1)
            loss = self.causal(self.embeds(prompts, target), target, targets_alone)
        gradient, = torch.autograd.grad(loss * target.numel(), prompts)
        return {"loss": loss.item(), "tokens": target.numel(), "tensor": gradient}

    def causal(self, embeds: torch.Tensor, target: torch.Tensor, targets_alone: bool) -> torch.Tensor:
        if targets_alone:
            logits = self.model(inputs_embeds=embeds, use_cache=False, logits_to_keep=target.shape[1] + 1).logits
            return cross_entropy(logits[:, :-1].flatten(0, 1), target.flatten())
        ignored = torch.full((len(embeds), embeds.shape[1] - target.shape[1]), -100)
        return self.model(inputs_embeds=embeds, labels=torch.cat([ignored, target], 1), use_cache=False).loss


class Generate(Language):
    """Generation of a given number of tokens, greedy or with beams."""

    @torch.no_grad()
    def call(self) -> dict:
        texts = [self.texts, self.after] if self.encoder_decoder else [self.before, self.texts]
        embeds, new = self.embeds(self.soft(), *texts), self.job["new_tokens"]
        beams = {"num_beams": self.job["beams"], "length_penalty": self.job["penalty"]} if self.job["beams"] > 1 else {}
        ids = self.model.generate(
            inputs_embeds=embeds, attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long), do_sample=False,
            max_new_tokens=new, min_new_tokens=new, eos_token_id=self.end[0, 0].item(), pad_token_id=1, **beams)
        ids = ids[:, 1:] if self.encoder_decoder else ids
        texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return {"texts": [t.strip() for t in texts], "tokens": ids.numel()}

    def soft(self) -> torch.Tensor:
        return self.prompts


class Answer(Generate):
    """Generation from pictures, with a whole BLIP-2."""

    def open(self, folder: str) -> None:
        self.whole = transformers.Blip2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)
        self.model = self.whole.language_model
        self.images = torch.from_numpy(np.fromfile(self.job["inputs"], np.uint8).reshape(self.job["shape"]))

    def soft(self) -> torch.Tensor:
        pixels = (self.images.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
        features = self.whole.vision_model(pixel_values=pixels.permute(0, 3, 1, 2)).last_hidden_state
        queries = self.whole.qformer(query_embeds=self.whole.query_tokens.expand(len(features), -1, -1), encoder_hidden_states=features)
        return self.whole.language_projection(queries.last_hidden_state)


def timed(call, *args) -> tuple[float, object]:
    began = time.perf_counter()
    result = call(*args)
    return time.perf_counter() - began, result


def say(**answer) -> None:
    print(json.dumps(answer), flush=True)


def main(path: str) -> None:
    job = json.loads(pathlib.Path(path).read_text())
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    load, side = timed({"encode": Encoder, "loss": Loss, "generate": Generate, "answer": Answer}[job["op"]], job)
    loaded = peak()
    first, result = timed(side.call)
    if (tensor := result.pop("tensor", None)) is not None:
        tensor.detach().numpy().astype(np.float32).tofile(job["out"])
    say(load=load, load_peak=loaded, first=first, **result)
    for command in map(str.strip, sys.stdin):
        if command == "end":
            return say(peak=peak())
        args = {"repeat": (), "targets": (True,)}[command]
        cpu = time.process_time()
        say(seconds=timed(side.call, *args)[0], cpu=time.process_time() - cpu)


if __name__ == "__main__":
    main(sys.argv[1])
