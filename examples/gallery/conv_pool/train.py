#!/usr/bin/python3
"""Convolution and pooling in front of a recurrent network: 32 years in, the year after them out.

The filter (-1, 2, -1) is fixed: it answers to turns, peaks above zero and valleys below. Pairs of years are pooled,
once by their maximum and once by their mean, so that the recurrence has half the steps.
"""

import pathlib
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import forecast
import sunspots
import training

WINDOW, HIDDEN = 32, 16


class ConvPool(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(4, HIDDEN)
        self.out = nn.Linear(HIDDEN, 1)

    def forward(self, x):
        rows = x.permute(1, 2, 0)  # [B, 1, T]
        turns = nn.functional.conv1d(rows, torch.tensor([[[-1.0, 2.0, -1.0]]]), padding=1)
        seen = torch.cat([rows, turns], 1)
        pooled = torch.cat([nn.functional.max_pool1d(seen, 2), nn.functional.avg_pool1d(seen, 2)], 1)
        pooled = pooled.permute(2, 0, 1)
        return x[-1] + self.out(self.rnn(pooled)[0][-1]), turns.permute(2, 0, 1), pooled


def windows(x):
    """All stretches of WINDOW years and the year after each: [WINDOW + 1, B, 1]"""
    return torch.cat([x[start:start + WINDOW + 1] for start in range(len(x) - WINDOW)], 1)


def train(model):
    x = forecast.series()
    rows = windows(x[:sunspots.index(sunspots.TRAINED_UNTIL) + 1])
    judged = windows(x[sunspots.index(1950) - WINDOW:])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-4)
    for step in range(1, 601):
        batch = rows[:, torch.randint(rows.shape[1], (32,))] * (0.7 + 0.6 * torch.rand(1, 32, 1))
        loss = (model(batch[:-1])[0] - batch[-1]).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0:
            with torch.no_grad():
                error = (model(judged[:-1])[0] - judged[-1]).pow(2).mean().sqrt().item() * sunspots.SCALE
            print(f"step {step}: error since 1950 {error:.1f}", flush=True)


def case(model):
    x = windows(forecast.series()[sunspots.index(1990) - WINDOW:])[:-1]
    return {"x": x}, dict(zip(("y", "turns", "pooled"), model(x)))


if __name__ == "__main__":
    training.main(__file__, ConvPool, train, case)
