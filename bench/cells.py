#!/usr/bin/env python3
"""Times cells written by hand, each as an unrolled graph, an ONNX Loop and a Scan, against ONNX Runtime.

    bench/cells.py --cache FOLDER --build build --onnxruntime PATH/libonnxruntime.so.1

First bench/cell_models.py exports the models into the cache folder, unless they are there (it needs python3-torch
and python3-onnx; delete the folder after changes of the cells). Each form is verified against PyTorch and timed by
`refrain bench`, pinned, the forms of a cell in turns, --rounds times; the fastest counts. Then the operators of equal
work, a selective scan over 1000 steps, and how long compiling traces of many nodes takes. Writes
bench/results/cells.json (after each row) and the tables in bench/RESULTS.md between the markers. With --report
nothing is timed: the tables are written again from the JSON.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from reporting import ROOT, environment, geometric_mean, ratio_text, time_text, write_section

FORMS = ("unrolled", "loop", "scan")
SIZES = ("64x128x1x100", "20x32x3x20", "256x256x1x20", "256x256x1x100")
GOALS = {"64x128x1x100": 5, "20x32x3x20": 5, "256x256x1x20": 3, "256x256x1x100": 3}
LABELS = {
    "lstm8": "LSTM of 8 products", "lstm2": "LSTM of 2 products", "torch_lstm": "nn.LSTMCell",
    "gru_before": "GRU, reset before", "gru_after": "GRU, reset after", "mgu": "minimal gated unit",
    "peephole": "peephole LSTM", "lnlstm": "LayerNorm LSTM", "lstm_projected": "projected LSTM", "scrn": "SCRN",
    "clockwork": "clockwork", "sru": "SRU (I = H)", "indrnn": "IndRNN",
    "selective": "selective state space (I = H, state 16)", "stacked": "GRU and LSTM stacked",
    "masked_gru": "masked GRU", "attention": "attention decoder", "greedy": "attention decoder, greedy (I tokens)",
    "scan_alone": "selective scan alone", "mamba": "Mamba block"}
# The operator that does a cell's work.
OPERATORS = {"lstm8": "lstm", "lstm2": "lstm", "torch_lstm": "lstm", "gru_before": "gru", "gru_after": "gru_reset_after"}
LONG = (("scan_alone", "256x256x1x1000"), ("selective", "256x256x1x1000"), ("mamba", "128x256x1x1000"))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: text.split(",") if text else []
    parser.add_argument("--cache", type=pathlib.Path, help="folder of the exported models")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--onnxruntime", default=os.environ.get("REFRAIN_ONNXRUNTIME", ""),
                        help="libonnxruntime; without it there is no rival")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each program of a run (default: 0.3)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cells", type=names, default=[cell for cell in LABELS if cell not in ("scan_alone", "mamba")])
    parser.add_argument("--sizes", type=names, default=list(SIZES), help="IxHxNxT,...: input and hidden size, batch, "
                                                                         "steps")
    parser.add_argument("--parts", type=names, default=["cells", "long", "traces"])
    parser.add_argument("--nodes", type=lambda text: [int(part) for part in text.split(",")],
                        default=[10_000, 100_000, 1_000_000], help="of traces")
    parser.add_argument("--cpu", type=int, default=0, help="pin to this CPU (default: 0)")
    parser.add_argument("--python", default="/usr/bin/python3", help="one that has PyTorch, for the export")
    parser.add_argument("--output", type=pathlib.Path, help="folder for cells.json and tables.md, in the place of the "
                                                            "repository's own files")
    parser.add_argument("--report", action="store_true", help="time nothing; write the report again")
    arguments = parser.parse_args()
    if not arguments.report and not arguments.cache and arguments.parts != ["traces"]:
        parser.error("--cache FOLDER is missing")
    return arguments


# ---- timing

class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.pinned = ["taskset", "-c", str(arguments.cpu)]
        self.refrain = str(arguments.build / "frontend" / "refrain")

    def export(self):
        parts, arguments = self.arguments.parts, self.arguments
        sizes = arguments.sizes if "cells" in parts else []
        command = [arguments.python, str(ROOT / "bench" / "cell_models.py"), str(arguments.cache),
                   "--cells", ",".join(arguments.cells)]
        command += ["--sizes", ",".join(sizes)] if sizes else []
        command += ["--long"] if "long" in parts else []
        subprocess.run(self.pinned + command, check=True)

    def verify(self, folder):
        """(correct, largest deviation from PyTorch)"""
        run = subprocess.run([self.refrain, "verify", "--rtol", "1e-5", "--atol", "1e-5", str(folder)],
                             capture_output=True, text=True)
        found = re.search(r"max_abs=(\S+)", run.stdout)
        return run.returncode == 0, float(found.group(1)) if found else None

    def time(self, folder):
        """What `refrain bench --json` says, the fastest of what it said before kept in `known`."""
        command = self.pinned + [self.refrain, "bench", str(folder / "model.onnx"), "--json", "--seconds",
                                 str(self.arguments.seconds)]
        if self.arguments.onnxruntime:
            command += ["--against", "onnxruntime", "--onnxruntime", self.arguments.onnxruntime]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode != 0:
            sys.exit(f"cells.py: {' '.join(command)}\n{run.stderr}")
        return json.loads(run.stdout)

    def row(self, cell, size, forms, operator=None):
        result = {"cell": cell, "size": size, "forms": {}}
        folders = {form: self.arguments.cache / f"{cell}_{size}_{form}" for form in forms}
        if operator:
            folders["operator"] = self.arguments.cache / f"{operator}_{size}_operator"
        for _ in range(self.arguments.rounds):
            for form, folder in folders.items():
                keep_fastest(result["forms"].setdefault(form, {}), self.time(folder))
        for form in forms:
            correct, deviation = self.verify(folders[form])
            result["forms"][form] |= {"correct": correct, "deviation": deviation}
        return result

    def trace(self, nodes, folder):
        """Compiling a trace: the process's time and peak memory."""
        subprocess.run([str(self.arguments.build / "bench" / "make_models"), folder, "TRACE", str(nodes)], check=True)
        path = pathlib.Path(folder) / f"TRACE_{nodes}.onnx"
        start = time.monotonic()
        process = subprocess.Popen(self.pinned + [self.refrain, "compile", str(path)], stdout=subprocess.PIPE, text=True)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        if status != 0:
            sys.exit(f"cells.py: can't compile a trace of {nodes} nodes")
        left = re.search(r"^nodes +(\d+)", output, re.MULTILINE)
        row = {"nodes": nodes, "seconds": seconds, "peak_mb": usage.ru_maxrss / 1024,
               "file_mb": path.stat().st_size / 2**20, "nodes_after": int(left.group(1)) if left else None}
        path.unlink()
        return row


