#!/usr/bin/env python3
"""Writes the files of weights that tests/weights_test.cc reads: needs python3-numpy.

python.safetensors is written by the format's description, in the order in which the format's own library writes
(its header begins with the metadata, padded with spaces); the .npz files are NumPy's own.
"""

import json
import pathlib
import struct

import numpy

FOLDER = pathlib.Path(__file__).parent


def write_safetensors(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    codes = {"f4": "F32", "f8": "F64", "f2": "F16", "i8": "I64", "i1": "I8", "u2": "U16", "b1": "BOOL"}
    for name, array in tensors.items():
        elements = array.tobytes()
        header[name] = {
            "dtype": codes[array.dtype.str[1:]],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(elements)],
        }
        data += elements
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    tensors = {
        "lstm.weight_ih_l0": numpy.arange(6, dtype="<f4").reshape(2, 3) / 4,
        "steps": numpy.array(-7, dtype="<i8"),
        "half": numpy.array([1.5, -2], dtype="<f2"),
        "wide": numpy.array([[0.1], [1e300]], dtype="<f8"),
        "empty": numpy.zeros((3, 0), dtype="<u2"),
        "Gewichte \u03b1": numpy.array([1, -1, 127], dtype="i1"),
        "mask": numpy.array([True, False, True]),
    }
    write_safetensors(FOLDER / "python.safetensors", tensors, {"format": "pt", "order": "i f g o"})
    numpy.savez(FOLDER / "stored.npz", **tensors)
    # Compresses well; in Fortran order on disk.
    tensors["zeros"] = numpy.asfortranarray(numpy.zeros((40, 50), dtype="<f4"))
    numpy.savez_compressed(FOLDER / "compressed.npz", **tensors)


if __name__ == "__main__":
    main()
