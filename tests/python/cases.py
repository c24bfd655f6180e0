"""Test models with PyTorch's outputs: folders in the layout of ONNX's backend tests."""

import os
import pathlib

import numpy as np

SOURCE = pathlib.Path(os.environ["REFRAIN_SOURCE_DIR"])
MODELS = SOURCE / "tests/models"
SILERO = SOURCE.parent / "shared/cases/silero_vad_16k_op15"

_TYPES = {1: "<f4", 2: "u1", 3: "i1", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?", 11: "<f8"}


def _varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def _fields(data):
    """Number and content of each field of a message of protobuf's."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
        else:
            assert key & 7 == 2, "a field of a kind that tensors with raw data don't have"
            size, at = _varint(data, at)
            value, at = data[at:at + size], at + size
        yield key >> 3, value


def read_tensor(path):
    """A TensorProto with raw data, as PyTorch's are written."""
    shape, dtype, raw = [], None, b""
    for number, value in _fields(pathlib.Path(path).read_bytes()):
        if number == 1 and isinstance(value, int):
            shape.append(value)
        elif number == 1:
            at = 0
            while at < len(value):
                extent, at = _varint(value, at)
                shape.append(extent)
        elif number == 2:
            dtype = _TYPES[value]
        elif number == 9:
            raw = value
    return np.frombuffer(raw, dtype).reshape(shape)


def data_sets(folder):
    """Inputs and outputs, lists of arrays, of each data set."""
    for data in sorted(pathlib.Path(folder).glob("test_data_set_*")):
        yield tuple([read_tensor(data / f"{kind}_{i}.pb") for i in range(len(list(data.glob(f"{kind}_*.pb"))))]
                    for kind in ("input", "output"))


def assert_close(found, expected):
    assert found.shape == expected.shape and found.dtype == expected.dtype
    if found.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_array_equal(found, expected)