def keep_fastest(known, now):
    for key, value in now.items():
        if key.endswith("_us") and value is not None and known.get(key) is not None:
            value = min(value, known[key])
        if key not in ("model", "shapes", "machine", "runs", "step"):
            known[key] = value
    return known


def measure(arguments, path):
    bench = Bench(arguments)
    result = {"environment": environment(), "rows": [], "long": [], "traces": []}

    def add(part, row, text):
        result[part].append(row)
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(text, file=sys.stderr)

    if arguments.parts != ["traces"]:
        bench.export()
    if "traces" in arguments.parts:
        with tempfile.TemporaryDirectory() as folder:
            for nodes in arguments.nodes:
                row = bench.trace(nodes, folder)
                add("traces", row, f"{nodes} nodes: {row['seconds']:.2f} s, {row['peak_mb']:.0f} MB")
    if "long" in arguments.parts:
        for cell, size in LONG:
            row = bench.row(cell, size, [form for form in FORMS if (arguments.cache / f"{cell}_{size}_{form}").exists()])
            add("long", row, row_text(row))
    if "cells" in arguments.parts:
        for size in arguments.sizes:
            for cell in arguments.cells:
                row = bench.row(cell, size, FORMS, OPERATORS.get(cell))
                add("rows", row, row_text(row))
    return result


# ---- figures

def ours(row):
    return [row["forms"][form]["min_us"] for form in FORMS if form in row["forms"]]


def theirs(row):
    return [row["forms"][form]["onnxruntime_us"] for form in FORMS
            if row["forms"].get(form, {}).get("onnxruntime_us")]


def lead(row):
    """How many times our slowest form is faster than the rival's fastest."""
    return min(theirs(row)) / max(ours(row)) if theirs(row) else None


def best_lead(row):
    return min(theirs(row)) / min(ours(row)) if theirs(row) else None


def spread(row):
    return max(ours(row)) / min(ours(row))


def over_operator(row):
    operator = row["forms"].get("operator")
    return max(ours(row)) / operator["min_us"] if operator else None


def row_text(row):
    return (f"{row['size']} {row['cell']}: {' '.join(time_text(value) for value in ours(row))} us, "
            f"{ratio_text(lead(row))} of ONNX Runtime ({' '.join(time_text(value) for value in theirs(row))}), "
            f"spread {spread(row):.2f}")


# ---- tables

def size_text(size):
    inputs, hidden, batch, steps = size.split("x")
    return f"I {inputs}, H {hidden}, N {batch}, T {steps}"


def by_size(rows):
    found = {}
    for row in rows:
        found.setdefault(row["size"], []).append(row)
    return found


def summary_lines(rows):
    lines = ["| size | geometric mean, x faster: our slowest form | our fastest form | aim | least | cells below 1.5x | "
             "largest spread of our forms | cells above 1.1 |", "|---|--:|--:|--:|--:|--:|--:|--:|"]
    for size, chosen in by_size(rows).items():
        leads = [lead(row) for row in chosen if lead(row)]
        spreads = [spread(row) for row in chosen]
        least = min(leads) if leads else None
        lines.append(
            f"| {size_text(size)} | {ratio_text(geometric_mean(leads))} | "
            f"{ratio_text(geometric_mean(map(best_lead, chosen)))} | {GOALS.get(size, '-')} | {ratio_text(least)} | "
            f"{sum(value < 1.5 for value in leads)} of {len(leads)} | {max(spreads):.2f} | "
            f"{sum(value > 1.1 for value in spreads)} of {len(spreads)} |")
    return lines


