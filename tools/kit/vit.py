"""Trains tiny-vit and tiny-vit-wide, CLIP vision towers, on emoji scenes with dense supervision.

    python vit.py --scenes COMMAND --out DIR [--steps 2400]

Every patch learns which object covers it and what part that object plays in the scene (first or
second of a pair, or none of these). The class token learns which objects are present, the
background and the composition. The heads are dropped at export; probe.json keeps their accuracy on
held-out scenes.

CLIP's position_embedding table starts as 2-D sine and cosine waves. With a random start, the
relations left and above stay at chance level for a long time. The table is trained with the rest.
"""

import json
import math
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel

import schedule
import stream

OBJECTS = 52
COLORS = 6
GRID = 8  # patches per side
MIN_COVER = 12  # a patch belongs to an object that covers at least this many of its 64 pixels
ROLES = 4  # 0 the only object, 1 first of a pair, 2 second of a pair, 3 background
COMPOSITIONS = ["small", "large", "2", "3", "4", "left of", "above"]


def config(width: int, layers: int, heads: int, mlp: int) -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=width, intermediate_size=mlp * width, num_hidden_layers=layers,
        num_attention_heads=heads, image_size=stream.SIDE, patch_size=stream.SIDE // GRID,
        hidden_act="quick_gelu", projection_dim=width)


