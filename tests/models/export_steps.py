"""A recurrence from the export of one step: as an ONNX Scan, or repeated for every step.

PyTorch exports no Scan. Here the exporter's graph of one step becomes the body of one, so that the nodes
are the exporter's own. Repeating that graph gives what tracing the loop gives, without the minutes that
tracing thousands of steps takes.
"""

import dataclasses

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from exporter import export, flatten

POSITION = "t"  # the name of a step's input that counts steps


@dataclasses.dataclass
class Recurrence:
    """A module over whole sequences, and what its step is made of."""
    whole: torch.nn.Module
    step: torch.nn.Module  # its inputs are `slots`; its results the new states, then what is stacked
    inputs: dict  # of the whole: name -> shape in which "T" and "B" may stand, or a function of them; "S" is
    #               as many as "T", but not scanned
    slots: list  # of the step, in order: inputs, states, POSITION
    states: dict  # name -> the input that it starts as, or the shape of zeros
    outputs: list  # of the whole: "y" is stacked, the step's result beyond the states or else the first
    #                state; others are states' last values
    integers: tuple = ()  # states that are int64
    time_axis: int = 0  # of the stacked output; axis 1 is the batch's, or the other way round

    def scanned(self):
        return [slot for slot in self.slots
                if slot in self.inputs and not callable(self.inputs[slot]) and "T" in self.inputs[slot]]

    def data(self, time, batch):
        """Shapes or tensors of the inputs."""
        return tuple(shape(time, batch) if callable(shape) else resolve(shape, time, batch)
                     for shape in self.inputs.values())

    def axes(self):
        """Names of the axes that may vary, for torch.onnx.export."""
        found = {name: {i: dim for i, dim in enumerate(shape) if isinstance(dim, str)}
                 for name, shape in self.inputs.items() if not callable(shape)}
        found.update({name: {0: "B"} for name, shape in self.inputs.items() if callable(shape)})
        found.update({name: {0: "B"} for name in self.outputs})
        found["y"] = {self.time_axis: self.time(), 1 - self.time_axis: "B"}
        return found

    def time(self):
        return "T" if self.scanned() else "S"


def resolve(shape, time, batch):
    return tuple({"T": time, "S": time, "B": batch}.get(dim, dim) for dim in shape)


class OneState(torch.nn.Module):
    """A cell of the interface (x, h, c) that leaves c alone."""

    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x, h):
        return self.cell(x, h, h)[0]


def export_step(recurrence, time, batch, opset):
    """The step as a model; state `s` comes in as `s_in` and leaves as `s_out`, a scanned input `x` is
    `x_t`, others keep their names, `y_t` is stacked."""
    values, names = [], []
    for slot in recurrence.slots:
        if slot == POSITION:
            values.append(torch.tensor(1))
            names.append(POSITION)
        elif slot in recurrence.states:
            start = recurrence.states[slot]
            shape = recurrence.inputs[start] if isinstance(start, str) else start
            shape = resolve(shape, time, batch)
            values.append(torch.zeros(shape, dtype=torch.int64) if slot in recurrence.integers
                          else torch.randn(shape))
            names.append(f"{slot}_in")
        else:
            shape = recurrence.inputs[slot]
            value = shape(time, batch) if callable(shape) else torch.randn(resolve(shape, time, batch))
            scanned = slot in recurrence.scanned()
            values.append(value.select(shape.index("T"), 0) if scanned else value)
            names.append(f"{slot}_t" if scanned else slot)
    results = [f"{state}_out" for state in recurrence.states]
    count = len(flatten(recurrence.step(*values)))
    results += ["y_t"] * (count - len(results))
    axes = {name: {0: "B"} for name in names + results if name != POSITION}
    model = export(recurrence.step, tuple(values), names, results, opset, axes)
    # The exporter drops inputs that the step doesn't look at; a state may be one.
    found = [value.name for value in model.graph.input]
    if any(name not in found and not name.endswith("_in") for name in names):
        raise ValueError(f"the exporter kept inputs {found} of {names}")
    return model


def renamed(value, name):
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(value)
    copy.name = name
    return copy