def form_cells(row, key):
    return [time_text(row["forms"].get(form, {}).get(key)) for form in FORMS]


def table_lines(rows):
    lines = ["| cell | refrain: unrolled | Loop | Scan | spread | ONNX Runtime: unrolled | Loop | Scan | "
             "x faster than its fastest | largest deviation |", "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for row in rows:
        forms = [row["forms"][form] for form in FORMS if form in row["forms"]]
        wrong = any(not form["correct"] for form in forms)
        deviation = max((form["deviation"] or 0 for form in forms), default=0)
        lines.append("| " + " | ".join(
            [LABELS[row["cell"]]] + form_cells(row, "min_us") + [f"{spread(row):.2f}"] +
            form_cells(row, "onnxruntime_us") + [ratio_text(lead(row)), "wrong" if wrong else f"{deviation:.1e}"]) + " |")
    return lines


def operator_lines(rows):
    lines = ["| cell | size | unrolled | Loop | Scan | the operator | slowest form / operator |",
             "|---|---|--:|--:|--:|--:|--:|"]
    for row in rows:
        if over_operator(row):
            lines.append("| " + " | ".join(
                [LABELS[row["cell"]], size_text(row["size"])] + form_cells(row, "min_us") +
                [time_text(row["forms"]["operator"]["min_us"]), f"{over_operator(row):.2f}"]) + " |")
    return lines


def long_lines(rows):
    lines = ["| model | form | refrain | loaded in, ms | ONNX Runtime | loaded in, ms | x faster than its Loop |",
             "|---|---|--:|--:|--:|--:|--:|"]
    for row in rows:
        loop = row["forms"]["loop"].get("onnxruntime_us")
        for form in FORMS:
            if found := row["forms"].get(form):
                rival = found.get("onnxruntime_load_us")
                lines.append(f"| {LABELS[row['cell']]} | {form} | {time_text(found['min_us'])} | "
                             f"{time_text(found['load_us'] / 1000)} | {time_text(found.get('onnxruntime_us'))} | "
                             f"{time_text(rival / 1000 if rival else None)} | "
                             f"{ratio_text(loop / found['min_us'] if loop else None)} |")
    return lines


def trace_lines(rows):
    lines = ["| nodes | nodes after | seconds | peak memory, MB | file, MB |", "|--:|--:|--:|--:|--:|"]
    for row in rows:
        lines.append(f"| {row['nodes']:,} | {row['nodes_after'] or 0:,} | {row['seconds']:.2f} | {row['peak_mb']:,.0f} | "
                     f"{row['file_mb']:.1f} |")
    return lines


def report(result):
    env, rows = result["environment"], result["rows"]
    versions = {form["onnxruntime_version"] for row in rows + result["long"] for form in row["forms"].values()
                if form.get("onnxruntime_version")}
    lines = ["## Cells written by hand, in three forms", "",
             "PyTorch's exports of each cell: traced (unrolled), scripted (Loop), and its step as the body of a Scan "
             "(`bench/cell_models.py`); float32, one thread, microseconds for the whole sequence, the fastest run of "
             "many. refrain is `--backend auto`, "
             f"the rival ONNX Runtime {'/'.join(sorted(versions)) or '(not timed)'} with all optimizations; x faster "
             "is its fastest form's time by our slowest form's. Spread: our slowest form's time by our fastest's. "
             f"{env['cpu']}, {env['caches']}. {env['system']}, {env['compiler']}. Revision {env['revision']}, "
             f"{env['date']}.", "", f"    {env['command']}", ""]
    if rows:
        lines += summary_lines(rows) + [""]
        for size, chosen in by_size(rows).items():
            lines += [f"### {size_text(size)}", ""] + table_lines(chosen) + [""]
        if any(map(over_operator, rows)):
            lines += ["### Against our own operator of equal work", "", "Aim: at most 1.05.", ""]
            lines += operator_lines(rows) + [""]
    if result["long"]:
        lines += ["### A selective scan over 1000 steps", "",
                  "256 channels, state 16: the scan alone, the cell with its projections, and a Mamba block (causal "
                  "convolution, gate, projections). Aim: 20 times faster than ONNX Runtime's Loop, the unrolled graph loaded in seconds.", ""]
        lines += long_lines(result["long"]) + [""]
    if result["traces"]:
        lines += ["### Compiling traces", "",
                  "An LSTM of 8 products, unrolled (`build/bench/make_models`); the whole process of `refrain compile`. "
                  "Aim: 100,000 nodes in 5 seconds, 1,000,000 in a minute.", ""] + trace_lines(result["traces"]) + [""]
    return "\n".join(lines)


def main():
    arguments = parse_arguments()
    folder = arguments.output or ROOT / "bench" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "cells.json"
    result = json.loads(data.read_text()) if arguments.report else measure(arguments, data)
    if arguments.output:
        (folder / "tables.md").write_text(report(result))
    else:
        write_section("cells", report(result))


if __name__ == "__main__":
    main()
