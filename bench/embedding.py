#!/usr/bin/env python3
"""Times the public API: what a step costs over its kernel, sessions on two threads, streams through the Batcher, and
chunks through Silero's VAD.

    bench/embedding.py --build build [--onnxruntime PATH] [--silero MODEL]

Writes bench/results/embedding.json and the section in bench/RESULTS.md. Needs two CPUs with nothing else to do, and
nothing but Python's standard library; ONNX Runtime and the model only for the rows of the VAD.
"""

import argparse
import json
import pathlib
import subprocess
import sys

from reporting import ROOT, environment, machine_text, ratio_text, time_text, write_section


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--seconds", type=float, default=3, help="for each program (default: 3)")
    parser.add_argument("--first-cpu", type=int, default=0, help="this CPU and the next (default: 0)")
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--onnxruntime", default="", help="path of libonnxruntime.so, 1.10 or newer")
    parser.add_argument("--silero", type=pathlib.Path,
                        default=ROOT.parent / "shared" / "cases" / "silero_vad_16k_op15" / "model.onnx")
    parser.add_argument("--quick", action="store_true", help="does it work? Report only on the terminal")
    parser.add_argument("--report", action="store_true", help="time nothing; write the section again")
    return parser.parse_args()


class Programs:
    def __init__(self, arguments):
        self.program = str(arguments.build / "bench" / "time_embedding")
        self.one = str(arguments.first_cpu)
        self.other = str(arguments.first_cpu + 1)

    def start(self, cpus, *what):
        return subprocess.Popen(["taskset", "-c", cpus, self.program, *map(str, what)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def result(self, process):
        out, errors = process.communicate()
        if process.returncode != 0:
            sys.exit(f"embedding.py: {' '.join(process.args)}\n{errors}")
        return json.loads(out)

    def run(self, *what, cpus=None):
        return self.result(self.start(cpus or self.one, *what))


def measure(arguments):
    programs, seconds = Programs(arguments), arguments.seconds
    both = f"{programs.one},{programs.other}"
    result = {"environment": environment()}
    result["steps"] = {str(hidden): programs.run("step", hidden, seconds) for hidden in (16, 32, 64, 128, 256)}
    # In turns, the best of each.
    rounds = 1 if arguments.quick else 3
    together = apart = 0
    for _ in range(rounds):
        together = max(together, programs.run("sessions", 32, 2, seconds, cpus=both)["steps_per_s"])
        pair = [programs.start(cpu, "sessions", 16, 1, seconds) for cpu in (programs.one, programs.other)]
        apart = max(apart, sum(programs.result(process)["steps_per_s"] for process in pair))
    result["sessions"] = {"together": together, "apart": apart}
    result["batcher"] = []
    for inputs, threads in ((128, 1), (1, 1), (128, 2), (1, 2)):
        row = {"inputs": inputs, "threads": threads, "streams": arguments.streams}
        row.update(programs.run("batcher", inputs, 128, arguments.streams, threads, seconds,
                                cpus=both if threads == 2 else None))
        row["rows"] = programs.run("rows", inputs, 128, seconds / 3)
        result["batcher"].append(row)
    if arguments.silero.exists():
        chunks = 2000 if arguments.quick else 100_000
        rival = [arguments.onnxruntime] if arguments.onnxruntime else []
        result["chunks"] = programs.run("chunks", arguments.silero, chunks, *rival)
        result["chunks"]["count"] = chunks
    return result


def report(result):
    env = result["environment"]
    lines = ["## Embedding", "", f"The public API, one LSTM layer unless it says otherwise. {machine_text(env)}", "",
             f"    {env['command']}", "",
             "One step of one stream (I = H), nanoseconds, fastest and median: the loop kernel called directly, and "
             "`Session::step`.", "",
             "| H | kernel | step | over the kernel | kernel, median | step, median |", "|--:|--:|--:|--:|--:|--:|"]
    for hidden, row in result["steps"].items():
        lines.append(f"| {hidden} | {row['kernel_ns']:.0f} | {row['step_ns']:.0f} | "
                     f"{row['step_ns'] - row['kernel_ns']:.0f} | {row['kernel_median_ns']:.0f} | "
                     f"{row['step_median_ns']:.0f} |")
    sessions = result["sessions"]
    lines += ["", f"32 sessions (H 128) on two threads of one process: {sessions['together'] / 1e3:,.0f} thousand steps a "
              f"second, {ratio_text(sessions['together'] / sessions['apart'])} of what two processes of 16 sessions and "
              "one thread each do at once.", "",
              f"{result['batcher'][0]['streams']} streams of H 128: sessions stepped one by one, and a Batcher of "
              "batches of 64, each stream submitting its next step from the callback of the one before; thousand steps a "
              "second. `hot` is what the kernel alone gains from batches of 64 with everything in cache: a step of one "
              "stream reads all weights from the second-level cache, one of 64 is bound by multiplications. Sessions "
              "one by one lose their states from that cache besides, so that the most that batching can gain here is "
              "`bound`: batches of 64 by the kernel alone, at no other cost, over sessions one by one.", "",
              "| I | threads | one by one | Batcher | gain | bound | hot | ns a step, alone | in 4 | in 16 | in 64 |",
              "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for row in result["batcher"]:
        rows = row["rows"]
        lines.append(f"| {row['inputs']} | {row['threads']} | {row['alone_per_s'] / 1e3:,.0f} | "
                     f"{row['together_per_s'] / 1e3:,.0f} | {ratio_text(row['together_per_s'] / row['alone_per_s'])} | "
                     f"{ratio_text(row['threads'] * 1e9 / rows['64'] / row['alone_per_s'])} | "
                     f"{ratio_text(rows['1'] / rows['64'])} | " +
                     " | ".join(f"{rows[batch]:,.0f}" for batch in ("1", "4", "16", "64")) + " |")
    chunks = result.get("chunks")
    if chunks:
        steps = chunks["steps"]
        lines += ["", f"Silero's VAD, 16 kHz, {chunks['count']:,} chunks of 32 ms through a session, pinned"
                  f"{', real-time priority' if chunks['real_time_priority'] else ''}: median {time_text(steps['median_us'])} "
                  f"us, 99 % {time_text(steps['p99_us'])}, 99.99 % {time_text(steps['p9999_us'])}, worst "
                  f"{time_text(steps['worst_us'])} us, {ratio_text(steps['worst_us'] / steps['median_us'])} the median. "
                  f"Multiplications that take as long and touch no memory, timed alike: 99.99 % "
                  f"{time_text(chunks['control']['p9999_us'])} us, worst {time_text(chunks['control']['worst_us'])}."]
        if "onnxruntime_us" in chunks:
            lines[-1] += (f" In turns with ONNX Runtime {chunks['onnxruntime_version']}: "
                          f"{time_text(chunks['refrain_us'])} us against {time_text(chunks['onnxruntime_us'])} us, "
                          f"{ratio_text(chunks['onnxruntime_us'] / chunks['refrain_us'])}.")
    return "\n".join(lines + [""])


def main():
    arguments = parse_arguments()
    path = ROOT / "bench" / "results" / "embedding.json"
    if arguments.quick:
        arguments.seconds, arguments.streams = min(arguments.seconds, 0.3), min(arguments.streams, 100)
        print(report(measure(arguments)))
        return
    result = json.loads(path.read_text()) if arguments.report else measure(arguments)
    path.write_text(json.dumps(result, indent=1) + "\n")
    write_section("embedding", report(result))


if __name__ == "__main__":
    main()
