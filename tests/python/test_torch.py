"""Live against PyTorch, where it is installed: tensors in by DLPack, out again without a copy."""

import io

import numpy as np
import pytest

import refrain

torch = pytest.importorskip("torch")


def exported(module, x):
    buffer = io.BytesIO()
    torch.onnx.export(module, x, buffer, input_names=["x"], output_names=["y", "h"], opset_version=13,
                      dynamic_axes={"x": {0: "T", 1: "B"}, "y": {0: "T", 1: "B"}})
    return buffer.getvalue()


@pytest.mark.parametrize("layer", ["GRU", "RNN"])
def test_layers(layer):
    torch.manual_seed(1)
    module = getattr(torch.nn, layer)(5, 9, num_layers=2).eval()
    model = refrain.load(exported(module, torch.randn(3, 2, 5)))
    session = model.session()
    for length, batch in ((1, 1), (7, 3), (20, 2)):
        x = torch.randn(length, batch, 5)
        with torch.no_grad():
            y, h = module(x)
        outputs = session.run({"x": x})
        np.testing.assert_allclose(outputs["y"], y.numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(outputs["h"], h.numpy(), rtol=1e-4, atol=1e-5)
        back = torch.from_dlpack(outputs["y"])
        assert back.data_ptr() == outputs["y"].ctypes.data


def test_bound_tensors():
    torch.manual_seed(2)
    module = torch.nn.GRU(5, 9).eval()
    session = refrain.load(exported(module, torch.randn(3, 2, 5))).session()
    session.prepare(symbols={"T": 4, "B": 1})
    x, y = torch.randn(4, 1, 5), torch.zeros(4, 1, 9)
    session.bind_input("x", x)
    session.bind_output("y", y)
    session.run()
    with torch.no_grad():
        np.testing.assert_allclose(y.numpy(), module(x)[0].numpy(), rtol=1e-4, atol=1e-5)


def test_tensors_that_need_a_gradient_are_refused():
    session = refrain.load(exported(torch.nn.GRU(5, 9), torch.randn(3, 2, 5))).session()
    with pytest.raises(Exception, match="grad"):
        session.run({"x": torch.randn(3, 2, 5, requires_grad=True)})
