#!/usr/bin/python3
"""Is a word English or German? Also asks the two other forms of the network."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import gallery
from words import LETTERS

FORMS = ["simple_rnn", "simple_rnn_concat", "simple_rnn_relu"]


def main():
    parser = gallery.parser(__doc__)
    parser.add_argument("word", nargs="*", default=["undertook", "verlierst", "newspaper", "flussbett", "winter"])
    words = parser.parse_args().word
    print(f"{'p(German)':16}" + "".join(f"{name:>20}" for name in FORMS))
    for word in words:
        if not word or set(word) - set(LETTERS):
            raise SystemExit("a word of the letters a to z")
        x = [[row] for row in gallery.one_hot([LETTERS.index(letter) for letter in word], len(LETTERS))]
        print(f"{word:16}" + "".join(f"{gallery.run(name, x=x)['p'][0][0]:20.7f}" for name in FORMS))


if __name__ == "__main__":
    main()
