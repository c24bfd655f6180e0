"""Sessions: steps, states, arrays of every kind, errors, threads."""

import array
import subprocess
import sys
import threading

import numpy as np
import pytest

import refrain
from cases import MODELS, assert_close, data_sets

LSTM = MODELS / "lstm_states_op16"  # x [3, 7, 6], h0 and c0 [1, 3, 10]; batch first
GRU = MODELS / "gru_op11"           # x [T, B, 6], h0 [1, B, 10]


@pytest.fixture
def gru():
    return refrain.load(GRU / "model.onnx")


@pytest.fixture
def case():
    return next(data_sets(GRU))


def by_name(model, outputs):
    return {info.name: output for info, output in zip(model.outputs, outputs)}


def stepping(gru, batch):
    session = gru.session()
    session.prepare_step(symbols={"B": batch})
    return session


def test_steps_are_the_sequence(gru, case):
    (x, h0), expected = case
    expected = by_name(gru, expected)
    session = stepping(gru, x.shape[1])
    (state,) = session.states
    session.write_state(state.name, h0)
    assert [info.name for info in session.inputs] == ["x"]
    for t in range(len(x)):
        assert_close(session.step({"x": x[t : t + 1]})["y"], expected["y"][t : t + 1])
    assert_close(session.read_state(state.name), expected[state.output])


def test_steps_in_blocks(gru, case):
    (x, h0), (y, _) = case
    session = gru.session()
    session.prepare_step(symbols={"B": x.shape[1]}, block=2)
    session.write_state(session.states[0].name, h0)
    for t in range(0, len(x) - 1, 2):
        assert_close(session.step({"x": x[t : t + 2]})["y"], y[t : t + 2])


def test_reset_and_fork(gru, case):
    x = case[0][0]
    session = stepping(gru, x.shape[1])
    first = session.step({"x": x[:1]})["y"]
    fork = session.fork()
    second = session.step({"x": x[1:2]})["y"]
    session.reset()
    np.testing.assert_array_equal(session.step({"x": x[:1]})["y"], first)
    np.testing.assert_array_equal(fork.step({"x": x[1:2]})["y"], second)


def test_bound_arrays_are_read_and_written_in_place(gru, case):
    x = case[0][0]
    session = stepping(gru, x.shape[1])
    copies = session.fork()
    into, out = np.empty_like(x[:1]), np.full((1, x.shape[1], 10), np.nan, "f4")
    session.bind_input("x", into)
    session.bind_output("y", out)
    for t in range(len(x)):
        into[:] = x[t]
        assert session.step() is None
        np.testing.assert_array_equal(out, copies.step({"x": x[t : t + 1]})["y"])
    np.testing.assert_array_equal(session.output("y"), out)
    before = out.copy()
    session.bind_output("y", None)
    session.step()
    np.testing.assert_array_equal(out, before)


def test_bound_arrays_live_as_long_as_they_are_bound(gru):
    session = stepping(gru, 2)
    session.bind_input("x", np.ones((1, 2, 6), "f4"))  # held by nobody else
    session.step()
    first = session.output("y")
    session.reset()
    [bytearray(1 << 12) for _ in range(100)]
    session.step()
    np.testing.assert_array_equal(session.output("y"), first)


def test_what_cannot_be_bound(gru):
    session = stepping(gru, 2)
    good = np.zeros((1, 2, 6), "f4")
    read_only = np.zeros((1, 2, 10), "f4")
    read_only.flags.writeable = False
    for name, bind, bad in [
        ("x", session.bind_input, good.astype("f8")),
        ("x", session.bind_input, good[:, :, :5]),
        ("x", session.bind_input, np.zeros((1, 6, 2), "f4").transpose(0, 2, 1)),
        ("x", session.bind_input, good.astype(">f4")),
        ("x", session.bind_input, good.tolist()),
        ("nothing", session.bind_input, good),
        ("y", session.bind_output, read_only),
        ("y", session.bind_output, np.zeros((1, 2, 11), "f4")),
    ]:
        with pytest.raises(refrain.Error):
            bind(name, bad)


def test_inputs_of_every_kind(gru):
    x = np.random.default_rng(1).standard_normal((4, 1, 6)).astype("f4")
    h0 = np.zeros((1, 1, 10), "f4")
    session = gru.session()
    expected = session.run({"x": x, "h0": h0})["y"]
    flat = array.array("f", x.ravel())
    transposed = np.ascontiguousarray(x.transpose(2, 1, 0)).transpose(2, 1, 0)
    unaligned = np.frombuffer(b"." + x.tobytes(), "u1")[1:].view("f4").reshape(x.shape)
    read_only = x.copy()
    read_only.flags.writeable = False
    for form in (x.tolist(), memoryview(flat).cast("B").cast("f", x.shape), transposed, x.astype(">f4"),
                 unaligned, read_only, np.repeat(x, 2, axis=2)[:, :, ::2]):
        np.testing.assert_array_equal(session.run({"x": form, "h0": h0})["y"], expected)


