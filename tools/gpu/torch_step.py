"""Trains steps of stage 2 in PyTorch + transformers, with random weights made on the device.

    python3 torch_step.py JOB.json

The file has {"vision": {...}, "text": {...}, "batch": 64, "small": false, "device": "cuda", "steps": 10}.
It prints a line of JSON: seconds of a step, its peak memory. The step is bridge's: the encoder's features are
given, the language model is frozen in bfloat16, the Q-Former and the projection train in float32 under autocast.
"""

from __future__ import annotations

import json
import pathlib
import statistics
import sys
import time

import torch
from transformers import Blip2QFormerConfig, Blip2QFormerModel, OPTConfig, OPTForCausalLM, T5Config, T5ForConditionalGeneration

PATCHES, QUERIES, TEXT = 257, 32, 16


def main() -> None:
    job = json.loads(pathlib.Path(sys.argv[1]).read_text())
    device, small = job["device"], job["small"]
    torch.manual_seed(1)
    kind = job["text"]["model_type"]
    config, model = (OPTConfig, OPTForCausalLM) if kind == "opt" else (T5Config, T5ForConditionalGeneration)
    text_config = config(**{k: v for k, v in job["text"].items() if k not in ("model_type", "is_gated_act")})
    with torch.device(device):
        torch.set_default_dtype(torch.bfloat16 if device == "cuda" else torch.float32)
        language = model(text_config).requires_grad_(False).eval()
        torch.set_default_dtype(torch.float32)
        width = language.get_input_embeddings().embedding_dim
        shape = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 512} if small else {}
        bridge = Blip2QFormerModel(Blip2QFormerConfig(encoder_hidden_size=job["vision"]["hidden_size"], **shape)).train()
        queries = torch.nn.Parameter(torch.randn(1, QUERIES, bridge.config.hidden_size) * 0.02)
        norm = torch.nn.LayerNorm(job["vision"]["hidden_size"])
        projection = torch.nn.Linear(bridge.config.hidden_size, width)
    trained = [queries, *bridge.parameters(), *norm.parameters(), *projection.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=device == "cuda")
    vocabulary = language.get_input_embeddings().num_embeddings

    def step() -> None:
        features = torch.randn(job["batch"], PATCHES, job["vision"]["hidden_size"], device=device)
        ids = torch.randint(3, vocabulary, (job["batch"], TEXT), device=device)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            out = bridge(query_embeds=queries.expand(job["batch"], -1, -1), encoder_hidden_states=norm(features)).last_hidden_state
            prompts = projection(out).to(language.dtype)
            if kind == "opt":
                embeds = torch.cat([prompts, language.get_input_embeddings()(ids)], 1)
                labels = torch.cat([torch.full((job["batch"], QUERIES), -100, device=device), ids], 1)
                loss = language(inputs_embeds=embeds, labels=labels).loss
            else:
                loss = language(inputs_embeds=prompts, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    times = []
    for _ in range(2 + job["steps"]):
        began = time.perf_counter()
        step()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    found = {"step": round(statistics.median(times[2:]), 4), "torch": torch.__version__}
    if device == "cuda":
        found["gpu memory"] = f"{torch.cuda.max_memory_reserved() / 2**30:.1f} GiB"
    print(json.dumps(found))


if __name__ == "__main__":
    main()
