"""Recurrent cells in three forms: `unrolled` is traced, T copies; `loop` is scripted, an ONNX Loop over
any T; `scan` is an ONNX Scan around the export of one step. And ways of writing the loop."""

import torch
from torch import nn

import export_cells as cells
import export_special_cells as special
import export_ways as ways
from export_steps import OneState, Recurrence, scan_model


def over_time(cell, inputs, hidden, second=None):
    """The recurrence of a cell with the interface (x, h, c); `second` is the size of c."""
    if cell.states == 2:
        whole = cells.OverTime(cell)
        return Recurrence(whole, cell, {"x": ("T", "B", inputs), "h0": ("B", hidden),
                                        "c0": ("B", second or hidden)},
                          ["x", "h", "c"], {"h": "h0", "c": "c0"}, ["y", "h", "c"])
    return Recurrence(cells.OverTimeFromZero(cell, hidden), OneState(cell), {"x": ("T", "B", inputs)},
                      ["x", "h"], {"h": ("B", hidden)}, ["y", "h"])


def sru(inputs, hidden):
    cell = cells.Sru(inputs, hidden)
    # Its state is c, but h is what it gives.
    return Recurrence(cells.OverTimeFromZero(cell, hidden), cell, {"x": ("T", "B", inputs)},
                      ["x", "h", "c"], {"h": ("B", hidden), "c": ("B", hidden)}, ["y", "h"])


def clockwork(inputs, hidden):
    whole = special.ClockworkOverTime(inputs, hidden)
    return Recurrence(whole, whole.cell, {"x": ("T", "B", inputs)}, ["x", "t", "h"],
                      {"h": ("B", hidden)}, ["y", "h"])


def lengths(time, batch):
    """Every length from T down."""
    return torch.tensor([max(1, time - 2 * row) for row in range(batch)])


def masked(inputs, hidden):
    whole = special.MaskedOverTime(inputs, hidden)
    return Recurrence(whole, whole.cell, {"x": ("T", "B", inputs), "lengths": lengths},
                      ["x", "t", "lengths", "h"], {"h": ("B", hidden)}, ["y", "h"])


def selective(channels, size):
    whole = special.SelectiveOverTime(channels, size)
    return Recurrence(whole, whole.cell, {"x": ("T", "B", channels)}, ["x", "h"],
                      {"h": ("B", channels, size)}, ["y", "h"])


def attention(inputs, hidden, memory):
    whole = special.AttentionOverTime(inputs, hidden)
    return Recurrence(whole, whole.cell, {"x": ("T", "B", inputs), "memory": ("B", memory, hidden)},
                      ["x", "memory", "feed", "h"], {"feed": ("B", hidden), "h": ("B", hidden)}, ["y", "h"])


def greedy(tokens, hidden):
    whole = special.GreedyOverTime(tokens, hidden)
    return Recurrence(whole, whole.cell, {"memory": ("B", "S", hidden), "h0": ("B", hidden)},
                      ["memory", "token", "h"], {"token": ("B",), "h": "h0"}, ["y", "h"],
                      integers=("token",))


def stacked(inputs, hidden):
    whole = cells.TwoLayers(cells.GruBefore(inputs, hidden), cells.Lstm8(hidden, hidden), hidden)
    return Recurrence(whole, cells.TwoLayersStep(whole), {"x": ("T", "B", inputs)}, ["x", "h2", "h1", "c2"],
                      {"h2": ("B", hidden), "h1": ("B", hidden), "c2": ("B", hidden)}, ["y", "h1", "h2"],
                      time_axis=1)


def simple(make, *arguments):
    return lambda inputs, hidden: over_time(make(inputs, hidden, *arguments), inputs, hidden)


