#!/usr/bin/python3
"""The smallest character model: four hidden units that spell "hello"."""

import pathlib
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import training

ALPHABET = "helo"


class Hello(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(4, 4)
        self.out = nn.Linear(4, 4)

    def forward(self, x):
        return torch.softmax(self.logits(x), -1)

    def logits(self, x):
        return self.out(self.rnn(x)[0])


def ids(text):
    return torch.tensor([[ALPHABET.index(letter)] for letter in text])


def one_hot(text):
    """[T, 1, 4]"""
    return nn.functional.one_hot(ids(text), 4).float()


def train(model):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    x, target = one_hot("hell"), ids("ello").flatten()
    for step in range(1, 401):
        loss = nn.functional.cross_entropy(model.logits(x).flatten(0, 1), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.4f}")


def case(model):
    x = one_hot("hell")
    return {"x": x}, {"p": model(x)}


if __name__ == "__main__":
    training.main(__file__, Hello, train, case)
