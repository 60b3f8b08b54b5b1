"""Computes intervals of means over seeds and pictures, as a reference for bridge's (runs/ladder).

    pip install -r intervals.txt
    intervals.py             writes runs/ladder/testdata/intervals.json
    intervals.py coverage    prints how often the bootstrap's intervals hold the true difference
    intervals.py power       prints how often a run that is as good is shown to be not inferior

The pigeonhole bootstrap (Owen 2007) draws rows and columns of a table, each with replacement. It is
written out with numpy here, with many more samples than bridge takes. For a table of one row it is the
usual bootstrap, and comes from scipy.stats.bootstrap. Student's intervals come from scipy.stats.
"""

import json
import pathlib
import sys

import numpy as np
from scipy import stats

OUT = pathlib.Path(__file__).parents[2] / "runs" / "ladder" / "testdata" / "intervals.json"
PAIR = OUT.with_name("pair.results.json")  # a part of docs/swapping/opt-to-small-opt.results.json


def pigeonhole(table: np.ndarray, samples: int, random: np.random.Generator) -> np.ndarray:
    """Returns the 95 % percentile interval of the mean of table[seed, picture]."""
    seeds, pictures = table.shape
    means = []
    for lo in range(0, samples, 1000):
        n = min(1000, samples - lo)
        rows = random.multinomial(seeds, [1 / seeds] * seeds, size=n)
        columns = random.multinomial(pictures, [1 / pictures] * pictures, size=n)
        means.append(((rows @ table) * columns).sum(1) / (seeds * pictures))
    return np.quantile(np.concatenate(means), [0.025, 0.975])


def ordinary(table: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Returns the 95 % percentile interval of the mean of a table of one row."""
    found = stats.bootstrap((table[0],), np.mean, n_resamples=50_000, method="percentile", batch=1000, rng=random)
    return np.array(found.confidence_interval)


def captions(random: np.random.Generator, seeds: int, pictures: int, level: float, spread: float) -> np.ndarray:
    """Draws two arms of exact captions [arm, seed, picture]: pictures differ in difficulty, which the arms
    share, and seeds by spread."""
    difficulty = random.normal(level, 1.6, size=pictures)
    skill = random.normal(0, spread, size=(2, seeds))
    return random.random((2, seeds, pictures)) < 1 / (1 + np.exp(-(difficulty + skill[:, :, None])))


def bits(rows: np.ndarray) -> list:
    """Returns rows of booleans as bridge writes them."""
    return [f"{len(row)}:{np.packbits(row, bitorder='little').tobytes().hex()}" for row in rows]


def tables(random: np.random.Generator) -> list:
    cases = []
    for seeds, pictures, level, spread in [(1, 300, 3, 0), (1, 1000, 5, 0), (2, 40, 1, 0.5), (3, 300, 3, 0.3), (5, 1000, 4.5, 0.2), (5, 997, 2, 1)]:
        a, b = captions(random, seeds, pictures, level, spread)
        interval = (lambda t: ordinary(t, random)) if seeds == 1 else (lambda t: pigeonhole(t, 100_000, random))
        difference = a.astype(float) - b
        cases.append({"a": bits(a), "b": bits(b), "mean": a.mean(), "mean_interval": list(interval(a.astype(float))),
                      "difference": difference.mean(), "difference_interval": list(interval(difference))})
    return cases


def students(random: np.random.Generator) -> list:
    cases = []
    for n in (2, 3, 5, 9):
        a, b = np.exp(random.normal(-4, 0.3, size=n)), np.exp(random.normal(-4, 0.3, size=n))
        logs = np.log(a / b)
        cases.append({"a": list(a), "b": list(b), "mean": a.mean(), "mean_interval": list(stats.ttest_1samp(a, 0).confidence_interval()),
                      "ratio": a.mean() / b.mean(), "ratio_interval": list(np.exp(stats.ttest_1samp(logs, 0).confidence_interval()))})
    return cases


def measured(option: str, budget: int) -> dict:
    """Returns the loss and the exact captions of the runs with a budget in the file of results, by seed."""
    runs = [r for r in json.loads(PAIR.read_text(encoding="utf-8"))["runs"] if r["option"] == option and r["budget"] == budget]
    return {r["seed"]: (r["sets"][0]["loss"], unpacked(r["sets"][0]["exact"])) for r in runs}


def unpacked(text: str) -> np.ndarray:
    """Returns the numbers 0 and 1 that bridge writes as bits."""
    n, digits = text.split(":")
    return np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8), bitorder="little", count=int(n)).astype(float)


def pairs(random: np.random.Generator) -> list:
    """Compares runs of the file of results, over the seeds that both have."""
    cases = []
    for a, b in [(("words-batch-4", 320), ("cold-batch-4", 3200)), (("words-batch-4", 320), ("cold-batch-4", 1600))]:
        mine, its = measured(*a), measured(*b)
        seeds = sorted(mine.keys() & its.keys())
        table = np.array([mine[s][1] - its[s][1] for s in seeds])
        losses, others = np.array([mine[s][0] for s in seeds]), np.array([its[s][0] for s in seeds])
        logs = np.log(losses / others)
        cases.append({"a": "%s@%d" % a, "b": "%s@%d" % b, "seeds": len(seeds),
                      "difference": table.mean(), "difference_interval": list(pigeonhole(table, 100_000, random)),
                      "ratio": losses.mean() / others.mean(), "ratio_interval": list(np.exp(stats.ttest_1samp(logs, 0).confidence_interval()))})
    return cases


def coverage(random: np.random.Generator) -> None:
    """Prints the share of intervals that hold the true difference, 0, and whose lower bound is below it."""
    print("seeds  spread  exact match  its sd over seeds  holds 0  lower bound below 0  mean width")
    for seeds in (1, 3, 5):
        for spread in (0, 0.2, 0.5):
            held = []
            for _ in range(300):
                a, b = captions(random, seeds, 1000, 4.5, spread)
                low, high = pigeonhole(a.astype(float) - b, 1000, random)
                sd = a.mean(1).std(ddof=1) if seeds > 1 else np.nan
                held.append((a.mean(), sd, low <= 0 <= high, low <= 0, high - low))
            share = np.mean(np.array(held, dtype=float), axis=0)
            print(f"{seeds:5}  {spread:6}  {share[0]:11.3f}  {share[1]:17.4f}  {share[2]:7.3f}  {share[3]:19.3f}  {share[4]:10.4f}", flush=True)


def power(random: np.random.Generator) -> None:
    """Prints the share of lower bounds above -0.01 if the true difference is 0, and how many captions of two
    runs differ in being exact."""
    print("seeds  pictures  not inferior  captions that differ")
    for seeds, pictures in [(3, 1000), (5, 1000), (5, 2000), (5, 4000)]:
        found = []
        for _ in range(100):
            a, b = captions(random, seeds, pictures, 4.5, 0.1)
            low, _ = pigeonhole(a.astype(float) - b, 500, random)
            found.append((low > -0.01, (a != b).mean()))
        share = np.mean(np.array(found, dtype=float), axis=0)
        print(f"{seeds:5}  {pictures:8}  {share[0]:12.2f}  {share[1]:20.4f}", flush=True)


def main() -> None:
    random = np.random.default_rng(1)
    simulations = {"coverage": coverage, "power": power}
    if sys.argv[1:]:
        simulations[sys.argv[1]](random)
        return
    OUT.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"tables": tables(random), "students": students(random), "pairs": pairs(random)}, indent=1)
    OUT.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
