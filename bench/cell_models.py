#!/usr/bin/python3
"""Exports the cells of tests/models in sizes worth timing, each as an unrolled graph, a Loop and a Scan.

    bench/cell_models.py FOLDER [--cells NAME,NAME] [--sizes IxHxNxT,...] [--long]

Each becomes a case (a folder with model.onnx and PyTorch's outputs for random inputs, as `refrain verify` reads
it) named CELL_IxHxNxT_FORM: input size, hidden size, batch, steps. What is there already stays. Beside them the
built-in operators of equal work, OP_IxHxNxT_operator. With --long also a selective scan over 1000 steps: alone, as
the cell with its projections, and in a block as Mamba has it. Needs PyTorch 1.13 and onnx (Debian 12: python3-torch, python3-onnx).
"""

import argparse
import pathlib
import sys
from typing import List, Tuple

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "models"))
import export_forms as forms  # noqa: E402
from export_steps import Recurrence, repeated_model, scan_model  # noqa: E402
from exporter import Exporter, export  # noqa: E402

OPSET = 17
MEMORY = 32  # what the attention decoder looks at
STATE = 16  # of a selective state space, a channel



def calm(recurrence):
    """Normalised products of the state make an LSTM of this size chaotic: over a hundred steps rounding alone
    changes the third digit. Smaller ones don't."""
    with torch.no_grad():
        recurrence.step.norm_h.weight *= 0.3
    return recurrence


# In the order of the tables. Functions of input and hidden size.
CELLS = {name: forms.CELLS[name][0] for name in (
    "lstm8", "lstm2", "torch_lstm", "gru_before", "gru_after", "mgu", "peephole", "lnlstm", "lstm_projected",
    "scrn", "clockwork", "sru", "indrnn", "selective", "stacked", "masked_gru", "attention", "greedy")
    if name in forms.CELLS}
CELLS["sru"] = lambda inputs, hidden: forms.sru(hidden, hidden)
CELLS["lnlstm"] = lambda inputs, hidden: calm(forms.CELLS["lnlstm"][0](inputs, hidden))
CELLS["selective"] = lambda inputs, hidden: forms.selective(hidden, STATE)
CELLS["stacked"] = forms.stacked
CELLS["attention"] = lambda inputs, hidden: forms.attention(inputs, hidden, MEMORY)

# The operator that does the work of a cell, and its attributes.
OPERATORS = {"lstm": ("LSTM", {}), "gru": ("GRU", {}), "gru_reset_after": ("GRU", {"linear_before_reset": 1})}

LONG = 1000  # steps
CHANNELS = 256