# name -> a function of input and hidden size, the two sizes, the opsets of the three forms
CELLS = {
    "lstm8": (simple(cells.Lstm8), 6, 10, 13, 16, 11),
    "lstm2": (simple(cells.Lstm2), 5, 7, 11, 13, 16),
    "torch_lstm": (lambda i, h: over_time(cells.LstmCell(nn.LSTMCell(i, h)), i, h), 6, 10, 13, 13, 13),
    "gru_before": (simple(cells.GruBefore), 6, 10, 11, 13, 9),
    "gru_after": (simple(cells.GruAfter), 5, 7, 9, 11, 13),
    "torch_gru": (lambda i, h: over_time(cells.StatelessCell(nn.GRUCell(i, h)), i, h), 6, 10, 11, None, None),
    "torch_rnn": (lambda i, h: over_time(cells.StatelessCell(nn.RNNCell(i, h)), i, h), 6, 10, 9, None, None),
    # The exporter knows neither of these two in a loop; a layer of one step it does.
    "gru_layer": (lambda i, h: over_time(cells.LayerStep(nn.GRU(i, h)), i, h), 6, 10, None, 16, None),
    "rnn_layer": (lambda i, h: over_time(cells.LayerStep(nn.RNN(i, h)), i, h), 6, 10, None, 13, None),
    "mgu": (simple(cells.MinimalGated), 6, 10, 9, 11, 13),
    "peephole": (simple(cells.PeepholeLstm), 6, 10, 13, 13, 13),
    "lnlstm": (simple(cells.LayerNormLstm), 6, 10, 17, 17, 17),
    # Before opset 17 the exporter writes the normalisation out.
    "lnlstm_written_out": (simple(cells.LayerNormLstm), 6, 10, None, 13, None),
    "lstm_projected": (lambda i, h: over_time(cells.ProjectedLstm(i, h, h // 2), i, h // 2, h),
                       6, 10, 13, 16, 12),
    "scrn": (lambda i, h: over_time(cells.Scrn(i, h, max(3, h // 4)), i, h, max(3, h // 4)),
             5, 9, 13, 16, 13),
    "clockwork": (clockwork, 5, 9, 16, 13, 11),
    "sru": (sru, 10, 10, 11, 11, 11),
    "indrnn": (simple(cells.IndRnn), 6, 10, 13, 16, 15),
    "coupled": (simple(cells.Coupled), 5, 9, 13, 16, 13),
    "selective": (selective, 8, 4, 13, 16, 13),
    "masked_gru": (masked, 5, 7, 16, 16, 16),
    "attention": (lambda i, h: attention(i, h, 5), 3, 6, 13, 14, 13),
    "greedy": (greedy, 11, 6, 13, 16, 13),
}
FIRST = {"lstm8", "torch_lstm", "gru_before", "torch_gru", "torch_rnn", "gru_layer", "rnn_layer", "mgu",
         "peephole", "lnlstm", "lstm_projected", "sru", "indrnn"}


def export_forms(exporter, name, make, inputs, hidden, opsets, sizes):
    """`sizes` are (T, B) of the data sets."""
    torch.manual_seed(0)
    shape = make(inputs, hidden)
    names = list(shape.inputs)
    data = [shape.data(*size) for size in sizes]
    unrolled, loop, scan = opsets

    def whole():
        return make(inputs, hidden).whole

    def as_scan(module, _):
        recurrence = make(inputs, hidden)
        recurrence.whole.load_state_dict(module.state_dict())
        return scan_model(recurrence, *sizes[0], scan)

    if unrolled:
        exporter.case(f"{name}_unrolled_op{unrolled}", whole, data[:1], names, shape.outputs, unrolled)
    if loop:
        exporter.case(f"{name}_loop_op{loop}", whole, data, names, shape.outputs, loop, shape.axes(),
                      script=True)
    if scan:
        exporter.case(f"{name}_scan_op{scan}", whole, data, names, shape.outputs, scan, build=as_scan)


def export_cells(exporter):
    for name, (make, inputs, hidden, *opsets) in CELLS.items():
        sizes = [(12, 2), (5, 3)] if name in FIRST else [(7, 3), (4, 2)]
        export_forms(exporter, f"cell_{name}", make, inputs, hidden, opsets, sizes)
    export_forms(exporter, "cells_stacked", stacked, 6, 10, (16, 13, 13), [(12, 2), (4, 3)])


def export_ways(exporter):
    """way_*: unrolled, and as a loop where an opset for it is given."""
    inputs, hidden = 5, 7
    time_first, batch_first = ((6, 3, inputs), (4, 2, inputs)), ((3, 6, inputs), (2, 4, inputs))
    state = ((3, hidden), (2, hidden))
    tb, bt, b = {0: "T", 1: "B"}, {0: "B", 1: "T"}, {0: "B"}

    def way(name, make, data, names, outputs, opset, loop=None, axes=None):
        data = list(zip(*data))
        exporter.case(f"way_{name}_unrolled_op{opset}", make, data[:1], names, outputs, opset)
        if loop:
            exporter.case(f"way_{name}_loop_op{loop}", make, data, names, outputs, loop, axes, script=True)

    def of(kind, *cell):
        return lambda: kind(inputs, hidden, *cell)

    way("batch_first", of(ways.BatchFirst), [batch_first], ["x"], ["y", "h"], 11, 13,
        {"x": bt, "y": bt, "h": b})
    way("batch_first_cat", of(ways.BatchFirstCat, cells.Lstm8), [batch_first, state, state],
        ["x", "h0", "c0"], ["y"], 13, 16, {"x": bt, "h0": b, "c0": b, "y": bt})
    way("transposed", of(ways.Transposed, cells.MinimalGated), [batch_first], ["x"], ["y"], 9)
    way("last_only", of(ways.LastOnly, cells.Lstm2), [time_first], ["x"], ["h"], 16, 11, {"x": tb, "h": b})
    way("every_step_its_output", of(ways.EveryStepItsOutput), [time_first, state], ["x", "h0"],
        [f"y{t}" for t in range(6)], 13)
    way("unbind", of(ways.Unbound), [time_first, state], ["x", "h0"], ["y", "h"], 13, 13,
        {"x": tb, "h0": b, "y": tb, "h": b})
    way("chunk", of(ways.Chunked, cells.PeepholeLstm), [batch_first], ["x"], ["y"], 13)
    way("split", of(ways.SplitSteps, cells.GruBefore), [time_first, state], ["x", "h0"], ["y"], 11)
    way("backward", of(ways.Backward), [time_first], ["x"], ["y", "h"], 13)
    way("backward_by_index", of(ways.BackwardByIndex), [time_first], ["x"], ["y", "h"], 11, 16,
        {"x": tb, "y": tb, "h": b})
    way("bidirectional", of(ways.Bidirectional), [time_first], ["x"], ["y", "h"], 13, 13,
        {"x": tb, "y": tb, "h": b})
    way("in_network", of(ways.InNetwork), [((3, inputs, 6), (2, inputs, 4))], ["x"], ["y"], 13, 13,
        {"x": {0: "B", 2: "T"}, "y": bt})
    way("two_recurrences", of(ways.TwoRecurrences), [time_first, ((8, 3, inputs), (5, 2, inputs))],
        ["x", "z"], ["y"], 13, 16, {"x": tb, "z": {0: "S", 1: "B"}, "y": b})
    way("irregular_first", of(ways.IrregularFirst), [time_first], ["x"], ["y"], 13, 13,
        {"x": tb, "y": tb})
    way("irregular_last", of(ways.IrregularLast), [((8, 3, inputs),), state], ["x", "h0"], ["y"], 13)
    way("layer_by_layer", of(ways.LayerByLayer), [time_first], ["x"], ["y"], 13, 13, {"x": tb, "y": tb})
    way("preallocated", of(ways.Preallocated), [time_first], ["x"], ["y"], 13)
    way("selective_scan", lambda: ways.SelectiveScan(8, 4), [((2, 6, 8), (1, 9, 8))], ["x"], ["y"], 13, 13,
        {"x": bt, "y": bt})
    export_scan_ways(exporter)


def export_scan_ways(exporter):
    """Scans along axis 1, and backward in time."""
    inputs, hidden = 5, 7

    def scan(name, kind, shape, **attributes):
        def make():
            return kind(inputs, hidden, cells.GruAfter)

        def build(module, data):
            step = Recurrence(module, OneState(module.cell), {"x": shape}, ["x", "h"], {"h": ("B", hidden)},
                              ["y", "h"], time_axis=shape.index("T"))
            return scan_model(step, 6, 3, 13, **attributes)

        data = [(tuple({"T": t, "B": b}.get(dim, dim) for dim in shape),) for t, b in ((6, 3), (4, 2))]
        exporter.case(f"way_{name}_scan_op13", make, data, ["x"], ["y", "h"], 13, build=build)

    scan("batch_first", ways.BatchFirst, ("B", "T", inputs), scan_input_axes=[1])
    scan("backward", ways.Backward, ("T", "B", inputs), scan_input_directions=[1], scan_output_directions=[1])
