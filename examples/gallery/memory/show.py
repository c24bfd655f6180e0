#!/usr/bin/python3
"""How far back each cell remembers: how much its answer changes if one letter changes a little."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import gallery
from words import LETTERS

LENGTH, STEP = 40, 0.05
CELLS = {"rnn": "simple RNN", "lstm": "LSTM", "gru": "GRU"}
TEXT = "Everyone is permitted to copy and distribute verbatim copies of this license document"


def main():
    picture = gallery.parser(__doc__, "memory.svg").parse_args().o
    text = [letter for letter in TEXT.lower() if letter in LETTERS][:LENGTH]
    rows = gallery.one_hot([LETTERS.index(letter) for letter in text], len(LETTERS))
    # Sequences in one batch: for each t two, whose input at t is a little larger and a little smaller.
    scaled = [[[value * (1 + (t == k) * sign * STEP) for value in row] for k in range(LENGTH) for sign in (1, -1)]
              for t, row in enumerate(rows)]
    out = gallery.run("memory", x=scaled)
    plot = gallery.Plot((1, LENGTH), (-4, 2), "How much the answer after 40 letters depends on each of them", "letter",
                        "sensitivity", log=True)
    for key, name in CELLS.items():
        y = out["y_" + key]
        sensitivity = [sum(((a - b) / (2 * STEP)) ** 2 for a, b in zip(y[2 * k], y[2 * k + 1])) ** 0.5
                       for k in range(LENGTH)]
        print(f"{name:11}" + " ".join(f"{s:8.1g}" for s in sensitivity[:6]) + "  ..." +
              " ".join(f"{s:8.1g}" for s in sensitivity[-3:]))
        plot.curve(range(1, LENGTH + 1), sensitivity, name)
    plot.write(picture)


if __name__ == "__main__":
    main()
