#!/usr/bin/env python3
"""Times layers on two threads against one thread, and against two processes of one thread each at once.

    bench/threads.py --build build

Needs two CPUs with nothing else to do. Each row takes --rounds turns of three: `refrain bench --threads 1` pinned to
the first CPU, `--threads 2` pinned to both, and two at once with `--threads 1`, each pinned to its own; a row's time
is the fastest of its rounds. What two processes reach together is what the two CPUs can give: they share nothing but
memory and its bandwidth. Writes bench/results/threads.json (every time, after each row) and the tables in
bench/RESULTS.md between the markers. With --report nothing is timed: the tables are written again from the JSON.
Needs nothing but Python's standard library.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

from reporting import ROOT, environment, geometric_mean, ratio_text, time_text, write_section

CELLS = ("LSTM", "GRU", "RNN")
LAYERS = {"single": [], "bidirectional": ["0"], "stacked": ["3"]}
KINDS = ("min_us", "median_us")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    integers = lambda text: [int(part) for part in text.split(",")]
    names = lambda text: text.split(",")
    parser.add_argument("--build", default="build", help="build folder (default: build)")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each program of a row (default: 0.3)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cells", type=names, default=list(CELLS))
    parser.add_argument("--forms", type=names, default=list(LAYERS), help="single, bidirectional, stacked (3 layers)")
    parser.add_argument("--hidden", type=integers, default=[16, 32, 64, 128, 256, 512, 1024])
    parser.add_argument("--batch", type=integers, default=[1, 4, 16, 64])
    parser.add_argument("--time", type=int, default=100)
    parser.add_argument("--first-cpu", type=int, default=0, help="this CPU and the next (default: 0)")
    parser.add_argument("--output", help="folder for threads.json and threads.md, in the place of the repository's files")
    parser.add_argument("--report", action="store_true", help="time nothing; write the report again")
    return parser.parse_args()


# ---- timing

class Bench:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, pathlib.Path(folder)

    def model(self, cell, form, hidden):
        path = self.folder / (f"{cell}_{hidden}.onnx" if form == "single" else f"{cell}_{hidden}_{form}.onnx")
        if not path.exists():
            for old in self.folder.iterdir():
                old.unlink()
            subprocess.run([str(pathlib.Path(self.arguments.build) / "bench" / "make_models"), str(self.folder), cell,
                            str(hidden)] + LAYERS[form], check=True)
        return path

    def start(self, model, shape, threads, cpus):
        command = ["taskset", "-c", cpus, str(pathlib.Path(self.arguments.build) / "frontend" / "refrain"), "bench",
                   str(model), "--json", "--shape", f"X={shape}", "--threads", str(threads),
                   "--seconds", str(self.arguments.seconds)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def times(process):
        out, errors = process.communicate()
        if process.returncode != 0:
            sys.exit(f"threads.py: {' '.join(process.args)}\n{errors}")
        found = json.loads(out)
        return {kind: found[kind] for kind in KINDS}

    def round(self, model, shape):
        first, second = str(self.arguments.first_cpu), str(self.arguments.first_cpu + 1)
        one = self.times(self.start(model, shape, 1, first))
        two = self.times(self.start(model, shape, 2, f"{first},{second}"))
        pair = [self.times(process) for process in [self.start(model, shape, 1, cpu) for cpu in (first, second)]]
        # Together they have done as much as twice the slower one.
        return {"one": one, "two": two, "processes": {kind: max(times[kind] for times in pair) for kind in KINDS}}


def measure(arguments, path):
    result = {"environment": environment(), "time": arguments.time, "rows": []}
    points = [(form, cell, hidden, batch) for form in arguments.forms for cell in arguments.cells
              for hidden in arguments.hidden for batch in arguments.batch]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, folder)
        for number, (form, cell, hidden, batch) in enumerate(points, 1):
            model = bench.model(cell, form, hidden)
            shape = f"{arguments.time}x{batch}x{hidden}"
            rounds = [bench.round(model, shape) for _ in range(arguments.rounds)]
            row = {"form": form, "cell": cell, "hidden": hidden, "batch": batch}
            for program in rounds[0]:
                row[program] = {kind: min(turn[program][kind] for turn in rounds) for kind in KINDS}
            result["rows"].append(row)
            path.write_text(json.dumps(result, indent=1) + "\n")
            print(f"[{number}/{len(points)}] {form} {cell}, H {hidden}, B {batch}: {row['two']['min_us']:.1f} us, "
                  f"{ratio_text(gain(row))} one thread, {ratio_text(share(row))} two processes", file=sys.stderr)
    return result


# ---- figures

def gain(row, kind="min_us"):
    """How many times faster than one thread."""
    return row["one"][kind] / row["two"][kind]


def share(row, kind="min_us"):
    """Runs a second, of what two processes of one thread each reach together."""
    return row["processes"][kind] / (2 * row["two"][kind])


def summary_lines(rows):
    figures = [
        ("one sequence, H >= 256, B 1: x one thread", 1.5, gain,
         lambda row: row["form"] == "single" and row["hidden"] >= 256 and row["batch"] == 1),
        ("a bidirectional layer, B 1: x one thread", 1.7, gain,
         lambda row: row["form"] == "bidirectional" and row["batch"] == 1),
        ("three layers on each other, B 1: x one thread", None, gain,
         lambda row: row["form"] == "stacked" and row["batch"] == 1),
        ("one layer, B >= 4: of two processes", 0.9, share,
         lambda row: row["form"] == "single" and row["batch"] >= 4)]
    lines = ["| figure | goal | geometric mean | by medians | least | rows below |", "|---|--:|--:|--:|--:|--:|"]
    for label, goal, figure, chosen in figures:
        values = [figure(row) for row in rows if chosen(row)]
        if not values:
            continue
        medians = geometric_mean(figure(row, "median_us") for row in rows if chosen(row))
        below = f"{sum(value < goal for value in values)} of {len(values)}" if goal else "-"
        lines.append(f"| {label} | {ratio_text(goal)} | {ratio_text(geometric_mean(values))} | {ratio_text(medians)} | "
                     f"{ratio_text(min(values))} | {below} |")
    return lines


def table_lines(rows):
    lines = ["| layers | cell | H | B | one thread | two threads | two processes | x one thread | of two processes |",
             "|---|---|--:|--:|--:|--:|--:|--:|--:|"]
    for row in rows:
        times = [time_text(row[program]["min_us"]) for program in ("one", "two", "processes")]
        lines.append("| " + " | ".join([row["form"], row["cell"], str(row["hidden"]), str(row["batch"]), *times,
                                        ratio_text(gain(row)), ratio_text(share(row))]) + " |")
    return lines


def report(result):
    env = result["environment"]
    lines = ["## Two threads", "",
             f"LSTM, GRU (linear_before_reset) and RNN over T = {result['time']} steps, float32, I = H, `--backend auto`: "
             "one layer, one of both directions, three layers on each other. Microseconds, the fastest run of many; for "
             "two processes that of the slower one. `refrain inspect --stage executable --threads 2` tells how a model "
             f"is split. {env['cpu']}, {env['cpus']} CPUs, {env['caches']}. {env['system']}, {env['compiler']}. "
             f"Revision {env['revision']}, {env['date']}.", "", f"    {env['command']}", ""]
    return "\n".join(lines + summary_lines(result["rows"]) + [""] + table_lines(result["rows"]) + [""])


def main():
    arguments = parse_arguments()
    folder = pathlib.Path(arguments.output) if arguments.output else None
    data = folder / "threads.json" if folder else ROOT / "bench" / "results" / "threads.json"
    data.parent.mkdir(parents=True, exist_ok=True)
    result = json.loads(data.read_text()) if arguments.report else measure(arguments, data)
    if folder:
        (folder / "threads.md").write_text(report(result))
    else:
        write_section("threads", report(result))


if __name__ == "__main__":
    main()
