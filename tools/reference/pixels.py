"""Writes pictures of all modes, codecs and small sizes, and the RGB pixels that Pillow gives for them.

    python3 -m venv .venv && .venv/bin/pip install pillow==13.0.0 numpy==2.4.6
    .venv/bin/python tools/reference/pixels.py imaging/testdata/pixels.tar.gz

A second argument is another seed. With BRIDGE_PIXELS=FILE, the tests of package imaging read another archive:

    .venv/bin/python tools/reference/pixels.py /tmp/1.tar.gz 1 && BRIDGE_PIXELS=/tmp/1.tar.gz go test ./imaging -run Pillows

The archive holds the pictures and table.json. An entry of the table has a picture's name, the size and the SHA-256 (its
first 16 digits) of Pillow's pixels, uint8[H, W, 3], of convert("RGB"), and, if they differ, of those after
ImageOps.exif_transpose, as transformers' load_image does it. If Pillow refuses a picture, the entry says so.

Sixteen bits of grey become the higher eight, which Pillow's convert does not do (docs/decisions/0003).

Modes that Pillow cannot write are written here: PNG chunks, GIF frames, BMP heads, and JPEGs of random coefficients.
"""

import hashlib
import io
import json
import struct
import sys
import tarfile
import warnings
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps

rng = np.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else 14)
SIZES = [(1, 1), (1, 7), (9, 1), (2, 3), (3, 2), (4, 13), (5, 20), (6, 5), (7, 8), (8, 8), (9, 15), (10, 4), (11, 17), (12, 1), (13, 2), (14, 9),
         (15, 16), (16, 16), (17, 3), (18, 6), (19, 19), (20, 12), (2, 20), (3, 17), (4, 2), (1, 20), (20, 1), (1, 2), (2, 1), (2, 2)]
FEW = SIZES[::3]
pictures = {}  # name -> bytes


def picture(w, h):
    """Returns gradients, edges and some noise, uint8[h, w, 3]."""
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    a, b, c = rng.uniform(0, 255, 3), rng.uniform(-14, 14, 3), rng.uniform(-14, 14, 3)
    p = a + x[..., None] * b + y[..., None] * c + 60 * ((x // 3 + y // 4) % 2)[..., None]
    return (np.abs(p + rng.normal(0, 4, p.shape)) % 256).astype(np.uint8)


def image(mode, w, h):
    rgb = Image.fromarray(picture(w, h))
    if mode in ("RGB", "L", "1", "CMYK", "YCbCr"):
        return rgb.convert(mode)
    if mode == "P":
        return rgb.quantize(16)
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65536, (h, w)).astype(np.uint16))
    out = rgb.convert("P" if mode == "PA" else mode[:-1])
    if mode == "PA":
        out = rgb.quantize(16)
    out = out.convert(mode)
    out.putalpha(Image.fromarray(rng.choice([0, 90, 255], (h, w)).astype(np.uint8)))
    return out


def add(name, data):
    assert name not in pictures, name
    pictures[name] = data


def save(name, im, format, **options):
    out = io.BytesIO()
    im.save(out, format, **options)
    add(name, out.getvalue())


# PNG


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_rows(values, depth):
    """Packs rows of samples, int[h, n], without a filter."""
    out = b""
    for row in values:
        if depth == 16:
            out += b"\0" + row.astype(">u2").tobytes()
        elif depth == 8:
            out += b"\0" + row.astype(np.uint8).tobytes()
        else:
            bits = ((row[:, None] >> np.arange(depth)[::-1]) & 1).astype(np.uint8).ravel()
            out += b"\0" + np.packbits(bits).tobytes()
    return out