class MambaBlock(nn.Module):
    """A block as Mamba has it: a selective scan behind a causal convolution, with a gate beside them.
    x [B, T, channels / 2]. Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023."""

    def __init__(self, channels: int, size: int, rank: int = 8):
        super().__init__()
        self.into = nn.Linear(channels // 2, 2 * channels)
        self.convolve = nn.Conv1d(channels, channels, 4, groups=channels, padding=3)
        self.select = nn.Linear(channels, rank + 2 * size)
        self.delta, self.out = nn.Linear(rank, channels), nn.Linear(channels, channels // 2)
        self.a = nn.Parameter(-torch.arange(1.0, size + 1).repeat(channels, 1))
        self.d = nn.Parameter(torch.ones(channels))
        self.channels, self.size, self.rank = channels, size, rank

    def forward(self, x: Tensor) -> Tensor:
        x, z = self.into(x).chunk(2, dim=-1)
        steps = x.size(1)
        x = nn.functional.silu(self.convolve(x.transpose(1, 2))[:, :, :steps].transpose(1, 2))
        delta, b, c = torch.split(self.select(x), [self.rank, self.size, self.size], dim=-1)
        delta = nn.functional.softplus(self.delta(delta))
        h = torch.zeros(x.size(0), self.channels, self.size)
        outputs: List[Tensor] = []
        for t in range(steps):
            step = delta[:, t].unsqueeze(-1)
            h = torch.exp(step * self.a) * h + step * b[:, t].unsqueeze(1) * x[:, t].unsqueeze(-1)
            outputs.append((h * c[:, t].unsqueeze(1)).sum(-1))
        y = torch.stack(outputs, dim=1) + self.d * x
        return self.out(y * nn.functional.silu(z))


class SelectiveScan(nn.Module):
    """The scan alone: what it selects by is given. x, delta [T, B, channels], b, c [T, B, size]"""

    def __init__(self, channels: int, size: int):
        super().__init__()
        self.cell = SelectiveScanStep(channels, size)
        self.channels, self.size = channels, size

    def forward(self, x: Tensor, delta: Tensor, b: Tensor, c: Tensor) -> Tuple[Tensor, Tensor]:
        h = torch.zeros(x.size(1), self.channels, self.size)
        outputs: List[Tensor] = []
        for t in range(x.size(0)):
            h, y = self.cell(x[t], delta[t], b[t], c[t], h)
            outputs.append(y)
        return torch.stack(outputs), h


class SelectiveScanStep(nn.Module):
    def __init__(self, channels: int, size: int):
        super().__init__()
        self.a = nn.Parameter(-torch.arange(1.0, size + 1).repeat(channels, 1))

    def forward(self, x: Tensor, delta: Tensor, b: Tensor, c: Tensor, h: Tensor) -> Tuple[Tensor, Tensor]:
        delta = delta.abs().unsqueeze(-1)
        h = torch.exp(delta * self.a) * h + delta * x.unsqueeze(-1) * b.unsqueeze(1)
        return h, (h * c.unsqueeze(1)).sum(-1)


def scan_alone(channels, size):
    whole = SelectiveScan(channels, size)
    wide, narrow = ("T", "B", channels), ("T", "B", size)
    return Recurrence(whole, whole.cell, {"x": wide, "delta": wide, "b": narrow, "c": narrow},
                      ["x", "delta", "b", "c", "h"], {"h": ("B", channels, size)}, ["y", "h"])


def unrolled_loop(model, steps):
    """What tracing gives, from the exported Loop: PyTorch takes minutes to trace a thousand steps."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    nodes = []
    for node in graph.node:
        nodes.extend(steps_of(node, steps, graph) if node.op_type == "Loop" else [node])
    # The stacked outputs are now tensors, no sequence.
    kept = [node for node in nodes if node.op_type != "SequenceEmpty"]
    for node in kept:
        if node.op_type == "ConcatFromSequence":
            node.input[:] = [f"{node.input[0]}.{t}" for t in range(steps)]
            node.op_type = "Concat"
            attributes = [a for a in node.attribute if a.name == "axis"]
            del node.attribute[:]
            node.attribute.extend(attributes)
    del graph.node[:]
    graph.node.extend(kept)
    return result


def steps_of(loop, steps, graph):
    """A Loop of PyTorch's, whose last state is the sequence of outputs, as its steps; they stand one after
    the other, axis 1 is time's."""
    body = next(attribute.g for attribute in loop.attribute if attribute.name == "body")
    axis = f"{loop.name}.time_axis"
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), axis))
    nodes = []
    current = list(loop.input[2:])
    for t in range(steps):
        number = f"{loop.name}.{t}"
        graph.initializer.append(numpy_helper.from_array(np.array(t, np.int64), number))
        names = dict(zip((value.name for value in body.input), [number, loop.input[1]] + current))
        for node in body.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = f"{node.name}.{t}"
            copy.input[:] = [names.get(value, value) for value in node.input]
            if node.op_type == "SequenceInsert":
                copy = helper.make_node("Unsqueeze", [copy.input[1], axis], [f"{loop.output[-1]}.{t}"], copy.name)
            else:
                for i, value in enumerate(node.output):
                    names[value] = copy.output[i] = f"{value}.{t}"
            nodes.append(copy)
        current = [names.get(value.name, value.name) for value in body.output[1:]]
    return nodes


