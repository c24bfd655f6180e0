#!/usr/bin/python3
"""Fill in the missing letter: a bidirectional LSTM sees what comes before it and what comes after it."""

import pathlib
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import training
from words import LETTERS, words

MISSING = len(LETTERS)  # the symbol for `_`
HIDDEN, HELD_OUT = 64, 2000


class Bidirectional(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(MISSING + 1, 16)
        self.lstm = nn.LSTM(16, HIDDEN, bidirectional=True)
        self.out = nn.Linear(2 * HIDDEN, len(LETTERS))

    def forward(self, x):
        return self.out(self.lstm(self.embedding(x))[0])


def encode(word):
    return [MISSING if letter == "_" else LETTERS.index(letter) for letter in word]


def masked(batch, place):
    """One letter of each word (a column of [T, B]) is taken out: the words without it, and the letter."""
    columns = torch.arange(batch.shape[1])
    x = batch.clone()
    x[place, columns] = MISSING
    return x, batch[place, columns]


def accuracy(model, groups):
    """Every letter of every word is left out once."""
    right = count = 0
    with torch.no_grad():
        for rows in groups:
            for place in range(rows.shape[1]):
                x, letter = masked(rows.T, torch.full((len(rows),), place))
                right += (model(x)[place].argmax(-1) == letter).sum().item()
                count += len(rows)
    return right / count


def train(model, epochs=8):
    rows = [encode(word) for word in words("English")]
    held_out = training.group_by_length(rows[:HELD_OUT])
    groups = training.group_by_length(rows[HELD_OUT:])
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.7)
    for epoch in range(epochs):
        for batch in training.batches(groups, 128):
            columns = torch.arange(len(batch))
            place = torch.randint(batch.shape[1], (len(batch),))
            x, letter = masked(batch.T, place)
            loss = nn.functional.cross_entropy(model(x)[place, columns], letter)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        schedule.step()
        print(f"epoch {epoch + 1}: {accuracy(model, held_out):.1%} of the missing letters are right", flush=True)


def case(model):
    x = torch.tensor([encode(word) for word in ("netw_rk", "sci_nce", "lib_ary")]).T
    return {"x": x}, {"y": model(x)}


if __name__ == "__main__":
    training.main(__file__, Bidirectional, train, case)
