#!/usr/bin/python3
"""One to many: a vector, the pixels of a tiny image, becomes the first state of a decoder that writes the caption."""

import pathlib
import sys
import time

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import decoding
import training
from images import END, LENGTH, SIDE, START, WORDS, encode, held_out, images

EMBEDDED, HIDDEN = 16, 64


class Caption(nn.Module):
    def __init__(self):
        super().__init__()
        self.see = nn.Linear(SIDE * SIDE, HIDDEN)
        self.bridge = nn.Linear(HIDDEN, HIDDEN)
        self.writer = Writer()

    def first_state(self, image):
        return torch.tanh(self.bridge(torch.relu(self.see(image))))

    def forward(self, image, target):
        h, logits = self.first_state(image), []
        for tokens in target:
            y, (h,) = self.writer(tokens, [h])
            logits.append(y)
        return torch.stack(logits)


class Writer(nn.Module):
    def __init__(self):
        super().__init__()

        def matrix():
            bound = HIDDEN ** -0.5
            return nn.Parameter(torch.empty(HIDDEN, HIDDEN + EMBEDDED).uniform_(-bound, bound))

        self.embedding = nn.Embedding(len(WORDS), EMBEDDED)
        self.W_r, self.W_z, self.W_h = (matrix() for _ in range(3))
        self.b_r, self.b_z, self.b_h = (nn.Parameter(torch.zeros(HIDDEN)) for _ in range(3))
        self.linear = nn.Linear(HIDDEN, len(WORDS))

    def forward(self, tokens, states):
        h, x = states[0], self.embedding(tokens)
        hx = torch.cat([h, x], 1)
        r = torch.sigmoid(hx @ self.W_r.T + self.b_r)
        z = torch.sigmoid(hx @ self.W_z.T + self.b_z)
        candidate = torch.tanh(torch.cat([r * h, x], 1) @ self.W_h.T + self.b_h)
        h = (1 - z) * h + z * candidate
        return self.linear(h), [h]


def tensors(found):
    """Images [count, SIDE*SIDE], captions [LENGTH, count] filled up with the end."""
    captions = [encode(text) for _, text in found]
    captions = [tokens + [END] * (LENGTH - len(tokens)) for tokens in captions]
    return torch.tensor([pixels for pixels, _ in found]), torch.tensor(captions).T


def train(model, steps=4000):
    seen, captions = tensors(images(20000, 1, without=held_out()))
    unseen, said = tensors(held_out())
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, steps)
    start = time.time()
    for step in range(1, steps + 1):
        rows = torch.randint(len(seen), (64,))
        target = captions[:, rows]
        before = torch.cat([torch.full_like(target[:1], START), target[:-1]])
        loss = nn.functional.cross_entropy(model(seen[rows], before).flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 400 == 0:
            with torch.no_grad():
                text = greedy(model, unseen)
            print(f"step {step}: loss {loss.item():.4f}, {(text == said).all(0).float().mean():.1%} of the captions "
                  f"are right, {time.time() - start:.0f} s", flush=True)


def greedy(model, image):
    return decoding.greedy(model.writer, [model.first_state(image)], START, END, LENGTH)


def case(model):
    image = tensors(held_out()[:4])[0]
    return {"image": image}, {"text": greedy(model, image)}


if __name__ == "__main__":
    training.main(__file__, Caption, train, case, run=greedy)
