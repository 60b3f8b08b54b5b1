"""Makes checkpoint folders with random weights and a tokenizer of single words.

    python checkpoints.py MODEL FOLDER

makes the model's folder in FOLDER, and the Q-Former's tokenizer there, unless they exist.
"""

from __future__ import annotations

import pathlib
import shutil
import sys

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from rows import MODELS, QFORMER_TOKENIZER, QFORMER_WORDS, Model, description, made

CLASSES = {
    "clip": (transformers.CLIPVisionConfig, transformers.CLIPVisionModel),
    "opt": (transformers.OPTConfig, transformers.OPTForCausalLM),
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
    "t5": (transformers.T5Config, transformers.T5ForConditionalGeneration),
    "blip2": (transformers.Blip2Config, transformers.Blip2ForConditionalGeneration),
}


def make(model: Model, folder: pathlib.Path) -> None:
    """Makes the folder, unless it exists and was made from the same description."""
    if made(model, folder):
        return
    print(f"making {folder.name}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    transformers.utils.logging.disable_progress_bar()
    weights(model).save_pretrained(folder)
    if model.special:
        tokenizer(model).save(str(folder / "tokenizer.json"))
    (folder / "made-of.json").write_text(description(model))


@torch.no_grad()
def weights(model: Model) -> torch.nn.Module:
    """Returns a model with transformers' initial weights, in the type of the files. Biases
    and norms are moved away from 0 and 1, and T5's head is scaled as if it were trained."""
    config, network = CLASSES[model.kind]
    torch.manual_seed(1)
    torch.set_default_dtype(getattr(torch, model.dtype))
    whole = network(config(**model.config)).eval()
    torch.set_default_dtype(torch.float32)
    for parameter in whole.parameters():
        if parameter.dim() == 1:
            parameter.add_(torch.randn(parameter.shape).to(parameter.dtype) * 0.05)
    language = whole.language_model if model.kind == "blip2" else whole
    if model.family == "t5":
        language.lm_head.weight.mul_(language.config.d_model ** -0.5)
    return whole


def tokenizer(model: Model) -> Tokenizer:
    """Returns a tokenizer in which every word such as " w17" is one token, so that the length
    of a text in tokens is known."""
    size = model.config.get("text_config", model.config)["vocab_size"]
    names = list(model.special) + [f" w{i}" for i in range(len(model.special), size)]
    made = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_next")
    made.decoder = decoders.Fuse()
    made.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in model.special if t != "\n"])
    around = [t for t in (model.before, model.after) if t]
    made.post_processor = processors.TemplateProcessing(
        single=f"{model.before} $A {model.after}".strip(), special_tokens=[(t, names.index(t)) for t in around])
    return made


def main(model: str, folder: pathlib.Path) -> None:
    make(MODELS[model], folder / model)
    if not (words := folder / QFORMER_TOKENIZER).exists():
        tokenizer(QFORMER_WORDS).save(str(words))


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
