#!/usr/bin/env python3
"""What cells that the library has never seen cost, against the built-in LSTM, per floating-point operation.

    bench/unseen.py --build build

The cells of bench/scan_cells.h as ONNX Scans, T = 100, float32, one thread: build/bench/time_variants times the cells
of one size in one process, in turns. Writes bench/results/unseen.json and its section of bench/RESULTS.md.
"""

import reporting
from reporting import geometric_mean, time_text

STEPS = 100
AIM = 1.25
# Products of a step: by the input, and as many by the state, of [B, H] by [H, H] each.
PRODUCTS = {"LSTM": 4, "LSTM8": 4, "SWAPPED": 4, "PEEPHOLE": 4, "COUPLED": 3, "MGU": 2}
LABELS = {"LSTM8": "LSTM of 8 products", "SWAPPED": "LSTM, activations swapped", "PEEPHOLE": "peephole LSTM",
          "COUPLED": "coupled gates", "MGU": "minimal gated unit"}


def measure(programs, add, hidden_sizes, batches):
    for hidden in hidden_sizes:
        for batch in batches:
            times = programs.in_turns([("auto", STEPS, batch, hidden, programs.model(cell, hidden)) for cell in PRODUCTS])
            add({"hidden": hidden, "batch": batch} |
                {cell: found["min_us"] for cell, found in zip(PRODUCTS, times)})


def cost(row, cell):
    """Time per operation of its products, in terms of the built-in LSTM's."""
    return row[cell] / PRODUCTS[cell] / (row["LSTM"] / PRODUCTS["LSTM"])


def report(env, rows):
    lines = ["## Cells that the library has never seen", "",
             f"As ONNX Scans, each gate with two products of its own (`bench/scan_cells.cc`), beside ONNX's LSTM operator; "
             f"float32, I = H, T = {STEPS}, one thread, microseconds for the whole sequence, the fastest run of many, all "
             "cells of a row in one process, in turns. Cost: the time per floating-point operation of the matrix "
             f"products, in terms of the operator's. Aim: at most {AIM} at H >= 64. {reporting.machine_text(env)}", "",
             f"    {env['command']}", "",
             "| cell | geometric mean of the costs | largest | rows above the aim |", "|---|--:|--:|--:|"]
    for cell, label in LABELS.items():
        costs = [cost(row, cell) for row in rows if row["hidden"] >= 64]
        if costs:
            lines.append(f"| {label} | {geometric_mean(costs):.2f} | {max(costs):.2f} | "
                         f"{sum(value > AIM for value in costs)} of {len(costs)} |")
    lines += ["", "| H | B | LSTM operator | " + " | ".join(f"{label} | cost" for label in LABELS.values()) + " |",
              "|--:|--:|--:|" + "--:|--:|" * len(LABELS)]
    for row in rows:
        lines.append(f"| {row['hidden']} | {row['batch']} | {time_text(row['LSTM'])} | " +
                     " | ".join(f"{time_text(row[cell])} | {cost(row, cell):.2f}" for cell in LABELS) + " |")
    return "\n".join(lines + [""])


def main():
    arguments = reporting.parser_of(__doc__, 0.3).parse_args()
    sizes = ([64], [1, 4]) if arguments.quick else ([64, 128, 256, 512], [1, 4, 16])
    if arguments.quick:
        arguments.seconds = 0.02
    reporting.run_script("unseen", arguments, lambda programs, add: measure(programs, add, *sizes), report)


if __name__ == "__main__":
    main()
