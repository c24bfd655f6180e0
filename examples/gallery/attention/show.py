#!/usr/bin/python3
"""Draws where the decoder looks while it writes a date."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import gallery

sys.path.append(str(gallery.FOLDER / "dates"))
from dates import LENGTH, SOURCE, START, TARGET, decode, encode

CELL = 18


def main():
    parser = gallery.parser(__doc__, "attention.svg")
    parser.add_argument("date", nargs="?", default="the twenty first of july, 1969")
    arguments = parser.parse_args()
    written = arguments.date.lower()
    if not written or set(written) - set(SOURCE):
        raise SystemExit("a date of letters, digits, commas and dots")
    source = [[token] for token in encode(written)]
    answer = [row[0] for row in gallery.run("dates", source=source)["text"]]
    weights = gallery.run("attention", source=source, target=[[START]] + [[t] for t in answer[:-1]])["a"]
    print(written, "->", decode(answer))
    picture = gallery.Svg(40 + CELL * len(written), 34 + CELL * LENGTH)
    picture.rectangle(36, 28, CELL * len(written), CELL * LENGTH, "#f2f2f2")
    for column, letter in enumerate(written):
        picture.text(36 + CELL * (column + 0.5), 20, letter, "middle")
    for row in range(LENGTH):
        picture.text(16, 30 + CELL * (row + 0.75), TARGET[answer[row]], "middle")
        for column, (weight,) in enumerate(zip(*weights[row])):
            if weight > 0.01:
                picture.rectangle(36 + CELL * column, 28 + CELL * row, CELL - 1, CELL - 1, gallery.COLOURS[0], weight)
    picture.write(arguments.o)


if __name__ == "__main__":
    main()
