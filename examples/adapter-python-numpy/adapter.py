"""A plugin with a language model in numpy: a starting point for one in Python.

    adapter.py --init DIR [--text FILE]   make a checkpoint folder
    adapter.py --debug                    serve without a host, for a debugger
    adapter.py                            serve (bridge starts it like this)
"""

import bridge_plugin as bp  # first: it redirects the standard output

import argparse
import json
import pathlib
import re

import numpy as np
from bridge_plugin import checkpoint

SAMPLE = """a dog on a red background
a cat on a blue background
an apple left of a dog on a green background
two cats on a yellow background"""

END, UNKNOWN = 0, 1  # word 0 starts and ends an answer; word 1 stands for unknown words


class Bigram(bp.LanguageModel):
    """Continues text word by word. Word t of an answer has the logits

        bias[word before] + embed · x

    where x is row t of the example's soft prompts, and 0 after the last one. A row that
    points to a word's vector makes that word likelier at this position.
    """

    def load(self, request):
        file = pathlib.Path(request.checkpoint) / "config.json"
        if not file.exists():
            raise bp.Error(bp.Kind.NOT_FOUND, f"{file} does not exist", "make it with adapter.py --init DIR")
        config = json.loads(file.read_text(encoding="utf-8"))
        if config.get("model_type") != "bigram" or config.get("width", 0) < 1:
            raise bp.Error(bp.Kind.UNSUPPORTED, f"{file}: got model_type {config.get('model_type')!r} and width {config.get('width')}, "
                                                "want \"bigram\" and a width", field="config.json")
        text = config["text"]
        self.words = ["</s>", "<unk>", *dict.fromkeys(text.split())]
        self.ids = {word: i for i, word in enumerate(self.words)}
        v, d = len(self.words), config["width"]
        counts = np.zeros((v, v))
        for line in text.splitlines():
            ids = [END, *self.tokens(line), END]
            np.add.at(counts, (ids[:-1], ids[1:]), 1)
        self.bias = np.log1p(100 * counts)  # [V, V]
        self.embed = np.random.default_rng(1).standard_normal((v, d)).astype(np.float32)  # [V, D]
        request.progress("weights", v, v)
        return bp.LanguageSpec(
            id=request.id or pathlib.Path(request.checkpoint).name, family="bigram", width=d, architecture="decoder-only",
            vocabulary=v, parameters=v * (v + d), memory_bytes=self.bias.nbytes + self.embed.nbytes, digest=checkpoint.digest(file),
            source=str(file), token_norm=float(np.linalg.norm(self.embed, axis=1).mean()), end_of_answer="</s>", backend="numpy")

    def tokens(self, text):
        return [self.ids.get(word, UNKNOWN) for word in text.split()]

    def read(self, example, target):
        """Returns the soft prompts' indices, the word before the target, and the target's
        words with the end. Neighbouring texts and the target are one string: a word that
        reaches into the target belongs to it."""
        prompts = [s.prompt for s in example.segments if s.is_prompt]
        text = ""
        for s in example.segments:
            text = "" if s.is_prompt else text + s.text  # no word spans a prompt
        ends = [m.end() for m in re.finditer(r"\s*\S+", text + target) if m.end() <= len(text)]
        split = ends[-1] if ends else 0
        before = self.tokens((text + target)[:split])
        return prompts, before[-1] if before else END, [*self.tokens((text + target)[split:]), END]

    def probabilities(self, before, rows):
        """Returns [T, V] for the words before [T] and as many rows [≤ T, D]."""
        logits = self.bias[before]
        logits[: len(rows)] += rows @ self.embed.T.astype(np.float64)
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)

    def rows(self, prompts, indices):
        """Returns the rows [·, D] of an example's soft prompts in order."""
        if prompts is None:
            return np.zeros((0, self.embed.shape[1]))
        return prompts[indices].reshape(-1, prompts.shape[2]).astype(np.float64)

    def loss(self, request, context):
        losses, tokens = [], []
        gradient = context.empty(request.prompts.shape) if request.gradient else None
        if request.gradient:
            gradient[:] = 0
        for example in request.examples:
            context.check()
            indices, last, target = self.read(example, example.target)
            rows = self.rows(request.prompts, indices)[: len(target)]
            p = self.probabilities([last, *target[:-1]], rows)
            at = np.arange(len(target)), target
            losses.append(-np.log(p[at]).sum())
            tokens.append(len(target))
            if request.gradient and len(rows):  # ∂loss/∂logits is p − one-hot(word), ∂logits/∂x is embed
                p[at] -= 1
                g = np.zeros((len(indices) * gradient.shape[1], gradient.shape[2]))
                g[: len(rows)] = p[: len(rows)] @ self.embed
                np.add.at(gradient, indices, g.reshape(len(indices), *gradient.shape[1:]).astype(np.float32))
        return bp.LossResponse(losses, tokens, gradient)

    def generate(self, request, context, emit):
        options = request.options
        options.refuse("num_beams", "sample", "repetition_penalty")
        texts, tokens = [], []
        for i, example in enumerate(request.examples):
            indices, last, _ = self.read(example, "")
            rows = self.rows(request.prompts, indices)
            text = ""
            for n in range(1, options.max_new_tokens + 1):
                context.check()
                p = self.probabilities([last], rows[n - 1 : n])[0]
                p[UNKNOWN] = 0
                if n <= options.min_new_tokens:
                    p[END] = 0
                last = int(p.argmax())
                if last == END:
                    break
                text += " " + self.words[last]
                emit(i, " " + self.words[last])
            texts.append(text.strip())
            tokens.append(n)
        return bp.GenerateResponse(texts, tokens)

    def score(self, request, context):
        return bp.score_by_loss(self, request, context)

    def embed_tokens(self, texts, context):
        ids = [self.tokens(text) for text in texts] or [list(range(UNKNOWN + 1, len(self.words)))]
        flat = [id for some in ids for id in some]
        return bp.EmbedTokensResponse([" " + self.words[id] for id in flat], self.embed[flat].reshape(-1, self.embed.shape[1]),
                                      [len(some) for some in ids] if texts else ())

    def count_tokens(self, texts, context):
        return [len(self.tokens(text)) for text in texts]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--init", metavar="DIR", type=pathlib.Path, help="make a checkpoint in this folder instead of serving")
    parser.add_argument("--text", metavar="FILE", type=pathlib.Path, help="count words in this file, one sentence on each line")
    parser.add_argument("--debug", action="store_true", help="serve without a host, for a debugger")
    args = parser.parse_args()
    if args.init is None:
        bp.serve(Bigram)  # does not return
    text = args.text.read_text(encoding="utf-8") if args.text else SAMPLE
    args.init.mkdir(parents=True, exist_ok=True)
    (args.init / "config.json").write_text(json.dumps({"model_type": "bigram", "width": 32, "text": text}), encoding="utf-8")


if __name__ == "__main__":
    main()
