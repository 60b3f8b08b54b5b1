"""Builds the sprite atlases of kit/scene from the emoji artwork of two npm packages.

    python tools/kit/sprites.py --packages DIR --out kit/scene/sprites

DIR holds node_modules/emoji-datasource-google and node_modules/emoji-datasource-twitter,
version 16.0.0. Each drawing style becomes one PNG atlas of square cells. index.json lists the
objects in their order, with the place of each one's square. Nothing is resampled here: the
renderer scales the original 64 px artwork.
"""

import argparse
import json
import pathlib

from PIL import Image

VERSION = "16.0.0"
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


def sprite(package: pathlib.Path, image_folder: str, image: str) -> Image.Image:
    """Returns one emoji, cropped to its visible pixels and centred in the smallest square."""
    picture = Image.open(package / "img" / image_folder / "64" / image).convert("RGBA")
    picture = picture.crop(picture.getchannel("A").getbbox())
    width, height = picture.size
    side = max(width, height)
    square = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    square.paste(picture, ((side - width) // 2, (side - height) // 2))
    return square


def atlas(package: pathlib.Path, image_folder: str) -> tuple[Image.Image, list[dict]]:
    """Returns all objects of one style in a grid, and each one's square in it."""
    version = json.loads((package / "package.json").read_text())["version"]
    if version != VERSION:
        raise SystemExit(f"{package}: got version {version}, want {VERSION}")
    images = {e["short_name"]: e["image"] for e in json.loads((package / "emoji.json").read_text())}
    rows = -(-len(OBJECTS) // COLUMNS)
    sheet = Image.new("RGBA", (COLUMNS * CELL, rows * CELL), (0, 0, 0, 0))
    squares = []
    for i, (name, short_name) in enumerate(OBJECTS.items()):
        picture = sprite(package, image_folder, images[short_name])
        x, y = i % COLUMNS * CELL, i // COLUMNS * CELL
        sheet.paste(picture, (x, y))
        squares.append({"name": name, "x": x, "y": y, "size": picture.width})
    return sheet, squares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    index = {}
    for style, vendor in STYLES.items():
        package = arguments.packages / "node_modules" / f"emoji-datasource-{vendor}"
        sheet, index[style] = atlas(package, vendor)
        sheet.save(arguments.out / f"{style}.png", optimize=True)
    (arguments.out / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
