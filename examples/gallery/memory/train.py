#!/usr/bin/python3
"""Vanishing memory: a simple network, an LSTM and a GRU learn the same thing, to name the first letter of a text.

The text is the GNU General Public License, its letters only. In training it grows longer and longer.
"""

import pathlib
import sys
import time

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import training
from words import LETTERS

TEXT = pathlib.Path("/usr/share/common-licenses/GPL-3")
SIZE, HIDDEN, LONGEST = len(LETTERS), 32, 40
CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Memory(nn.Module):
    def __init__(self):
        super().__init__()
        for name, cell in CELLS.items():
            setattr(self, name, cell(SIZE, HIDDEN))
            setattr(self, name + "_out", nn.Linear(HIDDEN, SIZE))
        with torch.no_grad():
            self.lstm.bias_ih_l0[HIDDEN:2 * HIDDEN] = 1  # the forget gate starts open

    def forward(self, x):
        return [getattr(self, name + "_out")(getattr(self, name)(x)[0][-1]) for name in CELLS]


def letters():
    text = TEXT.read_text().lower()
    return torch.tensor([LETTERS.index(letter) for letter in text if letter in LETTERS])


def rows(text, length, starts):
    """[length, B, SIZE], and the first letters"""
    ids = torch.stack([text[s:s + length] for s in starts], 1)
    return nn.functional.one_hot(ids, SIZE).float(), ids[0]


def train(model, steps=1500):
    text = letters()
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    start = time.time()
    for step in range(1, steps + 1):
        length = 1 + min(LONGEST, step * LONGEST * 4 // (3 * steps))
        x, first = rows(text, length, torch.randint(len(text) - length, (48,)))
        loss = sum(nn.functional.cross_entropy(y, first) for y in model(x))
        optimizer.zero_grad()
        loss.backward()
        for name in CELLS:  # each by itself, as if trained alone
            nn.utils.clip_grad_norm_(getattr(model, name).parameters(), 1.0)
        optimizer.step()
        if step % 150 == 0:
            with torch.no_grad():
                x, first = rows(text, length, range(0, len(text) - length, 97))
                right = [(y.argmax(-1) == first).float().mean().item() for y in model(x)]
            print(f"step {step}, {length} letters: right " +
                  ", ".join(f"{name} {r:.0%}" for name, r in zip(CELLS, right)) +
                  f", {time.time() - start:.0f} s", flush=True)


def case(model):
    x, _ = rows(letters(), LONGEST, (100, 5000))
    return {"x": x}, {"y_" + name: y for name, y in zip(CELLS, model(x))}


if __name__ == "__main__":
    training.main(__file__, Memory, train, case)
