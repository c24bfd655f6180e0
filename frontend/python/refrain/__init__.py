"""Refrain: recurrent networks, compiled and run on CPUs.

    model = refrain.load("model.onnx")
    outputs = refrain.Session(model).run({"x": x})

Arrays go in as numpy arrays, as anything with DLPack or the buffer protocol (PyTorch's tensors, array.array), or as
lists; numpy arrays come out. Running lets other threads of Python go on.
"""

from ._core import (
    Batcher,
    Error,
    Future,
    Model,
    RealTime,
    Session,
    StateInfo,
    Stream,
    Streaming,
    TensorInfo,
    __version__,
    load,
)

__all__ = [
    "Batcher",
    "Error",
    "Future",
    "Model",
    "RealTime",
    "Session",
    "StateInfo",
    "Stream",
    "Streaming",
    "TensorInfo",
    "load",
]
