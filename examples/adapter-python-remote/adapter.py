"""A language model behind a server (vLLM, OpenAI-style, Ollama) as an adapter of bridge.

It gives no gradient: a bridge is trained elsewhere, with the same model, and used
here. README.md says what each kind of server can do.
"""

import bridge_plugin as bp  # first: it moves the standard output aside

import json
import os
import pathlib
import urllib.error
import urllib.request

import numpy as np
from bridge_plugin import checkpoint, layout, tokens

import embeds

TABLES = ("model.decoder.embed_tokens.weight", "model.embed_tokens.weight", "transformer.wte.weight", "wte.weight",
          "decoder.embed_tokens.weight", "embed_tokens.weight", "gpt_neox.embed_in.weight")
CAPABILITIES = {"vllm": ["score", "embed-tokens", "count-tokens"], "openai": ["score", "embed-tokens", "count-tokens"],
                "ollama": ["embed-tokens", "count-tokens"]}


class Remote(bp.LanguageModel):
    concurrent = True  # the server queues

    def load(self, request):
        request.refuse("activation")
        folder = pathlib.Path(request.checkpoint)
        remote, config = read(folder, "remote.json"), read(folder, "config.json")
        self.api, self.url, self.name = remote.get("api", ""), str(remote.get("url", "")).rstrip("/"), remote.get("model", "")
        if self.api not in CAPABILITIES or not self.url.startswith(("http://", "https://")):
            raise bp.Error(bp.Kind.INVALID, f"{folder}/remote.json: got api {self.api!r} and url {self.url!r}, want one of "
                                            f"{', '.join(CAPABILITIES)} and a URL", field="remote.json")
        self.key = os.environ.get(remote.get("key_variable", ""), "")
        self.table = checkpoint.read_tensor(folder, TABLES)
        tokenizer, ends = tokens.HFTokenizer.open(folder), config.get("eos_token_id")
        ends = tokenizer.encode("\n")[0] if config["model_type"] == "opt" else ends if isinstance(ends, list) else [ends]
        self.layout = layout.Layout(tokenizer, ends, bos=tokenizer.bos, context=config.get("max_position_embeddings", 0), vocabulary=len(self.table))
        return bp.LanguageSpec(
            id=request.id or folder.name, family=config["model_type"], width=self.table.shape[1], vocabulary=len(self.table), parameters=self.table.size,
            digest=checkpoint.digest(folder), architecture="decoder-only", token_norm=float(np.linalg.norm(self.table, axis=1).mean()),
            end_of_answer=self.layout.end_of_answer(), backend=f"{self.api} at {self.url}", source=str(folder), capabilities=CAPABILITIES[self.api],
            context_tokens=self.layout.context)

    def post(self, path, body):
        """Sends one request; what goes wrong there says what the server said."""
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {self.key}"} if self.key else {})}
        request = urllib.request.Request(self.url + path, json.dumps({"model": self.name, "stream": False, **body}).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as err:
            kind = {404: bp.Kind.NOT_FOUND, 413: bp.Kind.EXHAUSTED}.get(err.code, bp.Kind.UNAVAILABLE if err.code >= 500 else bp.Kind.INVALID)
            raise bp.Error(kind, f"{self.url}{path} answers {err.code}: {err.read(2000).decode('utf-8', 'replace')}",
                           "see the server's log; the model's name is that of remote.json") from None
        except (OSError, ValueError) as err:
            raise bp.Error(bp.Kind.UNAVAILABLE, f"{self.url}{path}: {err}", "start the server, or mend the url in remote.json") from None

    def given(self, line, prompts):
        """Returns what the server shall read: ids, or where soft prompts are among them the
        embeddings of all."""
        if all(item >= 0 for item in line):
            return {"prompt": line}
        if self.api != "vllm":
            raise bp.Error(bp.Kind.UNSUPPORTED, f"the server at {self.url} ({self.api}) reads text, and soft prompts are no text",
                           "serve the model with vLLM (--enable-prompt-embeds) and set api to \"vllm\" in remote.json")
        rows = prompts.reshape(-1, prompts.shape[2])
        return {"prompt_embeds": embeds.encode(np.stack([self.table[item] if item >= 0 else rows[-1 - item] for item in line]))}

    def log_probabilities(self, sequence, prompts, context):
        """Returns log p of each target of a sequence."""
        split = sequence.first + 1
        line = [*sequence.input[:split], *sequence.target]
        if all(item >= 0 for item in line):
            body = {"prompt": line, "echo": True, "max_tokens": 1, "logprobs": 1, "temperature": 0}
            got = self.post("/completions", body)["choices"][0]["logprobs"]["token_logprobs"]
            return got[split : len(line)]
        found = []
        for i, target in enumerate(sequence.target):  # the chance of the only token that is allowed
            context.check()
            body = {**self.given(line[: split + i], prompts), "max_tokens": 1, "logprobs": 1, "temperature": 0, "allowed_token_ids": [target]}
            found.append(self.post("/completions", body)["choices"][0]["logprobs"]["token_logprobs"][0])
        return found

    def loss(self, request, context):
        if self.api == "ollama":
            raise bp.Error(bp.Kind.UNSUPPORTED, "Ollama gives no chances of tokens, so no loss", "use a server in OpenAI's style, or vLLM")
        sequences = self.layout.scored(request.examples, request.rows)
        losses = []
        for sequence in sequences:
            context.check()
            losses.append(-sum(self.log_probabilities(sequence, request.prompts, context)))
        return bp.LossResponse(losses, [len(s.target) for s in sequences])

    score = bp.score_by_loss

    def generate(self, request, context, emit):
        o = request.options
        o.refuse("num_beams", "repetition_penalty", *([] if self.api == "vllm" else ["min_new_tokens"]))
        seeds, texts, counts = layout.seeds(request.examples, o.seed), [], []
        for i, sequence in enumerate(self.layout.open(request.examples, request.rows)):
            context.check()
            ask = self.ollama if self.api == "ollama" else self.completion
            text, count = ask(request, i, sequence.input, {"temperature": o.temperature if o.sample else 0, "seed": seeds[i] % (1 << 31),
                                                            **({"top_p": o.top_p, "top_k": o.top_k or -1} if o.sample and self.api != "openai" else {})})
            texts.append(text.strip())
            counts.append(max(1, count))
            emit(i, texts[-1])
        return bp.GenerateResponse(texts, counts)

    def completion(self, request, i, line, body):
        if self.api == "vllm":
            body.update(stop_token_ids=self.layout.ends, min_tokens=request.options.min_new_tokens)
        elif end := self.layout.tokenizer.decode(self.layout.ends[:1]):
            body["stop"] = [end]
        got = self.post("/completions", {**self.given(line, request.prompts), **body, "max_tokens": request.options.max_new_tokens})
        return got["choices"][0]["text"], got["usage"]["completion_tokens"]

    def ollama(self, request, i, line, body):
        self.given(line, request.prompts)  # refuses soft prompts
        if end := self.layout.tokenizer.decode(self.layout.ends[:1]):
            body["stop"] = [end]
        text = "".join(s.text for s in request.examples[i].segments)
        got = self.post("/api/generate", {"prompt": text, "raw": True, "options": {**body, "num_predict": request.options.max_new_tokens}})
        return got["response"], got.get("eval_count", 1)

    def embed_tokens(self, texts, context):
        return self.layout.tokenizer.embed(texts, self.table)

    def count_tokens(self, texts, context):
        return self.layout.tokenizer.count(texts)


def read(folder, name):
    with open(folder / name, encoding="utf-8") as file:
        return json.load(file)


if __name__ == "__main__":
    bp.serve(Remote)
