#!/usr/bin/python3
"""Writes dates as ISO 8601 does, by greedy and by beam search."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import gallery
from dates import SOURCE, decode, encode


def main():
    parser = gallery.parser(__doc__)
    parser.add_argument("date", nargs="*", default=["3 May 1979", "the twenty first of july, 1969", "nov 9th, 1989"])
    for written in parser.parse_args().date:
        written = written.lower()
        if not written or set(written) - set(SOURCE):
            raise SystemExit("a date of letters, digits, commas and dots")
        source = [[token] for token in encode(written)]
        greedy = gallery.run("dates", source=source)["text"]
        beam = gallery.run("dates_beam", source=source)
        print(f"{written:34} {decode(row[0] for row in greedy)}   beam: {decode(row[0] for row in beam['text'])} "
              f"(log-probability {beam['score'][0]:.4f})")


if __name__ == "__main__":
    main()
