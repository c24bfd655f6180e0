#!/usr/bin/python3
"""Summarising by generation: a week's weather log -> its headline, by an encoder and a decoder with attention."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import seq2seq
import training
from weather import END, LENGTH, SOURCE, START, TARGET, encode, encode_target, examples, held_out


class Summary(seq2seq.EncoderDecoder):
    def __init__(self):
        super().__init__(len(SOURCE), len(TARGET), embedded=16, hidden=48, said=8, state=48,
                         start=START, end=END, length=LENGTH)


def rows(found):
    return [encode(log) + encode_target(headline) for log, headline in found]


def train(model, steps=6000):
    seq2seq.train(model, rows(examples(60000, 1, without=held_out())), rows(held_out()), steps, report=500)


def case(model):
    groups = training.group_by_length(rows(held_out()))
    source = next(batch for batch in groups if len(batch) > 3)[:2, :-LENGTH].T  # two logs of equal length
    return {"source": source}, {"text": seq2seq.greedy(model, source)}


if __name__ == "__main__":
    training.main(__file__, Summary, train, case, run=seq2seq.greedy)
