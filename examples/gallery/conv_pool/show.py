#!/usr/bin/python3
"""What the filter (-1, 2, -1) and the pooling make of the sunspot numbers, and the year that is forecast from it."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import gallery
import sunspots

WINDOW = 32


def main():
    parser = gallery.parser(__doc__)
    parser.add_argument("year", nargs="?", type=int, default=2001, help="the year to forecast (default: %(default)s)")
    first = sunspots.index(parser.parse_args().year) - WINDOW
    if not 0 <= first <= len(sunspots.NUMBERS) - WINDOW:
        raise SystemExit(f"a year from {sunspots.year(WINDOW)} to {sunspots.year(len(sunspots.NUMBERS))}")
    numbers = sunspots.NUMBERS[first:first + WINDOW]
    out = gallery.run("conv_pool", x=[[[n / sunspots.SCALE]] for n in numbers])
    turns = [row[0][0] * sunspots.SCALE for row in out["turns"]]
    print("              number           filter     maximum: number filter     mean: number filter")
    for at in range(WINDOW - 12, WINDOW, 2):
        pooled = [value * sunspots.SCALE for value in out["pooled"][at // 2][0]]
        year = sunspots.year(first + at)
        print(f"{year}, {(year + 1) % 100:02}  {numbers[at]:7.1f} {numbers[at + 1]:7.1f}"
              f"  {turns[at]:7.1f} {turns[at + 1]:7.1f}"
              f"           {pooled[0]:7.1f}{pooled[1]:7.1f}           {pooled[2]:7.1f}{pooled[3]:7.1f}")
    print(f"{sunspots.year(first + WINDOW)}: forecast {out['y'][0][0] * sunspots.SCALE:.1f}"
          + (f", observed {sunspots.NUMBERS[first + WINDOW]}" if first + WINDOW < len(sunspots.NUMBERS) else ""))


if __name__ == "__main__":
    main()
