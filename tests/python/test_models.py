"""Whole models against PyTorch's outputs."""

import numpy as np
import pytest

import refrain
from cases import MODELS, SILERO, assert_close, data_sets, read_tensor


@pytest.mark.parametrize("name", sorted(path.parent.name for path in MODELS.glob("*/model.onnx")))
def test_run(name):
    model = refrain.load(MODELS / name / "model.onnx")
    session = model.session()
    for inputs, expected in data_sets(MODELS / name):
        outputs = session.run({info.name: array for info, array in zip(model.inputs, inputs)})
        assert list(outputs) == sorted(info.name for info in model.outputs)
        for info, array in zip(model.outputs, expected):
            assert_close(outputs[info.name], array)


def test_a_model_from_memory():
    path = MODELS / "lstm_op9/model.onnx"
    ((inputs, expected),) = data_sets(path.parent)
    for data in (path.read_bytes(), bytearray(path.read_bytes()), memoryview(path.read_bytes())):
        model = refrain.load(data)
        assert_close(model.session().run({"x": inputs[0]})[model.outputs[0].name], expected[0])


def test_what_a_model_says_of_itself():
    model = refrain.load(str(MODELS / "gru_op11/model.onnx"))
    x = model.inputs[0]
    assert (x.name, x.type, x.dtype, x.shape) == ("x", "f32", np.dtype("float32"), ("T", "B", 6))
    assert "x: f32[T, B, 6]" in repr(model)
    assert model.streaming and model.streaming.supported and model.streaming.why == ""
    assert model.streaming.time == "T" and model.streaming.batch == "B"
    assert [(state.input, state.output) for state in model.states] == [("h0", model.outputs[1].name)]
    assert model.warnings == []


def test_what_cannot_be_stepped_says_why():
    model = refrain.load(MODELS / "bilstm2_op13/model.onnx")
    assert not model.streaming and model.streaming.why
    with pytest.raises(refrain.Error):
        model.session().prepare_step()


@pytest.mark.skipif(not SILERO.exists(), reason="Silero's model is not there")
def test_silero_over_speech():
    model = refrain.load(SILERO / "model.onnx", states=[("state", "stateN")])
    session = model.session()
    session.prepare_step(shapes={"input": (1, 576)}, values={"sr": 16000})
    for folder in sorted((SILERO / "sequence").iterdir()):
        outputs = session.step({"input": read_tensor(folder / "input_0.pb")})
        assert_close(outputs["output"], read_tensor(folder / "output_0.pb"))
        assert_close(session.read_state("state"), read_tensor(folder / "output_1.pb"))


def test_errors_say_where_and_what(tmp_path):
    missing = tmp_path / "missing.onnx"
    with pytest.raises(refrain.Error) as caught:
        refrain.load(missing)
    assert caught.value.file == str(missing) and str(missing) in str(caught.value)
    with pytest.raises(refrain.Error) as caught:
        refrain.load(b"not a model", name="upload 7")
    assert caught.value.file == "upload 7"

    model = refrain.load(MODELS / "lstm_op9/model.onnx")
    with pytest.raises(refrain.Error) as caught:
        model.session().run({"x": np.zeros((3, 2, 7), "f4")})
    assert caught.value.expected and caught.value.found
    with pytest.raises(refrain.Error, match="highway, automatic, onednn or reference"):
        refrain.load(MODELS / "lstm_op9/model.onnx", kernels="fast")

    bad_node = MODELS.parent / "hostile/hidden_size_negative.onnx"
    with pytest.raises(refrain.Error) as caught:
        refrain.load(bad_node)
    assert caught.value.file == str(bad_node) and caught.value.node and caught.value.op
