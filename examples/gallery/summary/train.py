#!/usr/bin/python3
"""Summarising by generation: a week's weather log -> its headline, by an encoder and a decoder with attention."""

import pathlib
import sys
import time

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import decoding
import training
from weather import END, LENGTH, SOURCE, START, TARGET, encode, encode_target, examples, held_out

EMBEDDED, HIDDEN, SAID, STATE = 16, 48, 8, 48


class Summary(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(SOURCE), EMBEDDED)
        self.encoder = nn.GRU(EMBEDDED, HIDDEN, bidirectional=True)
        self.bridge = nn.Linear(2 * HIDDEN, STATE)
        self.decoder = Decoder()

    def encode(self, source):
        """[S, B] words -> what the decoder attends to [S, B, 2*HIDDEN], its first state [B, STATE]"""
        memory, final = self.encoder(self.embedding(source))
        return memory, torch.tanh(self.bridge(torch.cat([final[0], final[1]], 1)))

    def forward(self, source, target):
        """Logits [T, B, V], given the right word before each."""
        memory, s = self.encode(source)
        keys, logits = self.decoder.keys(memory), []
        for tokens in target:
            y, s = self.decoder(tokens, s, memory, keys)
            logits.append(y)
        return torch.stack(logits)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        memory, seen = 2 * HIDDEN, SAID + 2 * HIDDEN

        def matrix(rows, columns):
            return nn.Parameter(torch.empty(rows, columns).uniform_(-columns ** -0.5, columns ** -0.5))

        self.embedding = nn.Embedding(len(TARGET), SAID)
        self.W_q = matrix(STATE, STATE)
        self.W_m = matrix(STATE, memory)
        self.v = nn.Parameter(torch.empty(STATE).uniform_(-0.1, 0.1))
        self.W_r, self.W_z, self.W_s = (matrix(STATE, STATE + seen) for _ in range(3))
        self.b_r, self.b_z, self.b_s = (nn.Parameter(torch.zeros(STATE)) for _ in range(3))
        self.W_y = matrix(len(TARGET), STATE + memory)
        self.b_y = nn.Parameter(torch.zeros(len(TARGET)))

    def keys(self, memory):
        return memory @ self.W_m.T

    def forward(self, tokens, s, memory, keys):
        x = self.embedding(tokens)
        a = torch.softmax(torch.tanh(s @ self.W_q.T + keys) @ self.v, 0)  # [S, B]
        k = (a[..., None] * memory).sum(0)
        seen = torch.cat([s, x, k], 1)
        r = torch.sigmoid(seen @ self.W_r.T + self.b_r)
        z = torch.sigmoid(seen @ self.W_z.T + self.b_z)
        candidate = torch.tanh(torch.cat([r * s, x, k], 1) @ self.W_s.T + self.b_s)
        s = (1 - z) * s + z * candidate
        return torch.cat([s, k], 1) @ self.W_y.T + self.b_y, s


def rows(found):
    return [encode(log) + encode_target(headline) for log, headline in found]


def greedy(model, source):
    memory, s = model.encode(source)
    keys = model.decoder.keys(memory)

    def step(tokens, states):
        y, state = model.decoder(tokens, states[0], memory, keys)
        return y, [state]

    return decoding.greedy(step, [s], START, END, LENGTH)


def judge(model, groups):
    """The share of headlines that are right in every word."""
    right = count = 0
    with torch.no_grad():
        for batch in groups:
            right += (greedy(model, batch[:, :-LENGTH].T).T == batch[:, -LENGTH:]).all(1).sum().item()
            count += len(batch)
    return right / count


def train(model, steps=6000):
    unseen = training.group_by_length(rows(held_out()))
    groups = training.group_by_length(rows(examples(60000, 1, without=held_out())))
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, steps)
    start, step = time.time(), 0
    while step < steps:
        for batch in training.batches(groups, 64):
            target = batch[:, -LENGTH:].T
            before = torch.cat([torch.full_like(target[:1], START), target[:-1]])
            loss = nn.functional.cross_entropy(model(batch[:, :-LENGTH].T, before).flatten(0, 1), target.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step += 1
            if step % 500 == 0:
                print(f"step {step}: loss {loss.item():.4f}, {judge(model, unseen):.1%} of the headlines are right, "
                      f"{time.time() - start:.0f} s", flush=True)
            if step == steps:
                break


def case(model):
    groups = training.group_by_length(rows(held_out()))
    source = next(batch for batch in groups if len(batch) > 3)[:2, :-LENGTH].T  # two logs of equal length
    return {"source": source}, {"text": greedy(model, source)}


if __name__ == "__main__":
    training.main(__file__, Summary, train, case, run=greedy)
