"""What the examples' `show.py` share: running a model, .npy files, pictures. Python's standard library only."""

import argparse
import array
import ast
import math
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent
REFRAIN = os.environ.get("REFRAIN", str(FOLDER.parent.parent / "build/frontend/refrain"))
CODES = {"<f4": "f", "<i8": "q", "|b1": "b"}


def parser(description, picture=None):
    """A script's command line, to which it adds what it takes. With a picture, `-o` says where to draw it."""
    found = argparse.ArgumentParser(description=description)
    if picture:
        found.add_argument("-o", metavar="FILE", default=picture, help="where to draw the picture (default: %(default)s)")
    return found


def flatten(nested):
    """Nested lists of numbers -> (shape, all numbers)."""
    if not isinstance(nested, list):
        return (), [nested]
    parts = [flatten(part) for part in nested]
    if any(shape != parts[0][0] for shape, _ in parts):
        raise ValueError("rows of different lengths")
    return (len(nested),) + (parts[0][0] if parts else ()), [x for _, values in parts for x in values]


def nest(shape, values):
    if not shape:
        return values[0]
    size = len(values) // shape[0] if shape[0] else 0
    return [nest(shape[1:], values[i * size:(i + 1) * size]) for i in range(shape[0])]


def write_npy(path, nested):
    """Integers become int64, everything else float32."""
    shape, values = flatten(nested)
    kind = "<i8" if all(isinstance(x, int) for x in values) else "<f4"
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape!r}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    data = array.array(CODES[kind], values)
    if sys.byteorder == "big":
        data.byteswap()
    pathlib.Path(path).write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
                                   + data.tobytes())


def read_npy(path):
    """A .npy file as nested lists."""
    content = pathlib.Path(path).read_bytes()
    start = 10 + struct.unpack("<H", content[8:10])[0]
    header = ast.literal_eval(content[10:start].decode())
    data = array.array(CODES[header["descr"]])
    data.frombytes(content[start:])
    if sys.byteorder == "big":
        data.byteswap()
    return nest(header["shape"], list(data))


def run(name, **inputs):
    """`refrain run` of one of the gallery's models: nested lists in, nested lists out, by name."""
    with tempfile.TemporaryDirectory() as folder:
        command = [REFRAIN, "run", str(FOLDER / name / (name + ".rfn")), "--output-dir", folder + "/out"]
        for key, value in inputs.items():
            write_npy(f"{folder}/{key}.npy", value)
            command += ["--input", f"{key}={folder}/{key}.npy"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise SystemExit(f"{error}: build the project, or let REFRAIN name the tool") from None
        if done.returncode != 0:
            raise SystemExit(done.stderr.strip())
        return {path.stem: read_npy(path) for path in pathlib.Path(folder, "out").glob("*.npy")}


def softmax(logits, temperature=1.0):
    top = max(logits)
    powers = [math.exp((x - top) / temperature) for x in logits]
    return [p / sum(powers) for p in powers]


def argmax(values):
    return max(range(len(values)), key=values.__getitem__)


def one_hot(ids, size):
    return [[float(i == k) for k in range(size)] for i in ids]


# Pictures. Colours that read on white and on black, and by those who do not see red and green apart.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#888888"]


class Svg:
    """A drawing, written as one self-contained file."""

    def __init__(self, width, height):
        self.width, self.height, self.parts = width, height, []

    def line(self, points, colour, width=1.5, dash=""):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dash = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}/>')

    def rectangle(self, x, y, width, height, colour, opacity=1.0):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}" '
                          f'fill-opacity="{opacity:.3g}"/>')

    def circle(self, x, y, radius, colour):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>')

    def text(self, x, y, text, anchor="start", size=12):
        text = str(text).replace("&", "&amp;").replace("<", "&lt;")
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
                          f'fill="#333">{text}</text>')

    def write(self, path):
        body = "\n".join(self.parts)
        pathlib.Path(path).write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" font-family="sans-serif">\n'
            f'<rect width="{self.width}" height="{self.height}" fill="#fff"/>\n{body}\n</svg>\n', encoding="utf-8")
        print("written", path)


class Plot(Svg):
    """Curves over one x axis. `x` and `y` are (lowest, highest); with `log`, y is in powers of ten."""

    def __init__(self, x, y, title, x_label, y_label, width=720, height=300, log=False):
        super().__init__(width, height)
        self.x_range, self.y_range, self.log = x, y, log
        self.left, self.right, self.top, self.bottom = 58, width - 14, 34, height - 42
        self.curves = 0
        self.text(self.left, 18, title, size=14)
        self.text((self.left + self.right) / 2, height - 8, x_label, "middle")
        self.parts.append(f'<text transform="translate(14 {(self.top + self.bottom) / 2:.0f}) rotate(-90)" '
                          f'text-anchor="middle" font-size="12" fill="#333">{y_label}</text>')
        for value in self.ticks(*x):
            self.line([(self.at_x(value), self.bottom), (self.at_x(value), self.bottom + 4)], "#333", 1)
            self.text(self.at_x(value), self.bottom + 17, f"{value:g}", "middle", 11)
        levels = range(math.ceil(y[0]), math.floor(y[1]) + 1) if log else self.ticks(*y)
        for value in levels:
            self.line([(self.left, self.at_y(value)), (self.right, self.at_y(value))], "#ddd", 1)
            self.text(self.left - 6, self.at_y(value) + 4, f"1e{value}" if log else f"{value:g}", "end", 11)

    @staticmethod
    def ticks(low, high):
        step = 10 ** math.floor(math.log10(high - low))
        step = next(step * factor for factor in (0.1, 0.2, 0.5, 1, 2) if (high - low) / (step * factor) <= 8)
        first = math.ceil(low / step)
        return [step * i for i in range(first, math.floor(high / step) + 1)]

    def at_x(self, x):
        low, high = self.x_range
        return self.left + (x - low) / (high - low) * (self.right - self.left)

    def at_y(self, y):
        low, high = self.y_range
        return self.bottom - (min(max(y, low), high) - low) / (high - low) * (self.bottom - self.top)

    def curve(self, xs, ys, name, width=1.5, dash=""):
        colour = COLOURS[self.curves % len(COLOURS)]
        self.line([(self.at_x(x), self.at_y(math.log10(max(y, 1e-30)) if self.log else y)) for x, y in zip(xs, ys)],
                  colour, width, dash)
        at = self.right - 150
        self.line([(at, self.top + 10 + 16 * self.curves), (at + 22, self.top + 10 + 16 * self.curves)], colour, 2, dash)
        self.text(at + 28, self.top + 14 + 16 * self.curves, name)
        self.curves += 1
