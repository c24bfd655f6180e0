#!/usr/bin/python3
"""The same network in its other form, h = tanh(W·[h, x] + b): one matrix, U and W of `simple_rnn` side by side."""

import pathlib
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import acceptor
import training


class SimpleRnnConcat(nn.Module):
    def __init__(self):
        super().__init__()
        self.W = nn.Parameter(torch.zeros(acceptor.HIDDEN, acceptor.HIDDEN + acceptor.SIZE))
        self.b = nn.Parameter(torch.zeros(acceptor.HIDDEN))
        self.V = nn.Parameter(torch.zeros(1, acceptor.HIDDEN))
        self.c = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        h = x.new_zeros(x.shape[1], acceptor.HIDDEN)
        for x_t in x:
            h = torch.tanh(torch.cat([h, x_t], 1) @ self.W.T + self.b)
        return torch.sigmoid(h @ self.V.T + self.c)


def take_over(model):
    """Trained already: the weights of simple_rnn."""
    weights = training.load_weights(pathlib.Path(__file__).resolve().parent.parent / "simple_rnn/weights.safetensors")
    weights["W"] = torch.cat([weights.pop("U"), weights["W"]], 1)
    model.load_state_dict(weights)


if __name__ == "__main__":
    training.main(__file__, SimpleRnnConcat, take_over, acceptor.case)
