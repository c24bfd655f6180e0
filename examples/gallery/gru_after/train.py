#!/usr/bin/python3
"""Gated recurrent unit as cuDNN, PyTorch and Keras have it: the reset gate works after the product, r*(U_h·h + b)."""

import pathlib
import sys

from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import letters
import training


class GruAfter(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(letters.SIZE, letters.HIDDEN)
        self.out = nn.Linear(letters.HIDDEN, letters.SIZE)

    def forward(self, x):
        return self.out(self.gru(x)[0])


if __name__ == "__main__":
    training.main(__file__, GruAfter, letters.train, letters.case)
