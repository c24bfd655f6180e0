#!/usr/bin/python3
"""The language of a word: a bidirectional GRU over its letters, the mean of its states, one linear layer."""

import pathlib
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import training
from show import ALPHABET, HELD_OUT, LANGUAGES, encode, held_out
from words import words

EMBEDDED, HIDDEN, COUNT = 16, 48, 30000


class Language(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(ALPHABET), EMBEDDED)
        self.gru = nn.GRU(EMBEDDED, HIDDEN, bidirectional=True)
        self.out = nn.Linear(2 * HIDDEN, len(LANGUAGES))

    def forward(self, x):
        code = self.gru(self.embedding(x))[0].mean(0)
        return self.out(code), code


def examples():
    """(letters..., language), for judging and for training."""
    rows = []
    for label, language in enumerate(LANGUAGES):
        found = words(language, f"[{ALPHABET}]+")[HELD_OUT:HELD_OUT + COUNT]
        rows += [encode(word) + [label] for word in found]
    return [encode(word) + [label] for word, label in held_out()], rows


def confusion(model, groups):
    """How often row's language was taken for column's."""
    table = torch.zeros(len(LANGUAGES), len(LANGUAGES), dtype=torch.long)
    with torch.no_grad():
        for rows in groups:
            for actual, answer in zip(rows[:, -1], model(rows[:, :-1].T)[0].argmax(-1)):
                table[actual, answer] += 1
    return table


def train(model, epochs=4):
    unseen, groups = map(training.group_by_length, examples())
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    for epoch in range(epochs):
        for batch in training.batches(groups, 128):
            loss = nn.functional.cross_entropy(model(batch[:, :-1].T)[0], batch[:, -1])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        schedule.step()
        table = confusion(model, unseen)
        print(f"epoch {epoch + 1}: {table.diag().sum() / table.sum():.1%} of the words never seen are right",
              flush=True)
    print(table)


def case(model):
    x = torch.tensor([encode(w) for w in ("knowledge", "jugements", "schreiben", "canciones", "cavallino")]).T
    logits, code = model(x)
    return {"x": x}, {"y": logits, "code": code}


if __name__ == "__main__":
    training.main(__file__, Language, train, case)
