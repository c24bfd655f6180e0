#!/usr/bin/python3
"""Anomaly detection: an LSTM that knows the year's rhythm forecasts each month's change; a bad forecast is a bad reading."""

import pathlib
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import training
from signal_data import PPM, TRAINED_MONTHS, changes, faulty

HIDDEN = 24


class Anomaly(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, HIDDEN)
        self.out = nn.Linear(HIDDEN, 1)

    def forward(self, x):
        return self.out(self.lstm(x)[0])


def series(readings):
    return torch.tensor(changes(readings)).reshape(-1, 1, 1)


def train(model):
    x = series(PPM[:TRAINED_MONTHS])
    windows = torch.cat([x[start:start + 61] for start in range(len(x) - 60)], 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(1, 501):
        batch = windows[:, torch.randint(windows.shape[1], (32,))]
        noise = torch.randn_like(batch) * 0.5 * (torch.rand_like(batch) < 0.1)  # past faults must not upset it
        loss = (model((batch + noise)[:-1]) - batch[1:])[12:].pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}: error {loss.item() ** 0.5:.3f} ppm", flush=True)


def case(model):
    x = series(faulty()[0])
    return {"x": x}, {"y": model(x)}


if __name__ == "__main__":
    training.main(__file__, Anomaly, train, case)
