"""The examples, run on small models, and on Silero's where it is there."""

import math
import os
import pathlib
import random
import re
import subprocess
import sys
import wave

import numpy as np
import pytest

SOURCE = pathlib.Path(os.environ["REFRAIN_SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["REFRAIN_BINARY_DIR"])
EXAMPLES = BUILD / "examples"
MODELS = SOURCE / "tests/models"
SILERO = SOURCE.parent / "shared/cases/silero_vad_16k_op15"
SILERO_OPTIONS = ["--state", "state=stateN", "--value", "sr=16000", "--shape", "input=1x576"]
needs_silero = pytest.mark.skipif(not SILERO.exists(), reason="Silero's model is not there")

sys.path.insert(0, str(SOURCE / "tests/python"))
from cases import read_tensor  # noqa: E402


def run(program, *arguments, status=0):
    done = subprocess.run([str(word) for word in (program, *arguments)], capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def write_wav(path, samples, channels=1):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.clip(np.rint(np.asarray(samples) * 32768), -32768, 32767).astype("<i2").tobytes())


def numbers(line):
    return [float(word) for word in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", line)]


@pytest.fixture
def speech(tmp_path):
    """The samples of Silero's steps as a wav, and what it should say of each."""
    steps = sorted((SILERO / "sequence").iterdir())
    write_wav(tmp_path / "speech.wav", np.concatenate([read_tensor(step / "input_0.pb")[0, 64:] for step in steps]))
    return tmp_path / "speech.wav", [read_tensor(step / "output_0.pb").item() for step in steps]


def test_audio_loop(tmp_path):
    write_wav(tmp_path / "tone.wav", [0.3 * math.sin(0.05 * i) for i in range(6000)])
    printed = run(EXAMPLES / "audio_loop", MODELS / "forecast_gru_op13/model.onnx", tmp_path / "tone.wav",
                  "--rounds", 2)
    assert "steps may allocate" not in printed
    steps, samples, median, worst, deadline, late = numbers(printed.splitlines()[-1])
    assert (steps, samples) == (12000, 1) and 0 < median <= worst and round(deadline) == 62


def test_audio_loop_averages_channels(tmp_path):
    model = MODELS / "forecast_gru_op13/model.onnx"
    mono = [0.25, -0.5, 0.125, 0.75]
    write_wav(tmp_path / "mono.wav", mono)
    write_wav(tmp_path / "stereo.wav", [x + d for x in mono for d in (0.125, -0.125)], channels=2)
    steps = [run(EXAMPLES / "audio_loop", model, tmp_path / name, "--print", 1).splitlines()[:-1]
             for name in ("mono.wav", "stereo.wav")]
    assert steps[0] == steps[1] and len(steps[0]) == 4


def test_audio_loop_refuses_what_is_no_wav(tmp_path):
    (tmp_path / "no.wav").write_bytes(b"RIFF....")
    message = run(EXAMPLES / "audio_loop", MODELS / "forecast_gru_op13/model.onnx", tmp_path / "no.wav", status=2)
    assert "not a wav file" in message


@needs_silero
def test_audio_loop_over_speech(speech):
    path, expected = speech
    printed = run(EXAMPLES / "audio_loop", SILERO / "model.onnx", path, "--overlap", 64, "--print", 1, *SILERO_OPTIONS)
    said = [numbers(line)[-1] for line in printed.splitlines()[:-1]]
    np.testing.assert_allclose(said, expected, atol=0.01)


@needs_silero
def test_vad_in_python(speech):
    path, expected = speech
    printed = run(sys.executable, SOURCE / "examples/python/vad.py", SILERO / "model.onnx", path)
    said = [numbers(line)[-1] for line in printed.splitlines()]
    np.testing.assert_allclose(said, expected, atol=0.01)
    assert max(said) > 0.9


@pytest.fixture
def series(tmp_path):
    noise = random.Random(1)
    values = [math.sin(2 * math.pi * i / 24) * (1 + 0.4 * math.sin(2 * math.pi * i / 168)) +
              0.5 * math.sin(2 * math.pi * i / 168) + 0.05 * noise.gauss(0, 1) for i in range(600)]
    path = tmp_path / "series.txt"
    path.write_text("".join(f"{value:.6f}\n" for value in values))
    return path


def test_forecast(series):
    printed = run(EXAMPLES / "forecast", MODELS / "forecast_gru_op13/model.onnx", series, "--ahead", 24).splitlines()
    count, error, error_of_last = numbers(printed[0])
    assert count == 600 and error < 0.5 * error_of_last
    ahead = numbers(printed[1])
    assert len(ahead) == 24 and max(ahead) > 0.5 and min(ahead) < 0  # a day goes up and down


def test_forecast_wants_a_series(tmp_path):
    (tmp_path / "empty.txt").write_text("")
    model = MODELS / "forecast_gru_op13/model.onnx"
    assert "less than two values" in run(EXAMPLES / "forecast", model, tmp_path / "empty.txt", status=2)
    assert "one value a step" in run(EXAMPLES / "forecast", MODELS / "gru_op11/model.onnx", tmp_path / "empty.txt",
                                     status=2)


def test_dynamic():
    library = BUILD / "librefrain.so"
    assert "librefrain" not in subprocess.run(["ldd", EXAMPLES / "dynamic"], capture_output=True, text=True).stdout
    printed = run(EXAMPLES / "dynamic", library, MODELS / "rnn_tanh_op13/model.onnx", "T=5", "B=2").splitlines()
    assert printed[0].startswith("refrain ")
    assert [line.split(":")[0] for line in printed[1:]] == ["y", "h"]
    assert "(100 elements)" in printed[1] and any(numbers(printed[1])[:4])
    assert "T" in run(EXAMPLES / "dynamic", library, MODELS / "rnn_tanh_op13/model.onnx", status=2)
    assert "cannot open" in run(EXAMPLES / "dynamic", "/no/librefrain.so", "model", status=2)


def test_server():
    printed = run(EXAMPLES / "server", MODELS / "gru_op11/model.onnx", "--streams", 20, "--steps", 10, "--period", 5)
    assert "20 streams, 10 steps each" in printed
    histogram = [numbers(line) for line in printed.splitlines() if line.startswith("  <")]
    assert sum(row[1] for row in histogram) == 200 and histogram[-1][2] == 100
    assert re.search(r"at most \d+ steps a second, one by one \d+: [\d.]+ times", printed)


@needs_silero
def test_server_of_voices():
    printed = run(EXAMPLES / "server", SILERO / "model.onnx", "--streams", 20, "--steps", 5, "--period", 20,
                  "--value", "sr=16000", "--shape", "input=1x576")
    assert "20 streams, 5 steps each" in printed
