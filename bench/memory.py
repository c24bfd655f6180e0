#!/usr/bin/env python3
"""What a process holds that runs one model: from an .onnx file and compiled, one step at a time and whole sequences too.

    bench/memory.py --build build

Stacked LSTM layers, about 100 MB of weights, measured by build/bench/memory_use with the kernel's own figures of
resident memory. Writes bench/results/memory.json and its section of bench/RESULTS.md.
"""

import subprocess
import sys

import reporting

CELL, HIDDEN, LAYERS, STEPS, WHOLE = "LSTM", 1024, 3, 100, 100
AIM = 1.3


def measure(programs, add, arguments):
    hidden = 64 if arguments.quick else HIDDEN
    programs.run(False, "make_models", str(programs.folder), CELL, str(hidden), str(LAYERS))
    model = programs.folder / f"{CELL}_{hidden}_stacked.onnx"
    compiled = programs.folder / "model.refrain"
    refrain = arguments.build / "frontend" / "refrain"
    command = [str(refrain), "compile", str(model), "-o", str(compiled)]
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0:
        sys.exit(" ".join(command))
    for name, path in (("compiled", compiled), (".onnx", model)):
        for runs, options in (("steps", ()), ("steps and whole sequences", ("--whole", str(WHOLE)))):
            programs.run(True, "memory_use", str(path), str(STEPS), *options)  # the page cache
            row = programs.run(True, "memory_use", str(path), str(STEPS), *options)
            add({"model": name, "runs": runs, "file_bytes": path.stat().st_size} | row)


def megabytes(size):
    return f"{size / 1e6:.1f}"


def report(env, rows):
    weights = rows[0]["constant_bytes"]
    lines = ["## Memory", "",
             f"{LAYERS} stacked LSTM layers of {HIDDEN} units, {megabytes(weights)} MB of weights; a process that loads the "
             f"model, prepares it, and runs {STEPS} steps of one row, or {STEPS} sequences of {WHOLE} steps too. Resident "
             "memory as the kernel counts it, MB: of its own, and mapped from files (the program and its libraries, "
             "and of a compiled model what was used, which all processes share). The last columns are all of it "
             "less what the process held before it loaded the model, over the weights: when it runs, and at the most. Aim: "
             f"{AIM}, for steps of a compiled model. {reporting.machine_text(env)}", "",
             f"    {env['command']}", "",
             "| model | runs | load ms | prepare ms | start, own + files | own | files | over the weights | at the most |",
             "|---|---|--:|--:|--:|--:|--:|--:|--:|"]
    for row in rows:
        start, run = row["start"], row["run"]
        before = start["own"] + start["file"]
        lines.append(
            f"| {row['model']} | {row['runs']} | {reporting.time_text(row['load_us'] / 1e3)} | "
            f"{reporting.time_text(row['prepare_us'] / 1e3)} | "
            f"{megabytes(start['own'])} + {megabytes(start['file'])} | {megabytes(run['own'])} | {megabytes(run['file'])} | "
            f"{(run['own'] + run['file'] - before) / weights:.2f} | {(run['peak'] - before) / weights:.2f} |")
    return "\n".join(lines + [""])


def main():
    arguments = reporting.parser_of(__doc__, 1).parse_args()
    reporting.run_script("memory", arguments, lambda programs, add: measure(programs, add, arguments), report)


if __name__ == "__main__":
    main()
