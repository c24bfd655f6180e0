#!/usr/bin/python3
"""LSTM with peepholes: the gates see the cell state, each unit its own."""

import pathlib
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import letters
import training


class Peephole(nn.Module):
    def __init__(self):
        super().__init__()
        size, hidden = letters.SIZE, letters.HIDDEN
        for gate in "ifog":
            bound = hidden ** -0.5
            self.register_parameter("W_" + gate, nn.Parameter(torch.empty(hidden, size).uniform_(-bound, bound)))
            self.register_parameter("U_" + gate, nn.Parameter(torch.empty(hidden, hidden).uniform_(-bound, bound)))
            self.register_parameter("b_" + gate, nn.Parameter(torch.zeros(hidden)))
        for gate in "ifo":
            self.register_parameter("p_" + gate, nn.Parameter(torch.zeros(hidden)))
        self.out = nn.Linear(hidden, size)

    def forward(self, x):
        w = dict(self.named_parameters())
        in_all = {gate: x @ w["W_" + gate].T + w["b_" + gate] for gate in "ifog"}
        h = c = x.new_zeros(x.shape[1], letters.HIDDEN)
        states = []
        for t in range(x.shape[0]):
            a = {gate: in_all[gate][t] + h @ w["U_" + gate].T for gate in "ifog"}
            i = torch.sigmoid(a["i"] + w["p_i"] * c)
            f = torch.sigmoid(a["f"] + w["p_f"] * c)
            c = f * c + i * torch.tanh(a["g"])
            o = torch.sigmoid(a["o"] + w["p_o"] * c)
            h = o * torch.tanh(c)
            states.append(h)
        return self.out(torch.stack(states))


if __name__ == "__main__":
    training.main(__file__, Peephole, letters.train, letters.case)
