#!/usr/bin/python3
"""Long short-term memory: three gates, and a cell state that is added to instead of overwritten."""

import pathlib
import sys

from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import letters
import training


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(letters.SIZE, letters.HIDDEN)
        self.out = nn.Linear(letters.HIDDEN, letters.SIZE)

    def forward(self, x):
        return self.out(self.lstm(x)[0])


if __name__ == "__main__":
    training.main(__file__, Lstm, letters.train, letters.case)
