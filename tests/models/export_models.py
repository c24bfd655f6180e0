#!/usr/bin/python3
"""Exports the model set: small recurrent networks with PyTorch's own outputs as expected values.

Each becomes a folder beside this file in the layout of ONNX's backend tests: model.onnx and
test_data_set_K/{input_I.pb, output_I.pb}; a second data set has another length or batch where the model's axes are
dynamic. Needs PyTorch 1.13 and onnx (Debian 12: python3-torch, python3-onnx). The same seed gives the same
files on one machine; other versions of PyTorch write other graphs.
"""

import argparse
import io
import pathlib
import sys
import warnings
import zlib

import onnx
import torch
from onnx import numpy_helper
from torch import nn

import export_cells as cells
import export_networks as networks

INPUTS, HIDDEN = 6, 10


class Exporter:
    def __init__(self, folder: pathlib.Path, only):
        self.folder, self.only = folder, only
        self.count = 0

    def case(self, name, make, data, names, outputs, opset, dynamic=None, script=False):
        """Exports make() under `name`. `data` is one tuple of shapes or tensors a data set; the model is
        exported on the first. `dynamic` maps input and output names to {axis: symbol}."""
        if self.only and name not in self.only:
            return
        torch.manual_seed(zlib.crc32(name.encode()))
        module = make().eval()
        sets = [tuple(x if torch.is_tensor(x) else torch.randn(*x) for x in inputs)
                for inputs in data]
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing warns of every constant that it freezes
            exported = torch.jit.script(module) if script else module
            expected = [flatten(module(*inputs)) for inputs in sets]
            buffer = io.BytesIO()
            torch.onnx.export(exported, sets[0], buffer, input_names=names, output_names=outputs,
                              opset_version=opset, dynamic_axes=dynamic or {})
        model = onnx.load_from_string(buffer.getvalue())
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


def export_layers(exporter):
    """PyTorch's own layers."""
    time_batch = {0: "T", 1: "B"}
    batch_time = {0: "B", 1: "T"}
    state = {1: "B"}

    exporter.case("lstm_op9", lambda: nn.LSTM(INPUTS, HIDDEN), [((9, 2, INPUTS),)],
                  ["x"], ["y", "h", "c"], 9)
    exporter.case("lstm_states_op16", lambda: networks.LstmWithStates(INPUTS, HIDDEN, batch_first=True),
                  [((3, 7, INPUTS), (1, 3, HIDDEN), (1, 3, HIDDEN))],
                  ["x", "h0", "c0"], ["y", "h", "c"], 16)
    exporter.case("gru_op11", lambda: nn.GRU(INPUTS, HIDDEN),
                  [((8, 2, INPUTS), (1, 2, HIDDEN)), ((3, 5, INPUTS), (1, 5, HIDDEN))],
                  ["x", "h0"], ["y", "h"], 11,
                  {"x": time_batch, "h0": state, "y": time_batch, "h": state})
    exporter.case("rnn_tanh_op13", lambda: nn.RNN(INPUTS, HIDDEN, bias=False),
                  [((6, 3, INPUTS),), ((11, 1, INPUTS),)], ["x"], ["y", "h"], 13,
                  {"x": time_batch, "y": time_batch, "h": state})
    exporter.case("rnn_relu_batch_first_op16",
                  lambda: nn.RNN(INPUTS, HIDDEN, nonlinearity="relu", batch_first=True),
                  [((3, 6, INPUTS),), ((1, 10, INPUTS),)], ["x"], ["y", "h"], 16,
                  {"x": batch_time, "y": batch_time, "h": state})
    exporter.case("bilstm2_op13", lambda: nn.LSTM(INPUTS, HIDDEN, num_layers=2, bidirectional=True),
                  [((7, 2, INPUTS),), ((4, 3, INPUTS),)], ["x"], ["y", "h", "c"], 13,
                  {"x": time_batch, "y": time_batch, "h": state, "c": state})
    exporter.case("bigru3_batch_first_op11",
                  lambda: nn.GRU(INPUTS, 7, num_layers=3, bidirectional=True, batch_first=True),
                  [((2, 5, INPUTS),), ((3, 9, INPUTS),)], ["x"], ["y", "h"], 11,
                  {"x": batch_time, "y": batch_time, "h": state})
    # Without an initial state as an input, the exporter freezes the batch of a packed sequence.
    exporter.case("packed_lstm_op13", lambda: networks.Packed(nn.LSTM(INPUTS, HIDDEN)),
                  [((8, 4, INPUTS), torch.tensor([8, 5, 4, 1])),
                   ((6, 4, INPUTS), torch.tensor([6, 6, 3, 2]))], ["x", "lengths"], ["y", "h"], 13,
                  {"x": {0: "T"}, "y": {0: "T"}})
    exporter.case("packed_bigru_batch_first_op16",
                  lambda: networks.PackedFromState(nn.GRU(INPUTS, HIDDEN, bidirectional=True,
                                                          batch_first=True)),
                  [((3, 7, INPUTS), torch.tensor([7, 7, 2]), (2, 3, HIDDEN)),
                   ((2, 4, INPUTS), torch.tensor([4, 1]), (2, 2, HIDDEN))], ["x", "lengths", "h0"],
                  ["y", "h"], 16,
                  {"x": batch_time, "lengths": {0: "B"}, "h0": state, "y": batch_time, "h": state})


