"""The models, which have the sizes of released ones, and the rows of the table."""

from __future__ import annotations

import json
import pathlib
from dataclasses import dataclass, replace

PROMPTS = 32  # Q, soft prompts of an example


@dataclass(frozen=True)
class Model:
    """A checkpoint. config has transformers' keys and the values of a released model."""
    kind: str  # of the transformers class, see checkpoints.py
    family: str  # of bridge's adapter
    dtype: str  # of the weights in the released files
    config: dict
    special: tuple[str, ...] = ()  # the first tokens; all others are words
    before: str = ""  # the token that the tokenizer puts in front of a text
    after: str = ""  # the token that it puts at the end of a text
    end: str = ""  # the token that ends an answer


@dataclass(frozen=True)
class Row:
    """A row of the table: the computation of one call, and the number of its items."""
    name: str  # for --row
    title: str
    model: str
    op: str  # "encode", "loss" (with the gradient with respect to the prompts), "generate", "answer": generate from pictures, or "step" of training
    batch: int
    unit: str  # "images/s", "tokens/s", "samples/s", "s"
    text: int = 0  # words after the prompts
    target: int = 0  # words of the target
    new: int = 0  # tokens to generate
    beams: int = 1
    penalty: float = 1.0  # length penalty of a search with beams
    stage: int = 0  # of a step
    layers: int = 12  # of the Q-Former in a step
    dropout: float = 0.0  # in a step
    apart: bool = False  # the sides run one after the other, because together they do not fit in memory

    def figure(self, seconds: float) -> float:
        """Returns the row's figure for a call that took this many seconds."""
        items = {"images/s": self.batch, "samples/s": self.batch, "tokens/s": self.batch * self.new}.get(self.unit)
        return items / seconds if items else seconds


def description(model: Model) -> str:
    """Returns the text from which a checkpoint folder is known to be the model's."""
    return json.dumps(vars(model), sort_keys=True)


def made(model: Model, folder: pathlib.Path) -> bool:
    """Reports whether the folder was made from the model's description."""
    file = folder / "made-of.json"
    return file.exists() and file.read_text() == description(model)


MODELS = {
    "clip-vit-l-14": Model("clip", "vit", "float32", dict(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
        image_size=224, patch_size=14, hidden_act="quick_gelu")),
    "opt-125m": Model("opt", "opt", "float16", dict(
        vocab_size=50272, hidden_size=768, word_embed_proj_dim=768, ffn_dim=3072, num_hidden_layers=12,
        num_attention_heads=12, max_position_embeddings=2048, do_layer_norm_before=True,
        bos_token_id=2, eos_token_id=2, pad_token_id=1),
        special=("<s>", "<pad>", "</s>", "<unk>", "\n"), before="</s>", end="\n"),
    # Llama-3.2-1B with a smaller vocabulary: the original one (128256) takes 0.8 GB more on each side.
    "llama-1b": Model("llama", "llama", "bfloat16", dict(
        vocab_size=32000, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16,
        num_attention_heads=32, num_key_value_heads=8, head_dim=64, max_position_embeddings=131072,
        rms_norm_eps=1e-5, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2,
        rope_parameters=dict(rope_type="llama3", rope_theta=500000.0, factor=32.0, low_freq_factor=1.0,
                             high_freq_factor=4.0, original_max_position_embeddings=8192)),
        special=("<unk>", "<s>", "</s>"), before="<s>", end="</s>"),
    "flant5-base": Model("t5", "t5", "float32", dict(
        vocab_size=32128, d_model=768, d_kv=64, d_ff=2048, num_layers=12, num_decoder_layers=12, num_heads=12,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=1, dropout_rate=0.0),
        special=("<pad>", "</s>", "<unk>"), after="</s>", end="</s>"),
}

# Whole BLIP-2 folders with a vision encoder of the width and depth of CLIP's ViT-L/14 less its
# last block, and the Q-Former of BERT-base's width.
VITL = dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16, image_size=224, patch_size=14)
QFORMER = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, encoder_hidden_size=1024)
for _name in ("opt-125m", "flant5-base"):
    _lm = MODELS[_name]
    MODELS["blip2-" + _name] = replace(_lm, kind="blip2", dtype="float16", config=dict(
        vision_config=VITL, qformer_config=QFORMER, num_query_tokens=PROMPTS, text_config=_lm.config | {"model_type": _lm.kind}))

