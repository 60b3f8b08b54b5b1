"""Trains a small Llama or Qwen2 language model on texts about scenes. It is not part of the kit. It
shows that bridge can use a folder of another family without a line of new code.

    python llama.py --family llama|qwen2 --scenes COMMAND --out DIR [--steps 1500]

    bridge retrain --llm DIR

The training is the one of opt.py, with two differences of the families: Llama has a
beginning-of-text token and Qwen2 has none, and both end an answer with their end-of-text token
instead of "\\n".
"""

import json
import pathlib

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

import opt
import schedule
import stream
import text

PAD, END, BEGIN = 0, 1, 2
SPECIALS = ["<|pad|>", "<|end_of_text|>", "<|begin_of_text|>"]


def train_tokenizer(lines: list[str], begins: bool, out: pathlib.Path) -> Tokenizer:
    """Trains a byte-level BPE. If begins, it puts the beginning-of-text token in front of a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator((" " + line for line in lines), trainers.BpeTrainer(
        vocab_size=560, special_tokens=SPECIALS, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    if begins:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{SPECIALS[BEGIN]} $A", special_tokens=[(SPECIALS[BEGIN], BEGIN)])
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": SPECIALS[END], "pad_token": SPECIALS[PAD],
        "clean_up_tokenization_spaces": False}, indent=2) + "\n")
    return tokenizer


def build(family: str, tokenizer: Tokenizer) -> PreTrainedModel:
    """Builds a model with grouped-query attention: two heads of keys and values for four of queries."""
    shape = dict(
        vocab_size=-(-tokenizer.get_vocab_size() // 8) * 8, hidden_size=128, intermediate_size=320,
        num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=192,
        initializer_range=0.05, tie_word_embeddings=True, pad_token_id=PAD, eos_token_id=END)
    if family == "llama":
        return LlamaForCausalLM(LlamaConfig(bos_token_id=BEGIN, **shape))
    return Qwen2ForCausalLM(Qwen2Config(bos_token_id=None, **shape))


def main() -> None:
    parser = schedule.parser(__doc__, steps=1500, batch=32, rate=1.5e-3)
    parser.add_argument("--family", choices=["llama", "qwen2"], required=True)
    parser.add_argument("--turns", type=int, default=3)
    a = parser.parse_args()
    schedule.prepare(a.threads)
    begins = a.family == "llama"
    tokenizer = train_tokenizer(text.corpus(stream.texts(a.scenes, "train", 3, 6000)), begins, a.out)
    model = build(a.family, tokenizer)
    opt.train(model, opt.Encoder(tokenizer, BEGIN if begins else None, END, PAD), a)
    model.to(torch.bfloat16).save_pretrained(a.out)


if __name__ == "__main__":
    main()
