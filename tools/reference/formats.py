"""Writes files of records by the real writers, and what the real readers read in them.

webdataset writes tar shards, datasets and pyarrow write parquet files. The expected records are
read back by webdataset, datasets and pyarrow. The files are the testdata of data/shards and
data/tables. data/lavis has cells of CSV and TSV as Python's csv module reads them.

    python -m venv .venv/formats && .venv/formats/bin/pip install -r formats.txt
    .venv/formats/bin/python formats.py
"""

import base64
import csv
import hashlib
import io
import json
import pathlib
import random
import shutil
import subprocess
import tarfile
import tempfile
import warnings

import braceexpand
import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import webdataset as wds
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2] / "data"
SHARDS = ROOT / "shards" / "testdata"
TABLES = ROOT / "tables" / "testdata"
CELLS = ROOT / "lavis" / "testdata" / "cells.json"
TIME = 1_700_000_000


def picture(n, kind="PNG", size=(5, 4)):
    """Returns a picture file whose pixels depend on n."""
    img = Image.new("RGB", size)
    img.putdata([((n * 37 + i * 11) % 256, (n * 53 + i * 7) % 256, (n * 91 + i) % 256) for i in range(size[0] * size[1])])
    out = io.BytesIO()
    img.save(out, kind)
    return out.getvalue()


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def dump(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=True) + "\n")


# ---- tar shards ----------------------------------------------------------------------------


def read_shards(urls, handler=wds.reraise_exception):
    """Returns the samples that webdataset reads: keys, and digests of the members."""
    # tarfile_to_samples of a plain list of urls, without decoding and shuffling.
    pipeline = wds.DataPipeline(wds.SimpleShardList(urls), wds.tarfile_to_samples(handler=handler))
    samples = []
    for s in pipeline:
        samples.append({"key": s["__key__"], "members": {k: digest(v) for k, v in sorted(s.items()) if not k.startswith("__")}})
    return samples