def sincos(width: int) -> torch.Tensor:
    """Returns float32[1 + GRID², width]: zeros for the class token, then waves of y and of x."""
    frequencies = math.pi / GRID * 2.0 ** torch.linspace(-1, 3, width // 4)
    y, x = torch.meshgrid(torch.arange(GRID) + 0.5, torch.arange(GRID) + 0.5, indexing="ij")
    waves = [wave(axis.reshape(-1, 1) * frequencies) for axis in (y, x) for wave in (torch.sin, torch.cos)]
    return torch.cat([torch.zeros(1, width), torch.cat(waves, 1)])


class Supervised(nn.Module):
    """The tower with its auxiliary heads."""

    def __init__(self, cfg: CLIPVisionConfig):
        super().__init__()
        self.tower = CLIPVisionModel(cfg)
        width = cfg.hidden_size
        for name, parameter in self.tower.named_parameters():
            if "position_embedding" in name:
                parameter.data.copy_(0.5 * sincos(width))
            if "patch_embedding" in name:
                nn.init.normal_(parameter, std=0.05)
        self.norm = nn.LayerNorm(width)
        self.patch = nn.Linear(width, OBJECTS + 1)
        self.role = nn.Linear(width, ROLES)
        self.color = nn.Linear(width, COLORS)
        self.present = nn.Linear(width, OBJECTS)
        self.composition = nn.Linear(width, len(COMPOSITIONS))

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        return self.heads(self.tower(pixel_values=pixels).last_hidden_state)

    def heads(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        h = self.norm(features)
        return {"patch": self.patch(h[:, 1:]), "role": self.role(h[:, 1:]), "color": self.color(h[:, 0]),
                "present": self.present(h[:, 0]), "composition": self.composition(h[:, 0])}


def targets(records: list[dict], labels: np.ndarray) -> dict[str, torch.Tensor]:
    """Returns the targets of the heads. labels is uint8[B, 64, 64]."""
    n, size = len(records), stream.SIDE // GRID
    pixels = labels.reshape(n, GRID, size, GRID, size).transpose(0, 1, 3, 2, 4).reshape(n, GRID * GRID, size * size)
    patch = np.full((n, GRID * GRID), OBJECTS, np.int64)
    role = np.full((n, GRID * GRID), 3, np.int64)
    present = np.zeros((n, OBJECTS), np.float32)
    composition = np.zeros(n, np.int64)
    for i, record in enumerate(records):
        scene = record["scene"]
        pair = scene["kind"] == "pair"
        best = np.full(GRID * GRID, MIN_COVER - 1)
        for part, o in enumerate([scene["a"], scene["b"]] if pair else [scene["a"]]):
            cover = (pixels[i] == o).sum(1)
            mine = cover > best
            best[mine] = cover[mine]
            patch[i][mine], role[i][mine] = o, part + 1 if pair else 0
            present[i, o] = 1
        composition[i] = COMPOSITIONS.index(str(scene.get("size") or scene.get("relation") or scene.get("count")))
    color = np.array([r["scene"]["color_index"] for r in records])
    arrays = {"patch": patch, "role": role, "color": color, "present": present, "composition": composition}
    return {name: torch.from_numpy(a) for name, a in arrays.items()}


def normalised(images: np.ndarray) -> torch.Tensor:
    """Returns normalised pixels, float32[B, 3, 64, 64], from uint8[B, 64, 64, 3]."""
    return torch.from_numpy((images / np.float32(255) - stream.CLIP_MEAN) / stream.CLIP_STD).permute(0, 3, 1, 2).contiguous()


def batches(command: str, split: str, seed: int, size: int):
    source, noise = stream.pictures(command, split, seed), np.random.default_rng(seed)
    while True:
        records, images, labels = zip(*(next(source) for _ in range(size)))
        x = normalised(np.stack(images))
        x += torch.from_numpy(noise.standard_normal(x.shape, np.float32)) * 0.04
        yield x, targets(records, np.stack(labels))


def loss(out: dict[str, torch.Tensor], want: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    objects = torch.ones(OBJECTS + 1)
    objects[OBJECTS] = 0.3
    roles = torch.tensor([1.0, 1.0, 1.0, 0.2])
    return {
        "patch": F.cross_entropy(out["patch"].flatten(0, 1), want["patch"].flatten(), weight=objects),
        "role": F.cross_entropy(out["role"].flatten(0, 1), want["role"].flatten(), weight=roles),
        "color": 0.3 * F.cross_entropy(out["color"], want["color"]),
        "present": 3 * F.binary_cross_entropy_with_logits(out["present"], want["present"]),
        "composition": 0.5 * F.cross_entropy(out["composition"], want["composition"]),
    }


@torch.no_grad()
def probe(model: Supervised, command: str, split: str, n: int = 600, seed: int = 4242) -> dict[str, float]:
    """Returns the accuracy of each head on n scenes."""
    records, images, labels = zip(*stream.pictures(command, split, seed, n))
    want, x = targets(records, np.stack(labels)), normalised(np.stack(images))
    model.eval()
    chunks = [model(x[i:i + 100]) for i in range(0, n, 100)]
    model.train()
    out = {name: torch.cat([c[name] for c in chunks]) for name in chunks[0]}
    composition, color = out["composition"].argmax(-1), out["color"].argmax(-1)
    parts = out["role"].softmax(-1)
    objects = out["patch"].softmax(-1)[..., :OBJECTS]
    # The patches vote for the object of each part. A vote counts by how surely the patch belongs to the part.
    votes = [(objects * parts[..., p, None]).sum(1).argmax(-1) for p in range(3)]
    right = {"objects": [], "relation": [], "count": [], "size": [], "scene": []}
    for i, record in enumerate(records):
        scene = record["scene"]
        pair = scene["kind"] == "pair"
        named = [int(votes[1][i]), int(votes[2][i])] if pair else [int(votes[0][i])]
        true = [scene["a"], scene["b"]] if pair else [scene["a"]]
        composed = bool(composition[i] == want["composition"][i])
        right["objects"].append(sorted(named) == sorted(true))
        right[{"pair": "relation", "count": "count", "one": "size"}[scene["kind"]]].append(composed)
        right["scene"].append(named == true and composed and bool(color[i] == want["color"][i]))
    result = {name: float(np.mean(values)) for name, values in right.items()}
    result["background"] = (color == want["color"]).float().mean().item()
    covered = want["patch"] < OBJECTS
    result["patch"] = (out["patch"].argmax(-1) == want["patch"])[covered].float().mean().item()
    return {name: round(value, 4) for name, value in result.items()}


def export(model: Supervised, out: pathlib.Path, measured: dict) -> None:
    model.tower.to(torch.bfloat16).save_pretrained(out)
    model.tower.to(torch.float32)
    (out / "preprocessor_config.json").write_text(json.dumps({
        "image_processor_type": "CLIPImageProcessor", "do_convert_rgb": True,
        "do_resize": True, "size": {"height": stream.SIDE, "width": stream.SIDE}, "resample": 3,
        "do_center_crop": False, "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "image_mean": stream.CLIP_MEAN.tolist(), "image_std": stream.CLIP_STD.tolist(),
    }, indent=2) + "\n")
    (out / "probe.json").write_text(json.dumps(measured, indent=2) + "\n")


def main() -> None:
    parser = schedule.parser(__doc__, steps=2400, batch=48, rate=1.5e-3)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--mlp", type=int, default=4, help="width of the feed-forward layers, as a multiple of the width")
    a = parser.parse_args()
    schedule.prepare(a.threads)
    model = Supervised(config(a.width, a.layers, a.heads, a.mlp))
    print("parameters", sum(p.numel() for p in model.tower.parameters()), flush=True)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}],
        lr=a.rate, betas=(0.9, 0.98))
    source, start = stream.ahead(batches(a.scenes, "train", 1, a.batch)), time.time()
    for step in range(a.steps):
        x, want = next(source)
        losses = loss(model(x), want)
        schedule.step(sum(losses.values()), optimizer, a.rate, schedule.rate(step, a.steps, 150))
        if (step + 1) % 100 == 0:
            print(step + 1, f"{time.time() - start:.0f}s", {k: round(v.item(), 3) for k, v in losses.items()}, flush=True)
        if (step + 1) % 400 == 0:
            print("  held out", probe(model, a.scenes, "held-out"), flush=True)
    measured = {split: probe(model, a.scenes, split) for split in ("held-out", "train")}
    print("final", measured, f"{time.time() - start:.0f}s", flush=True)
    export(model, a.out, measured)


if __name__ == "__main__":
    main()
