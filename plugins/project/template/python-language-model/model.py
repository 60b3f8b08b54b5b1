"""A frozen language model.

YOURS: replace the model in this file. The one here is small, so you can read it all, and it
can be trained. Token t of an answer has the logits

    embed · (next[token before it] + x)

where x is row t of the example's soft prompts, and 0 after the last row. Tokens are words.
Your model may compute anything, if its methods keep their contract.
"""

import hashlib
import json
import pathlib
from dataclasses import dataclass, field

import bridge_plugin as bridge
import numpy as np

NAME = "mybackbone"
END, UNKNOWN = 0, 1  # END also stands before the first word; UNKNOWN stands for words outside the vocabulary


@dataclass
class Sequence:
    """The layout of an example."""

    rows: list = field(default_factory=list)  # (prompt, row), in the order of the segments
    before: int = END  # the token before the target
    target: list = field(default_factory=list)  # its tokens, including the end


class Model(bridge.LanguageModel):
    def load(self, request):
        """Reads a checkpoint folder.

        YOURS: read your weights and report progress. Loading has no time limit. An error
        says what is wrong, what is expected, and what the user can do.
        """
        file = pathlib.Path(request.checkpoint) / "config.json"
        try:
            text = file.read_bytes()
            config = json.loads(text)
        except OSError as err:
            raise bridge.Error(bridge.Kind.NOT_FOUND, str(err), "set path to a checkpoint folder, such as the project's own") from err
        except ValueError as err:
            raise bridge.Error(bridge.Kind.CORRUPT, f"{file}: {err}") from err
        if config.get("model_type") != NAME:
            raise bridge.Error(bridge.Kind.UNSUPPORTED, f"{file} has model_type {config.get('model_type')!r}, want {NAME!r}")
        if request.dtype not in (bridge.DType.INVALID, bridge.DType.FLOAT32):
            raise bridge.Error(bridge.Kind.UNSUPPORTED, f"{NAME} computes in float32, {request.dtype} was requested",
                               "leave dtype out of the recipe")
        self.words = ["</s>", "<unk>", *config["words"]]
        self.ids = {word: i for i, word in enumerate(self.words) if i > UNKNOWN}  # "</s>" in a text is an unknown word, not the end
        rng = np.random.default_rng(config["seed"])
        shape = (len(self.words), config["width"])
        self.embed = rng.standard_normal(shape, np.float32)
        self.next = 0.1 * rng.standard_normal(shape, np.float32)
        request.progress("weights", len(text), len(text))
        return bridge.LanguageSpec(
            id=request.id or NAME, family=NAME, width=config["width"], parameters=2 * self.embed.size, memory_bytes=2 * self.embed.nbytes,
            digest="sha256:" + hashlib.sha256(text).hexdigest(), source="random, from a seed", backend="numpy",
            architecture="decoder-only", vocabulary=len(self.words), end_of_answer="</s>",
            token_norm=float(np.linalg.norm(self.embed, axis=1).mean()), capabilities=["gradient", "embed-tokens"])

    def loss(self, request, context):
        """Scores each example's target, and computes the gradient with respect to the prompts.

        YOURS: if your model has no gradient, leave "gradient" out of its spec, and bridge
        never requests one. The model can then caption, but bridges cannot be trained on it.
        """
        prompts = None if request.prompts is None else bridge.to_float32(request.prompts)
        gradient = np.zeros(prompts.shape, np.float32) if request.gradient else None
        losses, tokens = [], []
        for example in request.examples:
            context.check()  # raises if the host has given up the call
            sequence = self.read(example, request.rows)
            losses.append(self.score_one(sequence, prompts, gradient))
            tokens.append(len(sequence.target))
        return bridge.LossResponse(losses, tokens, gradient)

    def score_one(self, sequence, prompts, gradient):
        """Returns Σ −log p over the target's tokens, and adds ∂/∂prompts to gradient."""
        loss, before = 0.0, sequence.before
        for t, token in enumerate(sequence.target):
            log_p = self.log_probabilities(before, sequence, t, prompts)
            loss -= log_p[token]
            if gradient is not None and t < len(sequence.rows):
                dlogits = np.exp(log_p)  # ∂loss/∂logits is p − one-hot(token), and ∂logits/∂x is embed
                dlogits[token] -= 1
                gradient[sequence.rows[t]] += dlogits @ self.embed
            before = token
        return loss

    def log_probabilities(self, before, sequence, t, prompts):
        """Returns the log-probabilities of token t of an answer, [V]."""
        state = self.next[before]
        if t < len(sequence.rows):
            state = state + prompts[sequence.rows[t]]
        logits = (self.embed @ state).astype(np.float64)
        logits -= logits.max()
        return logits - np.log(np.exp(logits).sum())

    def generate(self, request, context, emit):
        """Continues each example greedily.

        YOURS: options have transformers' meaning. Refuse options that your model lacks, as
        here, and never ignore one. What bridge serve batches best (options of each example, stop
        texts, log-probabilities, ...) are capabilities: name them in the spec once you have them.
        """
        request.options.refuse("num_beams", "sample", "repetition_penalty")
        prompts = None if request.prompts is None else bridge.to_float32(request.prompts)
        texts, tokens = [], []
        for i, example in enumerate(request.examples):
            words, ended = [], False
            sequence = self.read(bridge.Example(example.segments), request.rows)
            before = sequence.before
            while not ended and len(words) < request.options.max_new_tokens:
                context.check()
                log_p = self.log_probabilities(before, sequence, len(words), prompts)
                log_p[UNKNOWN] = -np.inf
                if len(words) < request.options.min_new_tokens:
                    log_p[END] = -np.inf
                if np.isnan(log_p).any():
                    raise bridge.Error(bridge.Kind.INVALID, "the soft prompts have values that are not finite")
                before = int(log_p.argmax())
                ended = before == END
                if not ended:
                    words.append(self.words[before])
                    emit(i, " " + self.words[before])
            texts.append(" ".join(words))
            tokens.append(len(words) + ended)
        return bridge.GenerateResponse(texts, tokens)

    def embed_tokens(self, texts, context):
        """Returns the token embeddings. With them, a bridge that was trained for another model
        can start from the words that both models know."""
        counts = [len(text.split()) for text in texts]
        ids = [i for text in texts for i in self.tokens(text.split())] if texts else list(range(UNKNOWN + 1, len(self.words)))
        return bridge.EmbedTokensResponse([" " + self.words[i] for i in ids], self.embed[ids], counts)

    def read(self, example, rows):
        """Lays out an example. Neighbouring texts and the target are one string: a word that
        reaches into the target belongs to it. No word spans a prompt."""
        sequence, text = Sequence(), ""
        for segment in example.segments:
            if segment.is_prompt:
                sequence.rows += [(segment.prompt, q) for q in range(rows)]
                text = ""
            else:
                text += segment.text
        n = len(text.split())
        if n and example.target and not text[-1].isspace() and not example.target[0].isspace():
            n -= 1
        tokens = self.tokens((text + example.target).split())
        if n:
            sequence.before = tokens[n - 1]
        sequence.target = [*tokens[n:], END]
        return sequence

    def tokens(self, words):
        return [self.ids.get(word, UNKNOWN) for word in words]
