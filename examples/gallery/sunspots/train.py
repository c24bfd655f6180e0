#!/usr/bin/python3
"""Forecasting: an LSTM reads the sunspot numbers year by year and says each time what the next year brings."""

import pathlib
import sys

from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import forecast
import training

HIDDEN = 16


class Sunspots(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, HIDDEN)
        self.out = nn.Linear(HIDDEN, 1)

    def forward(self, x):
        return x + self.out(self.lstm(x)[0])  # the network learns the change: zero is the naive forecast


if __name__ == "__main__":
    training.main(__file__, Sunspots, forecast.train, forecast.case)
