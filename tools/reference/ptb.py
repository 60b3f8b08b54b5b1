"""Tokenises captions with the Stanford PTB tokenizer, as a reference for bridge's (eval/metrics/ptb).

    ptb.py JAR CAPTIONS    writes eval/metrics/ptb/testdata

It needs Java, and no package. JAR is stanford-corenlp-3.4.1.jar of pycocoevalcap 1.2. CAPTIONS
is a text file, maybe compressed, with COCO's captions, one a line. Of it are taken: all lines
with a sign that is rare in captions, at most 1,500, and every thirtieth. testdata/odd.in.txt
is written by hand: each rule and its exceptions.
"""

import gzip
import pathlib
import re
import subprocess
import sys
import tempfile

OUT = pathlib.Path(__file__).parents[2] / "eval" / "metrics" / "ptb" / "testdata"
RARE = re.compile(r"[^A-Za-z ,.]|\.[^ \n]|\. \S")


def tokenized(jar: str, text: str) -> str:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as f:
        f.write(text)
        f.flush()
        command = ["java", "-cp", jar, "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase", f.name]
        return subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout


def write(path: pathlib.Path, text: str) -> None:
    data = text.encode("utf-8")
    path.write_bytes(gzip.compress(data, 9, mtime=0) if path.suffix == ".gz" else data)


if __name__ == "__main__":
    jar, source = sys.argv[1], pathlib.Path(sys.argv[2])
    data = gzip.decompress(source.read_bytes()) if source.suffix == ".gz" else source.read_bytes()
    captions = data.decode("utf-8").rstrip("\n").split("\n")
    rare = [c for c in captions if RARE.search(c)]
    chosen = set(rare[:: max(1, len(rare) // 1500)]) | set(captions[::30])
    text = "\n".join(c for c in captions if c in chosen) + "\n"
    OUT.mkdir(parents=True, exist_ok=True)
    write(OUT / "captions.in.txt.gz", text)
    write(OUT / "captions.out.txt.gz", tokenized(jar, text))
    odd = (OUT / "odd.in.txt").read_text(encoding="utf-8")
    write(OUT / "odd.out.txt", tokenized(jar, odd))
