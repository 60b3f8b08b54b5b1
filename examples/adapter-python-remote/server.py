"""A server in the style of vLLM, OpenAI and Ollama, with a small model in numpy, for the
adapter's tests.

    server.py CHECKPOINT

It serves one model under three names. "small" behaves like vLLM. "text" behaves like
llama.cpp's server in Python: it takes only text, which it tokenizes, and its echo begins
after the first token. "mute" behaves like transformers serve: it takes only text and has no
log-probabilities.

It reads the checkpoint's token embeddings E and continues rows x (embeddings of ids, or
prompt embeddings) with the logits E · tanh(c). c is the sum of 0.7^k x over the rows, from
the last row to the first. It prints its address, and ends when its standard input ends.
"""

import base64
import http.server
import io
import json
import pickle
import sys
import threading
import zipfile

import numpy as np
from bridge_plugin import checkpoint, tokens

from adapter import TABLES

END = "<|end_of_text|>"


class Model:
    def __init__(self, folder):
        self.table = checkpoint.read_tensor(folder, TABLES).astype(np.float64)
        self.tokenizer = tokens.HFTokenizer.open(folder)
        self.end = next(id for id in range(len(self.table)) if self.tokenizer.token(id) == END)

    def states(self, rows, c=0.0):
        """Returns [T, D]: c after each of the rows [T, D]."""
        out = []
        for row in rows:
            c = 0.7 * c + row
            out.append(c)
        return np.stack(out)

    def log_softmax(self, states):
        """Returns [T, V]: log-probabilities of the token after each of the states [T, D]."""
        logits = np.tanh(states) @ self.table.T
        logits -= logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def complete(self, state, body):
        """Returns generated ids, including the end, and their log-probabilities without the
        restrictions on tokens."""
        ids, chances, ends = [], [], body.get("stop_token_ids", [])
        rng = np.random.default_rng(body.get("seed", 0))
        while len(ids) < body["max_tokens"]:
            raw = self.log_softmax(state[None])[0]
            choice = raw.copy()
            if len(ids) < body.get("min_tokens", 0):
                choice[ends] = -np.inf
            if allowed := body.get("allowed_token_ids"):
                choice[np.setdiff1d(np.arange(len(choice)), allowed)] = -np.inf
            if body["temperature"] > 0:
                order = np.argsort(-choice)
                p = np.exp((choice - choice.max()) / body["temperature"])[order]
                p[body["top_k"] if body.get("top_k", -1) > 0 else len(p):] = 0
                p /= p.sum()
                p[np.cumsum(p) - p > body.get("top_p", 1.0)] = 0
                ids.append(int(rng.choice(order, p=p / p.sum())))
            else:
                ids.append(int(choice.argmax()))
            chances.append(float(raw[ids[-1]]))
            if ids[-1] in ends:
                break
            state = 0.7 * state + self.table[ids[-1]]
        return ids, chances

    def answer(self, body):
        ids, echoed = [], []
        if "prompt_embeds" in body:
            states = self.states(decode(body["prompt_embeds"]).astype(np.float64))
        else:
            ids = body["prompt"] if isinstance(body["prompt"], list) else self.tokens(body["prompt"])
            states = self.states(self.table[ids])
        if body.get("echo"):
            echoed = [None, *self.log_softmax(states)[range(len(states) - 1), ids[1:]].tolist()]
        found, chances = self.complete(states[-1], body)
        texts = [self.tokenizer.decode([id]) for id in [*ids[: len(echoed)], *found]]
        choice = {"text": self.tokenizer.decode(found), "logprobs": {"token_logprobs": echoed + chances, "tokens": texts}}
        if body.get("return_token_ids"):
            choice["token_ids"] = found
        return {"choices": [choice], "usage": {"completion_tokens": len(found)}}

    def tokens(self, text):
        """Returns the ids of a text, which may end with the end-of-text token."""
        plain = text.removesuffix(END)
        ids = self.tokenizer.encode(plain)[0]
        return [*([] if self.tokenizer.bos is None else [self.tokenizer.bos]), *ids, *([self.end] if plain != text else [])]


class Unpickler(pickle.Unpickler):
    """Reads one float32 tensor that torch.save wrote, without torch."""

    def __init__(self, data, storage):
        super().__init__(io.BytesIO(data))
        self.storage = storage

    def find_class(self, module, name):
        return {"_rebuild_tensor_v2": lambda storage, offset, shape, strides, *_: storage.reshape(shape), "OrderedDict": dict, "FloatStorage": None}[name]

    def persistent_load(self, _):
        return self.storage


def decode(text):
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(text))) as archive:
        return Unpickler(archive.read("archive/data.pkl"), np.frombuffer(archive.read("archive/data/0"), "<f4")).load()


class Handler(http.server.BaseHTTPRequestHandler):
    model: Model
    wbufsize = -1  # headers and body in one packet

    def do_GET(self):
        self.reply(lambda _: {"data": [{"id": "small", "max_model_len": 162}, {"id": "text"}, {"id": "mute"}]})

    def do_POST(self):
        self.reply(self.route, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def reply(self, route, body=None):
        try:
            status, answer = 200, route(body)
        except KeyError as err:
            status, answer = 404, {"error": f"no {err}"}
        except TypeError as err:
            status, answer = 422, {"error": str(err)}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def route(self, body):
        name = body["model"]
        if name not in ("small", "text", "mute"):
            raise KeyError(f"model {name}")
        if self.path == "/api/show":
            return {}
        if self.path == "/api/generate":
            o = body["options"]
            ends = [self.model.end] if END in o["stop"] else []
            got = self.model.answer({**o, "prompt": body["prompt"], "max_tokens": o["num_predict"], "stop_token_ids": ends})
            return {"response": got["choices"][0]["text"], "eval_count": got["usage"]["completion_tokens"]}
        if self.path != "/v1/completions":
            raise KeyError(f"path {self.path}")
        if name != "small" and not isinstance(body["prompt"], str):
            raise TypeError("prompt must be a string")
        got = self.model.answer({"temperature": 1, **body, "echo": body.get("echo") and name != "mute"})
        chances = got["choices"][0]["logprobs"]
        if name == "mute":
            got["choices"][0]["logprobs"] = None
        if name == "text" and body.get("echo"):  # not the first token
            got["choices"][0]["logprobs"] = {key: [None, *list[2:]] if key == "token_logprobs" else list[1:] for key, list in chances.items()}
        return got

    def log_message(self, *_):
        pass


def main():
    Handler.model = Model(sys.argv[1])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
