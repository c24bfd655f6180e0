#!/usr/bin/env python3
"""Times LSTM, GRU and RNN layers against oneDNN's primitives and ONNX Runtime, over a grid of sizes.

    bench/grid.py --build build --onnxruntime PATH/libonnxruntime.so.1

One `refrain bench` a row, pinned with taskset: all rivals run in one process, in turns. Writes
bench/results/grid.json (every row as `refrain bench --json` gave it, after each row), the tables in
bench/RESULTS.md between the markers, and the chart docs/benchmark.svg. With --report nothing is timed:
tables and chart are written again from the JSON. Needs nothing but Python's standard library.
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

from reporting import ROOT, environment, geometric_mean, ratio_text, time_text, write_section

CELLS = ("LSTM", "GRU", "RNN")
RIVALS = ("onednn", "onnxruntime")
NOISE = 0.97  # a ratio to the fastest rival below this counts as slower


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    integers = lambda text: [int(part) for part in text.split(",")]
    parser.add_argument("--build", default="build", help="build folder (default: build)")
    parser.add_argument("--onnxruntime", default=os.environ.get("REFRAIN_ONNXRUNTIME", ""),
                        help="libonnxruntime; without it only oneDNN is a rival")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each program of a row (default: 0.5)")
    parser.add_argument("--hidden", type=integers, default=[16, 32, 64, 128, 256, 512, 1024])
    parser.add_argument("--batch", type=integers, default=[1, 4, 16, 64])
    parser.add_argument("--time", type=integers, default=[100, 1])
    parser.add_argument("--threads", type=integers, default=[1, 2])
    parser.add_argument("--first-cpu", type=int, default=0, help="pin to this CPU and the following (default: 0)")
    parser.add_argument("--quick", action="store_true",
                        help="a few small sizes, little time: does it work? Report only on the terminal, "
                             "unless --output is given")
    parser.add_argument("--output", help="folder for grid.json, tables.md and benchmark.svg, in the place of "
                                         "the repository's own files")
    parser.add_argument("--report", action="store_true", help="time nothing; write the report again")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.hidden, arguments.batch, arguments.seconds = [16, 64], [1, 4], 0.05
        arguments.time, arguments.threads = [20, 1], [1]
    return arguments


# ---- timing

def streams(steps):
    """One step is timed as one of a stream: its states are inputs, and not known to be zeros."""
    return steps == 1


def time_row(arguments, model, cell, hidden, batch, steps, threads):
    against = [rival for rival in RIVALS if rival != "onnxruntime" or arguments.onnxruntime]
    last_cpu = arguments.first_cpu + threads - 1
    command = ["taskset", "-c", f"{arguments.first_cpu}-{last_cpu}",
               str(pathlib.Path(arguments.build) / "frontend" / "refrain"), "bench", str(model), "--json",
               "--shape", f"X={steps}x{batch}x{hidden}", "--threads", str(threads),
               "--seconds", str(arguments.seconds), "--against", ",".join(against)]
    if streams(steps):
        command += ["--shape", f"h0=1x{batch}x{hidden}"]
        command += ["--shape", f"c0=1x{batch}x{hidden}"] if cell == "LSTM" else []
    if arguments.onnxruntime:
        command += ["--onnxruntime", arguments.onnxruntime]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"grid.py: {' '.join(command)}\n{run.stderr}")
    row = json.loads(run.stdout)
    del row["model"], row["shapes"]
    return {"cell": cell, "hidden": hidden, "batch": batch, "time": steps} | row


def measure(arguments, path):
    result = {"environment": environment(), "rows": []}
    points = [(threads, steps, cell, hidden, batch)
              for threads in arguments.threads for steps in arguments.time for cell in CELLS
              for hidden in arguments.hidden for batch in arguments.batch]
    with tempfile.TemporaryDirectory() as folder:
        for cell in CELLS:
            for hidden in arguments.hidden:
                subprocess.run([str(pathlib.Path(arguments.build) / "bench" / "make_models"), folder, cell,
                                str(hidden)], check=True)
        for number, (threads, steps, cell, hidden, batch) in enumerate(points, 1):
            model = pathlib.Path(folder) / f"{cell}_{hidden}{'_stream' if streams(steps) else ''}.onnx"
            row = time_row(arguments, model, cell, hidden, batch, steps, threads)
            result["rows"].append(row)
            path.write_text(json.dumps(result, indent=1) + "\n")
            print(f"[{number}/{len(points)}] {threads} threads, T {steps}, {cell}, H {hidden}, B {batch}: "
                  f"{row['min_us']:.2f} us, {ratio_text(lead(row))} of the fastest rival", file=sys.stderr)
    return result


# ---- figures

def fastest_rival(row, kind="us"):
    times = [row[f"{rival}_{kind}"] for rival in RIVALS if row.get(f"{rival}_{kind}")]
    return min(times) if times else None


def lead(row):
    """How many times faster than the fastest rival."""
    rival = fastest_rival(row)
    return rival / row["min_us"] if rival else None


def median_lead(row):
    rival = fastest_rival(row, "median_us")
    return rival / row["median_us"] if rival else None


def over_roofline(row):
    return row["min_us"] / row["roofline_us"] if row.get("roofline_us") else None


def groups(rows):
    """Rows by (threads, time), in the order in which they were timed."""
    found = {}
    for row in rows:
        found.setdefault((row["threads"], row["time"]), []).append(row)
    return found


# ---- tables

def summary_lines(rows):
    lines = ["| rows | geometric mean, x faster | by medians | least | slower rows | geometric mean, x roofline "
             "(H >= 64) |", "|---|--:|--:|--:|--:|--:|"]
    for label, chosen in [(cell, [row for row in rows if row["cell"] == cell]) for cell in CELLS] + [("all", rows)]:
        leads = [lead(row) for row in chosen if lead(row)]
        if not leads:
            continue
        roof = geometric_mean(over_roofline(row) for row in chosen if row["hidden"] >= 64)
        slower = sum(value < NOISE for value in leads)
        lines.append(f"| {label} | {ratio_text(geometric_mean(leads))} | "
                     f"{ratio_text(geometric_mean(map(median_lead, chosen)))} | {ratio_text(min(leads))} | "
                     f"{slower} of {len(leads)} | {ratio_text(roof)} |")
    return lines


def table_lines(rows):
    lines = ["| cell | H | B | refrain | oneDNN | ONNX Runtime | roofline | x faster than the fastest rival | "
             "x roofline |", "|---|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for row in rows:
        lines.append("| " + " | ".join([
            row["cell"], str(row["hidden"]), str(row["batch"]), time_text(row["min_us"]),
            time_text(row.get("onednn_us")), time_text(row.get("onnxruntime_us")), time_text(row.get("roofline_us")),
            ratio_text(lead(row)), ratio_text(over_roofline(row))]) + " |")
    return lines


def versions(rows):
    found = {rival: {row[f"{rival}_version"] for row in rows if row.get(f"{rival}_version")} for rival in RIVALS}
    names = {"onednn": "oneDNN", "onnxruntime": "ONNX Runtime"}
    return ", ".join(f"{names[rival]} {'/'.join(sorted(found[rival]))}" for rival in RIVALS if found[rival])


def report(result):
    env, rows = result["environment"], result["rows"]
    backends = "/".join(sorted({row["backend"] for row in rows}))
    peaks = sorted(row["machine"]["peak_gflops"] for row in rows)
    lines = ["## LSTM, GRU and RNN against oneDNN and ONNX Runtime", "",
             f"One layer, float32, I = H, microseconds for the whole sequence, the fastest run of many; GRU with "
             f"linear_before_reset; one step is one of a stream, its states inputs and outputs. refrain is `--backend auto` ({backends}). Rivals: {versions(rows)}; "
             f"all in one process, in turns. {env['cpu']}, {env['cpus']} CPUs, {env['caches']}; a core's measured "
             f"peak was {peaks[len(peaks) // 2]:.0f} GFLOP/s (median of the rows, {peaks[0]:.0f} to {peaks[-1]:.0f}). "
             f"{env['system']}, {env['compiler']}. Revision {env['revision']}, {env['date']}.", "",
             f"    {env['command']}", ""]
    for (threads, steps), chosen in groups(rows).items():
        what = "one step" if steps == 1 else f"T = {steps}"
        lines += [f"### {what}, {threads} thread{'s' if threads > 1 else ''}", ""]
        lines += summary_lines(chosen) + [""] + table_lines(chosen) + [""]
    return "\n".join(lines)


# ---- chart

# One colour a batch size: an ordered scale, told apart also by the markers.
COLOURS = ("#7fb3d9", "#3c8dc4", "#1f5f9e", "#0b2f5b")
INK, GRID, GOOD = "#333333", "#dddddd", "#b3402a"


def marker(shape, x, y, colour):
    size = 4
    if shape % 4 == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="{colour}"/>'
    points = {1: [(-1, -1), (1, -1), (1, 1), (-1, 1)], 2: [(0, -1.3), (1.2, 1), (-1.2, 1)],
              3: [(0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)]}[shape % 4]
    coordinates = " ".join(f"{x + size * a:.1f},{y + size * b:.1f}" for a, b in points)
    return f'<polygon points="{coordinates}" fill="{colour}"/>'


class Panel:
    """One cell and one figure: hidden sizes across, ratios up, logarithmic."""

    def __init__(self, left, top, width, height, hidden, low, high):
        self.left, self.top, self.width, self.height = left, top, width, height
        self.hidden, self.low, self.high = hidden, low, high
        self.parts = []

    def x(self, hidden):
        return self.left + self.width * (self.hidden.index(hidden) + 0.5) / len(self.hidden)

    def y(self, value):
        span = math.log(self.high) - math.log(self.low)
        return self.top + self.height * (1 - (math.log(value) - math.log(self.low)) / span)

    def axes(self, title, ticks, with_labels):
        bottom = self.top + self.height
        self.parts.append(f'<text x="{self.left}" y="{self.top - 8}" font-weight="600">{title}</text>')
        for tick in ticks:
            y = self.y(tick)
            one = tick == 1
            self.parts.append(f'<line x1="{self.left}" x2="{self.left + self.width}" y1="{y:.1f}" y2="{y:.1f}" '
                              f'stroke="{GOOD if one else GRID}" stroke-width="{1.5 if one else 1}"/>')
            if with_labels:
                self.parts.append(f'<text x="{self.left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}x</text>')
        for hidden in self.hidden:
            self.parts.append(f'<text x="{self.x(hidden):.1f}" y="{bottom + 15}" text-anchor="middle">{hidden}</text>')

    def series(self, shape, colour, points):
        if len(points) > 1:
            path = " ".join(f"{self.x(hidden):.1f},{self.y(value):.1f}" for hidden, value in points)
            self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        self.parts += [marker(shape, self.x(hidden), self.y(value), colour) for hidden, value in points]


def ticks_for(values):
    """Range of all values and 1, with a little room, and the powers of two in it."""
    low, high = min(values + [1]) * 0.85, max(values + [1]) * 1.15
    powers = range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)
    step = max(1, len(powers) // 6)
    return low, high, [2.0 ** power for power in powers if power % step == 0]


def chart(result):
    (threads, steps), rows = next(iter(groups(result["rows"]).items()))
    hidden, batches = sorted({row["hidden"] for row in rows}), sorted({row["batch"] for row in rows})
    width, height, gap, left, top = 250, 190, 24, 62, 92
    figures = [("times faster than the fastest of oneDNN and ONNX Runtime (1x: as fast; higher is better)", lead),
               ("times the roofline, the least time that the hardware allows (1x: at it; lower is better)",
                over_roofline)]
    total_width = left + 3 * width + 2 * gap + 20
    total_height = top + 2 * (height + 82) - 16
    what = "one step" if steps == 1 else f"{steps} steps"
    env = result["environment"]
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{total_width}" height="{total_height}" '
             f'viewBox="0 0 {total_width} {total_height}" font-family="sans-serif" font-size="12" fill="{INK}">',
             f'<rect width="{total_width}" height="{total_height}" fill="#ffffff"/>',
             f'<text x="{left}" y="24" font-size="16" font-weight="600">Refrain on {env["cpu"]}: float32, {what}, '
             f'{threads} thread{"s" if threads > 1 else ""}</text>']
    x = left
    parts.append(f'<text x="{x}" y="48">batch size</text>')
    for i, batch in enumerate(batches):
        x += 74 if i == 0 else 52
        colour = COLOURS[i * (len(COLOURS) - 1) // max(1, len(batches) - 1)]
        parts += [marker(i, x, 44, colour), f'<text x="{x + 9}" y="48">{batch}</text>']
    for line, (label, figure) in enumerate(figures):
        y = top + line * (height + 82)
        values = [figure(row) for row in rows if figure(row)]
        if not values:
            continue
        low, high, ticks = ticks_for(values)
        parts.append(f'<text x="{left}" y="{y - 18}" fill="#555555">{label}</text>')
        for column, cell in enumerate(CELLS):
            panel = Panel(left + column * (width + gap), y + 12, width, height, hidden, low, high)
            panel.axes(cell, ticks, column == 0)
            for i, batch in enumerate(batches):
                points = [(row["hidden"], figure(row)) for row in rows
                          if row["cell"] == cell and row["batch"] == batch and figure(row)]
                panel.series(i, COLOURS[i * (len(COLOURS) - 1) // max(1, len(batches) - 1)], points)
            parts += panel.parts
        parts.append(f'<text x="{left + width * 1.5 + gap}" y="{y + height + 44}" text-anchor="middle">'
                     'hidden size (input size the same)</text>')
    return "\n".join(parts + ["</svg>", ""])


def main():
    arguments = parse_arguments()
    folder = pathlib.Path(arguments.output) if arguments.output else None
    if arguments.quick and not folder:
        with tempfile.TemporaryDirectory() as temporary:
            print(report(measure(arguments, pathlib.Path(temporary) / "grid.json")))
        return
    data = folder / "grid.json" if folder else ROOT / "bench" / "results" / "grid.json"
    data.parent.mkdir(parents=True, exist_ok=True)
    result = json.loads(data.read_text()) if arguments.report else measure(arguments, data)
    if folder:
        (folder / "tables.md").write_text(report(result))
        picture = folder / "benchmark.svg"
    else:
        write_section("grid", report(result))
        picture = ROOT / "docs" / "benchmark.svg"
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(chart(result))


if __name__ == "__main__":
    main()
