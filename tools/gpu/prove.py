"""Proves bridge on a GPU: runs steps, the most valuable first, and writes their results.

    python3 prove.py [--platform cuda|cpu] [--small] [--out DIR] [--minutes N] [--wheels DIR] [--only STEP]...

It needs Python's standard library alone. result.json is written again after every step, so that
an interrupted run keeps what it has; result.md has the table. README.md describes the steps.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import fcntl
import json
import lzma
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
import traceback

import models

BUNDLE = pathlib.Path(__file__).resolve().parent
FAMILIES = ["opt", "t5", "eva", "vit", "blip2", "llama", "qwen", "siglip", "dinov2", "gpt2", "gemma2"]

# Dense bf16 peaks in TFLOP/s from NVIDIA's data sheets, without sparsity, by a part of the card's name.
PEAKS = [("H200", 989), ("H100 PCIe", 756), ("H100 NVL", 835), ("H100", 989), ("B200", 2250), ("A100", 312), ("L40S", 362),
         ("L40", 181), ("L4", 121), ("A10G", 70), ("A10", 125), ("RTX 4090", 165), ("RTX 3090", 71), ("RTX 6000 Ada", 182), ("A6000", 155)]

# Tokens of a picture: the queries, a caption of the kit, and those of all passes of stage 1.
QUERIES, TEXT = 32, 16
STAGE1_TOKENS = (QUERIES + TEXT) + 3 * (QUERIES + TEXT) + TEXT


class Failed(Exception):
    """A step that did not give its result."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="prove.sh", description="Proves that bridge works on this machine's GPU, and measures it.")
    parser.add_argument("--platform", choices=["cuda", "cpu"], default="cuda", help="cpu: XLA's CPU plugin in the GPU's place")
    parser.add_argument("--small", action="store_true", help="small models in place of the paper's")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("prove-gpu"), help="folder for the results (default: prove-gpu)")
    parser.add_argument("--minutes", type=float, default=8, help="start no step after this time, and end a running one (default: 8)")
    parser.add_argument("--wheels", type=pathlib.Path, help="folder with the wheels of XLA's plugin, for a machine that has none installed")
    parser.add_argument("--only", action="append", default=[], metavar="STEP", help="run this step; may be repeated")
    options = parser.parse_args()
    if not 0 < options.minutes < float("inf"):
        parser.error(f"--minutes {options.minutes:g}: want a number of minutes above 0")
    if options.wheels and not options.wheels.is_dir():
        parser.error(f"--wheels {options.wheels}: want a folder with wheels")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    proof = Proof(options)
    try:
        proof.run()
    except KeyboardInterrupt:
        print("interrupted; the results so far are in", proof.out / "result.json", file=sys.stderr)
        return 130
    finally:
        proof.stop()
    bad = [s["name"] for s in proof.result["steps"] if s["status"] == "failed"]
    print(f"wrote {proof.out / 'result.json'} and {proof.out / 'result.md'}" + (f"; failed: {', '.join(bad)}" if bad else ""))
    return 1 if bad else 0