def export_networks(exporter):
    batch_time = {0: "B", 1: "T"}
    exporter.case("crnn1d_op13", lambda: networks.Crnn1d(5, 9), [((2, 5, 32),), ((1, 5, 52),)],
                  ["x"], ["scores"], 13, {"x": {0: "B", 2: "T"}, "scores": {0: "B", 1: "S"}})
    exporter.case("crnn2d_op11", lambda: networks.Crnn2d(11), [((2, 1, 16, 24),), ((1, 1, 16, 40),)],
                  ["x"], ["scores"], 11, {"x": {0: "B", 3: "W"}, "scores": {0: "S", 1: "B"}})
    state = {1: "B"}
    exporter.case("charlm_op9", lambda: networks.CharacterModel(30),
                  [(torch.arange(14).reshape(2, 7) * 5 % 30, (2, 2, 20), (2, 2, 20)),
                   (torch.arange(12).reshape(1, 12) * 7 % 30, (2, 1, 20), (2, 1, 20))],
                  ["tokens", "h0", "c0"], ["scores", "h", "c"], 9,
                  {"tokens": batch_time, "h0": state, "c0": state, "scores": batch_time, "h": state,
                   "c": state})
    exporter.case("seq2seq_attention_traced_op13", lambda: networks.Seq2SeqTeacher(20, 12),
                  [(torch.arange(14).reshape(7, 2) * 3 % 20, torch.arange(10).reshape(5, 2) * 7 % 20),
                   (torch.arange(33).reshape(11, 3) * 3 % 20, torch.arange(15).reshape(5, 3) % 20)],
                  ["source", "target"], ["scores"], 13,
                  {"source": {0: "S", 1: "B"}, "target": {1: "B"}, "scores": {1: "B"}})
    exporter.case("greedy_decoder_loop_op16", lambda: networks.GreedyDecoder(17, 12),
                  [((2, 6, 12), (2, 12), torch.tensor(5)), ((3, 4, 12), (3, 12), torch.tensor(9))],
                  ["memory", "h0", "steps"], ["tokens", "scores"], 16,
                  {"memory": {0: "B", 1: "S"}, "h0": {0: "B"}, "tokens": {0: "T", 1: "B"},
                   "scores": {0: "T", 1: "B"}}, script=True)