def written_shards():
    """Shards as webdataset's own writer makes them."""
    pattern = str(SHARDS / "plain-%06d.tar")
    with wds.ShardWriter(pattern, maxcount=3, mtime=TIME, verbose=0) as sink:
        for n in range(8):
            sink.write({"__key__": f"part/{n:04d}", "png": picture(n), "txt": f"caption {n} \u00e9", "json": {"caption": f"caption {n} \u00e9", "image_id": n // 2, "width": float("nan")}})
    with wds.TarWriter(str(SHARDS / "captions.tar"), mtime=TIME) as sink:  # as LAVIS's LaionDataset reads them
        for n in range(4):
            sink.write({"__key__": f"{n:09d}", "jpg": picture(n, "JPEG"), "json": [f"first {n}", f"second {n}", f"third {n}"][: n + 1 if n < 3 else 3]})


def member(tar, name, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size, info.mtime = len(data), TIME
    for key, value in fields.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data))


def odd_names(tar):
    member(tar, "__meta__", b"about the shard")
    member(tar, "__index__/a.json", b"{}")
    member(tar, "folder", type=tarfile.DIRTYPE)
    member(tar, "a.b/c.d/e.seg.png", picture(1))
    member(tar, "a.b/c.d/e.TXT", b"an upper-case extension")
    member(tar, "README", b"no dot")
    member(tar, "./here.jpg", picture(2, "JPEG"))
    member(tar, "./here.txt", b"a dot as folder")
    member(tar, "22.0/1.1.png", picture(3))
    member(tar, "22.0/1.txt", b"the first dot of the base name")
    member(tar, "__x__.txt", b"no metadata, because the name goes on")
    member(tar, "twice.txt", b"first")
    member(tar, "other.txt", b"between")
    member(tar, "twice.json", b'{"caption": "second"}')
    member(tar, "hard.txt", b"a hard link follows")
    member(tar, "hard.png", type=tarfile.LNKTYPE, linkname="a.b/c.d/e.seg.png")
    member(tar, "soft.txt", b"a symbolic link follows")
    member(tar, "soft.png", type=tarfile.SYMTYPE, linkname="here.jpg")
    member(tar, "empty.txt", b"")
    member(tar, "empty.jpg", b"")
    member(tar, "folder/.hidden", b"a name that begins with a dot")
    member(tar, ".top", b"and one without a folder")
    member(tar, "bell\x07 tab\t.txt", b"control characters")
    member(tar, "line\nfeed.txt", b"a line feed")
    member(tar, "caf\u00e9/\u72ac.txt", "unicode \u72ac".encode())
    member(tar, "d" * 90 + "/" + "e" * 90 + ".txt", b"a long name")
    member(tar, "f/" * 80 + "g" * 120 + ".png", picture(4))
    member(tar, "f/" * 80 + "g" * 120 + ".txt", b"a longer name")
    member(tar, "a.b/c.d/e.json", b'{"caption": "the key again, far from the first"}')
    member(tar, "old.txt", b"contiguous", type=tarfile.CONTTYPE)


def odd_shards():
    for name, kind in [("pax", tarfile.PAX_FORMAT), ("gnu", tarfile.GNU_FORMAT)]:
        with tarfile.open(SHARDS / f"names-{name}.tar", "w", format=kind) as tar:
            odd_names(tar)
    with tarfile.open(SHARDS / "doubled.tar", "w") as tar:
        member(tar, "a.txt", b"before")
        member(tar, "b.jpg", picture(1, "JPEG"))
        member(tar, "b.JPG", picture(2, "JPEG"))
        member(tar, "b.txt", b"doubled")
        member(tar, "c.txt", b"after")
    with tempfile.TemporaryDirectory() as folder:
        for name, text in [("a.txt", b"before"), ("c.txt", b"after")]:
            (pathlib.Path(folder) / name).write_bytes(text)
        with open(pathlib.Path(folder) / "b.txt", "wb") as f:
            f.truncate(1 << 20)
            f.seek(1 << 19)
            f.write(b"in the middle of a hole")
        for kind in ["gnu", "pax"]:
            subprocess.run(["tar", "--sparse", f"--format={kind}", "--owner=0", "--group=0", f"--mtime=@{TIME}", "--blocking-factor=1",
                            "-cf", SHARDS / f"sparse-{kind}.tar", "-C", folder, "a.txt", "b.txt", "c.txt"], check=True)


def patterns():
    """Shard lists, and what webdataset makes of them."""
    given = [
        "a.tar", "{00000..00003}.tar", "{0..3}.tar", "{07..10}.tar", "{3..1}.tar", "{a,b,c}/x-{0..1}.tar", "{a,b{0..2}}.tar", "x{,y}.tar", "{a..d..2}.tar", "{0..10..5}.tar",
        "{part0/part0,part1/part1}_node{00..02}_shard{000000..000001}.tar", "a-{0..1}.tar::b-{08..09}.tar", "{-1..1}.tar", "{x}.tar", "{x{0..1}}.tar", "{09..011}.tar",
    ]
    expanded = {p: wds.shardlists.expand_urls(p) for p in given}
    unbalanced = []
    for p in ["{0..3.tar", "0..3}.tar", "{a,{b}.tar", "}{.tar"]:
        try:
            list(braceexpand.braceexpand(p))
        except braceexpand.UnbalancedBracesError:
            unbalanced.append(p)
    dump(SHARDS / "patterns.json", {"expanded": expanded, "unbalanced": unbalanced})


def shards():
    shutil.rmtree(SHARDS, ignore_errors=True)
    SHARDS.mkdir(parents=True)
    written_shards()
    odd_shards()
    patterns()
    expected = {}
    for names in [["plain-000000.tar", "plain-000001.tar", "plain-000002.tar"], ["captions.tar"], ["names-pax.tar"], ["names-gnu.tar"], ["sparse-gnu.tar"], ["sparse-pax.tar"]]:
        expected[" ".join(names)] = read_shards([str(SHARDS / n) for n in names])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected["doubled.tar"] = read_shards([str(SHARDS / "doubled.tar")], wds.warn_and_continue)
    try:
        read_shards([str(SHARDS / "doubled.tar")])
        raise AssertionError("webdataset reads an extension twice")
    except ValueError:
        pass
    dump(SHARDS / "expected.json", expected)


# ---- parquet -------------------------------------------------------------------------------


def plain(value):
    """Returns a value with digests in place of bytes."""
    if isinstance(value, bytes):
        return "sha256:" + digest(value)
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


def hub(name, features, rows, **options):
    """Writes a file by datasets, and returns the rows that datasets reads in it."""
    columns = {k: [r[k] for r in rows] for k in features}
    made = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    made.to_parquet(str(TABLES / name), **options)
    with tempfile.TemporaryDirectory() as cache:
        read = datasets.load_dataset("parquet", data_files=str(TABLES / name), split="train", cache_dir=cache)
        for k, f in features.items():  # bytes and path, not decoded
            if isinstance(f, datasets.Image):
                read = read.cast_column(k, datasets.Image(decode=False))
            elif isinstance(f, datasets.List) and isinstance(f.feature, datasets.Image):
                read = read.cast_column(k, datasets.List(datasets.Image(decode=False)))
        return [plain(dict(r)) for r in read]


def hub_files():
    text = datasets.Value("string")
    image = datasets.Image()
    expected = {}
    embedded = lambda n, path=None: {"bytes": picture(n), "path": path}
    expected["hub-captions.parquet"] = hub("hub-captions.parquet", {"image": image, "caption": datasets.List(text), "image_id": datasets.Value("int64")}, [
        {"image": embedded(n, f"{n}.png"), "caption": [f"caption {n}.{k}" for k in range(n % 3)], "image_id": n // 2} for n in range(10)], batch_size=4)
    expected["hub-nulls.parquet"] = hub("hub-nulls.parquet", {"image": image, "text": text}, [
        {"image": embedded(1), "text": "has its picture"}, {"image": None, "text": "has none"}, {"image": embedded(2), "text": None}, {"image": embedded(3), "text": ""}])
    expected["hub-vqa.parquet"] = hub("hub-vqa.parquet", {"image": image, "question": text, "answers": datasets.List({"answer": text, "answer_id": datasets.Value("int64")})}, [
        {"image": embedded(n), "question": f"question {n}?", "answers": [{"answer": a, "answer_id": i} for i, a in enumerate(["yes", "no", "yes"])]} for n in range(3)])
    expected["hub-chat.parquet"] = hub("hub-chat.parquet", {"id": text, "image": image, "conversations": datasets.List({"from": text, "value": text})}, [
        {"id": "x1", "image": embedded(1), "conversations": [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A dog."}]},
        {"id": "x2", "image": None, "conversations": [{"from": "human", "value": "Hello."}, {"from": "gpt", "value": "Hi."}, {"from": "human", "value": "Bye."}, {"from": "gpt", "value": "Bye!"}]},
        {"id": "x3", "image": None, "conversations": [{"from": "human", "value": "<image>\nA tag too many."}, {"from": "gpt", "value": "Yes."}]}])
    expected["hub-turns.parquet"] = hub("hub-turns.parquet", {"images": datasets.List(image), "texts": datasets.List({"user": text, "assistant": text})}, [
        {"images": [embedded(1), embedded(2)], "texts": [{"user": "Which is red?", "assistant": "The first."}, {"user": "And blue?", "assistant": "Neither."}]},
        {"images": [embedded(3)], "texts": [{"user": "What?", "assistant": "A cat."}]}])
    expected["hub-documents.parquet"] = hub("hub-documents.parquet", {"images": datasets.List(image), "texts": datasets.List(text)}, [
        {"images": [None, embedded(1), None, embedded(2)], "texts": ["A text.", None, "Another.", None]},
        {"images": [embedded(3), None], "texts": [None, "The end."]},
        {"images": [], "texts": []}])
    return expected


def legacy_files():
    """Files by pyarrow, without Hugging Face's metadata, with the writer's settings of many years."""
    rows = [{"image": {"bytes": None if n == 5 else picture(n % 7), "path": "5.png" if n == 5 else None}, "caption": None if n == 9 else f"caption {n % 11} " + "word " * (n % 5),
             "captions": [f"c{n}.{k}" for k in range(n % 4)] if n % 6 else None} for n in range(60)]
    table = pa.Table.from_pylist(rows, schema=pa.schema([
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("caption", pa.string()), ("captions", pa.list_(pa.string()))]))
    large = table.cast(pa.schema([
        ("image", pa.struct([("bytes", pa.large_binary()), ("path", pa.large_string())])), ("caption", pa.large_string()), ("captions", pa.large_list(pa.large_string()))]))
    cases = {
        "snappy": dict(compression="snappy"), "zstd": dict(compression="zstd"), "gzip": dict(compression="gzip"), "lz4": dict(compression="lz4"), "brotli": dict(compression="brotli"),
        "plain": dict(compression="none", use_dictionary=False), "v2": dict(data_page_version="2.0", compression="snappy"), "v1": dict(version="1.0"),
        "delta": dict(use_dictionary=False, column_encoding={"image.bytes": "DELTA_LENGTH_BYTE_ARRAY", "caption": "DELTA_BYTE_ARRAY"}),
        "index": dict(write_page_index=True), "checksums": dict(write_page_checksum=True),
    }
    expected = {}
    for name, options in cases.items():
        path = TABLES / f"legacy-{name}.parquet"
        pq.write_table(table, path, row_group_size=25, data_page_size=512, write_batch_size=5, store_schema=False, **options)
        expected[path.name] = plain(pq.read_table(path).to_pylist())
    pq.write_table(large, TABLES / "legacy-large.parquet", row_group_size=25, data_page_size=512, write_batch_size=5)
    expected["legacy-large.parquet"] = plain(pq.read_table(TABLES / "legacy-large.parquet").to_pylist())
    assert all(rows == expected["legacy-snappy.parquet"] for rows in expected.values())
    (TABLES / "5.png").write_bytes(picture(5))
    return {"legacy": expected["legacy-snappy.parquet"]}


def refused_files():
    pq.write_table(pa.table({"url": ["http://example.com/1.jpg"], "caption": ["a dog"]}), TABLES / "refused-urls.parquet")
    pq.write_table(pa.table({"images": [["http://example.com/1.jpg", None]], "texts": [[None, "a dog"]]}), TABLES / "refused-obelics.parquet")
    pq.write_table(pa.table({"images": [["5.png", None], ["../5.png"]], "texts": [[None, "a dog"], [None]]}), TABLES / "named-obelics.parquet")
    pq.write_table(pa.table({"image": ["5.png", None], "text": ["a dog", "none"]}), TABLES / "named-captions.parquet")
    pq.write_table(pa.table({"left": pa.array([b"x"], pa.binary()), "right": pa.array([b"y"], pa.binary())}), TABLES / "refused-two.parquet")


def tables():
    shutil.rmtree(TABLES, ignore_errors=True)
    TABLES.mkdir(parents=True)
    expected = hub_files()
    expected.update(legacy_files())
    refused_files()
    dump(TABLES / "expected.json", expected)


# ---- cells of CSV and TSV ------------------------------------------------------------------


def cells():
    """Tables, and the rows that Python's csv module reads in them. It yields an empty list for a blank line."""
    given = [
        "a,b\n1,2\n", "a,b\r\n1,2\r\n", "a,b\r1,2\r", "a,b", 'a,"b ""c"", d"\n', '5" screen,x\n', '"A" dog,x\n"B" cat,y\n', '"two\nlines",x\n', '"two\r\nlines",x\r\n',
        '"",x\n', '""\n', ",\n", ",,\n\n,\n", "\n\na\n\n", ' "a",b\n', '"a" ,b\n', '"a""",b\n', '"a"b"c",d\n', 'a"b"c,d\n', '"a\tb",c\n', "caf\u00e9,\u72ac\n",
    ]
    draw = random.Random(1)
    given += ["".join(draw.choice('",\n\r"a b,') for _ in range(draw.randrange(1, 14))) for _ in range(80)]
    expected = []
    for text in given:
        for comma in ",\t":
            expected.append({"text": text, "comma": comma, "rows": [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=comma) if row]})
    dump(CELLS, expected)


if __name__ == "__main__":
    shards()
    tables()
    cells()
