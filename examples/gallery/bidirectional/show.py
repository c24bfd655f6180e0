#!/usr/bin/python3
"""Fills in the missing letter, written `_`, of each word."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import gallery
from words import LETTERS


def main():
    parser = gallery.parser(__doc__)
    parser.add_argument("word", nargs="*",
                        default=["wi_dows", "rewrit_ng", "figureh_ad", "vect_r", "membr_ne", "dis_bey"])
    for word in parser.parse_args().word:
        if word.count("_") != 1 or set(word) - set(LETTERS + "_"):
            raise SystemExit("a word of the letters a to z with one _")
        x = [[26 if letter == "_" else LETTERS.index(letter)] for letter in word]
        p = gallery.softmax(gallery.run("bidirectional", x=x)["y"][word.index("_")][0])
        ranked = sorted(range(26), key=lambda i: -p[i])[:3]
        print(f"{word:12} {word.replace('_', LETTERS[ranked[0]]):12}" +
              "  ".join(f"{LETTERS[i]} {p[i]:.0%}" for i in ranked))


if __name__ == "__main__":
    main()
