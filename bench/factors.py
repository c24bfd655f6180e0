#!/usr/bin/env python3
"""Where the factor over naive unrolling comes from: what the compiler does, switched on piece by piece.

    bench/factors.py --build build

Recurrent layers of small sizes, batches 1 and 4, T = 100, float32, one thread: build/bench/time_variants times all
variants of a layer in one process, in turns. Writes bench/results/factors.json and its section of bench/RESULTS.md.
"""

import reporting
from reporting import geometric_mean, ratio_text, time_text

CELLS = ("LSTM", "LSTM8", "GRU", "RNN")
STEPS = 100
AIM = 10
# Each variant of time_variants, and what it adds to the one before.
VARIANTS = {"naive": None, "unrolled": "one arena, fused pointwise programs, small products", "steps": "a loop again",
            "gates": "one product for all gates", "hoist": "hoist and sink", "all": "the loop kernel",
            "auto": "choice of kernels"}


def measure(programs, add, hidden_sizes, batches):
    for cell in CELLS:
        for hidden in hidden_sizes:
            model = programs.model(cell, hidden)
            for batch in batches:
                times = programs.in_turns([(variant, STEPS, batch, hidden, model) for variant in VARIANTS])
                row = {"cell": cell, "hidden": hidden, "batch": batch}
                add(row | {found["variant"]: found["min_us"] for found in times})


def total(row):
    return row["naive"] / row["auto"]


def factors(row):
    """How many times faster each variant is than the one before."""
    names = list(VARIANTS)
    return [row[before] / row[name] for before, name in zip(names, names[1:])]


def report(env, rows):
    small = [total(row) for row in rows if row["hidden"] <= 64 and row["batch"] == 1]
    below = sum(value < AIM for value in small)
    lines = ["## Where the factor over naive unrolling comes from", "",
             f"One layer, float32, I = H, T = {STEPS}, one thread, microseconds for the whole sequence, the fastest run of "
             "many; all variants of a row in one process, in turns. Naive: the recurrence unrolled, one op at a time, "
             "every product by oneDNN. Each column after it adds one thing: unrolled: prepared, with one arena, "
             "element-wise chains as one program and products for small matrices; steps: the loop is a loop, its body "
             "run step by step; gates: split_concat, fuse_gates, split_pointwise and order_sums, which make the products of "
             "all gates one (LSTM, GRU and RNN are ONNX's operators, whose weights are side by side from the start; "
             "LSTM8 is an LSTM of eight products in a Scan); hoist: hoist and sink; all: the kernel for whole loops; "
             f"auto: what `refrain bench` times. Aim at batch 1: {AIM} times. {reporting.machine_text(env)}", "",
             f"    {env['command']}", "",
             f"Batch 1: geometric mean {ratio_text(geometric_mean(small))}, least "
             f"{ratio_text(min(small, default=None))}, below the aim {below} of {len(small)}.", "",
             "| cell | H | B | " + " | ".join(VARIANTS) + " | naive / auto |",
             "|---|" + "--:|" * (len(VARIANTS) + 3)]
    for row in rows:
        lines.append(f"| {row['cell']} | {row['hidden']} | {row['batch']} | " +
                     " | ".join(time_text(row[name]) for name in VARIANTS) + f" | {ratio_text(total(row))} |")
    lines += ["", "The factor of each, over the one before; geometric means over the rows.", "",
              "| cell | B | " + " | ".join(text for text in VARIANTS.values() if text) + " | all of them |",
              "|---|--:|" + "--:|" * len(VARIANTS)]
    for cell in CELLS:
        for batch in sorted({row["batch"] for row in rows}):
            chosen = [row for row in rows if row["cell"] == cell and row["batch"] == batch]
            means = [geometric_mean(column) for column in zip(*map(factors, chosen))]
            lines.append(f"| {cell} | {batch} | " + " | ".join(map(ratio_text, means)) +
                         f" | {ratio_text(geometric_mean(map(total, chosen)))} |")
    return "\n".join(lines + [""])


def main():
    arguments = reporting.parser_of(__doc__, 0.3).parse_args()
    sizes = ([16, 32], [1]) if arguments.quick else ([16, 32, 64], [1, 4])
    if arguments.quick:
        arguments.seconds = 0.02
    reporting.run_script("factors", arguments, lambda programs, add: measure(programs, add, *sizes), report)


if __name__ == "__main__":
    main()
