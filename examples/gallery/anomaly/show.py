#!/usr/bin/python3
"""Finds the injected faults among the readings of 1980 to 1997 and draws them."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import gallery
import signal_data as data

THRESHOLD = 4.0  # of the standard deviation that the forecasts' errors have where nothing is wrong


def errors(readings):
    """How far each reading from the second on is from what was forecast, ppm; the first forecasts are guesses."""
    x = data.changes(readings)
    y = [row[0][0] for row in gallery.run("anomaly", x=[[[change]] for change in x])["y"]]
    return [0.0, 0.0] + [change - forecast for change, forecast in zip(x[1:], y)]


def main():
    picture = gallery.parser(__doc__, "anomaly.svg").parse_args().o
    clean = errors(data.PPM[:data.TRAINED_MONTHS])[12:]
    deviation = (sum(e * e for e in clean) / len(clean)) ** 0.5
    readings, wrong = data.faulty()
    score = [abs(e) / deviation for e in errors(readings)]
    score[:6] = [0.0] * 6  # the state has not seen enough yet
    alarms = [s > THRESHOLD for s in score]

    # A fault is found if an alarm falls on one of its months or the month after, where the reading jumps back.
    spans = [range(first, first + count + 1) for first, count, _, _ in data.FAULTS]
    found = sum(any(alarms[month] for month in span) for span in spans)
    at_fault = {month for span in spans for month in span}
    true = sum(alarm and month in at_fault for month, alarm in enumerate(alarms))
    print(f"forecast error where nothing is wrong: {deviation:.2f} ppm; alarm above {THRESHOLD:g} times that")
    print(f"faults found: {found} of {len(spans)} (recall {found / len(spans):.0%})")
    print(f"alarms at a fault: {true} of {sum(alarms)} (precision {true / max(sum(alarms), 1):.0%})")

    years = [1980 + month / 12 for month in range(len(readings))]
    plot = gallery.Plot((1980, 1998), (330, 370), "CO2 at Mauna Loa with injected faults (shaded), alarms (dots)", "year",
                        "ppm")
    for first, count, _, _ in data.FAULTS:
        left, right = plot.at_x(years[first] - 0.1), plot.at_x(years[first] + count / 12 + 0.05)
        plot.rectangle(left, plot.top, right - left, plot.bottom - plot.top, gallery.COLOURS[3], 0.25)
    plot.curve(years, readings, "readings", 1.2)
    for year, reading, alarm in zip(years, readings, alarms):
        if alarm:
            plot.circle(plot.at_x(year), plot.at_y(reading), 3, gallery.COLOURS[1])
    plot.write(picture)


if __name__ == "__main__":
    main()
