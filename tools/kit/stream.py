"""Reads the stream of the Go command tools/kit/scenes, the only source of scenes, texts and pixels."""

import json
import queue
import struct
import subprocess
import threading
from collections.abc import Iterator

import numpy as np

SIDE = 64
BACKGROUND = 255
CLIP_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
CLIP_STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


def _start(command: str, mode: str, split: str, seed: int, n: int, rounds: int = 1) -> subprocess.Popen:
    arguments = [command, "-seed", str(seed), "-split", split, "-n", str(n), "-rounds", str(rounds), mode]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, bufsize=1 << 20)


def texts(command: str, split: str, seed: int, n: int, rounds: int = 1) -> list[dict]:
    """Returns the first n records of the text mode."""
    with _start(command, "text", split, seed, n, rounds) as process:
        records = [json.loads(line) for line in process.stdout]
    if process.returncode or len(records) != n:
        raise RuntimeError(f"{command}: got {len(records)} records and exit code {process.returncode}, want {n} and 0")
    return records


def pictures(command: str, split: str, seed: int, n: int = 0) -> Iterator[tuple[dict, np.ndarray, np.ndarray]]:
    """Yields for each scene its record, pixels uint8[64, 64, 3] and labels uint8[64, 64]. It is endless if n is 0."""
    process = _start(command, "pictures", split, seed, n)
    pixels, labels = SIDE * SIDE * 3, SIDE * SIDE
    try:
        while size := process.stdout.read(4):
            body = process.stdout.read(struct.unpack("<I", size)[0])
            frame = np.frombuffer(process.stdout.read(pixels + labels), np.uint8)
            yield json.loads(body), frame[:pixels].reshape(SIDE, SIDE, 3), frame[pixels:].reshape(SIDE, SIDE)
    finally:
        process.stdout.close()
        process.wait()


def ahead(iterator: Iterator, depth: int = 4) -> Iterator:
    """Yields the same items, made ahead by a thread. For endless iterators only."""
    items: queue.Queue = queue.Queue(depth)

    def work() -> None:
        for item in iterator:
            items.put(item)

    threading.Thread(target=work, daemon=True).start()
    while True:
        yield items.get()
