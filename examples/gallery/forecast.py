"""The task of the forecasting examples: the sunspot number of the next year, each year. Trained on 1700 to 1949."""

import torch
from torch import nn

import sunspots


def series():
    """[T, 1, 1]"""
    return torch.tensor(sunspots.NUMBERS).reshape(-1, 1, 1) / sunspots.SCALE


def rmse(model, first_year):
    """Of the forecasts for first_year and later, in sunspot numbers: the network's and the naive one's."""
    x = series()
    first = sunspots.index(first_year)
    with torch.no_grad():
        y = model(x)
    model_error, naive_error = y[first - 1:-1] - x[first:], x[first - 1:-1] - x[first:]
    return [sunspots.SCALE * error.pow(2).mean().sqrt().item() for error in (model_error, naive_error)]


def train(model):
    x = series()[:sunspots.index(sunspots.TRAINED_UNTIL) + 1]
    # Windows of 60 years, one starting each year; the first 11 years of each only warm the state up.
    windows = torch.cat([x[start:start + 61] for start in range(len(x) - 60)], 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, weight_decay=1e-4)
    for step in range(1, 401):
        batch = windows[:, torch.randint(windows.shape[1], (32,))]
        batch = batch * (0.7 + 0.6 * torch.rand(1, 32, 1))  # weaker and stronger suns than there were
        loss = (model(batch[:-1]) - batch[1:])[11:].pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step}: error since 1950 %.1f, naive %.1f" % tuple(rmse(model, 1950)), flush=True)


def case(model):
    x = series()
    return {"x": x}, {"y": model(x)}
