#!/usr/bin/env python3
"""How long a model takes from its file to its first run: import, passes, preparation with packed weights.

    bench/compile_time.py --build build

Three bidirectional LSTM layers of 256 units, timed by build/bench/time_compile for every backend. Writes
bench/results/compile_time.json and its section of bench/RESULTS.md.
"""

import reporting
from reporting import time_text

CELL, HIDDEN, SHAPE = "BILSTM3", 256, "100x1x256"
AIM_MS = 50


def measure(programs, add, repeats):
    model = programs.model(CELL, HIDDEN)
    megabytes = model.stat().st_size / 1e6
    for row in programs.run(True, "time_compile", str(repeats), SHAPE, str(model)):
        add(row | {"megabytes": megabytes})


def report(env, rows):
    lines = ["## Compile time", "",
             f"Three bidirectional LSTM layers of {HIDDEN} units, a file of {rows[0]['megabytes']:.1f} MB, for "
             f"X [{', '.join(SHAPE.split('x'))}]; milliseconds, the fastest of many times. Preparing binds the shape, runs "
             "the pipeline again, chooses kernels (auto may time candidates) and packs weights. "
             f"Aim: {AIM_MS} ms. {reporting.machine_text(env)}", "", f"    {env['command']}", "",
             "| backend | import | passes | prepare | all | median of all | under the aim |",
             "|---|--:|--:|--:|--:|--:|---|"]
    for row in rows:
        cells = [time_text(row[key] / 1000) for key in ("import_us", "passes_us", "prepare_us", "total_us",
                                                        "median_total_us")]
        lines.append(f"| {row['backend']} | " + " | ".join(cells) +
                     f" | {'yes' if row['total_us'] < 1000 * AIM_MS else 'no'} |")
    return "\n".join(lines + [""])


def main():
    arguments = reporting.parser_of(__doc__, 2).parse_args()
    if arguments.quick:
        arguments.seconds = 0.1
    repeats = max(3, round(1000 * arguments.seconds / AIM_MS))
    reporting.run_script("compile_time", arguments, lambda programs, add: measure(programs, add, repeats), report)


if __name__ == "__main__":
    main()
