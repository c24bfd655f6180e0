#!/usr/bin/python3
"""Forecasts each year from the years before it, judges the forecasts since 1950, and draws them."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import gallery
import sunspots

FIRST = 1950


def rmse(forecasts, actual):
    return (sum((f - a) ** 2 for f, a in zip(forecasts, actual)) / len(actual)) ** 0.5


def main():
    picture = gallery.parser(__doc__, "sunspots.svg").parse_args().o
    numbers, first = sunspots.NUMBERS, sunspots.index(FIRST)
    x = [[[n / sunspots.SCALE]] for n in numbers]
    actual = numbers[first:]
    forecasts = {"LSTM": [y[0][0] * sunspots.SCALE for y in gallery.run("sunspots", x=x)["y"]][first - 1:-1],
                 "feed-forward": [y[0][0] * sunspots.SCALE for y in gallery.run("windows", x=x)["y"]][first - 1:-1]}
    windows = [[[[numbers[end - 32 + t] / sunspots.SCALE]] for end in range(first, len(numbers))] for t in range(32)]
    windows = [[cell[0] for cell in row] for row in windows]
    forecasts["pooled RNN"] = [y[0] * sunspots.SCALE for y in gallery.run("conv_pool", x=windows)["y"]]
    forecasts["naive: as this year"] = numbers[first - 1:-1]
    print("error of the forecasts for 1950 to 2008 (root of the mean square)")
    for name, forecast in forecasts.items():
        print(f"  {name:20} {rmse(forecast, actual):5.1f}")
    years = [sunspots.year(i) for i in range(first, len(numbers))]
    plot = gallery.Plot((FIRST, 2008), (0, 200), "The sunspot number, forecast one year ahead", "year", "sunspot number")
    plot.curve(years, actual, "observed", 2)
    plot.curve(years, forecasts["LSTM"], "LSTM")
    plot.curve(years, forecasts["naive: as this year"], "naive", 1, "3 3")
    plot.write(picture)


if __name__ == "__main__":
    main()
