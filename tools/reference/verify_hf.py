"""Compares bridge with transformers on whole BLIP-2 folders, in both directions.

    python verify_hf.py BRIDGE [--keep DIR]

BRIDGE is the built command. transformers makes tiny random folders, with OPT and with T5.
`bridge caption` and transformers caption the same pictures. `bridge convert` writes the
folder again, directly and by way of a bridge's own form. transformers loads the result:
no key may be missing or unexpected, and every weight and every logit must be the same.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import torch
from PIL import Image
from tokenizers import AddedToken, Tokenizer, processors
from transformers import (
    Blip2Config, Blip2ForConditionalGeneration, Blip2ForImageTextRetrieval, Blip2Processor, Blip2VisionModel, OPTConfig,
    PreTrainedTokenizerFast, T5Config)
from transformers.models.blip import BlipImageProcessorPil

import blip2
import opt
import t5
from common import randomize, setup

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZE, QUERIES, NEW = 24, 5, 14


def opt_tokenizer() -> tuple[Tokenizer, dict]:
    tokenizer = opt.train_tokenizer()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in opt.SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(single="</s> $A", special_tokens=[("</s>", opt.BOS)])
    return tokenizer, {"bos_token": "</s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


def opt_config(tokenizer: Tokenizer) -> OPTConfig:
    newline, = tokenizer.encode("\n", add_special_tokens=False).ids
    return OPTConfig(vocab_size=tokenizer.get_vocab_size() + 4, hidden_size=24, num_hidden_layers=2, num_attention_heads=2, ffn_dim=32,
                     max_position_embeddings=96, dropout=0.0, eos_token_id=newline)


def t5_tokenizer() -> tuple[Tokenizer, dict]:
    return t5.train_tokenizer(), {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


def t5_config(tokenizer: Tokenizer) -> T5Config:
    return T5Config(vocab_size=tokenizer.get_vocab_size() + 4, d_model=24, d_kv=10, d_ff=40, num_heads=2, num_layers=2, dropout_rate=0.0,
                    decoder_start_token_id=0, feed_forward_proj="gated-gelu", dense_act_fn="gelu", tie_word_embeddings=False)


@torch.no_grad()
def make(folder: pathlib.Path, tokenizer: Tokenizer, names: dict, text, seed: int) -> Blip2ForConditionalGeneration:
    """Saves a random model, which gives different captions for different pictures, and its processor."""
    image = tokenizer.get_vocab_size()
    model = Blip2ForConditionalGeneration(Blip2Config(
        vision_config=blip2.vision_of(image_size=SIZE, patch_size=8), qformer_config=blip2.qformer_of(), text_config=text,
        num_query_tokens=QUERIES, image_token_index=image)).eval()
    randomize(model, std=0.3, seed=seed)
    if text.model_type == "t5":
        model.language_model.lm_head.weight = torch.nn.Parameter(torch.randn(model.language_model.lm_head.weight.shape) * 0.3)
    model.language_projection.weight *= 3
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    processor = Blip2Processor(BlipImageProcessorPil(size={"height": SIZE, "width": SIZE}), fast, num_query_tokens=QUERIES)
    assert processor.tokenizer.convert_tokens_to_ids("<image>") == image
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model


def pictures(folder: pathlib.Path) -> list[pathlib.Path]:
    """Writes pictures of noise in several sizes. None shrinks most in height, because there
    Pillow 13 resizes columns first, while bridge and older versions resize rows first."""
    rng, paths = np.random.default_rng(3), []
    for i, (h, w) in enumerate([(SIZE, SIZE), (40, 60), (17, 90), (200, 200)]):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((w, h), Image.Resampling.BICUBIC)
        paths.append(folder / f"{i}.png")
        coarse.save(paths[-1])
    return paths


@torch.no_grad()
def captions(folder: pathlib.Path, paths: list[pathlib.Path], prompt: str) -> list[str]:
    """Returns transformers' captions, one picture at a time."""
    model = whole(Blip2ForConditionalGeneration, folder)
    processor = Blip2Processor.from_pretrained(folder)
    texts = []
    for path in paths:
        inputs = processor(images=Image.open(path).convert("RGB"), text=prompt, return_tensors="pt")
        given = 0 if model.config.text_config.is_encoder_decoder else inputs["input_ids"].shape[1]
        ids = model.generate(**inputs, max_new_tokens=NEW, do_sample=False)[0, given:]
        texts.append(processor.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False).strip())
    return texts


def run(command: str, *arguments) -> str:
    line = [command, *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(line)}: {done.stderr}"
    return done.stdout


def bridge_captions(command: str, folder: pathlib.Path, paths: list[pathlib.Path], prompt: str) -> list[str]:
    out = run(command, "caption", folder, *paths, "--prompt", prompt, "--max-new-tokens", NEW, "--json", "--backend", "go")
    return [json.loads(line)["caption"] for line in out.splitlines()]


