"""Compares bridge's speed and memory with PyTorch + transformers: make bench-torch.

    python bench.py --bridge BINARY --work FOLDER [--row NAME]... [--rounds N] [--json FILE]

Each row is one call on one model. Each side runs in a process of its own, so that its
peak memory can be measured. A process loads the model and makes one call, which
compiles. Then the sides take turns, one call each per round, and a side's figure is the
median of its calls. If three models do not fit in memory, the sides run one after the
other. All sides compute the same thing from the same files, and their results are
compared.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time

import numpy as np

from rows import MODELS, QFORMER_TOKENIZER, ROWS, Row, job, made

TORCH, COMPILED, XLA, GO = "PyTorch", "PyTorch compiled", "XLA CPU", "Go"
SIDES = [TORCH, COMPILED, XLA, GO]
WATCHER = "bridge-watch"
TOLERANCE = 1e-3
MOST_ROUNDS, LEAST_ROUNDS, ROUND_SECONDS = 5, 2, 40


class Failed(Exception):
    """A side ended without an answer."""


class Side:
    """A process that measures one side of a row."""

    def __init__(self, name: str, row: Row, options: argparse.Namespace):
        self.name, self.seconds, self.cpu, self.losses = name, [], [], []
        file = f"{row.name}.{name.lower().replace(' ', '-')}"
        self.out, path = options.work / f"{file}.out", options.work / f"{file}.json"
        self.out.unlink(missing_ok=True)
        path.write_text(json.dumps(job(row) | {
            "checkpoint": str(options.work / row.model), "inputs": str(inputs(row, options.work)), "out": str(self.out),
            "compiled": name == COMPILED} | training(row, options)))
        self.profile = options.work / f"{row.name}.prof"
        torch_side = [sys.executable, pathlib.Path(__file__).with_name("trainside.py" if row.op == "step" else "torchside.py")]
        command = {
            TORCH: torch_side,
            COMPILED: torch_side,
            XLA: [options.bridge, "-backend", "xla:cpu"],
            GO: [options.bridge, "-backend", "go", "-profile", self.profile],
        }[name]
        self.process = subprocess.Popen([*command, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.watcher = self.watch(options) if row.op == "step" else None
        self.said = self.answer()

    def watch(self, options: argparse.Namespace) -> subprocess.Popen:
        """Starts the program that samples the memory of the side's processes, in rows where bridge has several. It is
        a copy: pages of a program that the side runs, too, would count half."""
        return subprocess.Popen([options.work / WATCHER, "-watch", str(self.process.pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def watched(self) -> dict:
        """Ends the watcher and returns its figures. It returns none if there is no watcher, or if it failed, which it reports itself."""
        if not self.watcher:
            return {}
        line = self.watcher.communicate()[0]
        return json.loads(line) if line else {}

    def answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            self.watched()
            raise Failed(f"{self.name} ended with status {self.process.wait()}")
        return json.loads(line)

    def ask(self, command: str) -> dict:
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # answer reports that the process ended
        return self.answer()

    def repeat(self) -> bool:
        took = self.ask("repeat")
        self.seconds.append(took["seconds"])
        self.cpu.append(took["cpu"])
        self.losses.append(took.get("loss"))
        return True

    def end(self) -> None:
        self.said |= self.watched()
        self.said |= self.ask("end")
        self.process.communicate()

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def inputs(row: Row, work: pathlib.Path) -> pathlib.Path:
    """Writes the row's pictures or soft prompts, which all sides read, and returns the path."""
    path, shape = work / f"{row.name}.in", job(row)["shape"]
    rng = np.random.default_rng(5)
    values = rng.integers(0, 256, shape, np.uint8) if len(shape) == 4 else rng.standard_normal(shape, np.float32) * 0.1
    if row.op == "step":  # every second picture is the same, see step_job
        values = values[np.arange(row.batch) % 2]
    path.write_bytes(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return path


def training(row: Row, options: argparse.Namespace) -> dict:
    """Returns what only rows of training have: paths and an option. PyTorch's side makes the weights."""
    if row.op != "step":
        return {}
    return {"weights": str(options.work / f"{row.name}.safetensors"), "tokenizer": str(options.work / QFORMER_TOKENIZER), "run": str(options.work / f"{row.name}.run"),
            "bridge": str(options.bridge.with_name("bridge")), "checkpointing": options.checkpointing}


def make(row: Row, options: argparse.Namespace) -> None:
    """Makes the files of a row that are missing, in a process of its own. This process does not load PyTorch: pages
    of its libraries that are in two processes would count half in PyTorch's proportional set size."""
    if made(MODELS[row.model], options.work / row.model) and (row.op != "step" or (options.work / QFORMER_TOKENIZER).exists()):
        return
    subprocess.run([sys.executable, pathlib.Path(__file__).with_name("checkpoints.py"), row.model, options.work], check=True)


def has(row: Row, name: str) -> bool:
    """Reports whether a row has a side. Only rows of training have PyTorch compiled."""
    return name != COMPILED or row.op == "step"


def measure(row: Row, names: list[str], options: argparse.Namespace) -> dict[str, Side]:
    """Runs the row on the sides that can run it."""
    sides: dict[str, Side] = {}
    names = [n for n in names if has(row, n)]
    for group in [[n] for n in names] if row.apart else [names]:
        running = [s for s in (trying(Side, n, row, options) for n in group) if s]
        rounds(running, options, ROUND_SECONDS / (len(names) if row.apart else 1))
        for side in running:
            if trying(finish, side, row, sides.get(TORCH), options):
                sides[side.name] = side
    return sides


def trying(step, *args):
    """Returns step's result, or None if a side ended: then the row lacks only this side."""
    try:
        return step(*args)
    except Failed as failed:
        print(f"  {failed}", file=sys.stderr)
        return None


def rounds(sides: list[Side], options: argparse.Namespace, most_seconds: float) -> None:
    began = time.monotonic()
    for i in range(options.rounds):
        if i >= LEAST_ROUNDS and time.monotonic() - began > most_seconds:
            return
        sides[:] = [side for side in sides if trying(side.repeat)]


def finish(side: Side, row: Row, reference: Side | None, options: argparse.Namespace) -> bool:
    details(side, row, reference, options)
    side.end()
    return True


def details(side: Side, row: Row, reference: Side | None, options: argparse.Namespace) -> None:
    """Collects more details after the measured calls."""
    if side.name == TORCH and row.name == "opt-loss":  # in this row the head takes a large part of the time
        side.ask("targets")
        side.said["targets"] = statistics.median(side.ask("targets")["seconds"] for _ in side.seconds)
    if side.name == GO and (options.profile or reference and side.median > 2 * reference.median):
        side.said["profile"] = functions(options.bridge, side.profile)


def functions(binary: pathlib.Path, profile: pathlib.Path) -> list[str]:
    """Returns the functions that take most of a profile's time. The time of hidden functions
    counts for their callers. Hidden are vector instructions, and the runtime's interruption
    of a long loop, which samples on a busy machine often hit."""
    top = subprocess.run(["go", "tool", "pprof", "-top", "-nodecount=12", "-hide=asyncPreempt|archsimd", str(binary), str(profile)],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return top.stdout.split("cum%", 1)[1].splitlines()[1:]


def difference(row: Row, side: Side, reference: Side) -> dict[str, float]:
    """Returns the relative differences between the side's results and PyTorch's, and the
    absolute ones of the numbers of tokens and answers.

    For a tensor it is the median over examples of |a − b| / |b|. If a ReLU's input is so
    close to 0 that rounding decides its sign, the sides may differ in it. Then OPT's
    gradients of an example differ by up to 1e-3.
    """
    found = {}
    if row.op == "step":
        pairs = zip([side.said["loss"], *side.losses], [reference.said["loss"], *reference.losses])
        return {f"loss of step {i}": abs(a - b) / abs(b) for i, (a, b) in enumerate(pairs, 1)}
    if row.op != "encode":
        found["tokens"] = abs(side.said["tokens"] - reference.said["tokens"])
    if row.op == "loss":
        found["loss"] = abs(side.said["loss"] - reference.said["loss"]) / abs(reference.said["loss"])
    if row.op in ("generate", "answer"):
        found["answers"] = sum(a != b for a, b in zip(side.said["texts"], reference.said["texts"], strict=True))
    else:
        got, want = (np.fromfile(s.out, np.float32).reshape(row.batch, -1) for s in (side, reference))
        apart = np.linalg.norm(got - want, axis=1) / np.linalg.norm(want, axis=1)
        found["features" if row.op == "encode" else "gradient"] = float(np.median(apart))
    return found


def report(row: Row, sides: dict[str, Side]) -> dict:
    """Prints the row's figures and returns them. If a side's results differ from PyTorch's,
    its line says so."""
    print(f"  {row.title}")
    result = {"row": row.name, "title": row.title, "unit": row.unit, "sides": {}, "lacks": [n for n in SIDES if not has(row, n)]}
    for name, side in sides.items():
        known = {k: side.said.get(k) for k in ("load", "hash", "load_peak", "first", "peak", "pss", "pss_samples", "targets", "profile", "graphs", "breaks") if k in side.said}
        known |= {"figure": row.figure(side.median), "seconds": side.seconds, "cpu": statistics.median(side.cpu)}
        if name != TORCH and TORCH in sides and not row.dropout:  # the sides drop other numbers
            known["difference"] = difference(row, side, sides[TORCH])
            known["agrees"] = all(d <= TOLERANCE for d in known["difference"].values())
        result["sides"][name] = known
        print(f"    {name:16} {known['figure']:.3g} {row.unit}, calls of {', '.join(f'{s:.2f}' for s in side.seconds)} s, processor {known['cpu']:.2f} s, "
              + f"first {known['first']:.1f} s" + agreement(known), flush=True)
    return result


def agreement(known: dict) -> str:
    if "difference" not in known:
        return ""
    parts = ", ".join(f"{k} {v}" if isinstance(v, int) else f"{k} {v:.1e}" for k, v in known["difference"].items())
    return f"; {'as PyTorch' if known['agrees'] else 'NOT AS PYTORCH'}, differences: {parts}"


def table(results: list[dict], names: list[str]) -> str:
    """Returns a Markdown table. A ratio of 2 means twice as fast as PyTorch, or half as large."""
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for r in results:
        lines.append(line(r, f"{r['title']}: {r['unit']}", names, "figure", 1, r["unit"] != "s"))
    lines += [line(r, f"{r['row']}, processor time of a call: s", names, "cpu", 1, False) for r in results]
    for title, key, scale in (("first call, with compilation: s", "first", 1), ("load: s", "load", 1),
                              ("peak memory of loading: GB", "load_peak", 1e-9), ("peak memory: GB", "peak", 1e-9),
                              ("peak of all processes at one time, shared pages once (PSS): GB", "pss", 1e-9)):
        lines += [line(r, f"{r['row']}, {title}", names, key, scale, False) for r in results if any(key in s for s in r["sides"].values())]
    return "\n".join(lines)


def line(result: dict, title: str, names: list[str], key: str, scale: float, more_is_better: bool) -> str:
    sides, cells = result["sides"], []
    reference = sides.get(TORCH, {}).get(key)
    for name in names:
        if name not in sides:
            cells.append("" if name in result["lacks"] else "failed")
            continue
        if key not in sides[name]:
            cells.append("not measured")
            continue
        value = sides[name][key]
        cell = f"{value * scale:.3g}" + ("" if sides[name].get("agrees", True) else " (other results!)")
        if name != TORCH and reference:
            ratio = value / reference if more_is_better else reference / value
            cell += f" ({ratio:.2f})"
        cells.append(cell)
    return f"| {title} | " + " | ".join(cells) + " |"


def notes(results: list[dict]) -> list[str]:
    """Returns the lines that follow the table."""
    said = []
    for r in results:
        for name, side in r["sides"].items():
            if "targets" in side:
                said.append(f"{r['row']}: PyTorch with logits at the targets only (logits_to_keep) {side['targets']:.3g} s")
            if side.get("hash", 0) > 0.05:
                said.append(f"{r['row']}: {name} hashed the weights in {side['hash']:.2g} s, not counted as load; later runs know the digest")
            if "graphs" in side:
                said.append(f"{r['row']}: torch.compile made {side['graphs']} graphs; {len(side['breaks'])} breaks" + "".join(f"\n    {b}" for b in side["breaks"]))
            if "profile" in side:
                said.append(f"{r['row']}: where {name} spends its time (flat, flat %, sum %, cumulative):")
                said += [f"    {text.strip()}" for text in side["profile"]]
    return said


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bridge", type=pathlib.Path, required=True, help="the binary of ./tools/bench")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for checkpoints (8 GB), which are kept for the next run")
    parser.add_argument("--row", action="append", choices=[r.name for r in ROWS], help="run only this row; may be repeated")
    parser.add_argument("--side", action="append", choices=SIDES, help="run only this side; may be repeated")
    parser.add_argument("--rounds", type=int, default=MOST_ROUNDS, help=f"the most rounds (default {MOST_ROUNDS}); after {LEAST_ROUNDS} no new one begins once a row has taken {ROUND_SECONDS} s")
    parser.add_argument("--profile", action="store_true", help="show where Go spends its time in every row, not only in rows below half of PyTorch's speed")
    parser.add_argument("--checkpointing", action="store_true", help="rows of training: bridge computes the Q-Former's layers again in the backward pass (run.checkpointing)")
    parser.add_argument("--json", type=pathlib.Path, help="write all figures to this file")
    options = parser.parse_args()
    options.work, options.bridge = options.work.resolve(), options.bridge.resolve()
    return options


def processor() -> str:
    for text in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if text.startswith("model name"):
            return text.split(":", 1)[1].strip()
    return platform.processor()


def main() -> int:
    options, began = parse(), time.monotonic()
    options.work.mkdir(parents=True, exist_ok=True)
    shutil.copy2(options.bridge, options.work / WATCHER)
    names, results = options.side or SIDES, []
    print(f"{len(os.sched_getaffinity(0))} cores of {processor()}; load {os.getloadavg()[0]:.1f}; "
          f"PyTorch {importlib.metadata.version('torch')}, transformers {importlib.metadata.version('transformers')}; float32", flush=True)
    for row in [r for r in ROWS if not options.row or r.name in options.row]:
        make(row, options)
        results.append(report(row, measure(row, names, options)))
    print("\n" + table(results, names), "", *notes(results), sep="\n")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes", file=sys.stderr)
    wrong = [r["row"] for r in results if not all(n in r["sides"] and r["sides"][n].get("agrees", True) for n in names if n not in r["lacks"])]
    if wrong:
        print(f"failed, or other results than PyTorch's: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