# With bos and end, a target of 30 words has 32 tokens. In T5, which has no bos, a target of
# 31 words has 32 tokens with the end, and a text of 15 words has 16.
ROWS = [
    Row("encode", "ViT-L/14 at 224, 23 blocks, batch 8", "clip-vit-l-14", "encode", 8, "images/s"),
    Row("opt-loss", "OPT-125M, loss and prompt gradient, batch 8", "opt-125m", "loss", 8, "s", target=30),
    Row("llama-loss", "Llama 1B, loss and prompt gradient, batch 4", "llama-1b", "loss", 4, "s", target=30, apart=True),
    Row("t5-loss", "FlanT5-base, loss and prompt gradient, batch 8", "flant5-base", "loss", 8, "s", text=15, target=31),
    Row("generate-1", "OPT-125M, greedy generation, batch 1", "opt-125m", "generate", 1, "tokens/s", new=32),
    Row("generate-8", "OPT-125M, greedy generation, batch 8", "opt-125m", "generate", 8, "tokens/s", new=32),
]

# Answers as LAVIS generates them (predict_answers), of a fixed length: from given soft prompts,
# and from pictures.
ROWS += [
    Row(f"{op}-{short}-{batch}", f"{title}, beam 5, batch {batch}", model, kind, batch, "samples/s", text=15, new=10, beams=5, penalty=penalty)
    for op, kind in (("beam", "generate"), ("answer", "answer"))
    for short, title, model, penalty in (("opt", "OPT-125M", "opt-125m", 0.0), ("t5", "FlanT5-base", "flant5-base", -1.0))
    for title, model in [(title, model) if op == "beam" else (f"ViT-L + {title} from pictures", "blip2-" + model)]
    for batch in (1, 8, 32)
]


# The Q-Former's tokenizer in rows of training. The size is that of BERT's vocabulary with [DEC].
QFORMER_WORDS = Model("", "", "", dict(vocab_size=30523), special=("[PAD]", "<unk>", "[CLS]", "[SEP]", "[DEC]"))
QFORMER_TOKENIZER = "qformer-words.json"  # its file
CLS, SEP, DEC = (QFORMER_WORDS.special.index(t) for t in ("[CLS]", "[SEP]", "[DEC]"))
FEATURES = (257, VITL["hidden_size"])  # of a picture

# Whole steps of training a Q-Former of BERT-base's width, from features of ViT-L/14. The rows with
# "check" have few layers and no dropout, so that the losses of the sides can be compared.
ROWS += [
    Row(f"stage{stage}-{name}", f"stage {stage}, a whole step, {layers} layers, batch {batch}", "opt-125m", "step", batch, "s", target=30, stage=stage,
        layers=layers, dropout=dropout, apart=True)
    for stage in (1, 2)
    for name, layers, batch, dropout in (("base", 12, 8, 0.1), ("check", 2, 4, 0.0))
]


def words(count: int, vocabulary: int, special: int, seed: int) -> str:
    """Returns a text of count words. Each word is one token, with the space before it."""
    return "".join(f" w{special + (seed * 7919 + i * 104729) % (vocabulary - special)}" for i in range(count))


def step_job(row: Row) -> dict:
    """Returns the job of a row that trains. Every second picture is the same, with the same caption:
    then it does not matter which wrong picture and which wrong caption a side draws."""
    model = MODELS[row.model] if row.stage == 2 else QFORMER_WORDS
    spoken = [words(row.target, model.config["vocab_size"], len(model.special), i % 2) for i in range(row.batch)]
    return {
        "family": MODELS[row.model].family, "op": row.op, "stage": row.stage, "batch": row.batch, "layers": row.layers, "dropout": row.dropout,
        "rate": 1e-4, "shape": [row.batch, *FEATURES], "width": FEATURES[1], "language_width": MODELS[row.model].config["hidden_size"],
        "begin": DEC, "ids": [[CLS, *(int(w[1:]) for w in text.split()), SEP] for text in spoken], "image_ids": [i % 2 for i in range(row.batch)],
        "texts": [""] * row.batch, "targets": spoken, "before": model.before, "after": model.after, "end": model.end,
    }


def job(row: Row) -> dict:
    """Returns the job that both sides read for a row, without the paths of its files."""
    if row.op == "step":
        return step_job(row)
    model = MODELS[row.model]
    text = model.config.get("text_config", model.config)
    spoken = [words(n, text["vocab_size"], len(model.special), 2 * i + first)
              for i in range(row.batch) for first, n in enumerate((row.text, row.target))] if row.op != "encode" else []
    size = model.config.get("vision_config", model.config).get("image_size")
    width = text.get("d_model") or text["hidden_size"]
    return {
        "family": model.family, "op": row.op, "layer": -2,
        "shape": [row.batch, size, size, 3] if size else [row.batch, PROMPTS, width],
        "texts": spoken[::2], "targets": spoken[1::2], "new_tokens": row.new, "beams": row.beams, "penalty": row.penalty,
        "before": model.before, "after": model.after, "end": model.end,
    }
