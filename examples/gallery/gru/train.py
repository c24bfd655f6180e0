#!/usr/bin/python3
"""Gated recurrent unit as its paper has it: the reset gate works before the product, U_h·(r*h)."""

import pathlib
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import letters
import training


class Gru(nn.Module):
    def __init__(self):
        super().__init__()
        size, hidden = letters.SIZE, letters.HIDDEN
        bound = hidden ** -0.5
        for gate in "rzh":
            weight = torch.empty(hidden, hidden + size).uniform_(-bound, bound)
            self.register_parameter("W_" + gate, nn.Parameter(weight))
            self.register_parameter("b_" + gate, nn.Parameter(torch.zeros(hidden)))
        self.out = nn.Linear(hidden, size)

    def forward(self, x):
        h = x.new_zeros(x.shape[1], letters.HIDDEN)
        states = []
        for x_t in x:
            hx = torch.cat([h, x_t], 1)
            r = torch.sigmoid(hx @ self.W_r.T + self.b_r)
            z = torch.sigmoid(hx @ self.W_z.T + self.b_z)
            candidate = torch.tanh(torch.cat([r * h, x_t], 1) @ self.W_h.T + self.b_h)
            h = (1 - z) * h + z * candidate
            states.append(h)
        return self.out(torch.stack(states))


if __name__ == "__main__":
    training.main(__file__, Gru, letters.train, letters.case)
