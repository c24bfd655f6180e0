#!/usr/bin/python3
"""Has tiny images described that training did not see, and draws both."""

import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import gallery
from images import SIDE, decode, held_out

COUNT, PIXEL = 6, 7


def main():
    parser = gallery.parser(__doc__, "caption.svg")
    parser.add_argument("seed", nargs="?", type=int, default=5, help="of the choice of images (default: %(default)s)")
    arguments = parser.parse_args()
    shown = random.Random(arguments.seed).sample(held_out(), COUNT)
    said = gallery.run("caption", image=[pixels for pixels, _ in shown])["text"]
    picture = gallery.Svg(720, COUNT * (SIDE * PIXEL + 10) // 2 + 10)
    for i, (pixels, right) in enumerate(shown):
        caption = decode([row[i] for row in said])
        print(f"{caption:60}" + ("" if caption == right else f" (right: {right})"))
        x, y = 10 + i % 2 * 355, 10 + i // 2 * (SIDE * PIXEL + 10)
        picture.rectangle(x, y, SIDE * PIXEL, SIDE * PIXEL, "#eee")
        for at, value in enumerate(pixels):
            if value:
                picture.rectangle(x + at % SIDE * PIXEL, y + at // SIDE * PIXEL, PIXEL, PIXEL, gallery.COLOURS[0])
        for line, part in enumerate(caption.split(" and ")):
            picture.text(x + SIDE * PIXEL + 8, y + 36 + 18 * line, ("and " if line else "") + part)
    picture.write(arguments.o)


if __name__ == "__main__":
    main()
