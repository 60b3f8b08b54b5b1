"""Writes img2dataset's outputs of a local server, and what the real readers read in them.

One address of each shard cannot be fetched, and one file is no picture. The files are the
testdata of data/formats: img2dataset's outputs webdataset, files and parquet. img2dataset wants an
older webdataset than formats.py, hence an environment of its own.

    python -m venv .venv/img2dataset && .venv/img2dataset/bin/pip install -r img2dataset.txt
    .venv/img2dataset/bin/python img2dataset_outputs.py
"""

import hashlib
import http.server
import io
import json
import pathlib
import shutil
import tempfile
import threading

import img2dataset
import pandas
import pyarrow.parquet as pq
import webdataset as wds
from PIL import Image

OUT = pathlib.Path(__file__).resolve().parents[2] / "data" / "formats" / "testdata" / "img2dataset"
CAPTIONS = ["a red square", "two dogs, one of them asleep", "", "caf\u00e9 \u72ac", "gone", "not a picture", "a line\nfeed", "the last"]


def picture(n):
    img = Image.new("RGB", (24, 20), ((n * 37) % 256, (n * 53) % 256, (n * 91) % 256))
    out = io.BytesIO()
    img.save(out, "PNG" if n % 2 else "JPEG")
    return out.getvalue()


def serve(folder):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=folder)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def download(urls, output_format):
    out = OUT / output_format
    img2dataset.download(
        url_list=str(urls), input_format="parquet", url_col="url", caption_col="caption", output_folder=str(out), output_format=output_format,
        image_size=16, number_sample_per_shard=4, processes_count=1, thread_count=2, retries=0, timeout=5, enable_wandb=False, disallowed_header_directives=[])
    return out


def read_shards(folder):
    """Returns the samples as webdataset reads them, by key: downloads end in any order."""
    urls = sorted(str(p) for p in folder.glob("*.tar"))
    pipeline = wds.DataPipeline(wds.SimpleShardList(urls), wds.tarfile_to_samples())
    return {s["__key__"]: {"jpg": digest(s["jpg"]), "txt": s["txt"].decode(), "caption": json.loads(s["json"])["caption"]} for s in pipeline}


def read_parquet(folder):
    found = {}
    for path in sorted(folder.glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            found[row["key"]] = {"jpg": digest(row["jpg"]) if row.get("jpg") else None, "caption": row["caption"], "status": row["status"]}
    return found


def read_files(folder):
    return {p.stem: {"jpg": digest(p.read_bytes()), "txt": p.with_suffix(".txt").read_text()} for p in sorted(folder.glob("*/*.jpg"))}


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        for n in range(len(CAPTIONS)):
            if CAPTIONS[n] != "gone":
                (pathlib.Path(folder) / f"{n}.jpg").write_bytes(b"no picture" if CAPTIONS[n] == "not a picture" else picture(n))
        server = serve(folder)
        urls = pathlib.Path(folder) / "urls.parquet"
        pandas.DataFrame({"url": [f"http://127.0.0.1:{server.server_port}/{n}.jpg" for n in range(len(CAPTIONS))], "caption": CAPTIONS}).to_parquet(urls)
        expected = {}
        for name, read in [("webdataset", read_shards), ("files", read_files), ("parquet", read_parquet)]:
            expected[name] = read(download(urls, name))
        server.shutdown()
    for leftover in OUT.glob("*/_tmp"):
        shutil.rmtree(leftover)
    (OUT / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
