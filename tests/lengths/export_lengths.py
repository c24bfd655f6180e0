#!/usr/bin/python3
"""Models that PyTorch traced at one length, with its results at others.

    /usr/bin/python3 tests/lengths/export_lengths.py

test_data_set_0 is of the length that was traced; the others are what a model must give whose time axis
`refrain compile --dynamic-time` freed. Needs Debian 12's python3-torch (1.13) and python3-onnx.
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "models"))

import export_cells as cells  # noqa: E402
import export_forms as forms  # noqa: E402
import export_ways as ways  # noqa: E402
from exporter import Exporter  # noqa: E402

LENGTHS = (7, 1, 12)  # the first is traced


def main():
    exporter = Exporter(HERE, None)
    inputs, hidden, batch = 5, 6, 3

    def case(name, make, shapes, names, outputs, opset):
        data = [[shape(time) if callable(shape) else shape for shape in shapes] for time in LENGTHS]
        exporter.case(name, make, data, names, outputs, opset)

    def time_first(time):
        return (time, batch, inputs)

    def batch_first(time):
        return (batch, time, inputs)

    state = (batch, hidden)
    for name in ("lstm8", "lstm2", "gru_before", "gru_after", "mgu", "lnlstm", "masked_gru"):
        make, *_ = forms.CELLS[name]
        shape = make(inputs, hidden)
        shapes = [lambda time, i=i: shape.data(time, batch)[i] for i in range(len(shape.inputs))]
        case(name, lambda make=make: make(inputs, hidden).whole, shapes, list(shape.inputs), shape.outputs, 13)
    stacked = forms.stacked(inputs, hidden)
    case("stacked", lambda: forms.stacked(inputs, hidden).whole, [time_first], list(stacked.inputs),
         stacked.outputs, 13)
    case("batch_first", lambda: ways.BatchFirst(inputs, hidden), [batch_first], ["x"], ["y", "h"], 13)
    case("backward", lambda: ways.Backward(inputs, hidden), [time_first], ["x"], ["y", "h"], 13)
    case("bidirectional", lambda: ways.Bidirectional(inputs, hidden), [time_first], ["x"], ["y", "h"], 13)
    case("layer_by_layer", lambda: ways.LayerByLayer(inputs, hidden), [time_first], ["x"], ["y"], 13)
    case("last_only", lambda: ways.LastOnly(inputs, hidden, cells.Lstm2), [time_first], ["x"], ["h"], 13)
    case("unbind", lambda: ways.Unbound(inputs, hidden), [time_first, state], ["x", "h0"], ["y", "h"], 13)
    case("chunk", lambda: ways.Chunked(inputs, hidden, cells.PeepholeLstm), [batch_first], ["x"], ["y"], 13)
    case("in_network", lambda: ways.InNetwork(inputs, hidden),
         [lambda time: (batch, inputs, time)], ["x"], ["y"], 13)
    print(f"{exporter.count} models")


if __name__ == "__main__":
    main()
