#!/usr/bin/python3
"""Finds the injected faults among the readings of 1980 to 1997 and draws them."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import gallery
import signal_data as data

THRESHOLD = 4.0  # of the standard deviation that the forecasts' errors have in the years trained


def errors(readings):
    """How far each reading from the third on is from what was forecast, ppm; the first forecasts are guesses."""
    x = data.changes(readings)
    y = [row[0][0] for row in gallery.run("anomaly", x=[[[change]] for change in x])["y"]]
    return [0.0, 0.0] + [change - forecast for change, forecast in zip(x[1:], y)]


def rms(found):
    return (sum(e * e for e in found) / len(found)) ** 0.5


def months(flags):
    return ", ".join(f"{1980 + month // 12}-{month % 12 + 1:02}" for month, flag in enumerate(flags) if flag) or "none"


def main():
    picture = gallery.parser(__doc__, "anomaly.svg").parse_args().o
    before, clean = data.PPM[:data.TRAINED_MONTHS], errors(data.PPM)
    trained, clean = clean[12:len(before)], clean[len(before):]
    deviation = rms(trained)
    readings, wrong = data.faulty()
    # The state has read the years before, as that of a monitor in use has.
    alarms = [abs(e) > THRESHOLD * deviation for e in errors(before + readings)[len(before):]]

    # A fault is found if an alarm falls on one of its months or the month after, where the reading jumps back.
    spans = [range(first, first + count + 1) for first, count, _, _ in data.FAULTS]
    found = sum(any(alarms[month] for month in span) for span in spans)
    at_fault = {month for span in spans for month in span}
    true = sum(alarm and month in at_fault for month, alarm in enumerate(alarms))
    print(f"forecast error 1960 to 1979: {deviation:.2f} ppm; alarm above {THRESHOLD:g} times that")
    print(f"forecast error 1980 to 1997 without faults: {rms(clean):.2f} ppm; alarms: "
          + months(abs(e) > THRESHOLD * deviation for e in clean))
    print(f"faults found: {found} of {len(spans)} (recall {found / len(spans):.0%})")
    print(f"alarms in months at a fault: {true} of {sum(alarms)} (precision {true / max(sum(alarms), 1):.0%})")
    print("other alarms: " + months(alarm and month not in at_fault for month, alarm in enumerate(alarms)))
    print(f"wrong readings with an alarm: {sum(a and w for a, w in zip(alarms, wrong))} of {sum(wrong)}")

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
