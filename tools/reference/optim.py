"""Writes train/optim/testdata/adamw.json: steps of torch.optim.AdamW.

There are two groups, one with weight decay and one without. Learning rates change every
step. Gradients are small and large, so that some steps are clipped and some are not. One
parameter gets no gradient for a while.
"""

import json
import pathlib

import torch

from common import setup

STEPS = 14
CONFIG = {"beta1": 0.9, "beta2": 0.98, "epsilon": 1e-8, "clip_norm": 1.0, "weight_decay": 0.05}
SHAPES = {"a.weight": [3, 5], "b.weight": [2, 3, 4], "a.bias": [5], "temp": []}


def numbers(tensor: torch.Tensor) -> list[float]:
    return tensor.detach().flatten().tolist()


def main() -> None:
    setup(7)
    parameters = {name: torch.nn.Parameter(torch.randn(shape)) for name, shape in SHAPES.items()}
    groups = [
        {"params": [p for p in parameters.values() if p.dim() > 1], "weight_decay": CONFIG["weight_decay"]},
        {"params": [p for p in parameters.values() if p.dim() <= 1], "weight_decay": 0.0},
    ]
    betas = (CONFIG["beta1"], CONFIG["beta2"])
    optimizer = torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=CONFIG["epsilon"], foreach=False)
    document = {
        "source": f"torch {torch.__version__} AdamW, clip_grad_norm_",
        "config": CONFIG,
        "parameters": [{"name": n, "shape": SHAPES[n], "value": numbers(p)} for n, p in parameters.items()],
        "steps": [],
    }
    for step in range(STEPS):
        rates = [1e-2 * (step + 1) / STEPS, 3e-3 * (STEPS - step) / STEPS]
        scale = 10.0 ** (step % 4 - 3)
        for name, p in parameters.items():
            p.grad = torch.randn(p.shape) * scale
            if name == "a.bias" and 3 <= step < 9:
                p.grad.zero_()
        gradients = {n: numbers(p.grad) for n, p in parameters.items()}
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), CONFIG["clip_norm"], foreach=False)
        for group, rate in zip(optimizer.param_groups, rates):
            group["lr"] = rate
        optimizer.step()
        document["steps"].append({
            "rates": rates,
            "gradients": gradients,
            "norm": norm.item(),
            "values": {n: numbers(p) for n, p in parameters.items()},
        })
    folder = pathlib.Path(__file__).parents[2] / "train" / "optim" / "testdata"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adamw.json").write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