def png(w, h, color, depth, interlaced, extra=b"", top=None):
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    values = rng.integers(0, top or 1 << depth, (h, w, channels))
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)] if interlaced else [(0, 0, 1, 1)]
    rows = b""
    for x, y, dx, dy in passes:
        part = values[y::dy, x::dx]
        if part.size:
            rows += png_rows(part.reshape(part.shape[0], -1), depth)
    head = struct.pack(">IIBBBBB", w, h, depth, color, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def pngs():
    kinds = [(0, d) for d in (1, 2, 4, 8, 16)] + [(2, 8), (2, 16)] + [(3, d) for d in (1, 2, 4, 8)] + [(c, d) for c in (4, 6) for d in (8, 16)]
    for n, (color, depth) in enumerate(kinds):
        for i, (w, h) in enumerate(FEW):
            extra = b""
            if color == 3:
                extra = chunk(b"PLTE", rng.integers(0, 256, 3 << depth).astype(np.uint8).tobytes())
                if i % 2:
                    extra += chunk(b"tRNS", bytes([0, 255, 7][: 1 << depth]))
            elif color == 0 and i % 2:
                extra = chunk(b"tRNS", struct.pack(">H", 1))
            elif color == 2 and i % 2:
                extra = chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))
            add(f"png-{color}-{depth}-{w}x{h}.png", png(w, h, color, depth, (i + n) % 3 == 0, extra))
    short = chunk(b"PLTE", bytes(range(9)))
    add("png-short-palette.png", png(9, 5, 3, 8, False, short, top=6))


# GIF


def lzw(bits, values):
    """Codes palette indices with codes that grow, as GIF's."""
    clear = 1 << bits
    out = n = 0
    table, size = {}, bits + 1

    def emit(code):
        nonlocal out, n
        out |= code << n
        n += size

    emit(clear)
    word = ()
    for v in values:
        longer = word + (int(v),)
        if len(longer) == 1 or longer in table:
            word = longer
            continue
        emit(table[word] if len(word) > 1 else word[0])
        code = clear + 2 + len(table)
        if code < 4096:
            table[longer] = code
            if code == 1 << size and size < 12:
                size += 1
        word = (int(v),)
    emit(table[word] if len(word) > 1 else word[0])
    emit(clear + 1)
    data = out.to_bytes((n + 7) // 8, "little")
    return bytes([bits]) + b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255)) + b"\0"


