"""Builds the sprite atlases of kit/scene from the emoji artwork of three npm packages.

    python tools/kit/sprites.py --packages DIR --out kit/scene/sprites

DIR holds node_modules/emoji-datasource-google and node_modules/emoji-datasource-twitter, version
16.0.0, and node_modules/@iconify-json/fluent-emoji-flat, version 1.2.6. Each drawing style becomes
one PNG atlas of square cells. An index lists the objects in their order, with the place of each
one's square: index.json for the styles that the kit is trained on, and fluent.json for the style
that only a test set is drawn in. The digests of the other sets cover index.json. Nothing is
resampled here: the renderer scales the 64 px artwork.
"""

import argparse
import io
import json
import pathlib

import resvg_py
from PIL import Image

VERSION = "16.0.0"
FLUENT = "1.2.6"
CELL = 64
COLUMNS = 8

# Drawing style -> emoji-datasource package and image folder.
STYLES = {"noto": "google", "twemoji": "twitter"}

# Object name (the order is kit/scene's object table) -> emoji-datasource short name.
OBJECTS = {
    "dog": "dog", "cat": "cat", "pig": "pig", "panda": "panda_face", "lion": "lion_face",
    "frog": "frog", "fox": "fox_face", "elephant": "elephant", "turtle": "turtle",
    "octopus": "octopus", "crab": "crab", "butterfly": "butterfly", "owl": "owl",
    "penguin": "penguin", "snail": "snail", "whale": "whale",
    "apple": "apple", "banana": "banana", "strawberry": "strawberry", "carrot": "carrot",
    "pizza": "pizza", "burger": "hamburger", "donut": "doughnut", "watermelon": "watermelon",
    "pineapple": "pineapple", "mushroom": "mushroom", "taco": "taco", "lemon": "lemon",
    "bus": "bus", "bicycle": "bike", "airplane": "airplane", "rocket": "rocket",
    "sailboat": "boat", "tractor": "tractor", "helicopter": "helicopter", "truck": "fire_engine",
    "guitar": "guitar", "camera": "camera", "key": "key", "umbrella": "umbrella",
    "balloon": "balloon", "ball": "soccer", "crown": "crown", "book": "closed_book",
    "house": "house", "hammer": "hammer", "rose": "rose", "cactus": "cactus",
    "drum": "drum_with_drumsticks", "gift": "gift", "bell": "bell", "clock": "alarm_clock",
}


def crop(picture: Image.Image) -> Image.Image:
    """Returns an emoji, cropped to its visible pixels and centred in the smallest square."""
    picture = picture.crop(picture.getchannel("A").getbbox())
    width, height = picture.size
    side = max(width, height)
    square = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    square.paste(picture, ((side - width) // 2, (side - height) // 2))
    return square


def atlas(sprites: list[Image.Image]) -> tuple[Image.Image, list[dict]]:
    """Returns all objects of one style in a grid, and each one's square in it."""
    rows = -(-len(OBJECTS) // COLUMNS)
    sheet = Image.new("RGBA", (COLUMNS * CELL, rows * CELL), (0, 0, 0, 0))
    squares = []
    for i, (name, picture) in enumerate(zip(OBJECTS, sprites, strict=True)):
        x, y = i % COLUMNS * CELL, i // COLUMNS * CELL
        sheet.paste(picture, (x, y))
        squares.append({"name": name, "x": x, "y": y, "size": picture.width})
    return sheet, squares


def package(node_modules: pathlib.Path, name: str, want: str) -> pathlib.Path:
    """Returns the folder of an npm package, after a check of its version."""
    folder = node_modules / name
    version = json.loads((folder / "package.json").read_text())["version"]
    if version != want:
        raise SystemExit(f"{folder}: got version {version}, want {want}")
    return folder


def datasource(node_modules: pathlib.Path, vendor: str) -> list[Image.Image]:
    """Returns the sprites of an emoji-datasource package, in the order of the objects."""
    folder = package(node_modules, f"emoji-datasource-{vendor}", VERSION)
    images = {e["short_name"]: e["image"] for e in json.loads((folder / "emoji.json").read_text())}
    pictures = (folder / "img" / vendor / "64" / images[short_name] for short_name in OBJECTS.values())
    return [crop(Image.open(picture).convert("RGBA")) for picture in pictures]


def fluent(node_modules: pathlib.Path) -> list[Image.Image]:
    """Returns the sprites of the emoji with the same code points in Fluent Emoji Flat, drawn at 64 px."""
    google = package(node_modules, "emoji-datasource-google", VERSION)
    codes = {e["short_name"]: e["unified"] for e in json.loads((google / "emoji.json").read_text())}
    folder = package(node_modules, "@iconify-json/fluent-emoji-flat", FLUENT)
    icons = json.loads((folder / "icons.json").read_text())
    names = json.loads((folder / "chars.json").read_text())
    sprites = []
    for short_name in OBJECTS.values():
        code = codes[short_name].lower().removesuffix("-fe0f")
        body = icons["icons"][names[code]]["body"]
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {icons["width"]} {icons["height"]}">{body}</svg>'
        png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=CELL, height=CELL))
        sprites.append(crop(Image.open(io.BytesIO(png)).convert("RGBA")))
    return sprites


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    node_modules = arguments.packages / "node_modules"
    index = {}
    for style, vendor in STYLES.items():
        sheet, index[style] = atlas(datasource(node_modules, vendor))
        sheet.save(arguments.out / f"{style}.png", optimize=True)
    (arguments.out / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    sheet, squares = atlas(fluent(node_modules))
    sheet.save(arguments.out / "fluent.png", optimize=True)
    (arguments.out / "fluent.json").write_text(json.dumps({"fluent": squares}, indent=1) + "\n")


if __name__ == "__main__":
    main()