def export_cells(exporter):
    """Cells written by hand: `unrolled` is traced, T copies; `loop` is scripted, any T."""
    steps, batch = 12, 2
    made = {
        "lstm8": (lambda: cells.Lstm8(INPUTS, HIDDEN), HIDDEN, HIDDEN, 13, 16),
        "gru_before": (lambda: cells.GruBefore(INPUTS, HIDDEN), HIDDEN, HIDDEN, 11, 13),
        "mgu": (lambda: cells.MinimalGated(INPUTS, HIDDEN), HIDDEN, HIDDEN, 9, 11),
        "peephole": (lambda: cells.PeepholeLstm(INPUTS, HIDDEN), HIDDEN, HIDDEN, 13, 13),
        "lnlstm": (lambda: cells.LayerNormLstm(INPUTS, HIDDEN), HIDDEN, HIDDEN, 17, 13),
        "indrnn": (lambda: cells.IndRnn(INPUTS, HIDDEN), HIDDEN, HIDDEN, 13, 16),
        "sru": (lambda: cells.Sru(HIDDEN, HIDDEN), HIDDEN, HIDDEN, 11, 11),
        "lstm_projected": (lambda: cells.ProjectedLstm(INPUTS, HIDDEN, 5), 5, HIDDEN, 13, 16),
        "torch_lstm": (lambda: cells.LstmCell(nn.LSTMCell(INPUTS, HIDDEN)), HIDDEN, HIDDEN, 13, 13),
        "torch_gru": (lambda: cells.StatelessCell(nn.GRUCell(INPUTS, HIDDEN)), HIDDEN, HIDDEN, 11, None),
        "torch_rnn": (lambda: cells.StatelessCell(nn.RNNCell(INPUTS, HIDDEN)), HIDDEN, HIDDEN, 9, None),
        # The exporter knows neither of these two in a loop; a layer of one step it does.
        "gru_layer": (lambda: cells.LayerStep(nn.GRU(INPUTS, HIDDEN)), HIDDEN, HIDDEN, None, 16),
        "rnn_layer": (lambda: cells.LayerStep(nn.RNN(INPUTS, HIDDEN)), HIDDEN, HIDDEN, None, 13),
    }
    for name, (make, h, c, opset_unrolled, opset_loop) in made.items():
        inputs = HIDDEN if name == "sru" else INPUTS
        torch.manual_seed(0)
        two_states = make().states == 2
        time_batch, rows = {0: "T", 1: "B"}, {0: "B"}

        def whole():
            return cells.OverTime(make()) if two_states else cells.OverTimeFromZero(make(), h)

        names = ["x", "h0", "c0"] if two_states else ["x"]
        outputs = ["y", "h", "c"] if two_states else ["y", "h"]

        def data(t, b):
            return ((t, b, inputs), (b, h), (b, c)) if two_states else ((t, b, inputs),)

        if opset_unrolled:
            exporter.case(f"cell_{name}_unrolled_op{opset_unrolled}", whole, [data(steps, batch)],
                          names, outputs, opset_unrolled)
        axes = {"x": time_batch, "y": time_batch, "h": rows}
        if two_states:
            axes.update(h0=rows, c0=rows, c=rows)
        if opset_loop:
            exporter.case(f"cell_{name}_loop_op{opset_loop}", whole,
                          [data(steps, batch), data(5, 3)], names, outputs, opset_loop, axes,
                          script=True)

    def stacked():
        return cells.TwoLayers(cells.GruBefore(INPUTS, HIDDEN), cells.Lstm8(HIDDEN, HIDDEN), HIDDEN)

    exporter.case("cells_stacked_unrolled_op16", stacked, [((steps, batch, INPUTS),)], ["x"],
                  ["y", "h1", "h2"], 16)
    exporter.case("cells_stacked_loop_op13", stacked,
                  [((steps, batch, INPUTS),), ((4, 3, INPUTS),)], ["x"], ["y", "h1", "h2"], 13,
                  {"x": {0: "T", 1: "B"}, "y": {0: "B", 1: "T"}, "h1": {0: "B"}, "h2": {0: "B"}},
                  script=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="export only these")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    exporter = Exporter(arguments.output, set(arguments.names))
    export_layers(exporter)
    export_networks(exporter)
    export_cells(exporter)
    if arguments.names and exporter.count != len(set(arguments.names)):
        sys.exit("no model of some of these names")


if __name__ == "__main__":
    main()
