"""What the training scripts share: weights as safetensors, test cases in the layout of ONNX's backend tests.

Needs PyTorch 1.13 (Debian 12: python3-torch). One thread and one seed: the same machine gives the same weights.
"""

import argparse
import importlib.util
import json
import pathlib
import shutil
import struct
import sys
import time

import numpy as np
import torch

FLOAT, INT64 = 1, 7  # TensorProto.DataType


def save_weights(path, weights):
    """Writes tensors by name: the header's length in 8 bytes, the header in JSON, then all values in float32."""
    header, data = {}, b""
    for name, tensor in weights.items():
        values = tensor.detach().numpy().astype("<f4")
        header[name] = {"dtype": "F32", "shape": list(values.shape),
                        "data_offsets": [len(data), len(data) + values.nbytes]}
        data += values.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the values start at a multiple of eight bytes
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def load_weights(path):
    """The tensors of a file that save_weights wrote."""
    content = path.read_bytes()
    start = 8 + struct.unpack("<Q", content[:8])[0]
    tensors = {}
    for name, entry in json.loads(content[8:start]).items():
        first, end = entry["data_offsets"]
        values = np.frombuffer(content[start + first:start + end], "<f4").reshape(entry["shape"])
        tensors[name] = torch.from_numpy(values.copy())
    return tensors


def varint(value):
    coded = b""
    while value > 127:
        coded += bytes([value & 127 | 128])
        value >>= 7
    return coded + bytes([value])


def tensor_proto(name, tensor):
    """An ONNX TensorProto: dims (field 1), data_type (2), name (8), raw_data (9)."""
    integers = not tensor.is_floating_point()
    values = tensor.detach().numpy().astype("<i8" if integers else "<f4")
    raw, name = values.tobytes(), name.encode()
    return (b"".join(b"\x08" + varint(extent) for extent in values.shape)
            + b"\x10" + varint(INT64 if integers else FLOAT)
            + b"\x42" + varint(len(name)) + name
            + b"\x4a" + varint(len(raw)) + raw)


def save_case(folder, inputs, outputs):
    """Inputs and PyTorch's outputs, name to tensor in the model's order."""
    data_set = folder / "test_data_set_0"
    shutil.rmtree(data_set, ignore_errors=True)
    data_set.mkdir()
    for kind, tensors in (("input", inputs), ("output", outputs)):
        for i, (name, tensor) in enumerate(tensors.items()):
            (data_set / f"{kind}_{i}.pb").write_bytes(tensor_proto(name, tensor))


def example(name):
    """The module NAME/train.py, for examples that use the network of another one."""
    path = pathlib.Path(__file__).resolve().parent / name / "train.py"
    sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name + "_train", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def batches(groups, size):
    """Shuffled batches of items of equal length, so that none is padded. `groups` has a tensor of rows a length."""
    found = []
    for rows in groups:
        found += list(rows[torch.randperm(len(rows))].split(size))
    for i in torch.randperm(len(found)):
        yield found[i]


def group_by_length(rows):
    """Rows (lists of integers) of several lengths as one tensor a length."""
    groups = {}
    for row in rows:
        groups.setdefault(len(row), []).append(row)
    return [torch.tensor(groups[length]) for length in sorted(groups)]


def timed(call, seconds=1.0):
    """Median time of a call in microseconds."""
    for _ in range(5):
        call()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e6 * sorted(times)[len(times) // 2]


def main(file, make, train, case, weights="weights.safetensors", run=None):
    """make() gives a module, train(module) trains it, case(module) gives the case's inputs and outputs by name.

    Without `train`, the weights are another example's. run(module, inputs...) is what --time measures, module(inputs...)
    without.
    """
    parser = argparse.ArgumentParser(description="Trains the network and writes its weights and its test case.")
    parser.add_argument("--case", action="store_true", help="keep the weights, write only the test case")
    parser.add_argument("--time", action="store_true", help="print the microseconds of a run on the test case's input")
    arguments = parser.parse_args()
    folder = pathlib.Path(file).resolve().parent
    torch.set_num_threads(1)
    torch.manual_seed(1)
    module = make()
    if train is None or arguments.case or arguments.time:
        module.load_state_dict(load_weights(folder / weights))
    else:
        train(module)
        save_weights(folder / weights, module.state_dict())
    module.eval()
    with torch.no_grad():
        inputs, outputs = case(module)
        if arguments.time:
            print(timed(lambda: (run or type(module).__call__)(module, *inputs.values())))
        else:
            save_case(folder, inputs, outputs)