class Builder:
    """The graph around the steps."""

    def __init__(self, recurrence, step, time, batch, static):
        self.recurrence, self.step = recurrence, step
        self.time, self.batch, self.static = time, batch, static
        results = [value.name for value in step.graph.output]
        self.stacked = "y_t" if "y_t" in results else results[0]
        self.opset = step.opset_import[0].version
        self.nodes, self.initializers = [], list(step.graph.initializer)

    def node(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def constant(self, name, values):
        self.initializers.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def dims(self, shape):
        return resolve(shape, self.time, self.batch) if self.static else shape

    def unsqueeze(self, value, output):
        axis = self.recurrence.time_axis
        if self.opset < 13:
            return self.node("Unsqueeze", [value], output, axes=[axis])
        if not any(tensor.name == "time_axis" for tensor in self.initializers):
            self.constant("time_axis", [axis])
        return self.node("Unsqueeze", [value, "time_axis"], output)

    def extent(self, name, axis):
        """[1]-shaped."""
        found = f"{name}_extent_{axis}"
        if any(found in node.output for node in self.nodes):
            return found
        shape = self.node("Shape", [name], f"{name}_shape_{axis}")
        return self.node("Gather", [shape, self.constant(f"axis_{axis}_of_{name}", [axis])],
                         found)

    def start(self, state):
        """The value in which a state starts."""
        start = self.recurrence.states[state]
        if isinstance(start, str):
            return start
        dims = self.dims(start)
        if "B" in dims:
            name, shape = next((name, shape) for name, shape in self.recurrence.inputs.items()
                               if not callable(shape) and "B" in shape)
            extent = self.extent(name, shape.index("B"))
            rest = [self.constant(f"{state}_dims", dims[1:])] if dims[1:] else []
            dims = self.node("Concat", [extent] + rest, f"{state}_shape", axis=0)
        else:
            dims = self.constant(f"{state}_shape", dims)
        kind = TensorProto.INT64 if state in self.recurrence.integers else TensorProto.FLOAT
        return self.node("ConstantOfShape", [dims], f"{state}_start",
                         value=helper.make_tensor("", kind, [1], [0]))

    def positions(self):
        if self.static:
            return self.constant("positions", range(self.time))
        symbol = self.recurrence.time()
        name, shape = next(item for item in self.recurrence.inputs.items() if symbol in item[1])
        extent = self.extent(name, shape.index(symbol))
        scalar = self.node("Reshape", [extent, self.constant("no_dims", [])], "steps")
        self.constant("first", 0)
        self.constant("one", 1)
        return self.node("Range", ["first", scalar, "one"], "positions")

    def output_dims(self, name):
        value = f"{name}_out" if name in self.recurrence.states else self.stacked
        result = next(result for result in self.step.graph.output if result.name == value)
        dims = ["B"] + [dim.dim_value or None for dim in result.type.tensor_type.shape.dim[1:]]
        if name not in self.recurrence.states:
            dims.insert(self.recurrence.time_axis, self.recurrence.time())
        return self.dims(dims)

    def model(self):
        inputs = []
        for name, shape in self.recurrence.inputs.items():
            integer = callable(shape)
            dims = shape(self.time, self.batch).shape if integer else self.dims(shape)
            if integer and not self.static:
                dims = ("B",)
            kind = TensorProto.INT64 if integer else TensorProto.FLOAT
            inputs.append(helper.make_tensor_value_info(name, kind, dims))
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, self.output_dims(name))
                   for name in self.recurrence.outputs]
        graph = helper.make_graph(self.nodes, "recurrence", inputs, outputs, self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)],
                                 ir_version=self.step.ir_version)


def scan_model(recurrence, time, batch, opset, static=False, **attributes):
    """`attributes` are further ones of the Scan, for data whose axes or directions are others."""
    step = export_step(recurrence, time, batch, opset)
    builder = Builder(recurrence, step, time, batch, static)
    body = step.graph
    names = {value.name: value for value in body.input}
    order = [f"{state}_in" for state in recurrence.states]
    for name, result in zip(order, body.output):
        names.setdefault(name, renamed(result, name))
    values = [builder.start(state) for state in recurrence.states]
    for name in recurrence.scanned():
        order.append(f"{name}_t")
        values.append(name)
    if POSITION in recurrence.slots or not recurrence.scanned():
        order.append(POSITION)
        values.append(builder.positions())
        names.setdefault(POSITION, helper.make_tensor_value_info(POSITION, TensorProto.INT64, []))
    nodes, results = list(body.node), list(body.output)
    if builder.stacked != "y_t":
        nodes.append(helper.make_node("Identity", [results[0].name], ["y_t"]))
        results.append(renamed(results[0], "y_t"))
    scan_body = helper.make_graph(nodes, "step", [names[name] for name in order], results)
    if recurrence.time_axis:
        attributes.setdefault("scan_output_axes", [recurrence.time_axis])
    last = [state if state in recurrence.outputs else f"{state}_last" for state in recurrence.states]
    builder.nodes.append(helper.make_node("Scan", values, last + ["y"], body=scan_body,
                                          num_scan_inputs=len(values) - len(last), **attributes))
    return builder.model()


def repeated_model(recurrence, time, batch, opset):
    """What tracing gives, static shapes."""
    step = export_step(recurrence, time, batch, opset)
    builder = Builder(recurrence, step, time, batch, True)
    current = {f"{state}_in": builder.start(state) for state in recurrence.states}
    parts = []
    for t in range(time):
        names = dict(current)
        index = builder.constant(f"{POSITION}.{t}", t)
        names[POSITION] = index
        for name in recurrence.scanned():
            names[f"{name}_t"] = builder.node("Gather", [name, index], f"{name}_t.{t}", axis=0)
        for node in step.graph.node:
            builder.nodes.append(copy_of(node, t, names))
        current = {f"{state}_in": names[f"{state}_out"] for state in recurrence.states}
        parts.append(builder.unsqueeze(names[builder.stacked], f"part.{t}"))
    builder.node("Concat", parts, "y", axis=recurrence.time_axis)
    for state in recurrence.states:
        if state in recurrence.outputs:
            builder.node("Identity", [current[f"{state}_in"]], state)
    return builder.model()


def copy_of(node, t, names):
    """The node of step t; `names` maps the step's values to those of the whole graph, and grows."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.name = f"{node.name}.{t}"
    for i, value in enumerate(node.input):
        copy.input[i] = names.get(value, value)
    for i, value in enumerate(node.output):
        names[value] = copy.output[i] = f"{value}.{t}"
    return copy