def gif(screen, frame, palette=b"", local=b"", transparent=None, interlaced=False, background=0, top=None, bits=None, second=False):
    def flags(p):
        return 0x80 | (len(p) // 3).bit_length() - 2 if p else 0

    out = b"GIF89a" + struct.pack("<HHBBB", *screen, flags(palette), background, 0) + palette
    for _ in range(1 + second):
        if transparent is not None:
            out += b"!\xf9\x04\x01\0\0" + bytes([transparent, 0])
        x, y, w, h = frame
        colors = len(local or palette) // 3 or 8
        bits = bits or max(2, (colors - 1).bit_length())
        values = np.repeat(rng.integers(0, top or colors, (h, (w + 2) // 3)), 3, 1)[:, :w]
        if interlaced:
            values = np.concatenate([values[0::8], values[4::8], values[2::4], values[1::2]])
        out += b"," + struct.pack("<HHHHB", x, y, w, h, flags(local) | (0x40 if interlaced else 0)) + local + lzw(bits, values.ravel())
    return out + b";"


def gifs():
    def colors(n):
        return rng.integers(0, 256, 3 * n).astype(np.uint8).tobytes()

    ramp = bytes(i // 3 for i in range(3 * 8))
    for i, (w, h) in enumerate(SIZES):
        add(f"gif-{w}x{h}.gif", gif((w, h), (0, 0, w, h), colors(16), transparent=[None, 0, 3, 9][i % 4], interlaced=i % 3 == 1))
    for w, h in FEW:
        p, l = colors(8), colors(4)
        add(f"gif-part-{w}x{h}.gif", gif((w + 3, h + 4), (2, 1, w, h), p, background=3))
        add(f"gif-part-clear-{w}x{h}.gif", gif((w + 3, h + 4), (1, 3, w, h), p, background=3, transparent=5))
        add(f"gif-part-local-{w}x{h}.gif", gif((w + 1, h + 1), (1, 0, w, h), p, l, background=6, transparent=2, interlaced=True))
        add(f"gif-large-{w}x{h}.gif", gif((max(1, w // 2), max(1, h // 2)), (0, 0, w, h), p, second=True))
        add(f"gif-outside-{w}x{h}.gif", gif((2, 2), (5, 3, w, h), p, transparent=1))
        add(f"gif-clear-beyond-{w}x{h}.gif", gif((w + 1, h), (0, 0, w, h), p, transparent=200))
        add(f"gif-short-palette-{w}x{h}.gif", gif((w, h), (0, 0, w, h), l, top=8, bits=3))
    add("gif-ramp.gif", gif((9, 7), (2, 2, 7, 5), ramp, transparent=4))
    add("gif-local-ramp.gif", gif((9, 7), (2, 2, 7, 5), colors(8), ramp))
    add("gif-no-palette.gif", gif((9, 7), (1, 2, 7, 5)))
    add("gif-no-screen.gif", gif((0, 0), (0, 0, 7, 5), colors(8)))
    add("gif-wide-codes.gif", gif((20, 20), (0, 0, 20, 20), colors(4), bits=9))
    add("gif-narrow-codes.gif", gif((20, 20), (0, 0, 20, 20), colors(2), bits=1))
    add("gif-long.gif", gif((150, 120), (0, 0, 150, 120), colors(256)))


# JPEG of random coefficients, with tables whose codes all have eight or nine bits


class Bits:
    def __init__(self):
        self.value, self.n, self.out = 0, 0, b""

    def put(self, value, size):
        self.value, self.n = self.value << size | value, self.n + size

    def flush(self):
        pad = -self.n % 8
        data = (self.value << pad | (1 << pad) - 1).to_bytes((self.n + pad) // 8, "big")
        self.__init__()
        return data.replace(b"\xff", b"\xff\0")


def segment(marker, data):
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


DC = [0] * 7 + [12] + [0] * 8  # counts of codes by length: 12 codes of 8 bits
AC = [0] * 7 + [100, 62] + [0] * 7
AC_VALUES = [0, 0xF0] + [r << 4 | s for r in range(16) for s in range(1, 11)]


def ac_code(value):
    i = AC_VALUES.index(value)
    return (i, 8) if i < 100 else (200 + i - 100, 9)


def put_block(bits, dc):
    def put_number(v):
        size = abs(v).bit_length()
        bits.put(v if v > 0 else v + (1 << size) - 1, size) if size else None

    bits.put(abs(dc).bit_length(), 8)
    put_number(dc)
    for k in range(1, 4):
        v = int(rng.integers(-4, 5))
        if v:
            bits.put(*ac_code(abs(v).bit_length()))
            put_number(v)
    bits.put(*ac_code(0))


def tables():
    q = segment(0xDB, b"\0" + bytes([8] * 64))
    return q + segment(0xC4, b"\0" + bytes(DC) + bytes(range(12))) + segment(0xC4, b"\x10" + bytes(AC) + bytes(AC_VALUES))


def jpeg(w, h, sampling, ids=(1, 2, 3, 4), adobe=None, jfif=False, restart=0, separate=False):
    n = len(sampling)
    out = b"\xff\xd8"
    if jfif:
        out += segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    if adobe is not None:
        out += segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([adobe]))
    out += tables() + segment(0xC0, struct.pack(">BHHB", 8, h, w, n) + b"".join(bytes([ids[i], a << 4 | b, 0]) for i, (a, b) in enumerate(sampling)))
    if restart:
        out += segment(0xDD, struct.pack(">H", restart))
    maxh, maxv = max(a for a, _ in sampling), max(b for _, b in sampling)
    scans = [[i] for i in range(n)] if separate else [list(range(n))]
    for scan in scans:
        out += segment(0xDA, bytes([len(scan)]) + b"".join(bytes([ids[i], 0]) for i in scan) + b"\0\x3f\0")
        if len(scan) == 1:
            a, b = sampling[scan[0]]
            units = -(-w * a // (8 * maxh)) * -(-h * b // (8 * maxv))
        else:
            units = -(-w // (8 * maxh)) * -(-h // (8 * maxv))
        bits = Bits()
        level = {i: 0 for i in scan}
        for unit in range(units):
            if restart and unit and unit % restart == 0:
                out += bits.flush() + bytes([0xFF, 0xD0 + (unit // restart - 1) % 8])
                level = {i: 0 for i in scan}
            for i in scan:
                for _ in range(1 if len(scan) == 1 else sampling[i][0] * sampling[i][1]):
                    new = int(np.clip(level[i] + rng.integers(-60, 61), -120, 120))
                    put_block(bits, new - level[i])
                    level[i] = new
        out += bits.flush()
    return out + b"\xff\xd9"


def hole(data, lo, hi):
    """Takes a part out of the last scan."""
    start = data.rindex(b"\xff\xda") + 14
    n = len(data) - 2 - start
    return data[: start + int(n * lo)] + data[start + int(n * hi) :]


def jpegs():
    for i, (w, h) in enumerate(SIZES):
        for name, options in {"444": {"subsampling": 0}, "422": {"subsampling": 1}, "420": {"subsampling": 2}}.items():
            save(f"jpeg-{name}-{w}x{h}.jpg", image("RGB", w, h), "JPEG", quality=[75, 95][i % 2], progressive=i % 4 == 1, **options)
    for w, h in FEW:
        save(f"jpeg-grey-{w}x{h}.jpg", image("L", w, h), "JPEG", quality=90)
        save(f"jpeg-cmyk-{w}x{h}.jpg", image("CMYK", w, h), "JPEG", quality=90)
        save(f"jpeg-rgb-{w}x{h}.jpg", image("RGB", w, h), "JPEG", quality=90, keep_rgb=True)
    Y = [(1, 1), (1, 1)]
    for first in [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (1, 4), (4, 2), (2, 4), (3, 1), (1, 3), (3, 2), (3, 3), (4, 4)]:
        for w, h in FEW[1::3] + [(37, 29)]:
            add(f"jpeg-y{first[0]}{first[1]}-{w}x{h}.jpg", jpeg(w, h, [first] + Y, separate=first[0] * first[1] > 8))
    for name, sampling in {"chroma-finer": [(1, 1), (2, 2), (2, 2)], "unlike": [(2, 2), (2, 1), (1, 2)], "cb-finer": [(1, 1), (2, 1), (1, 1)],
                           "fraction": [(3, 1), (2, 1), (1, 1)], "uneven": [(2, 1), (1, 2), (1, 1)]}.items():
        for w, h in [(3, 5), (20, 17), (37, 29)]:
            add(f"jpeg-{name}-{w}x{h}.jpg", jpeg(w, h, sampling))
    for w, h in [(1, 1), (5, 3), (19, 20), (37, 29)]:
        four = [(1, 1)] * 4
        add(f"jpeg-cmyk-bare-{w}x{h}.jpg", jpeg(w, h, four))
        add(f"jpeg-cmyk-half-{w}x{h}.jpg", jpeg(w, h, [(2, 2), (1, 1), (1, 1), (2, 2)]))
        add(f"jpeg-cmyk-odd-{w}x{h}.jpg", jpeg(w, h, [(2, 1), (1, 1), (1, 2), (2, 1)], adobe=0))
        add(f"jpeg-ycck-{w}x{h}.jpg", jpeg(w, h, [(2, 2), (1, 1), (1, 1), (2, 2)], adobe=2))
        add(f"jpeg-adobe-rgb-{w}x{h}.jpg", jpeg(w, h, [(2, 2), (1, 1), (1, 1)], adobe=0))
        add(f"jpeg-adobe-1-{w}x{h}.jpg", jpeg(w, h, [(1, 1)] * 3, b"RGB", adobe=1))
        add(f"jpeg-ids-{w}x{h}.jpg", jpeg(w, h, [(1, 1)] * 3, b"RGB"))
        add(f"jpeg-jfif-ids-{w}x{h}.jpg", jpeg(w, h, [(1, 1)] * 3, b"RGB", jfif=True))
        add(f"jpeg-ids-0-{w}x{h}.jpg", jpeg(w, h, [(2, 1), (1, 1), (1, 1)], (0, 1, 2)))
        add(f"jpeg-grey-22-{w}x{h}.jpg", jpeg(w, h, [(2, 2)]))
        add(f"jpeg-separate-{w}x{h}.jpg", jpeg(w, h, [(2, 2), (1, 1), (1, 1)], separate=True))
        add(f"jpeg-restart-{w}x{h}.jpg", jpeg(w, h, [(2, 2), (1, 1), (1, 1)], restart=1))
    damaged()


def damaged():
    whole = jpeg(64, 48, [(2, 2), (1, 1), (1, 1)])
    restart = jpeg(64, 48, [(2, 2), (1, 1), (1, 1)], restart=2)
    grey = jpeg(64, 48, [(1, 1)], restart=5)
    out = io.BytesIO()
    Image.fromarray(picture(64, 48)).save(out, "JPEG", quality=90, progressive=True)
    progressive = out.getvalue()
    out = io.BytesIO()
    Image.fromarray(picture(64, 48)).save(out, "JPEG", quality=90)
    plain = out.getvalue()
    for lo, hi in [(0.3, 0.5), (0.45, 0.47), (0.8, 1), (0.1, 0.9), (0, 1)]:
        name = f"{lo}-{hi}"
        add(f"jpeg-hole-{name}.jpg", hole(whole, lo, hi))
        add(f"jpeg-hole-plain-{name}.jpg", hole(plain, lo, hi))
        add(f"jpeg-hole-restart-{name}.jpg", hole(restart, lo, hi))
        add(f"jpeg-hole-grey-{name}.jpg", hole(grey, lo, hi))
        add(f"jpeg-hole-progressive-{name}.jpg", hole(progressive, lo, hi))
    at = whole.rindex(b"\xff\xda") + 14
    noise = whole[: at + 40] + bytes(rng.integers(0, 255, 60).astype(np.uint8)).replace(b"\xff", b"\0") + whole[at + 100 :]
    add("jpeg-noise.jpg", noise)
    add("jpeg-junk-between.jpg", whole[:2] + b"\0\0\0" + whole[2:])
    dht = plain.index(b"\xff\xc4")
    add("jpeg-motion.jpg", plain[:dht] + plain[plain.index(b"\xff\xda") :] if plain.index(b"\xff\xc0") < dht else plain)
    add("jpeg-two-bits-12.jpg", whole.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"))
    for i, base in enumerate([whole, restart, grey, jpeg(37, 29, [(2, 1), (1, 1), (1, 1)], separate=True)]):
        coded = base.replace(b"\xff\xc0\0", b"\xff\xc9\0")  # every sequence of bytes is arithmetic code for something
        add(f"jpeg-arithmetic-{i}.jpg", coded)
        add(f"jpeg-arithmetic-conditioned-{i}.jpg", coded[:2] + segment(0xCC, b"\0\x31\x10\x03") + coded[2:])
    add("jpeg-arithmetic-progressive.jpg", progressive.replace(b"\xff\xc2\0", b"\xff\xca\0"))
    add("jpeg-arithmetic-plain.jpg", plain.replace(b"\xff\xc0\0", b"\xff\xc9\0"))
    add("jpeg-cut.jpg", whole[: len(whole) * 2 // 3])


# WebP


def riff(*chunks):
    body = b"WEBP" + b"".join(n + struct.pack("<I", len(d)) + d + b"\0" * (len(d) & 1) for n, d in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_chunks(im, **options):
    out = io.BytesIO()
    im.save(out, "WEBP", **options)
    data, chunks = out.getvalue()[12:], []
    while data:
        n = struct.unpack("<I", data[4:8])[0]
        chunks.append((data[:4], data[8 : 8 + n]))
        data = data[8 + n + (n & 1) :]
    return chunks


def u24(v):
    return struct.pack("<I", v)[:3]


def animation(im, canvas, at, **options):
    parts = [c for c in webp_chunks(im, **options) if c[0] in (b"ALPH", b"VP8 ", b"VP8L")]
    frame = u24(at[0] // 2) + u24(at[1] // 2) + u24(im.width - 1) + u24(im.height - 1) + u24(100) + b"\0"
    for n, d in parts:
        frame += n + struct.pack("<I", len(d)) + d + b"\0" * (len(d) & 1)
    head = bytes([0x12, 0, 0, 0]) + u24(canvas[0] - 1) + u24(canvas[1] - 1)
    return riff((b"VP8X", head), (b"ANIM", b"\x40\x80\xc0\xff\0\0"), (b"ANMF", frame), (b"ANMF", frame))


def webps():
    for i, (w, h) in enumerate(SIZES):
        save(f"webp-lossy-{w}x{h}.webp", image("RGB", w, h), "WEBP", quality=[60, 95][i % 2])
    for w, h in FEW:
        save(f"webp-{w}x{h}.webp", image("RGB", w, h), "WEBP", lossless=True)
        save(f"webp-alpha-{w}x{h}.webp", image("RGBA", w, h), "WEBP", lossless=True, exact=True)
        save(f"webp-palette-{w}x{h}.webp", image("P", w, h), "WEBP", lossless=True)
        save(f"webp-lossy-alpha-{w}x{h}.webp", image("RGBA", w, h), "WEBP", quality=80, exact=True)
    for w, h in FEW[::2]:
        add(f"webp-moving-lossless-{w}x{h}.webp", animation(image("RGB", w, h), (w + 3, h + 5), (2, 4), lossless=True))
        add(f"webp-moving-lossy-{w}x{h}.webp", animation(image("RGB", w, h), (w, h), (0, 0), quality=90))
        add(f"webp-moving-lossy-alpha-{w}x{h}.webp", animation(image("RGBA", w, h), (w + 2, h), (2, 0), quality=90, exact=True))


# BMP and TIFF


def bmp(w, h, depth, values, palette=b"", head=40, masks=b"", down=False, compression=0):
    rows = []
    for row in values:
        if depth < 8:
            bits = ((row[:, None] >> np.arange(depth)[::-1]) & 1).astype(np.uint8).ravel()
            data = np.packbits(bits).tobytes()
        else:
            data = b"".join(int(v).to_bytes(depth // 8, "little") for v in row)
        rows.append(data + b"\0" * (-len(data) % 4))
    body = b"".join(rows)
    if head == 12:
        info = struct.pack("<IHHHH", 12, w, h, 1, depth)
    else:
        info = struct.pack("<IiiHHIIiiII", head, w, -h if down else h, 1, depth, compression, len(body), 0, 0, 0, 0)
        info += masks if head == 40 else (masks + b"\0" * 99)[: head - 40]
    at = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", at + len(body), 0, 0, at) + info + palette + body


def bmps():
    for w, h in FEW:
        for mode in ("1", "L", "P", "RGB", "RGBA"):
            save(f"bmp-{mode}-{w}x{h}.bmp", image(mode, w, h), "BMP")
        for depth in (1, 4, 8):
            palette = rng.integers(0, 256, (1 << depth, 4)).astype(np.uint8)
            add(f"bmp-indexed-{depth}-{w}x{h}.bmp", bmp(w, h, depth, rng.integers(0, 1 << depth, (h, w)), palette.tobytes()))
            add(f"bmp-os2-{depth}-{w}x{h}.bmp", bmp(w, h, depth, rng.integers(0, 1 << depth, (h, w)), palette[:, :3].tobytes(), 12))
        for depth in (16, 24, 32):
            add(f"bmp-{depth}-{w}x{h}.bmp", bmp(w, h, depth, rng.integers(0, 1 << depth, (h, w)), down=h % 2 == 0))
        add(f"bmp-565-{w}x{h}.bmp", bmp(w, h, 16, rng.integers(0, 1 << 16, (h, w)), masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F), compression=3))
        for i, m in enumerate([(0xFF0000, 0xFF00, 0xFF, 0xFF000000), (0xFF, 0xFF00, 0xFF0000, 0xFF000000), (0xFF000000, 0xFF0000, 0xFF00, 0)]):
            add(f"bmp-fields{i}-{w}x{h}.bmp", bmp(w, h, 32, rng.integers(0, 1 << 32, (h, w)), head=108, masks=struct.pack("<IIII", *m), compression=3))
    palette = rng.integers(0, 256, 64).astype(np.uint8).tobytes()
    for name, depth, runs in [
        ("8", 8, b"\x09\3\0\0" + b"\4\1\0\0" + b"\0\5\1\2\3\4\5\0\4\7\0\0" + b"\0\2\3\1\2\5\0\0" + b"\x09\6\0\1"),
        ("4", 4, b"\x09\x35\0\0" + b"\4\x12\0\0" + b"\0\5\x12\x34\x50\0\4\x7a\0\0" + b"\0\2\3\1\2\x56\0\0" + b"\x09\x65\0\1"),
        ("early-end", 8, b"\x09\3\0\1"),
        ("long-run", 8, b"\x20\3\0\0" * 5 + b"\0\1"),
    ]:
        whole = bmp(9, 5, depth, np.zeros((0, 9), int), palette if depth == 4 else palette * 16, compression=2 if depth == 4 else 1)
        add(f"bmp-runs-{name}.bmp", whole + runs)


def tiff(order, w, h, depth, colors, samples, tags=()):
    """Returns a file of one strip, or of one a plane."""
    planes = samples if (284, 3, [2]) in tags else 1
    values = rng.integers(0, 1 << depth, (planes * h, w * samples // planes))
    data = b"".join(png_rows(row[None], depth)[1:] for row in values)
    if depth == 16 and order == "<":
        data = np.frombuffer(data, ">u2").astype("<u2").tobytes()
    plane = len(data) // planes
    entries = [(256, 3, [w]), (257, 3, [h]), (258, 3, [depth] * samples), (259, 3, [1]), (262, 3, [colors]), (273, 4, [8 + i * plane for i in range(planes)]),
               (277, 3, [samples]), (278, 3, [h]), (279, 4, [plane] * planes), *tags]
    if colors == 3:
        entries.append((320, 3, rng.integers(0, 65536, 3 << depth).tolist()))
    data += b"\0" * (len(data) % 2)
    far, directory = b"", struct.pack(order + "H", len(entries))
    far_at = 8 + len(data) + 2 + 12 * len(entries) + 4
    for tag, kind, numbers in sorted(entries):
        packed = struct.pack(order + {3: "H", 4: "I"}[kind] * len(numbers), *numbers)
        if len(packed) > 4:
            packed, far = struct.pack(order + "I", far_at + len(far)), far + packed
        directory += struct.pack(order + "HHI", tag, kind, len(numbers)) + packed.ljust(4, b"\0")
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(data)) + data + directory + b"\0\0\0\0" + far


def tiffs():
    for i, (w, h) in enumerate(FEW):
        for mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16"):
            compression = [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"][(i + len(mode)) % 4]
            save(f"tiff-{mode.replace(';', '')}-{w}x{h}.tif", image(mode, w, h), "TIFF", compression=compression)
    save("tiff-group4.tif", image("1", 20, 13), "TIFF", compression="group4")
    save("tiff-jpeg.tif", image("RGB", 20, 13), "TIFF", compression="jpeg")
    save("tiff-signed.tif", Image.fromarray(rng.normal(0, 99, (5, 9)).astype(np.float32)), "TIFF")
    for depth in (1, 2, 4, 8, 16):
        for colors, samples in [(0, 1), (1, 1), (3, 1), (2, 3)]:
            if samples == 1 or depth >= 8:
                for order in "<>":
                    if depth < 16 or colors in (1, 2):  # Pillow refuses the others
                        add(f"tiff-raw-{depth}-{colors}-{'little' if order == '<' else 'big'}.tif", tiff(order, 11, 7, depth, colors, samples))
    for extra in (0, 1, 2):
        add(f"tiff-extra-{extra}.tif", tiff("<", 11, 7, 8, 2, 4, [(338, 3, [extra])]))
    add("tiff-planes.tif", tiff("<", 11, 7, 8, 2, 3, [(284, 3, [2])]))
    for kind in ("tiff_lzw", "tiff_adobe_deflate"):
        save(f"tiff-predictor-{kind}.tif", image("RGB", 20, 13), "TIFF", compression=kind, tiffinfo={317: 2})
        save(f"tiff-strips-{kind}.tif", image("RGB", 150, 130), "TIFF", compression=kind, tiffinfo={278: 16})
    save("tiff-ycc.tif", image("YCbCr", 20, 13), "TIFF")


# Orientation


def turned():
    upright = image("RGB", 13, 6)
    for o in range(0, 10):
        exif = Image.Exif()
        exif[0x0112] = o
        save(f"turned-{o}.jpg", upright, "JPEG", quality=95, subsampling=0, exif=exif)
        save(f"turned-{o}.png", upright, "PNG", exif=exif)
        save(f"turned-{o}.webp", upright, "WEBP", lossless=True, exif=exif)
        save(f"turned-{o}.tif", upright, "TIFF", exif=exif)
        big = b"Exif\0\0" + b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1" + struct.pack(">HHI", o, 0, 0)
        save(f"turned-big-{o}.jpg", upright, "JPEG", quality=95, subsampling=0, exif=big)
        xmp = f'<x:xmpmeta><rdf:Description tiff:Orientation="{o}"/></x:xmpmeta>'.encode()
        save(f"turned-xmp-{o}.jpg", upright, "JPEG", quality=95, subsampling=0, xmp=xmp)
        save(f"turned-xmp-{o}.webp", upright, "WEBP", lossless=True, xmp=xmp)
        whole = png(13, 6, 2, 8, False)
        text = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp.replace(b'="', b">").replace(b'"', b"<"))
        add(f"turned-xmp-{o}.png", whole[:-12] + text + whole[-12:])
        raw = f"\nexif\n{len(big):8}\n{big.hex()}\n".encode()
        add(f"turned-profile-{o}.png", whole[:33] + chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw)) + whole[33:])
        add(f"turned-late-{o}.png", whole[:-12] + chunk(b"eXIf", big[6:]) + whole[-12:])
    long = b"Exif\0\0" + b"II*\0\x08\0\0\0\2\0\x0f\1\2\0\1\0\0\0A\0\0\0\x12\1\4\0\1\0\0\0\6\0\0\0\0\0\0\0"
    save("turned-long.jpg", upright, "JPEG", quality=95, subsampling=0, exif=long)
    pair = b"Exif\0\0" + b"II*\0\x08\0\0\0\1\0\x12\1\3\0\2\0\0\0\6\0\6\0\0\0\0\0"
    save("turned-pair.jpg", upright, "JPEG", quality=95, subsampling=0, exif=pair)


# The table


def rgb(im):
    if im.mode.startswith("I;16"):
        im = Image.fromarray((np.asarray(im) >> 8).astype(np.uint8))
    return np.asarray(im.convert("RGB"))


def pixels(a):
    return {"width": a.shape[1], "height": a.shape[0], "sha256": hashlib.sha256(a.tobytes()).hexdigest()[:16]}


def entry(name, data):
    try:
        stored = rgb(Image.open(io.BytesIO(data)))
    except Exception as error:
        print(name, "is refused:", error)
        return {"name": name, "refused": True}
    e = {"name": name, "stored": pixels(stored)}
    upright = rgb(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    if upright.shape != stored.shape or (upright != stored).any():
        e["upright"] = pixels(upright)
    return e


def main(path):
    warnings.simplefilter("ignore")
    for part in (pngs, gifs, jpegs, webps, bmps, tiffs, turned):
        part()
    entries = [json.dumps(entry(name, data)) for name, data in pictures.items()]
    table = f'{{"pillow": "{PIL.__version__}", "pictures": [\n' + ",\n".join(entries) + "\n]}\n"
    with tarfile.open(path, "w:gz", compresslevel=9, format=tarfile.USTAR_FORMAT) as t:
        for name, data in [("table.json", table.encode()), *pictures.items()]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    print(len(entries), "pictures")


if __name__ == "__main__":
    main(sys.argv[1])
