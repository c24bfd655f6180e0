#!/usr/bin/python3
"""Sequence to sequence with attention: a date as people write it -> ISO 8601."""

import pathlib
import sys
import time

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import decoding
import training
from dates import END, LENGTH, SOURCE, START, TARGET, encode, encode_target, pairs

EMBEDDED, HIDDEN, STATE, HELD_OUT = 16, 32, 64, 500


class Dates(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(SOURCE), EMBEDDED)
        self.encoder = nn.GRU(EMBEDDED, HIDDEN, bidirectional=True)
        self.bridge = nn.Linear(2 * HIDDEN, STATE)
        self.decoder = Decoder()

    def encode(self, source):
        """[S, B] letters -> what the decoder attends to [S, B, 2*HIDDEN], its first state [B, STATE]"""
        memory, final = self.encoder(self.embedding(source))
        return memory, torch.tanh(self.bridge(torch.cat([final[0], final[1]], 1)))

    def forward(self, source, target):
        """Logits [T, B, V] and attention [T, B, S], given the right token before each."""
        memory, s = self.encode(source)
        logits, weights = [], []
        for tokens in target:
            y, s, a = self.decoder(tokens, s, memory)
            logits.append(y)
            weights.append(a)
        return torch.stack(logits), torch.stack(weights)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        memory, seen = 2 * HIDDEN, EMBEDDED + 2 * HIDDEN

        def matrix(rows, columns):
            return nn.Parameter(torch.empty(rows, columns).uniform_(-columns ** -0.5, columns ** -0.5))

        self.embedding = nn.Embedding(len(TARGET), EMBEDDED)
        self.W_q = matrix(STATE, STATE)
        self.W_m = matrix(STATE, memory)
        self.v = nn.Parameter(torch.empty(STATE).uniform_(-0.1, 0.1))
        self.W_r, self.W_z, self.W_s = (matrix(STATE, STATE + seen) for _ in range(3))
        self.b_r, self.b_z, self.b_s = (nn.Parameter(torch.zeros(STATE)) for _ in range(3))
        self.W_y = matrix(len(TARGET), STATE + memory)
        self.b_y = nn.Parameter(torch.zeros(len(TARGET)))

    def forward(self, tokens, s, memory):
        x = self.embedding(tokens)
        a = torch.softmax(torch.tanh(s @ self.W_q.T + memory @ self.W_m.T) @ self.v, 0)  # [S, B]
        k = (a[..., None] * memory).sum(0)
        seen = torch.cat([s, x, k], 1)
        r = torch.sigmoid(seen @ self.W_r.T + self.b_r)
        z = torch.sigmoid(seen @ self.W_z.T + self.b_z)
        candidate = torch.tanh(torch.cat([r * s, x, k], 1) @ self.W_s.T + self.b_s)
        s = (1 - z) * s + z * candidate
        return torch.cat([s, k], 1) @ self.W_y.T + self.b_y, s, a.T


def examples():
    """Pairs for training and for judging; what is judged was not trained, and nothing is judged twice."""
    unseen = dict.fromkeys(pairs(HELD_OUT, 2))
    return [pair for pair in pairs(40000, 1) if pair not in unseen], list(unseen)


def rows(found):
    return [encode(written) + encode_target(iso) + [END] for written, iso in found]


def split(batch):
    """Source [S, B], target with START before it [LENGTH, B], target [LENGTH, B]"""
    target = batch[:, -LENGTH:].T
    return batch[:, :-LENGTH].T, torch.cat([torch.full_like(target[:1], START), target[:-1]]), target


def step_of(model, memory):
    def step(tokens, states):
        y, s, _ = model.decoder(tokens, states[0], memory)
        return y, [s]
    return step


def train(model, steps=900):
    seen, unseen = examples()
    held_out, groups = training.group_by_length(rows(unseen)), training.group_by_length(rows(seen))
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, steps)
    start, step = time.time(), 0
    while step < steps:
        for batch in training.batches(groups, 64):
            source, before, target = split(batch)
            loss = nn.functional.cross_entropy(model(source, before)[0].flatten(0, 1), target.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step += 1
            if step % 100 == 0:
                print(f"step {step}: loss {loss.item():.4f}, {judge(model, held_out):.1%} of the dates are right, "
                      f"{time.time() - start:.0f} s", flush=True)
            if step == steps:
                break


def judge(model, groups):
    right = count = 0
    with torch.no_grad():
        for batch in groups:
            source, _, target = split(batch)
            right += (greedy(model, source) == target).all(0).sum().item()
            count += len(batch)
    return right / count


def source_of_case():
    written = ("the twenty first of july, 1969", "the twenty fourth of may, 1944")
    return torch.tensor([encode(text) for text in written]).T


def greedy(model, source):
    memory, s = model.encode(source)
    return decoding.greedy(step_of(model, memory), [s], START, END, LENGTH)


def case(model):
    source = source_of_case()
    return {"source": source}, {"text": greedy(model, source)}


if __name__ == "__main__":
    training.main(__file__, Dates, train, case, run=greedy)
