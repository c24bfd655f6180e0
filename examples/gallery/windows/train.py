#!/usr/bin/python3
"""The baseline without a state: a feed-forward network that slides over the series and sees twelve years at a time."""

import pathlib
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import forecast
import training

WINDOW, HIDDEN = 12, 16


class Windows(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, HIDDEN, WINDOW)
        self.out = nn.Linear(HIDDEN, 1)

    def forward(self, x):
        rows = nn.functional.pad(x.permute(1, 2, 0), (WINDOW - 1, 0))  # [B, 1, T], zeros before the first year
        return x + self.out(torch.relu(self.conv(rows)).permute(2, 0, 1))


if __name__ == "__main__":
    training.main(__file__, Windows, forecast.train, forecast.case)
