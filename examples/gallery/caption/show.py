#!/usr/bin/python3
"""Draws tiny images, has them described, and shows both in caption.svg: show.py [SEED]."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import gallery
import random

from images import SIDE, decode, draw, random_image

COUNT, PIXEL = 6, 7


def main():
    choice = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
    images = [random_image(choice) for _ in range(COUNT)]
    pixels = [draw(shapes) for shapes, _ in images]
    said = gallery.run("caption", image=pixels)["text"]
    picture = gallery.Svg(720, COUNT * (SIDE * PIXEL + 10) // 2 + 10)
    for i, (_, right) in enumerate(images):
        caption = decode([row[i] for row in said])
        print(f"{caption:60}" + ("" if caption == right else f" (right: {right})"))
        x, y = 10 + i % 2 * 355, 10 + i // 2 * (SIDE * PIXEL + 10)
        picture.rectangle(x, y, SIDE * PIXEL, SIDE * PIXEL, "#eee")
        for at, value in enumerate(pixels[i]):
            if value:
                picture.rectangle(x + at % SIDE * PIXEL, y + at // SIDE * PIXEL, PIXEL, PIXEL, gallery.COLOURS[0])
        for line, part in enumerate(caption.split(" and ")):
            picture.text(x + SIDE * PIXEL + 8, y + 36 + 18 * line, ("and " if line else "") + part)
    picture.write(gallery.FOLDER / "caption/caption.svg")


if __name__ == "__main__":
    main()
