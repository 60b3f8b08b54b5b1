"""A plugin for test_process.py. MODE selects extra behaviour."""

import bridge_plugin as bp  # first: it redirects the standard output

import os
import subprocess
import sys
import time

import numpy as np

MODE = os.environ.get("MODE", "")


class Model(bp.LanguageModel):
    needs_checkpoint = False
    generates = ("row-options", "cancel-rows", "log-probs", "token-counts") if MODE == "rows" else ()

    def load(self, request):
        for i in range(3):
            request.progress("weights", i + 1, 3)
        if MODE == "child":
            child = subprocess.Popen(["sleep", "600"])
            print("child", child.pid, file=sys.stderr, flush=True)
        if MODE == "stray":  # the child leaves the group, and its parent ends
            shell = subprocess.run(["/bin/sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"], start_new_session=True, stdout=subprocess.PIPE, text=True)
            print("child", shell.stdout, file=sys.stderr, flush=True)
        if MODE == "load fails":
            raise bp.Error(bp.Kind.CORRUPT, "bad tensor", "download it again", field="model.safetensors")
        if MODE == "lacks a package":
            import no_such_package  # noqa: F401
        if MODE == "noise":
            os.write(1, b"n" * (1 << 20) + b"\n")
            print("printed" * 20000)
        return bp.LanguageSpec(id="m", family="f", width=3, parameters=1, digest="d", architecture="decoder-only", vocabulary=9,
                               token_norm=1.0, end_of_answer="e")

    def loss(self, request, context):
        what = request.examples[0].target
        if what == "wait":
            context.wait(600)
        if what == "sleep":
            time.sleep(600)
        if what == "fall":
            raise ZeroDivisionError("on purpose")
        if what == "fork":
            for _ in range(3):
                child = os.fork()
                if child == 0:
                    os._exit(0)
                os.waitpid(child, 0)
        if what == "forget":
            return None
        if what == "misuse":
            raise bp.Error("no kind", "no remedy")
        if what == "memory":
            raise MemoryError("too much")
        if what == "lie":
            return bp.LossResponse([1.0], [1], np.zeros((1, 1), np.float32))
        gradient = None
        if request.gradient:
            gradient = context.empty(request.prompts.shape) if what == "empty" else np.zeros(request.prompts.shape, np.float32)
            gradient[:] = request.prompts * 2 + 1
        return bp.LossResponse([float(len(e.target)) for e in request.examples], [1] * len(request.examples), gradient)

    def generate(self, request, context, emit):
        if request.row_options is not None:
            return self.generate_rows(request, context, emit)
        for i in range(len(request.examples)):
            for word in ("one", " two"):
                emit(i, word)
        return bp.GenerateResponse(["one two"] * len(request.examples), [2] * len(request.examples))

    def generate_rows(self, request, context, emit):
        """Says a word for each token, until the example is cancelled if its seed is 1."""
        texts, finish, scores = [], [], []
        for i in range(len(request.examples)):
            o, words, one = request.options_of(i), [], []
            while len(words) < o.max_new_tokens and i not in context.cancelled_examples:
                words.append("word")
                one.append(bp.TokenLogProb(" word", -0.5, b" word", [bp.TokenLogProb("", -0.25)][: o.top_log_probs]))
                emit(i, " word", one[-1:] if o.log_probs else ())
                if o.seed == 1:
                    context.wait(0.01)
            texts.append(" ".join(words))
            scores.append(one if o.log_probs else [])
            finish.append(bp.FinishReason.CANCELED if i in context.cancelled_examples else bp.FinishReason.LENGTH)
        return bp.GenerateResponse(texts, [len(t.split()) for t in texts], [3] * len(texts), finish, scores)

    def close(self):
        print("closed", file=sys.stderr, flush=True)
        if MODE == "close hangs":
            time.sleep(600)


if MODE == "noise":
    os.write(1, b"before the handshake\n")
    print("m" * (1 << 20))
if __name__ == "__main__":
    bp.serve(Model, name="test", version="9")
