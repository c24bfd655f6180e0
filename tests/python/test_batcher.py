"""Batchers: many streams, one after the other the same."""

import subprocess
import sys
import threading

import numpy as np
import pytest

import refrain
from cases import MODELS, SILERO, assert_close, read_tensor


@pytest.fixture
def gru():
    return refrain.load(MODELS / "gru_op11/model.onnx")


def alone(gru, x):
    session = gru.session()
    session.prepare_step()
    return [session.step({"x": row[None]})["y"] for row in x]


def test_streams_are_those_of_sessions(gru):
    x = np.random.default_rng(1).standard_normal((20, 9, 1, 6)).astype("f4")  # streams, steps
    with refrain.Batcher(gru, max_batch=8, threads=2) as batcher:
        assert [info.name for info in batcher.inputs] == ["x"]
        streams = [batcher.open() for _ in x]
        futures = [[stream.submit({"x": row[None]}) for row in rows] for stream, rows in zip(streams, x)]
        for rows, row_futures in zip(x, futures):
            for future, expected in zip(row_futures, alone(gru, rows)):
                assert_close(future.result(timeout=60)["y"], expected)
        batcher.drain()
        assert batcher.steps == x.shape[0] * x.shape[1]
        assert 0 < batcher.batches <= batcher.steps


@pytest.mark.skipif(not SILERO.exists(), reason="Silero's model is not there")
def test_silero_over_speech():
    steps = sorted((SILERO / "sequence").iterdir())
    model = refrain.load(SILERO / "model.onnx")
    with refrain.Batcher(model, max_batch=8, shapes={"input": (1, 576)}, values={"sr": 16000}) as batcher:
        streams = [batcher.open() for _ in range(8)]
        # Some start later.
        futures = [[stream.submit({"input": read_tensor(folder / "input_0.pb")}) for folder in steps[:12 - i]]
                   for i, stream in enumerate(streams)]
        for stream_futures in futures:
            for future, folder in zip(stream_futures, steps):
                assert_close(future.result(timeout=60)["output"], read_tensor(folder / "output_0.pb"))


def test_several_steps_at_once(gru):
    x = np.random.default_rng(2).standard_normal((5, 1, 6)).astype("f4")
    with refrain.Batcher(gru) as batcher, batcher.open() as stream:
        future = stream.submit({"x": x})
        assert_close(future.result()["y"], np.concatenate(alone(gru, x)))
        assert future.done() and future.result() is future.result()
        assert_close(stream.read_state(batcher.states[0].name)[0], future.result()["y"][-1])
        stream.write_state(batcher.states[0].name, np.zeros((1, 1, 10), "f4"))
        assert_close(stream.submit({"x": x}).result()["y"], future.result()["y"])
        stream.reset()
        assert_close(stream.submit({"x": x}).result()["y"], future.result()["y"])


def test_any_thread_may_submit(gru):
    x = np.ones((1, 1, 6), "f4")
    expected = alone(gru, np.ones((30, 1, 6), "f4"))
    results = {}
    with refrain.Batcher(gru, queue_capacity=4) as batcher:

        def client(i):
            with batcher.open() as stream:
                results[i] = [future.result() for future in [stream.submit({"x": x}) for _ in range(30)]]

        threads = [threading.Thread(target=client, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for result in results.values():
        for outputs, y in zip(result, expected):
            assert_close(outputs["y"], y)
    assert len(results) == 8


def test_results_outlive_the_batcher(gru):
    with refrain.Batcher(gru) as batcher:
        future = batcher.open().submit({"x": np.ones((1, 1, 6), "f4")})
        y = future.result()["y"]
    del batcher, future
    assert_close(y, alone(gru, np.ones((1, 1, 6), "f4"))[0])


def test_errors(gru):
    with pytest.raises(refrain.Error):
        refrain.Batcher(refrain.load(MODELS / "bilstm2_op13/model.onnx"))
    with pytest.raises(refrain.Error, match="max_delay"):
        refrain.Batcher(gru, max_delay=-1)
    batcher = refrain.Batcher(gru)
    stream = batcher.open()
    with pytest.raises(refrain.Error):
        stream.submit({"x": np.ones((1, 1, 7), "f4")})
    with pytest.raises(refrain.Error):
        stream.submit({})
    batcher.shutdown()
    with pytest.raises(refrain.Error):
        stream.submit({"x": np.ones((1, 1, 6), "f4")})


def test_cancelled_steps_and_timeouts(gru):
    batcher = refrain.Batcher(gru, max_delay=30, max_batch=1000)
    future = batcher.open().submit({"x": np.ones((1, 1, 6), "f4")})
    try:
        with pytest.raises(TimeoutError):
            future.result(timeout=0.05)
    except pytest.fail.Exception:
        assert future.done()  # nothing made it wait
    batcher.shutdown(cancel=True)
    assert future.done()


def test_batchers_may_be_left_to_the_end_of_the_program(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(f"""
import numpy as np
import refrain

batcher = refrain.Batcher(refrain.load({str(MODELS / "gru_op11/model.onnx")!r}))
stream = batcher.open()
futures = [stream.submit({{"x": np.ones((1, 1, 6), "f4")}}) for _ in range(100)]
""")
    done = subprocess.run([sys.executable, "-B", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
