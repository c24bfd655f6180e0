#!/usr/bin/python3
"""Exports the model set: small recurrent networks with PyTorch's own outputs as expected values.

Each becomes a folder beside this file in the layout of ONNX's backend tests: model.onnx and
test_data_set_K/{input_I.pb, output_I.pb}; a second data set has another length or batch where the model's axes are
dynamic. Needs PyTorch 1.13 and onnx (Debian 12: python3-torch, python3-onnx). The same seed gives the same
files on one machine; other versions of PyTorch write other graphs.
"""

import argparse
import pathlib
import sys

import torch
from torch import nn

import export_networks as networks
from export_forms import export_cells, export_ways
from exporter import Exporter

INPUTS, HIDDEN = 6, 10


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
    time_batch = {0: "T", 1: "B"}
    exporter.case("forecast_gru_op13", lambda: networks.Forecaster(16), [((48, 1, 1),), ((7, 3, 1),)],
                  ["x"], ["next"], 13, {"x": time_batch, "next": time_batch})


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
    export_ways(exporter)
    if arguments.names and exporter.count != len(set(arguments.names)):
        sys.exit("no model of some of these names")


if __name__ == "__main__":
    main()