def operator_model(kind, inputs, hidden, batch, steps):
    """The built-in operator; states come in as h0 and, of an LSTM, c0 [1, N, H]."""
    op, attributes = OPERATORS[kind]
    gates = 4 if op == "LSTM" else 3
    random = np.random.default_rng(1)

    def weights(name, *shape):
        values = random.uniform(-1, 1, shape) / hidden ** 0.5
        return numpy_helper.from_array(values.astype(np.float32), name)

    def value(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    states = ["h0", "c0"] if op == "LSTM" else []
    node = helper.make_node(op, ["x", "W", "R", "B", ""] + states if states else ["x", "W", "R", "B"],
                            ["y", "h"] + ["c"] * len(states[1:]), hidden_size=hidden, **attributes)
    graph = helper.make_graph(
        [node], kind, [value("x", steps, batch, inputs)] + [value(name, 1, batch, hidden) for name in states],
        [value("y", steps, 1, batch, hidden)] + [value(name, 1, batch, hidden) for name in node.output[1:]],
        [weights("W", 1, gates * hidden, inputs), weights("R", 1, gates * hidden, hidden),
         weights("B", 1, 2 * gates * hidden)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


class Models:
    def __init__(self, folder):
        self.folder = folder
        self.exporter = Exporter(folder, None)

    def missing(self, name):
        return not any((self.folder / name / "test_data_set_0").glob("output_0.pb"))

    def cell(self, cell, make, size, trace=True):
        """The three forms."""
        inputs, hidden, batch, steps = size
        torch.manual_seed(0)
        shape = make(inputs, hidden)
        builders = {
            "unrolled": None if trace else lambda r: repeated_model(r, steps, batch, OPSET),
            "loop": None,
            "scan": lambda r: scan_model(r, steps, batch, OPSET, static=True)}
        for form, builder in builders.items():
            name = f"{cell}_{'x'.join(map(str, size))}_{form}"
            if not self.missing(name):
                continue

            def build(module, _, builder=builder):
                recurrence = make(inputs, hidden)
                recurrence.whole.load_state_dict(module.state_dict())
                return builder(recurrence)

            self.exporter.case(name, lambda: make(inputs, hidden).whole, [shape.data(steps, batch)],
                               list(shape.inputs), shape.outputs, OPSET, script=form == "loop",
                               build=build if builder else None)

    def operators(self, size):
        """These have no expected outputs: they are there to be timed."""
        inputs, hidden, batch, steps = size
        for kind in OPERATORS:
            folder = self.folder / f"{kind}_{'x'.join(map(str, size))}_operator"
            folder.mkdir(exist_ok=True)
            (folder / "model.onnx").write_bytes(operator_model(kind, *size).SerializeToString())

    def long(self):
        self.cell("scan_alone", lambda inputs, hidden: scan_alone(hidden, STATE), (CHANNELS, CHANNELS, 1, LONG),
                  trace=False)
        self.cell("selective", CELLS["selective"], (CHANNELS, CHANNELS, 1, LONG), trace=False)

        def unrolled(module, inputs):
            return unrolled_loop(export(torch.jit.script(module), inputs, ["x"], ["y"], OPSET), LONG)

        for form in ("unrolled", "loop"):
            name = f"mamba_{CHANNELS // 2}x{CHANNELS}x1x{LONG}_{form}"
            if self.missing(name):
                self.exporter.case(name, lambda: MambaBlock(CHANNELS, STATE), [((1, LONG, CHANNELS // 2),)], ["x"],
                                   ["y"], OPSET, script=form == "loop",
                                   build=unrolled if form == "unrolled" else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--cells", type=lambda text: text.split(",") if text else [], default=list(CELLS))
    parser.add_argument("--sizes", type=lambda text: [tuple(map(int, size.split("x"))) for size in text.split(",")],
                        default=[])
    parser.add_argument("--long", action="store_true")
    arguments = parser.parse_args()
    if unknown := set(arguments.cells) - set(CELLS):
        parser.error(f"no such cells: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    models = Models(arguments.folder)
    for size in arguments.sizes:
        for cell in arguments.cells:
            models.cell(cell, CELLS[cell], size)
        models.operators(size)
    if arguments.long:
        models.long()


if __name__ == "__main__":
    main()
