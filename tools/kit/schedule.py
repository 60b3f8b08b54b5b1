"""The code that all trainings of tools/kit share."""

import argparse
import math
import pathlib

import torch


def parser(description: str, steps: int, batch: int, rate: float) -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=description.splitlines()[0])
    p.add_argument("--scenes", required=True, help="the built command tools/kit/scenes")
    p.add_argument("--out", type=pathlib.Path, required=True)
    p.add_argument("--steps", type=int, default=steps)
    p.add_argument("--batch", type=int, default=batch)
    p.add_argument("--rate", type=float, default=rate, help="peak learning rate")
    p.add_argument("--threads", type=int, default=2)
    return p


def prepare(threads: int) -> None:
    """Sets threads and seed, and flushes denormal numbers, which make small models many times slower on a CPU."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)


def rate(step: int, steps: int, warmup: int) -> float:
    """Returns the learning rate as a share of the peak: a linear warmup, then a cosine down to 2 %."""
    return min(1.0, (step + 1) / warmup) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def ease(step: int, steps: int) -> float:
    """Returns the share of easy examples in a text training: highest at the start, zero in the second half."""
    return max(0.0, 0.6 * (1 - 2 * step / steps))


def step(loss: torch.Tensor, optimizer: torch.optim.Optimizer, peak: float, share: float) -> None:
    """Does one optimizer step with gradients clipped to norm 1."""
    for group in optimizer.param_groups:
        group["lr"] = peak * share
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], 1.0)
    optimizer.step()
