"""The task of the cells' examples: the next letter of an English word.

A word is read as `.word`, the network answers `word.` one step ahead; `.` is where words begin and end. Letters are
one-hot, so that W·x picks a column of W.
"""

import math
import time

import torch
from torch import nn

import training
from words import LETTERS, words

ALPHABET = "." + LETTERS
SIZE, HIDDEN, HELD_OUT = len(ALPHABET), 48, 2000


def encode(text):
    return [ALPHABET.index(letter) for letter in text]


def one_hot(ids):
    """[T, B] letters -> [T, B, SIZE]"""
    return nn.functional.one_hot(ids, SIZE).float()


def bits_per_letter(model, groups):
    """Mean of -log2 p(the letter that came): what a letter costs when the model guesses first."""
    total = count = 0
    with torch.no_grad():
        for rows in groups:
            logits = model(one_hot(rows[:, :-1].T))
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].T.flatten(), reduction="sum")
            total, count = total + loss.item(), count + rows[:, 1:].numel()
    return total / count / math.log(2)


def train(model, epochs=6):
    rows = [encode("." + word + ".") for word in words("English")]
    held_out = training.group_by_length(rows[:HELD_OUT])
    groups = training.group_by_length(rows[HELD_OUT:])
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.6)
    start = time.time()
    for epoch in range(epochs):
        for batch in training.batches(groups, 256):
            logits = model(one_hot(batch[:, :-1].T))
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].T.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        schedule.step()
        print(f"epoch {epoch + 1}: {bits_per_letter(model, held_out):.3f} bits a letter on words never seen, "
              f"{time.time() - start:.0f} s", flush=True)
    print(f"{sum(p.numel() for p in model.parameters())} parameters")


def case(model):
    x = one_hot(torch.tensor([encode(word) for word in (".recurrence", ".networking", ".remembered")]).T)
    return {"x": x}, {"y": model(x)}
