#!/usr/bin/env python3
"""How cost and memory grow with the number of steps and with the batch.

    bench/scaling.py --build build

LSTM and GRU layers of 64 units, float32, one thread; steps from 1 to 100,000 at batch 1, batches from 1 to 1,024 at 100
steps: build/bench/time_variants times all of a series in one process, in turns. Writes bench/results/scaling.json and
its section of bench/RESULTS.md.
"""

import reporting
from reporting import time_text

CELLS, HIDDEN = ("LSTM", "GRU"), 64
FIXED_STEPS, FIXED_BATCH = 100, 1
# What the series are compared with: beyond it costs should grow in proportion.
BASE = {"steps": 100, "batch": 16}


def measure(programs, add, steps, batches):
    for cell in CELLS:
        model = programs.model(cell, HIDDEN)
        for series, shapes in (("steps", [(count, FIXED_BATCH) for count in steps]),
                               ("batch", [(FIXED_STEPS, batch) for batch in batches])):
            times = programs.in_turns([("auto", count, batch, HIDDEN, model) for count, batch in shapes])
            for (count, batch), found in zip(shapes, times):
                add({"cell": cell, "series": series, "steps": count, "batch": batch, "min_us": found["min_us"],
                     "arena_bytes": found["arena_bytes"]})


def row_ns(row):
    """Nanoseconds a step of one sequence."""
    return 1000 * row["min_us"] / row["steps"] / row["batch"]


def base_of(rows, row):
    return next(other for other in rows if other["cell"] == row["cell"] and other["series"] == row["series"] and
                other[row["series"]] == BASE[row["series"]])


def table(rows):
    lines = ["| cell | T | B | us | ns a step and sequence | of that at the base | arena, bytes | X and Y, bytes |",
             "|---|--:|--:|--:|--:|--:|--:|--:|"]
    for row in rows:
        outside = 2 * 4 * HIDDEN * row["steps"] * row["batch"]
        lines.append(f"| {row['cell']} | {row['steps']:,} | {row['batch']:,} | {time_text(row['min_us'])} | "
                     f"{time_text(row_ns(row))} | {row_ns(row) / row_ns(base_of(rows, row)):.2f} | "
                     f"{row['arena_bytes']:,} | {outside:,} |")
    return lines


def report(env, rows):
    lines = ["## Cost and memory by steps and batch", "",
             f"One layer of ONNX's operators, float32, I = H = {HIDDEN}, one thread, microseconds for the whole "
             "sequence, the fastest run of many; a series in one process, in turns. The base is "
             f"T = {BASE['steps']} of the first table and B = {BASE['batch']} of the second. The arena holds all that is "
             "computed between the input X and the output Y, which are the caller's. "
             f"{reporting.machine_text(env)}", "", f"    {env['command']}", ""]
    for series, title in (("steps", f"Steps, B = {FIXED_BATCH}"), ("batch", f"Batch, T = {FIXED_STEPS}")):
        lines += [f"### {title}", ""] + table([row for row in rows if row["series"] == series]) + [""]
    return "\n".join(lines)


def main():
    arguments = reporting.parser_of(__doc__, 0.3).parse_args()
    sizes = ([1, 10, 100, 1_000, 10_000, 100_000], [1, 2, 4, 16, 64, 256, 1_024])
    if arguments.quick:
        sizes, arguments.seconds = ([1, 100, 1_000], [1, 16]), 0.02
    reporting.run_script("scaling", arguments, lambda programs, add: measure(programs, add, *sizes), report)


if __name__ == "__main__":
    main()
