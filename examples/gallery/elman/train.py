#!/usr/bin/python3
"""Elman's network: h = tanh(W_xh·x + W_hh·h + b), y = W_hy·h + b_y at every step."""

import pathlib
import sys

from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import letters
import training


class Elman(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(letters.SIZE, letters.HIDDEN)
        self.out = nn.Linear(letters.HIDDEN, letters.SIZE)

    def forward(self, x):
        return self.out(self.rnn(x)[0])


if __name__ == "__main__":
    training.main(__file__, Elman, letters.train, letters.case)
