"""What the scripts of this folder share: the machine, the programs that time, figures as text, bench/RESULTS.md."""

import argparse
import datetime
import json
import math
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


# ---- the machine

def cpu_model():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cache_sizes():
    """The caches of the first CPU, as `48K L1d, 1024K L2`."""
    found = []
    for index in sorted(pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            found.append(f"{size} L{level}{'d' if kind == 'Data' else ''}")
    return ", ".join(found)


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def repeatable(argument):
    """An argument as it is printed: of paths only the last part, the rest is this machine's."""
    option, equals, value = argument.rpartition("=")
    return option + equals + (pathlib.Path(value).name if value.startswith("/") else value)


def environment():
    system = next((line.split("=", 1)[1].strip('"') for line in
                   pathlib.Path("/etc/os-release").read_text().splitlines()
                   if line.startswith("PRETTY_NAME=")), platform.system())
    return {"date": datetime.date.today().isoformat(),
            "cpu": cpu_model(), "cpus": os.cpu_count(), "caches": cache_sizes(), "system": system,
            "compiler": output_of("c++", "--version").split("\n")[0],
            "revision": output_of("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
            "command": " ".join([f"bench/{pathlib.Path(sys.argv[0]).name}"] + [repeatable(part) for part in sys.argv[1:]])}


def machine_text(env):
    return (f"{env['cpu']}, {env['cpus']} CPUs, {env['caches']}. {env['system']}, {env['compiler']}. "
            f"Revision {env['revision']}, {env['date']}.")


# ---- figures

def geometric_mean(values):
    values = [value for value in values if value]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def ratio_text(value):
    return f"{value:.2f}x" if value else "-"


def time_text(value):
    if not value:
        return "-"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"


# ---- bench/RESULTS.md

def write_section(name, text):
    """Replaces what stands between the section's markers in bench/RESULTS.md, or adds it at the end."""
    path = ROOT / "bench" / "RESULTS.md"
    begin, end = f"<!-- {name} begin -->", f"<!-- {name} end -->"
    old = path.read_text() if path.exists() else "# Results\n"
    if begin in old and end in old:
        before, rest = old.split(begin, 1)
        after = rest.split(end, 1)[1]
    else:
        before, after = old.rstrip("\n") + "\n\n", "\n"
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")


# ---- scripts that write one section

def parser_of(description, seconds):
    """A parser with the options that all of them have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"),
                        help="build folder (default: build)")
    parser.add_argument("--seconds", type=float, default=seconds,
                        help=f"for each program (default: {seconds})")
    parser.add_argument("--cpu", type=int, default=0, help="pin to this CPU (default: 0)")
    parser.add_argument("--quick", action="store_true",
                        help="small sizes, little time: does it work? Report only on the terminal")
    parser.add_argument("--report", action="store_true", help="time nothing; write the section again")
    return parser


class Programs:
    """The programs of the build, pinned to one CPU, and the models they time."""

    def __init__(self, arguments, folder):
        self.build, self.folder = arguments.build / "bench", pathlib.Path(folder)
        self.seconds, self.pinned = arguments.seconds, ["taskset", "-c", str(arguments.cpu)]

    def model(self, cell, size):
        path = self.folder / f"{cell}_{size}.onnx"
        if not path.exists():
            self.run(False, "make_models", str(self.folder), cell, str(size))
        return path

    def run(self, is_json, program, *arguments):
        command = self.pinned + [str(self.build / program), *arguments]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{run.stderr}")
        return json.loads(run.stdout) if is_json else run.stdout

    def in_turns(self, programs):
        """Times of (variant, steps, batch, inputs, model)s by time_variants, all in one process."""
        return self.run(True, "time_variants", str(self.seconds),
                        *(f"{variant}:{steps}x{batch}x{inputs}:{model}"
                          for variant, steps, batch, inputs, model in programs))


def run_script(name, arguments, measure, report):
    """measure(programs, add) calls add(row) for every row; report(environment, rows) is the section's text. The rows
    are kept in bench/results/NAME.json."""
    path = ROOT / "bench" / "results" / f"{name}.json"
    if arguments.report:
        result = json.loads(path.read_text())
    else:
        result = {"environment": environment(), "rows": []}

        def add(row):
            result["rows"].append(row)
            print(" ".join(f"{key} {time_text(value) if isinstance(value, float) else value}"
                           for key, value in row.items() if not isinstance(value, dict)), file=sys.stderr)
            if not arguments.quick:
                path.write_text(json.dumps(result, indent=1) + "\n")

        with tempfile.TemporaryDirectory() as folder:
            measure(Programs(arguments, folder), add)
    text = report(result["environment"], result["rows"])
    if arguments.quick:
        print(text)
    else:
        write_section(name, text)
