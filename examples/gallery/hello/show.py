#!/usr/bin/python3
"""Prints what the network expects after each letter of a text of h, e, l and o."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import gallery

LETTERS = "helo"


def main():
    parser = gallery.parser(__doc__)
    parser.add_argument("text", nargs="?", default="hell")
    text = parser.parse_args().text
    if not text or set(text) - set(LETTERS):
        raise SystemExit("a text of the letters h, e, l and o")
    ids = [LETTERS.index(letter) for letter in text]
    p = gallery.run("hello", x=[[row] for row in gallery.one_hot(ids, 4)])["p"]
    print("read   " + "".join(f"{letter:>7}" for letter in LETTERS))
    for i, letter in enumerate(text):
        row = p[i][0]
        print(f"{text[:i + 1]:7}" + "".join(f"{value:7.3f}" for value in row) + f"   -> {LETTERS[gallery.argmax(row)]}")


if __name__ == "__main__":
    main()
