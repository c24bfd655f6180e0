"""The task of the simple networks: is a word English or German? Read it letter by letter, answer at its end."""

import torch
from torch import nn

import training
from words import LETTERS, words

SIZE, HIDDEN, HELD_OUT = len(LETTERS), 24, 2000


def one_hot(rows):
    """Words of equal length -> [T, B, SIZE]"""
    ids = torch.tensor([[LETTERS.index(letter) for letter in word] for word in rows])
    return nn.functional.one_hot(ids.T, SIZE).float()


def examples():
    """(letters..., 1 for German) for as many English as German words; what both languages have is left out."""
    english, german = words("English"), words("German")
    both = set(english) & set(german)
    english, german = ([w for w in found if w not in both] for found in (english, german))
    count = min(len(english), len(german))
    rows = []
    for pair in zip(english[:count], german[:count]):
        rows += [[LETTERS.index(letter) for letter in word] + [label] for label, word in enumerate(pair)]
    return rows


def accuracy(model, groups):
    right = count = 0
    with torch.no_grad():
        for rows in groups:
            p = model(nn.functional.one_hot(rows[:, :-1].T, SIZE).float())
            right += ((p[:, 0] > 0.5).long() == rows[:, -1]).sum().item()
            count += len(rows)
    return right / count


def train(model, epochs=5):
    rows = examples()
    held_out = training.group_by_length(rows[:HELD_OUT])
    groups = training.group_by_length(rows[HELD_OUT:])
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.6)
    for epoch in range(epochs):
        for batch in training.batches(groups, 128):
            p = model(nn.functional.one_hot(batch[:, :-1].T, SIZE).float())
            loss = nn.functional.binary_cross_entropy(p[:, 0], batch[:, -1].float())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        schedule.step()
        print(f"epoch {epoch + 1}: {accuracy(model, held_out):.1%} of {HELD_OUT} words never seen are right",
              flush=True)


def case(model):
    x = one_hot(["thoughtful", "abschalten", "understand", "unterstand"])
    return {"x": x}, {"p": model(x)}