def equal_weights(a: pathlib.Path, b: pathlib.Path) -> int:
    one, two = (Blip2ForConditionalGeneration.from_pretrained(d, dtype=torch.float32).state_dict() for d in (a, b))
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), f"{b}: {name} changed"
    return len(one)


def check(command: str, root: pathlib.Path, name: str, tokenizer: Tokenizer, names: dict, text, seed: int) -> None:
    made, again, own, back = (root / f"{name}-{part}" for part in ("made", "again", "own", "back"))
    make(made, tokenizer, names, text, seed)
    paths = pictures(root)
    run(command, "convert", made, again)
    run(command, "convert", made, own, "--to", "bridge")
    run(command, "convert", own, back)
    for prompt in ("", "a photo of"):
        want = captions(made, paths, prompt)
        for folder in (made, again, own, back):
            got = bridge_captions(command, folder, paths, prompt)
            assert got == want, f"{folder}, prompt {prompt!r}: bridge gives {got}, transformers {want}"
        for folder in (again, back):
            got = captions(folder, paths, prompt)
            assert got == want, f"{folder}, prompt {prompt!r}: transformers gives {got}, and {want} for the original"
        print(f"{name}, prompt {prompt!r}: {len(set(want))} captions of {len(paths)} pictures are the same: {want}")
        assert len(set(want)) > 1, "all captions are the same"
    print(f"{name}: {equal_weights(made, again)} weights came back, {equal_weights(made, back)} by way of a bridge")


def whole(model_class, folder: pathlib.Path):
    """Loads a folder, which must hold exactly the weights of the class."""
    model, info = model_class.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        assert not info[kind], f"{folder}: {kind}: {info[kind]}"
    return model.eval()


@torch.no_grad()
def check_retrieval(command: str, root: pathlib.Path) -> None:
    """Checks that stage 1 gives the same matches after conversion there and back, and from LAVIS's form."""
    made = ROOT / "bridge/testdata/golden-retrieval/checkpoint"
    own, back, lavis = (root / f"retrieval-{part}" for part in ("own", "back", "lavis"))
    run(command, "convert", made, own, "--to", "bridge")
    run(command, "convert", own, back)
    run(command, "convert", ROOT / "convert/testdata/stage1.pth", lavis, "--encoder", made, "--tokenizer", made, "--heads", 2)
    tokenizer = blip2.word_pieces()
    want = blip2.match(whole(Blip2ForImageTextRetrieval, made), tokenizer, blip2.pictures(2), blip2.TEXTS)
    for folder, tolerance in ((back, 0), (lavis, 1e-3)):  # LAVIS's Q-Former has the epsilon 1e-12, not 1e-4
        got = blip2.match(whole(Blip2ForImageTextRetrieval, folder), tokenizer, blip2.pictures(2), blip2.TEXTS)
        for a, b in zip(got, want):
            assert torch.allclose(a, b, atol=tolerance, rtol=0), f"{folder}: matches are off by {(a - b).abs().max()}"
        Blip2Processor.from_pretrained(folder)
    print("retrieval: the same matches there and back, and from LAVIS")


def check_encoder(command: str, root: pathlib.Path) -> None:
    """Checks LAVIS's encoder alone, and a whole BLIP-2 with the encoder inside."""
    run(command, "convert", ROOT / "convert/testdata/eva.pth", root / "eva", "--encoder-heads", 2)
    whole(Blip2VisionModel, root / "eva")
    made = ROOT / "bridge/testdata/golden-opt/checkpoint"
    run(command, "convert", ROOT / "convert/testdata/stage2.pth", root / "lavis", "--llm", made, "--heads", 2, "--encoder-heads", 2)
    whole(Blip2ForConditionalGeneration, root / "lavis")
    paths = pictures(root)
    want, got = captions(root / "lavis", paths, "a photo of"), bridge_captions(command, root / "lavis", paths, "a photo of")
    assert got == want, f"for LAVIS's file, bridge gives {got}, transformers {want}"
    print("LAVIS: encoder and stage 2 load, the same captions:", want)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bridge", help="the built command")
    parser.add_argument("--keep", type=pathlib.Path, help="folder to write to and keep (default: a temporary one)")
    a = parser.parse_args()
    setup()
    root = a.keep or pathlib.Path(tempfile.mkdtemp())
    root.mkdir(parents=True, exist_ok=True)
    try:
        for name, (tokenizer, names), config, seed in (("opt", opt_tokenizer(), opt_config, 2), ("t5", t5_tokenizer(), t5_config, 3)):
            check(a.bridge, root, name, tokenizer, names, config(tokenizer), seed)
        check_retrieval(a.bridge, root)
        check_encoder(a.bridge, root)
    finally:
        if not a.keep:
            shutil.rmtree(root)
    print("bridge and transformers agree")


if __name__ == "__main__":
    main()
