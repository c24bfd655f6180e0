"""Greedy and beam search in PyTorch, to compare with. A decoder is step(tokens [B], states) -> (logits [B, V], states)."""

import torch


def greedy(step, states, start, end, length):
    """[length, B] tokens; from the end token on it repeats."""
    tokens = torch.full((states[0].shape[0],), start)
    ended = torch.zeros_like(tokens, dtype=torch.bool)
    text = []
    for _ in range(length):
        logits, states = step(tokens, states)
        tokens = torch.where(ended, torch.full_like(tokens, end), logits.argmax(-1))
        ended = ended | (tokens == end)
        text.append(tokens)
    return torch.stack(text)


def beam_of_one(step, states, start, end, length, width):
    """The best of `width` sequences at every step, for one sequence: (tokens, log-probability)."""
    beams = [([], 0.0, states, False)]
    for _ in range(length):
        found = []
        for text, score, state, ended in beams:
            if ended:
                found.append((text + [end], score, state, True))
                continue
            logits, after = step(torch.tensor(text[-1:] or [start]), state)
            best = torch.log_softmax(logits[0], -1).topk(width)
            for p, token in zip(best.values.tolist(), best.indices.tolist()):
                found.append((text + [token], score + p, after, token == end))
        beams = sorted(found, key=lambda b: -b[1])[:width]
    return beams[0][0], beams[0][1]


def beam(step, states, start, end, length, width, given=()):
    """([length, B] tokens, [B] scores). `given`: tensors [T, B, n] that step(tokens, states, *given) sees."""
    texts, scores = [], []
    for row in range(states[0].shape[0]):
        own = [value[:, row:row + 1] for value in given]
        text, score = beam_of_one(lambda tokens, state: step(tokens, state, *own), [s[row:row + 1] for s in states],
                                  start, end, length, width)
        texts.append(text)
        scores.append(score)
    return torch.tensor(texts).T.contiguous(), torch.tensor(scores)
