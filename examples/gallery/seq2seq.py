"""Sequence to sequence with attention, as `dates` and `summary` train it: an encoder that reads both ways, and a decoder
that looks back at every step at what was read (Bahdanau, Cho, Bengio: Neural Machine Translation by Jointly Learning to
Align and Translate, 2015)."""

import time

import torch
from torch import nn

import decoding
import training


class EncoderDecoder(nn.Module):
    """Of `source` and `target` symbols; `start` and `end` are two of the latter, `length` the longest answer."""

    def __init__(self, source, target, embedded, hidden, said, state, start, end, length):
        super().__init__()
        self.start, self.end, self.length = start, end, length
        self.embedding = nn.Embedding(source, embedded)
        self.encoder = nn.GRU(embedded, hidden, bidirectional=True)
        self.bridge = nn.Linear(2 * hidden, state)
        self.decoder = Decoder(target, said, 2 * hidden, state)

    def encode(self, source):
        """[S, B] symbols -> what the decoder attends to [S, B, 2*hidden], its first state [B, state]"""
        memory, final = self.encoder(self.embedding(source))
        return memory, torch.tanh(self.bridge(torch.cat([final[0], final[1]], 1)))

    def forward(self, source, target):
        """Logits [T, B, V] and attention [T, B, S], given the right symbol before each."""
        memory, s = self.encode(source)
        keys, logits, weights = self.decoder.keys(memory), [], []
        for tokens in target:
            y, s, a = self.decoder(tokens, s, memory, keys)
            logits.append(y)
            weights.append(a)
        return torch.stack(logits), torch.stack(weights)


class Decoder(nn.Module):
    def __init__(self, symbols, said, memory, state):
        super().__init__()
        seen = said + memory

        def matrix(rows, columns):
            return nn.Parameter(torch.empty(rows, columns).uniform_(-columns ** -0.5, columns ** -0.5))

        self.embedding = nn.Embedding(symbols, said)
        self.W_q = matrix(state, state)
        self.W_m = matrix(state, memory)
        self.v = nn.Parameter(torch.empty(state).uniform_(-0.1, 0.1))
        self.W_r, self.W_z, self.W_s = (matrix(state, state + seen) for _ in range(3))
        self.b_r, self.b_z, self.b_s = (nn.Parameter(torch.zeros(state)) for _ in range(3))
        self.W_y = matrix(symbols, state + memory)
        self.b_y = nn.Parameter(torch.zeros(symbols))

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
        return torch.cat([s, k], 1) @ self.W_y.T + self.b_y, s, a.T


def step_of(model, memory):
    """One step of the decoder, for decoding.py."""
    keys = model.decoder.keys(memory)

    def step(tokens, states):
        y, s, _ = model.decoder(tokens, states[0], memory, keys)
        return y, [s]
    return step


def greedy(model, source):
    memory, s = model.encode(source)
    return decoding.greedy(step_of(model, memory), [s], model.start, model.end, model.length)


def judge(model, groups):
    """The share of answers that are right in every symbol."""
    right = count = 0
    with torch.no_grad():
        for batch in groups:
            source, target = batch[:, :-model.length].T, batch[:, -model.length:].T
            right += (greedy(model, source) == target).all(0).sum().item()
            count += len(batch)
    return right / count


def train(model, seen, unseen, steps, report):
    """`seen` and `unseen` are rows, a source and behind it its answer, filled up with the end to its greatest length."""
    groups, held_out = training.group_by_length(seen), training.group_by_length(unseen)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, steps)
    start, step = time.time(), 0
    while step < steps:
        for batch in training.batches(groups, 64):
            target = batch[:, -model.length:].T
            before = torch.cat([torch.full_like(target[:1], model.start), target[:-1]])
            logits, _ = model(batch[:, :-model.length].T, before)
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step += 1
            if step % report == 0:
                print(f"step {step}: loss {loss.item():.4f}, {judge(model, held_out):.1%} of the answers are right, "
                      f"{time.time() - start:.0f} s", flush=True)
            if step == steps:
                break
