#!/usr/bin/python3
"""Writes the headline of a week's weather log; without one, of a log that training did not see."""

import pathlib
import sys
import textwrap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import gallery
from weather import decode, encode, held_out

EXAMPLE = 11  # of those that are held out


def headlines(logs):
    """Of logs of equal length."""
    text = gallery.run("summary", source=[list(column) for column in zip(*map(encode, logs))])["text"]
    return [decode(column) for column in zip(*text)]


def judge():
    """How many headlines of the logs that training left out are right in every word."""
    groups, right = {}, 0
    for log, headline in held_out():
        groups.setdefault(len(encode(log)), []).append((log, headline.replace(" ,", ",")))
    for group in groups.values():
        right += sum(said == headline for said, (_, headline) in zip(headlines([log for log, _ in group]), group))
    print(f"right in every word: {right} of {len(held_out())}")


def main():
    parser = gallery.parser(__doc__)
    parser.add_argument("log", nargs="*", help="sentences with full stops, in the words of source.json")
    parser.add_argument("--judge", action="store_true", help="judge the network by the logs that training left out")
    arguments = parser.parse_args()
    if arguments.judge:
        judge()
        return
    for log in arguments.log or [held_out()[EXAMPLE][0]]:
        print(textwrap.fill(" ".join(log.split()).replace(" .", "."), 100))
        print("  ->", headlines([log])[0])


if __name__ == "__main__":
    main()
