#!/usr/bin/python3
"""Sequence to sequence with attention: a date as people write it -> ISO 8601."""

import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import seq2seq
import training
from dates import END, LENGTH, SOURCE, START, TARGET, encode, encode_target, pairs


class Dates(seq2seq.EncoderDecoder):
    def __init__(self):
        super().__init__(len(SOURCE), len(TARGET), embedded=16, hidden=32, said=16, state=64,
                         start=START, end=END, length=LENGTH)


def examples():
    """Pairs for training and for judging; what is judged was not trained, and nothing is judged twice."""
    unseen = dict.fromkeys(pairs(500, 2))
    return [pair for pair in pairs(40000, 1) if pair not in unseen], list(unseen)


def rows(found):
    return [encode(written) + encode_target(iso) + [END] for written, iso in found]


def train(model, steps=900):
    seen, unseen = examples()
    seq2seq.train(model, rows(seen), rows(unseen), steps, report=100)


def source_of_case():
    written = ("the twenty first of july, 1969", "the twenty fourth of may, 1944")
    return torch.tensor([encode(text) for text in written]).T


def case(model):
    source = source_of_case()
    return {"source": source}, {"text": seq2seq.greedy(model, source)}


if __name__ == "__main__":
    training.main(__file__, Dates, train, case, run=seq2seq.greedy)
