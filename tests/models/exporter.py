"""Writes a PyTorch module as a test model: a folder in the layout of ONNX's backend tests."""

import io
import pathlib
import sys
import warnings
import zlib

import onnx
import torch
from onnx import numpy_helper


class Exporter:
    def __init__(self, folder: pathlib.Path, only):
        self.folder, self.only = folder, only
        self.count = 0

    def case(self, name, make, data, names, outputs, opset, dynamic=None, script=False, build=None):
        """Exports make() under `name`. `data` is one tuple of shapes or tensors a data set; the model is
        exported on the first. `dynamic` maps input and output names to {axis: symbol}. `build`, if given,
        makes the ModelProto from (module, inputs) in the place of torch.onnx.export."""
        if self.only and name not in self.only:
            return
        torch.manual_seed(zlib.crc32(name.encode()))
        module = make().eval()
        sets = [tuple(x if torch.is_tensor(x) else torch.randn(*x) for x in inputs)
                for inputs in data]
        with torch.no_grad():
            exported = torch.jit.script(module) if script else module
            expected = [flatten(module(*inputs)) for inputs in sets]
            model = (build(module, sets[0]) if build else
                     export(exported, sets[0], names, outputs, opset, dynamic))
        onnx.checker.check_model(model)
        found = [value.name for value in model.graph.input]
        if found != names or len(model.graph.output) != len(outputs):
            sys.exit(f"{name}: the exporter kept inputs {found} of {names}")
        target = self.folder / name
        target.mkdir(exist_ok=True)
        (target / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
        for k, (inputs, results) in enumerate(zip(sets, expected)):
            write_set(target / f"test_data_set_{k}", inputs, results)
        self.count += 1
        print(f"{name}: {len(model.graph.node)} nodes, opset {opset}")


def export(module, inputs, names, outputs, opset, dynamic=None):
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of every constant that it freezes
        torch.onnx.export(module, inputs, buffer, input_names=names, output_names=outputs,
                          opset_version=opset, dynamic_axes=dynamic or {})
    return onnx.load_from_string(buffer.getvalue())


def flatten(value):
    if torch.is_tensor(value):
        return [value]
    return [tensor for item in value for tensor in flatten(item)]


def write_set(folder, inputs, outputs):
    folder.mkdir(exist_ok=True)
    for kind, tensors in (("input", inputs), ("output", outputs)):
        for i, tensor in enumerate(tensors):
            proto = numpy_helper.from_array(tensor.contiguous().numpy(), f"{kind}_{i}")
            (folder / f"{kind}_{i}.pb").write_bytes(proto.SerializeToString(deterministic=True))
