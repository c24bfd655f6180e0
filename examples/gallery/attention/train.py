#!/usr/bin/python3
"""Writes the case of `attention`; the weights are those of `dates`, trained there."""

import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import training

dates = training.example("dates")


def case(model):
    source = dates.source_of_case()
    target = torch.tensor([[dates.START] + dates.encode_target(iso) for iso in ("1969-07-21", "1944-05-24")]).T
    y, a = model(source, target)
    return {"source": source, "target": target}, {"y": y, "a": a}


if __name__ == "__main__":
    training.main(__file__, dates.Dates, None, case, "../dates/weights.safetensors")
