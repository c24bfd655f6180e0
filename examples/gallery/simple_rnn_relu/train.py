#!/usr/bin/python3
"""simple_rnn with relu in the place of tanh."""

import pathlib
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import acceptor
import training


class SimpleRnnRelu(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(acceptor.SIZE, acceptor.HIDDEN, nonlinearity="relu")
        self.out = nn.Linear(acceptor.HIDDEN, 1)
        nn.init.eye_(self.rnn.weight_hh_l0)  # the identity keeps what a relu network has seen until it learns more

    def forward(self, x):
        return torch.sigmoid(self.out(self.rnn(x)[0][-1]))


if __name__ == "__main__":
    training.main(__file__, SimpleRnnRelu, acceptor.train, acceptor.case)
