#!/usr/bin/python3
"""Times every example against PyTorch (python3-torch) on one thread, on the input of its test case.

Prints a table in Markdown. Takes turns between the two, so that both meet the same machine.
"""

import json
import subprocess

import gallery


def shapes(name):
    """The --shape options of an example's input."""
    found = []
    for path in sorted((gallery.FOLDER / name / "test_data_set_0").glob("input_*.pb")):
        content, extents, at = path.read_bytes(), [], 0
        while content[at] == 0x08:  # dims
            extent, shift, at = 0, 0, at + 1
            while True:
                extent, more = extent | (content[at] & 127) << shift, content[at] & 128
                shift, at = shift + 7, at + 1
                if not more:
                    break
            extents.append(extent)
        at += 3  # data_type, and the tag of the name
        label = content[at + 1:at + 1 + content[at]].decode()
        found += ["--shape", f"{label}={'x'.join(map(str, extents))}"]
    return found


def microseconds(name):
    """(Refrain, PyTorch), the median of three turns each."""
    folder = gallery.FOLDER / name
    turns = []
    for _ in range(3):
        bench = subprocess.run([gallery.REFRAIN, "bench", str(folder / f"{name}.rfn"), "--json", "--threads", "1",
                                "--seconds", "0.5"] + shapes(name), capture_output=True, text=True, check=True)
        torch = subprocess.run(["/usr/bin/python3", str(folder / "train.py"), "--time"], capture_output=True,
                               text=True, check=True)
        turns.append((json.loads(bench.stdout)["median_us"], float(torch.stdout)))
    return [sorted(turn[i] for turn in turns)[1] for i in (0, 1)]


def main():
    parser = gallery.parser(__doc__)
    parser.add_argument("example", nargs="*")
    names = parser.parse_args().example or sorted(path.parent.name for path in gallery.FOLDER.glob("*/train.py"))
    print("| example | Refrain, µs | PyTorch 1.13, µs | times faster |")
    print("|---|--:|--:|--:|")
    for name in names:
        refrain, torch = microseconds(name)
        print(f"| {name} | {refrain:.4g} | {torch:.4g} | {torch / refrain:.1f} |", flush=True)


if __name__ == "__main__":
    main()
