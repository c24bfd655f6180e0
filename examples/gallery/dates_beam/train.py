#!/usr/bin/python3
"""Writes the case of `dates_beam`; the weights are those of `dates`, trained there."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import decoding
import seq2seq
import training

dates = training.example("dates")


def beam(model, source):
    memory, s = model.encode(source)

    def step(tokens, states, own):
        return seq2seq.step_of(model, own)(tokens, states)

    return decoding.beam(step, [s], dates.START, dates.END, dates.LENGTH, 4, [memory])


def case(model):
    source = dates.source_of_case()
    text, score = beam(model, source)
    return {"source": source}, {"text": text, "score": score}


if __name__ == "__main__":
    training.main(__file__, dates.Dates, None, case, "../dates/weights.safetensors", beam)
