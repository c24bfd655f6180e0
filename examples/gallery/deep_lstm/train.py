#!/usr/bin/python3
"""A deep LSTM: input layer, three LSTM layers each with a residual connection around it, output layer."""

import pathlib
import sys

from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import letters
import training


class DeepLstm(nn.Module):
    def __init__(self):
        super().__init__()
        hidden = letters.HIDDEN
        self.inp = nn.Linear(letters.SIZE, hidden)
        self.lstm1 = nn.LSTM(hidden, hidden)
        self.lstm2 = nn.LSTM(hidden, hidden)
        self.lstm3 = nn.LSTM(hidden, hidden)
        self.out = nn.Linear(hidden, letters.SIZE)

    def forward(self, x):
        x = self.inp(x)
        for lstm in (self.lstm1, self.lstm2, self.lstm3):
            x = x + lstm(x)[0]
        return self.out(x)


if __name__ == "__main__":
    training.main(__file__, DeepLstm, letters.train, letters.case)
