#!/usr/bin/python3
"""The simple recurrent network, h = tanh(W·x + U·h + b), as an acceptor: p = sigmoid(V·h_T + c)."""

import pathlib
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import acceptor
import training


class SimpleRnn(nn.Module):
    def __init__(self, activation=torch.tanh):
        super().__init__()
        self.activation = activation
        bound = acceptor.HIDDEN ** -0.5
        self.W = nn.Parameter(torch.empty(acceptor.HIDDEN, acceptor.SIZE).uniform_(-bound, bound))
        self.U = nn.Parameter(torch.empty(acceptor.HIDDEN, acceptor.HIDDEN).uniform_(-bound, bound))
        self.b = nn.Parameter(torch.zeros(acceptor.HIDDEN))
        self.V = nn.Parameter(torch.empty(1, acceptor.HIDDEN).uniform_(-bound, bound))
        self.c = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        h = x.new_zeros(x.shape[1], acceptor.HIDDEN)
        for x_t in x:
            h = self.activation(x_t @ self.W.T + h @ self.U.T + self.b)
        return torch.sigmoid(h @ self.V.T + self.c)


if __name__ == "__main__":
    training.main(__file__, SimpleRnn, acceptor.train, acceptor.case)