class Producer:
    """A tensor of another library's, known by DLPack alone."""

    def __init__(self, held, device=(1, 0)):
        self.held, self.device, self.asked = held, device, 0

    def __dlpack__(self, **_):
        self.asked += 1
        return self.held.__dlpack__()

    def __dlpack_device__(self):
        return self.device


def test_dlpack_in_and_out(gru):
    x, h0 = np.ones((2, 1, 6), "f4"), np.zeros((1, 1, 10), "f4")
    session = gru.session()
    producer = Producer(x)
    outputs = session.run({"x": producer, "h0": h0})
    assert producer.asked == 1
    np.testing.assert_array_equal(outputs["y"], session.run({"x": x, "h0": h0})["y"])
    assert outputs["y"].__dlpack_device__() == (1, 0)
    np.testing.assert_array_equal(np.from_dlpack(outputs["y"]), outputs["y"])

    steps = stepping(gru, 1)
    shared, out = np.zeros((1, 1, 6), "f4"), np.zeros((1, 1, 10), "f4")
    steps.bind_input("x", Producer(shared))
    steps.bind_output("y", Producer(out))
    steps.step()
    np.testing.assert_array_equal(out, steps.output("y"))
    assert out.any()
    with pytest.raises(refrain.Error, match="device"):
        session.run({"x": Producer(x, (2, 0)), "h0": h0})


def test_dlpack_capsules_are_released():
    import weakref

    x = np.ones((2, 1, 6), "f4").view(type("Watched", (np.ndarray,), {}))
    alive = weakref.ref(x)
    session = refrain.load(GRU / "model.onnx").session()
    session.run({"x": Producer(x), "h0": np.zeros((1, 1, 10), "f4")})
    del x
    assert alive() is None


def test_wrong_inputs_are_errors(gru):
    session = gru.session()
    x, h0 = np.zeros((2, 1, 6), "f4"), np.zeros((1, 1, 10), "f4")
    for inputs in ({"x": x.astype("f8"), "h0": h0}, {"x": x.astype("c8"), "h0": h0}, {"x": x}, {},
                   {"x": x, "h0": h0, "z": x}, {"x": x[0], "h0": h0}, {"x": x, "h0": h0[:, :, :9]}):
        with pytest.raises(refrain.Error) as caught:
            session.run(inputs)
        assert caught.value.problem
    with pytest.raises(refrain.Error):
        gru.session().step()
    with pytest.raises(refrain.Error):
        session.prepare(symbols={"T": -1})
    with pytest.raises(refrain.Error):
        stepping(gru, 1).read_state("nothing")


def test_outputs_are_the_callers_own(gru):
    session = stepping(gru, 1)
    first = session.step({"x": np.ones((1, 1, 6), "f4")})["y"]
    kept = first.copy()
    session.step({"x": -np.ones((1, 1, 6), "f4")})
    del session
    np.testing.assert_array_equal(first, kept)
    first[:] = 0


def test_real_time_and_description(gru):
    session = stepping(gru, 1)
    assert session.real_time and session.real_time.why == ""
    assert session.describe()


def test_sessions_run_at_once_on_threads(gru):
    x = np.random.default_rng(2).standard_normal((50, 1, 1, 6)).astype("f4")
    alone = stepping(gru, 1)
    expected = [alone.step({"x": row})["y"] for row in x]
    results = {}

    def work(i):
        session = stepping(gru, 1)
        results[i] = [session.step({"x": row})["y"] for row in x]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results.values():
        np.testing.assert_array_equal(result, expected)
    assert len(results) == 4


def test_other_threads_go_on_while_a_model_runs(gru):
    """A thread that counts is not held up by a long run; the session that runs is nobody else's."""
    session = gru.session()
    inputs = {"x": np.zeros((200_000, 4, 6), "f4"), "h0": np.zeros((1, 4, 10), "f4")}
    session.run(inputs)  # prepares
    running, refused, counted = threading.Event(), 0, 0

    def run():
        running.set()
        session.run(inputs)

    thread = threading.Thread(target=run)
    thread.start()
    running.wait()
    while thread.is_alive():
        counted += 1
        try:
            session.reset()
        except refrain.Error:
            refused += 1
    thread.join()
    assert refused > 3 and counted > 3


def test_daemon_threads_do_not_disturb_the_end(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(f"""
import threading, time
import numpy as np
import refrain

session = refrain.load({str(GRU / "model.onnx")!r}).session()
inputs = {{"x": np.zeros((200, 1, 6), "f4"), "h0": np.zeros((1, 1, 10), "f4")}}

def work():
    while True:
        session.run(inputs)

threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
""")
    for _ in range(5):
        done = subprocess.run([sys.executable, "-B", program], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
