#!/usr/bin/python3
"""Writes the case of `dates_beam`; the weights are those of `dates`, trained there."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import decoding
import training

dates = training.example("dates")


def beam(model, source):
    memory, s = model.encode(source)

    def step(tokens, states, own):
        y, state, _ = model.decoder(tokens, states[0], own)
        return y, [state]

    return decoding.beam(step, [s], dates.START, dates.END, dates.LENGTH, 4, [memory])


def case(model):
    source = dates.source_of_case()
    text, score = beam(model, source)
    return {"source": source}, {"text": text, "score": score}


if __name__ == "__main__":
    training.main(__file__, dates.Dates, None, case, "../dates/weights.safetensors", beam)