class Proof:
    """A run of all steps."""

    def __init__(self, options: argparse.Namespace):
        self.options, self.began = options, time.monotonic()
        self.out = options.out.resolve()
        self.work = self.out / "work"
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            self.alone = open(self.work / ".lock", "wb")
        except OSError as error:
            sys.exit(f"prove.sh: --out {options.out} cannot be written: {error}; choose another folder")
        try:
            fcntl.flock(self.alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit(f"prove.sh: another proof is writing to {self.out}: wait until it ends, or choose another folder with --out")
        shutil.rmtree(self.work / "runs", ignore_errors=True)  # of an earlier proof: bridge does not overwrite a run
        self.bin = self.work / "bin"
        self.running: set[subprocess.Popen] = set()
        self.lock, self.stopped = threading.Lock(), False
        self.environment = self.make_environment()
        self.card: dict = {}
        self.paths: dict[str, pathlib.Path] = {}
        self.result = {
            "bridge": (BUNDLE / "commit").read_text().strip(), "platform": options.platform, "small": options.small,
            "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": {}, "steps": [],
        }

    def make_environment(self) -> dict[str, str]:
        """Returns the environment of all programs: folders of their own, and nothing that would steer XLA by chance."""
        keep = ["PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "TMPDIR", "NVIDIA_VISIBLE_DEVICES", "PJRT_PLUGIN_LIBRARY_PATH"]
        env = {k: os.environ[k] for k in keep if k in os.environ}
        env.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        env.setdefault("HOME", str(self.work))
        env |= {"BRIDGE_CACHE": str(self.work / "cache"), "BRIDGE_CONFIG": str(self.work / "config"), "BRIDGE_DATA": str(self.work / "data")}
        return env

    # The steps. ------------------------------------------------------------------------------

    def steps(self) -> list[tuple[str, float, object]]:
        """Returns the name, the most seconds and the function of each step, the most valuable first."""
        all_steps = [("machine", 60, self.machine), ("plugin", 120, self.plugin), ("golden", 240, self.golden),
                     ("qformer", 120, self.qformer), ("optimizer", 60, self.optimizer),
                     ("stage2-opt", 150, lambda: self.stage2("opt")), ("stage2-t5", 150, lambda: self.stage2("t5")),
                     ("stage1", 150, self.stage1),
                     ("torch-stage2-opt", 90, lambda: self.torch("opt")), ("torch-stage2-t5", 90, lambda: self.torch("t5")),
                     ("encode", 90, lambda: self.measure("vision")), ("generate-opt", 90, lambda: self.measure("opt")),
                     ("generate-t5", 90, lambda: self.measure("t5")), ("swap", 180, self.swap), ("caches", 30, self.caches)]
        known = [name for name, _, _ in all_steps]
        for name in self.options.only:
            if name not in known:
                sys.exit(f"prove.sh: --only {name}: no such step, want one of {', '.join(known)}")
        return [s for s in all_steps if not self.options.only or s[0] in self.options.only or s[0] == "machine"]

    def run(self) -> None:
        for name, limit, step in self.steps():
            self.step(name, limit, step)

    def left(self) -> float:
        return self.options.minutes * 60 - (time.monotonic() - self.began)

    def step(self, name: str, limit: float, step) -> None:
        """Runs a step and writes the result. A step that fails ends nothing but itself."""
        began = time.monotonic()
        if self.left() < 5:
            self.record({"name": name, "status": "skipped", "why": f"the {self.options.minutes:g} minutes were over"})
            return
        slower = 1 if self.options.platform == "cuda" else 2
        self.until = began + min(slower * limit, self.left())
        try:
            found = step() or {}
            status = found.pop("status", "ok")
        except Failed as failed:
            found, status = {"why": str(failed)}, "failed"
        except Exception as error:  # a fault of this program, or a result that it does not know
            traceback.print_exc()
            found, status = {"why": f"{type(error).__name__}: {error}"}, "failed"
        self.record({"name": name, "status": status, "seconds": round(time.monotonic() - began, 1), **found})

    def record(self, step: dict) -> None:
        self.result["steps"].append(step)
        self.result["seconds"] = round(time.monotonic() - self.began, 1)
        write(self.out / "result.json", json.dumps(self.result, indent=1) + "\n")
        write(self.out / "result.md", report(self.result))
        detail = step.get("why") or ", ".join(f"{k} {v}" for k, v in step.items() if k not in ("name", "status", "seconds", "cases", "log"))
        print(f"{step['name']:18} {step['status']:8} {step.get('seconds', 0):6.1f} s  {detail}"[:240])

    def machine(self) -> dict:
        """Describes the machine, unpacks the programs and finds the plugin."""
        self.unpack()
        self.paths = models.write(BUNDLE, self.work, self.options.small)
        found = {"system": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version(), "gpus": gpus()}
        self.card = found["gpus"][0] if found["gpus"] else {}
        for package in ("jax", "torch", "transformers"):
            found[package] = self.version(package)
        self.result["machine"] = found
        if self.options.platform == "cuda":
            if not found["gpus"]:
                raise Failed("nvidia-smi finds no GPU: install NVIDIA's driver, or try --platform cpu --small")
            self.environment |= cuda_environment(self.work, found["gpus"][0])
        else:  # a processor compiles slowly; this does not change XLA's own passes
            self.environment["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
        if self.options.platform == "cpu" and "PJRT_PLUGIN_LIBRARY_PATH" not in self.environment:
            folder = pathlib.Path(self.environment["HOME"]) / ".local/lib/go-xla"
            if not (folder / "pjrt_c_api_cpu_plugin.so").exists():
                self.install("xla-cpu")
        if self.options.platform == "cuda" and not self.has_plugin():
            self.install("xla-cuda")
        lines = self.doctor()
        return {"gpu": self.card.get("name", "none"), "driver": self.card.get("driver", "none"),
                "memory": f"{self.card['memory_mib'] / 1024:.0f} GiB" if self.card else "none",
                "plugin": ", ".join(f["value"] for f in lines if f["name"] == "pjrt plugin"),
                "warnings": [f["warning"] for f in lines if f.get("warning")]}

    def plugin(self) -> dict:
        """Loads the plugin and computes one case of a model."""
        return {"max_abs": self.verify("opt")["max_abs"], "backend": self.backend}

    def golden(self) -> dict:
        """Compares every family with the reference's numbers, TensorFloat-32 off, several families at once."""
        found, wrong = {}, []
        pool = concurrent.futures.ThreadPoolExecutor(4 if self.options.platform == "cuda" else max(1, (os.cpu_count() or 2) // 2))
        jobs = {family: pool.submit(self.verify, family) for family in FAMILIES}
        try:
            for family, job in jobs.items():
                try:
                    found[family] = job.result()
                except Failed as failed:
                    wrong.append(f"{family}: {failed}")
        except BaseException:  # an interrupt: the families that wait must not start
            self.stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        if wrong:
            raise Failed("; ".join(wrong))
        return {"families": len(found), "number of cases": sum(f["cases"] for f in found.values()),
                "max_abs": max(f["max_abs"] for f in found.values()), "cases": found}

    def verify(self, family: str) -> dict:
        lines = self.call([self.bridge, "verify", BUNDLE / "golden" / family, "--backend", self.backend, "--json"])
        results = [json.loads(line) for line in lines.splitlines()]
        return {"cases": len(results), "max_abs": max(r["max_abs"] for r in results)}

    def qformer(self) -> dict:
        """Runs the Q-Former's tests against the reference: losses, outputs and all gradients of both stages."""
        return self.tests("qformer.test", "qformer", "AgreesWithTheReference")

    def optimizer(self) -> dict:
        """Runs the optimizer's test against PyTorch's AdamW."""
        return self.tests("optim.test", "optim", ".")

    def tests(self, program: str, folder: str, pattern: str) -> dict:
        out = self.call([self.bin / program, "-test.v", "-test.run", pattern], cwd=BUNDLE / folder,
                        more={"BRIDGE_TEST_BACKEND": self.backend, "GODEBUG": "cpu.fma=off"})
        passed = out.count("--- PASS")
        if not passed:
            raise Failed(f"{program} ran no test")
        return {"tests": passed}

    def stage1(self) -> dict:
        return self.train("stage1", self.batches(512, 8), RECIPE.format(stage=1, table="", objective="representation", **self.sizes("stage1")))

    def stage2(self, llm: str) -> dict:
        table = LANGUAGE.format(llm=self.paths[llm], dtype=self.dtype)
        text = RECIPE.format(stage=2, table=table, objective="lm" if llm == "opt" else "prefix-lm", **self.sizes("stage2-" + llm))
        return self.train("stage2-" + llm, self.batches(256, 8), text)

    def sizes(self, name: str) -> dict:
        small = self.options.small
        return {"name": name, "vision": self.paths["vision"], "dtype": self.dtype, "tokenizer": self.paths["tokenizer"],
                "shape": SMALL_SHAPE if small else 'preset = "base"', "steps": 6 if small else 12, "pictures": 16 if small else 512,
                "backend": self.backend}

    def batches(self, most: int, small: int) -> list[int]:
        """Returns batches to try, the largest first: what fits into 80 GiB, scaled by the card's memory."""
        if self.options.small:
            return [small]
        gib = self.card.get("memory_mib", 16 * 1024) / 1024
        fit = 8
        while fit * 2 <= most and fit * 2 <= most * gib / 80:
            fit *= 2
        return [b for b in (fit, fit // 2, fit // 4) if b >= 2]

    def train(self, name: str, batches: list[int], recipe: str) -> dict:
        """Trains a few steps, with the largest batch that fits, and returns the median step."""
        tried = []
        for batch in batches:
            path, run = self.work / f"{name}-{batch}.toml", self.work / "runs" / f"{name}-{batch}"
            path.write_text(recipe.replace("BATCH", str(batch)))
            memory = Memory(self)
            began = time.monotonic()
            try:
                self.call([self.bridge, "train", path, "--out", run])
            except Failed as failed:
                tried.append(f"batch {batch}: {failed}")
                if time.monotonic() > self.until - 20:
                    break
                continue
            finally:
                peaks = memory.end()
            return self.figures(run, batch, began, peaks) | ({"larger": tried} if tried else {})
        raise Failed("; ".join(tried))

    def figures(self, run: pathlib.Path, batch: int, began: float, peaks: dict) -> dict:
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        times = [r["seconds"] for r in rows if "step" in r]
        steps = [b - a for a, b in zip(times[1:], times[2:])]
        if not steps:
            raise Failed(f"{run / 'metrics.jsonl'} has {len(times)} steps, want at least 3")
        summary = json.loads((run / "summary.json").read_text())
        step = statistics.median(steps)
        found = {"batch": batch, "step": round(step, 4), "images/s": round(batch / step, 1), "first step after": round(times[0], 1),
                 "trained": summary["trainable_parameters"], **peaks}
        share = self.share(run.name, batch, step, summary["trainable_parameters"])
        return found | ({"share of peak": share} if share else {})

    def share(self, name: str, batch: int, step: float, trained: int) -> float | None:
        """Returns the share of the card's dense bf16 peak that a step reaches. README.md has the counts."""
        peak = next((t for part, t in PEAKS if part in self.card.get("name", "")), None)
        if not peak or self.options.small:
            return None
        vision = models.MODELS[False]["vision"]
        patches = 1 + (vision["image_size"] // vision["patch_size"]) ** 2
        keys = 6 * 2 * vision["hidden_size"] * 768  # of cross-attention, which the patches pass
        inner = trained - keys - models.BERT_VOCABULARY * 768 * name.startswith("stage1")
        if name.startswith("stage1"):  # ITC, three pairs of ITM, ITG; forward and backward
            flops = batch * (patches * keys + STAGE1_TOKENS * inner) * 6
        else:  # the Q-Former forward and backward; no gradient by the language model's weights
            llm = "opt" if "opt" in name else "t5"
            flops = batch * ((patches * keys + QUERIES * inner) * 6 + (QUERIES + TEXT) * models.parameters(models.MODELS[False][llm]) * 4)
        return round(flops / step / (peak * 1e12), 3)

    def torch(self, llm: str) -> dict:
        """Trains the same step in PyTorch, if it is installed."""
        if not self.result["machine"].get("torch") or not self.result["machine"].get("transformers"):
            return {"status": "skipped", "why": "torch and transformers are not installed"}
        ours = next((s for s in self.result["steps"] if s["name"] == "stage2-" + llm and s["status"] == "ok"), None)
        if ours is None:
            return {"status": "skipped", "why": f"stage2-{llm} has no result to compare with"}
        job = {"vision": models.MODELS[self.options.small]["vision"], "text": models.MODELS[self.options.small][llm], "batch": ours["batch"],
               "small": self.options.small, "device": "cuda" if self.options.platform == "cuda" else "cpu", "steps": 3 if self.options.small else 10}
        path = self.work / f"torch-{llm}.json"
        path.write_text(json.dumps(job))
        found = json.loads(self.call([sys.executable, BUNDLE / "torch_step.py", path]).splitlines()[-1])
        return found | {"batch": ours["batch"], "bridge is": f"{found['step'] / ours['step']:.2f} times as fast"}

    def measure(self, name: str) -> dict:
        """Measures a frozen model alone: pictures or greedy tokens a second."""
        batch = 4 if self.options.small else 64
        memory = Memory(self)
        try:
            line = self.call([self.bridge, "models", "measure", self.paths[name], "--backend", self.backend, "--dtype", self.dtype,
                              "--batch", str(batch), "--json"])
        finally:
            peaks = memory.end()
        found = json.loads(line.splitlines()[-1])
        return {k: round(v, 3) if isinstance(v, float) else v for k, v in found.items() if k not in ("id", "kind", "backend")} | peaks

    def swap(self) -> dict:
        """Runs the demo's swap: tiny-opt to tiny-flan-t5, with real pictures and real answers."""
        run = self.work / "runs" / "swap"
        short = ["--set", "optimizer.steps=20", "--set", "evaluation.final_captions=24"] if self.options.small else []
        self.call([self.bridge, "retrain", "--llm", "tiny-flan-t5", "--recipe", "tiny-demo", "--backend", self.backend, "--out", run, *short])
        summary = json.loads((run / "summary.json").read_text())
        return {"steps": summary["steps"], "train seconds": round(summary["seconds"], 1), "exact_match": summary["exact_match"],
                "captions": summary["captions"], "held_out_loss": round(summary["held_out_loss"], 4)}

    def caches(self) -> dict:
        """Reports which of XLA's caches the steps before have used, and how many files they have filled."""
        lines = [f["value"] for f in self.doctor() if f["name"] == "xla caches" and f["value"].startswith(self.options.platform + ":")]
        if not lines:
            raise Failed(f"bridge doctor finds no plugin for {self.options.platform}")
        caches = lines[0]
        files = [p for p in pathlib.Path(self.environment["BRIDGE_CACHE"]).glob("xla/*/*/**/*") if p.is_file()]
        if self.options.platform == "cuda" and not files:
            raise Failed(f"no cache was filled; bridge doctor reports {caches}")
        return {"caches": caches, "files": len(files), "bytes": sum(p.stat().st_size for p in files)}

    # What the steps share. -------------------------------------------------------------------

    @property
    def bridge(self) -> pathlib.Path:
        return self.bin / "bridge"

    @property
    def backend(self) -> str:
        return "xla:cuda" if self.options.platform == "cuda" else "xla:cpu"

    @property
    def dtype(self) -> str:
        return "bfloat16" if self.options.platform == "cuda" else "float32"

    def unpack(self) -> None:
        self.bin.mkdir(exist_ok=True)
        for packed in sorted((BUNDLE / "bin").glob("*.xz")):
            target = self.bin / packed.stem
            if not target.exists():
                fresh = target.with_suffix(".new")
                with lzma.open(packed) as source, open(fresh, "wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
                fresh.chmod(0o755)
                fresh.rename(target)

    def has_plugin(self) -> bool:
        folders = self.environment.get("PJRT_PLUGIN_LIBRARY_PATH", "").split(":")
        folders += [str(pathlib.Path(self.environment["HOME"]) / ".local/lib/go-xla/nvidia")]
        return any(list(pathlib.Path(f).glob("pjrt_c_api_cuda_plugin.so")) for f in folders if f)

    def install(self, what: str) -> None:
        more = {}
        if self.options.wheels:
            more = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.options.wheels.resolve())}
        network = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
        more |= {k: v for k, v in os.environ.items() if (k.startswith("PIP_") or k.upper() in network) and k not in more}
        try:
            self.call([self.bridge, "doctor", "--install", what], more=more)
        except Failed as failed:
            raise Failed(f"no plugin is installed and `bridge doctor --install {what}` did not help: {failed}; "
                         "carry the wheels with --wheels DIR, or install jax[cuda13]") from failed

    def doctor(self) -> list[dict]:
        return [json.loads(line) for line in self.call([self.bridge, "doctor", "--json"]).splitlines()]

    def version(self, package: str) -> str | None:
        code = f"import importlib.metadata as m; print(m.version({package!r}))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        return done.stdout.strip() or None

    def call(self, command: list, cwd: pathlib.Path | None = None, more: dict[str, str] | None = None) -> str:
        """Runs a program until its end or the step's, keeps its log, and returns what it prints."""
        name = "-".join(pathlib.Path(str(c)).name for c in command[:3])[:80]
        log = self.out / "logs" / f"{len(self.result['steps']):02}-{name}-{threading.get_ident() % 1000}.txt"
        log.parent.mkdir(exist_ok=True)
        with open(log, "wb") as errors:
            with self.lock:
                if self.stopped:
                    raise Failed("the proof was interrupted")
                process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL,
                                           env=self.environment | (more or {}), cwd=cwd or self.work, start_new_session=True)
                self.running.add(process)
            try:
                out, _ = process.communicate(timeout=max(1, self.until - time.monotonic()))
            except subprocess.TimeoutExpired:
                end(process)
                raise Failed(f"{name} was ended at its limit of time") from None
            except BaseException:  # an interrupt, which the program does not get: it has a session of its own
                end(process)
                raise
            finally:
                with self.lock:
                    self.running.discard(process)
        text = out.decode(errors="replace")
        if process.returncode:
            said = (log.read_text(errors="replace").strip() or text.strip()).splitlines() or ["it said nothing"]
            raise Failed(f"{name} ended with status {process.returncode}: {' / '.join(said[-3:])[:600]}")
        return text

    def stop(self) -> None:
        """Ends all programs. None is started after that."""
        with self.lock:
            self.stopped, running = True, list(self.running)
        for process in running:
            end(process)


RECIPE = """
name = "{name}"
stage = {stage}
seed = 1

[vision]
id = "{vision}"
dtype = "{dtype}"
{table}
[qformer]
{shape}
tokenizer = "{tokenizer}"

[data]
train = {{ id = "kit:train", pictures = {pictures} }}
eval = "kit:held-out"

[objective]
name = "{objective}"

[optimizer]
lr = 1e-4
warmup = 2
steps = {steps}
batch = BATCH

[evaluation]
every = 0
examples = 2
captions = 0
final_captions = 0

[run]
backend = "{backend}"
feature_cache = false
"""

LANGUAGE = """
[language]
id = "{llm}"
dtype = "{dtype}"
caption_prompt = "a photo of"
question_prompt = "Question: {{}} Answer:"
target_prefix = " "
"""

SMALL_SHAPE = """preset = "tiny\""""


class Memory:
    """Watches the memory of all programs of the step, in a thread: the sum on the host, and on the card."""

    def __init__(self, proof: Proof):
        self.proof, self.host, self.gpu, self.ended = proof, 0, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self) -> None:
        while not self.ended.wait(0.3):
            pids = descendants(os.getpid())
            self.host = max(self.host, sum(resident(pid) for pid in pids))
            if self.proof.options.platform == "cuda":
                self.gpu = max(self.gpu, gpu_memory(pids))

    def end(self) -> dict:
        self.ended.set()
        self.thread.join()
        found = {"host memory": f"{self.host / 1e9:.2f} GB"}
        return found | ({"gpu memory": f"{self.gpu / 1024:.1f} GiB"} if self.gpu else {})


def descendants(root: int) -> set[int]:
    """Returns the processes that a process has started, directly or not."""
    children: dict[int, list[int]] = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = set(), [root]
    while todo:
        for child in children.get(todo.pop(), []):
            if child not in found:
                found.add(child)
                todo.append(child)
    return found


def resident(pid: int) -> int:
    """Returns a process's memory in bytes; pages that processes share count for one of them in part."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0


def smi(*query: str) -> list[list[str]]:
    """Returns the rows of a query of nvidia-smi, none where there is no such program."""
    try:
        done = subprocess.run(["nvidia-smi", *query, "--format=csv,noheader,nounits"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def gpus() -> list[dict]:
    rows = smi("--query-gpu=name,driver_version,memory.total,memory.free,compute_cap")
    return [{"name": r[0], "driver": r[1], "memory_mib": int(r[2]), "free_mib": int(r[3]), "compute_capability": r[4]}
            for r in rows if len(r) == 5 and r[2].isdigit() and r[3].isdigit()]  # a card that shares the host's memory has "[N/A]"


def gpu_memory(pids: set[int]) -> int:
    rows = smi("--query-compute-apps=pid,used_memory")
    mine = sum(int(r[1]) for r in rows if len(r) == 2 and r[1].isdigit() and r[0].isdigit() and int(r[0]) in pids)
    if mine or not rows:
        return mine
    return sum(int(r[1]) for r in rows if len(r) == 2 and r[1].isdigit())  # in a container, the ids are the host's


def cuda_environment(work: pathlib.Path, card: dict) -> dict[str, str]:
    """Returns the variables that point to the CUDA plugin and its libraries of a Python installation, if there are any."""
    roots = [pathlib.Path(p) for p in sys.path if p.endswith("-packages")]
    plugins = [p for r in roots for p in sorted(r.glob("jax_plugins/xla_cuda*/xla_cuda_plugin.so"))]
    if not plugins:
        return {}
    folder = work / "plugin"
    folder.mkdir(exist_ok=True)
    link = folder / "pjrt_c_api_cuda_plugin.so"
    link.unlink(missing_ok=True)
    link.symlink_to(plugins[-1])
    libraries = [str(lib) for r in roots for pattern in ("nvidia/*/lib", "nvidia/lib") for lib in sorted(r.glob(pattern))]
    found = {"PJRT_PLUGIN_LIBRARY_PATH": str(folder), "GOPJRT_CUDA_CHECKS": "0",
             "LD_LIBRARY_PATH": ":".join([*libraries, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])}
    tools = [p.parent.parent for r in roots for p in sorted(r.glob("nvidia/*/bin/ptxas"))]
    if tools:
        found["XLA_FLAGS"] = f"--xla_gpu_cuda_data_dir={tools[-1]}"
    return found


def end(process: subprocess.Popen) -> None:
    """Ends a program and all that it started."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(5)
            return
        except ProcessLookupError:
            process.wait()
            return
        except subprocess.TimeoutExpired:
            continue


def write(path: pathlib.Path, text: str) -> None:
    """Writes a file so that a reader never sees half of it."""
    fresh = path.with_suffix(path.suffix + ".new")
    fresh.write_text(text)
    fresh.replace(path)


def report(result: dict) -> str:
    """Returns the results as Markdown."""
    machine = result["machine"]
    card = machine["gpus"][0] if machine.get("gpus") else {}
    what = f"{card['name']}, driver {card['driver']}, {card['memory_mib'] / 1024:.0f} GiB" if card else f"no GPU; {machine.get('cores', '?')} cores"
    lines = [f"bridge {result['bridge'][:12]} on {result['platform']} ({what}), {result['began']}, {result.get('seconds', 0):.0f} s"
             + (", small models" if result["small"] else ""), "", "| Step | Result | Seconds | Figures |", "|---|---|---|---|"]
    for step in result["steps"]:
        figures = ", ".join(f"{k}: {v}" for k, v in step.items() if k not in ("name", "status", "seconds", "cases"))
        lines.append(f"| {step['name']} | {step['status']} | {step.get('seconds', '')} | {figures.replace('|', '/')} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
