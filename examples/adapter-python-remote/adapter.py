"""A language model on a server (vLLM, OpenAI-style, Ollama) as an adapter of bridge.

It gives no gradient: train the bridge elsewhere, with the same model, and use it here.
README.md lists what each kind of server supports.
"""

import bridge_plugin as bp  # first: it redirects the standard output

import json
import logging
import os
import pathlib

import numpy as np
from bridge_plugin import checkpoint, layout, tokens

import client
import embeds

TABLES = ("model.decoder.embed_tokens.weight", "model.embed_tokens.weight", "transformer.wte.weight", "wte.weight",
          "decoder.embed_tokens.weight", "embed_tokens.weight", "gpt_neox.embed_in.weight")
APIS = ("vllm", "openai", "ollama")
NO_SCORE = "use a server that echoes log-probabilities of the prompt (README.md names some), or vLLM"
UNLIMITED = {"vllm": -1, "ollama": 0}  # the value for no top_k
HOTTEST = 2  # the highest temperature that OpenAI and vLLM accept

log = logging.getLogger("remote")


class Remote(bp.LanguageModel):
    concurrent = True  # the server queues

    def load(self, request):
        request.refuse("activation")
        folder = pathlib.Path(request.checkpoint)
        remote, config = read(folder, "remote.json"), read(folder, "config.json")
        self.api, url = remote.get("api", ""), str(remote.get("url", ""))
        if self.api not in APIS or not url.startswith(("http://", "https://")):
            raise bp.Error(bp.Kind.INVALID, f"{folder}/remote.json: got api {self.api!r} and url {url!r}, want one of {', '.join(APIS)} and a URL", field="remote.json")
        self.server = client.Client(url, remote.get("model", ""), os.environ.get(remote.get("key_variable", ""), ""))
        self.options = remote.get("options", {})
        self.table = checkpoint.read_tensor(folder, TABLES)
        tokenizer, ends = tokens.HFTokenizer.open(folder), config.get("eos_token_id")
        ends = tokenizer.encode("\n")[0] if config["model_type"] == "opt" else ends if isinstance(ends, list) else [ends]
        self.layout = layout.Layout(tokenizer, ends, bos=tokenizer.bos, context=config.get("max_position_embeddings", 0), vocabulary=len(self.table))
        self.end = tokenizer.decode(ends[:1]) or tokenizer.token(ends[0])
        self.meet(bp.Context())
        return bp.LanguageSpec(
            id=request.id or folder.name, family=config["model_type"], width=self.table.shape[1], vocabulary=len(self.table), parameters=self.table.size,
            digest=checkpoint.digest(folder), architecture="decoder-only", token_norm=float(np.linalg.norm(self.table, axis=1).mean()),
            end_of_answer=self.layout.end_of_answer(), backend=f"{self.api} at {url}", source=str(folder), context_tokens=self.layout.context,
            capabilities=[*([] if self.no_score else ["score"]), "embed-tokens", "count-tokens"])

    def meet(self, context):
        """Finds out what the server supports: the model, its context, token ids (self.text: it
        takes only text) and log-probabilities of a prompt (self.no_score: why not)."""
        self.text, self.no_score = self.api == "ollama", ""
        if self.api == "ollama":
            self.server.post("/api/show", {}, context)  # fails if there is no such model
            self.no_score = "Ollama gives log-probabilities only of generated tokens, not of a prompt"
        else:
            try:
                served = {model["id"]: model for model in self.server.get("/models", context)["data"]}
            except client.Refused as err:  # not every server has a list
                served = {self.server.model: {}}
                log.warning("the server lists no models: %s", err.message)
            if self.server.model not in served:
                raise bp.Error(bp.Kind.NOT_FOUND, f"{self.server.url} serves {', '.join(served) or 'nothing'}, remote.json names the model {self.server.model!r}",
                               "name one of them", field="remote.json")
            longest = served[self.server.model].get("max_model_len") or 0  # from vLLM; a score sends the end token and generates one more
            self.layout.context = min(self.layout.context or longest, longest - 2) if longest else self.layout.context
            self.try_out(context)
        if self.no_score:
            log.warning("no losses and no scores: %s", self.no_score)

    def try_out(self, context):
        example = bp.Example((bp.Segment("a photo"),), " of a dog")
        sequence, = self.layout.scored([example], 0)
        try:
            self.server.post("/completions", {"prompt": sequence.input, "max_tokens": 1}, context)
        except client.Refused:  # with 400, 422 or 500
            self.text = True
            self.server.post("/completions", {"prompt": plain(example), "max_tokens": 1}, context)
        try:
            self.log_probabilities(example, sequence, None, context)
        except bp.Error as err:
            if not isinstance(err, client.Refused) and err.kind != bp.Kind.UNSUPPORTED:
                raise
            self.no_score = err.message

    def given(self, line, prompts, text=""):
        """Returns the input for the server: ids, or text if the server takes no ids. If there
        are soft prompts, it is the embeddings of the whole line."""
        if all(item >= 0 for item in line):
            return {"prompt": text if self.text else line}
        if self.api != "vllm":
            raise bp.Error(bp.Kind.UNSUPPORTED, f"the server at {self.server.url} ({self.api}) reads only text, not soft prompts",
                           "serve the model with vLLM (--enable-prompt-embeds) and set api to \"vllm\" in remote.json")
        rows = prompts.reshape(-1, prompts.shape[2])
        return {"prompt_embeds": embeds.encode(np.stack([self.table[item] if item >= 0 else rows[-1 - item] for item in line]))}

    def echo(self, line, before, target, count, context):
        """Returns log p of the last ``count`` tokens of a line. before and target are its texts."""
        got = self.server.post("/completions", {**self.given(line, None, before + target), "echo": True, "max_tokens": 1, "logprobs": 1, "temperature": 0}, context)
        chances = got["choices"][0].get("logprobs") or {}
        found, texts = chances.get("token_logprobs") or [], chances.get("tokens") or []
        echoed = len(found) - got["usage"]["completion_tokens"]
        if echoed < count:
            raise bp.Error(bp.Kind.UNSUPPORTED, f"{self.server.url}/completions gives {max(0, echoed)} log-probabilities of a prompt of {len(line)} tokens", NO_SCORE)
        found, texts = found[echoed - count : echoed], texts[echoed - count : echoed]
        if self.text and not ascii_of("".join(texts), self.end).endswith(ascii_of(target, self.end)):  # its first token may begin before the target
            raise bp.Error(bp.Kind.UNSUPPORTED, f"the server splits {target!r} into the tokens {texts}, the folder's tokenizer into {count}", NO_SCORE)
        if None in found:
            raise bp.Error(bp.Kind.UNSUPPORTED, f"{self.server.url}/completions gives no log-probability of {texts[found.index(None)]!r}", NO_SCORE)
        return found

    def log_probabilities(self, example, sequence, prompts, context):
        """Returns log p of each target of a sequence."""
        split = sequence.first + 1
        line = [*sequence.input[:split], *sequence.target]
        if all(item >= 0 for item in line):
            return self.echo(line, plain(example), example.target + self.end, len(sequence.target), context)
        found = []
        for i, target in enumerate(sequence.target):  # the probability of the only allowed token
            body = {**self.given(line[: split + i], prompts), "max_tokens": 1, "logprobs": 1, "temperature": 0, "allowed_token_ids": [target]}
            found.append(self.server.post("/completions", body, context)["choices"][0]["logprobs"]["token_logprobs"][0])
        return found

    def loss(self, request, context):
        if self.no_score:
            raise bp.Error(bp.Kind.UNSUPPORTED, f"no loss: {self.no_score}", NO_SCORE)
        sequences = self.layout.scored(request.examples, request.rows)
        losses = [-sum(self.log_probabilities(e, s, request.prompts, context)) for e, s in zip(request.examples, sequences)]
        return bp.LossResponse(losses, [len(s.target) for s in sequences])

    score = bp.score_by_loss

    def generate(self, request, context, emit):
        o = request.options
        o.refuse("num_beams", "repetition_penalty", *([] if self.api == "vllm" else ["min_new_tokens"]), *(["top_k"] if self.api == "openai" else []))
        if o.sample and o.temperature > HOTTEST and self.api != "ollama":
            raise bp.Error(bp.Kind.UNSUPPORTED, f"temperature is {o.temperature}, servers take at most {HOTTEST}", "sample at a lower temperature", field="options.temperature")
        seeds, texts, counts = layout.seeds(request.examples, o.seed), [], []
        for i, sequence in enumerate(self.layout.open(request.examples, request.rows)):
            body = {**self.options, "temperature": o.temperature if o.sample else 0, "seed": seeds[i] % (1 << 31), "stop": [self.end]}
            if o.sample:
                body.update(top_p=o.top_p, **({} if self.api == "openai" else {"top_k": o.top_k or UNLIMITED[self.api]}))
            ask = self.ollama if self.api == "ollama" else self.completion
            text, count = ask(request, i, sequence.input, body, context)
            texts.append(text.strip())
            counts.append(max(1, count))
            emit(i, texts[-1])
        return bp.GenerateResponse(texts, counts)

    def completion(self, request, i, line, body, context):
        o, room = request.options, self.layout.context - len(line)
        body["max_tokens"] = min(o.max_new_tokens, max(1, room)) if self.layout.context else o.max_new_tokens
        if self.api == "vllm":  # ids, decoded here: servers hold back incomplete characters
            del body["stop"]
            body.update(stop_token_ids=self.layout.ends, min_tokens=min(o.min_new_tokens, body["max_tokens"]), return_token_ids=True)
        got = self.server.post("/completions", {**self.given(line, request.prompts, plain(request.examples[i])), **body}, context)
        choice = got["choices"][0]
        return self.layout.answer(choice["token_ids"]) if choice.get("token_ids") else (choice["text"], got["usage"]["completion_tokens"])

    def ollama(self, request, i, line, body, context):
        prompt = self.given(line, request.prompts, plain(request.examples[i]))  # refuses soft prompts
        if not prompt["prompt"]:
            raise bp.Error(bp.Kind.UNSUPPORTED, f"example {i}: Ollama does not continue an empty text", "begin with a text", field=f"examples[{i}].segments")
        options = {"repeat_penalty": 1, "min_p": 0, **body, "num_predict": request.options.max_new_tokens}  # its defaults differ
        got = self.server.post("/api/generate", {**prompt, "raw": True, "options": options}, context)
        return got["response"], got.get("eval_count", 1)

    def embed_tokens(self, texts, context):
        return self.layout.tokenizer.embed(texts, self.table)

    def count_tokens(self, texts, context):
        return self.layout.tokenizer.count(texts)


def plain(example):
    """Returns the joined texts of an example, for servers that take no ids."""
    return "".join(segment.text for segment in example.segments)


def ascii_of(text, end):
    """Returns the ASCII characters of a text, which no token splits, without the end that some servers print."""
    return "".join(c for c in text.removesuffix(end) if c.isascii())


def read(folder, name):
    with open(folder / name, encoding="utf-8") as file:
        return json.load(file)


if __name__ == "__main__":
    bp.serve(Remote)
