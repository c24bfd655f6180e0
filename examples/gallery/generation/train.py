#!/usr/bin/python3
"""Generation: a two-layer LSTM learns to continue the GNU General Public License, character by character."""

import json
import pathlib
import sys
import time

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import training

TEXT = pathlib.Path("/usr/share/common-licenses/GPL-3")  # on every Debian machine
# The characters by number; `refrain generate` reads and prints them by the same table.
ALPHABET = json.loads(pathlib.Path(__file__).with_name("vocabulary.json").read_text())["symbols"]
EMBEDDED, HIDDEN = 24, 128


class Generation(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(ALPHABET), EMBEDDED)
        self.lstm = nn.LSTM(EMBEDDED, HIDDEN, num_layers=2)
        self.out = nn.Linear(HIDDEN, len(ALPHABET))

    def forward(self, x):
        return self.out(self.lstm(self.embedding(x))[0])


def encode(text):
    return torch.tensor([[ALPHABET.index(letter)] for letter in text])


def train(model, steps=900, length=100, batch=24):
    text = encode(TEXT.read_text())[:, 0]
    optimizer = torch.optim.Adam(model.parameters(), lr=6e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, steps)
    start = time.time()
    for step in range(1, steps + 1):
        starts = torch.randint(len(text) - length, (batch,))
        rows = torch.stack([text[s:s + length + 1] for s in starts], 1)
        loss = nn.functional.cross_entropy(model(rows[:-1]).flatten(0, 1), rows[1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}, {time.time() - start:.0f} s", flush=True)


def case(model):
    x = encode("This program is free software")
    return {"x": x}, {"y": model(x)}


if __name__ == "__main__":
    training.main(__file__, Generation, train, case)
