#!/usr/bin/env python3
"""Writes the corpus of bad models, and beside it the message that each must give.

    /usr/bin/python3 tests/hostile/make_corpus.py

needs Debian's python3-onnx. A case is NAME.onnx; expected.json maps NAME to a part of the message. The models
have no inputs, so that a test can run them as they are.
"""
import json
import os
import random

import numpy as np
from onnx import AttributeProto, TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
EXPECTED = {}


def tensor(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def value(name, dtype=TensorProto.FLOAT, shape=None):
    return helper.make_tensor_value_info(name, dtype, shape)


def model(nodes, outputs, initializers=(), opset=13, inputs=()):
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), list(initializers))
    result = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    result.ir_version = 8
    return result


def write(name, content, message):
    data = content if isinstance(content, bytes) else content.SerializeToString()
    with open(os.path.join(HERE, name + ".onnx"), "wb") as file:
        file.write(data)
    EXPECTED[name] = message


def lstm(weights=(1, 12, 2), recurrent=(1, 12, 3), lengths=None, hidden=3, steps=4, batch=2):
    initializers = [
        tensor("X", np.zeros((steps, batch, 2), np.float32)),
        tensor("W", np.zeros(weights, np.float32)),
        tensor("R", np.zeros(recurrent, np.float32)),
    ]
    inputs = ["X", "W", "R"]
    if lengths is not None:
        initializers.append(tensor("lengths", np.array(lengths, np.int32)))
        inputs += ["", "lengths"]
    attributes = {} if hidden is None else {"hidden_size": hidden}
    node = helper.make_node("LSTM", inputs, ["Y"], name="recurrence", **attributes)
    return model([node], [value("Y")], initializers, opset=14)


def initializer_model(proto):
    return model([helper.make_node("Neg", ["w"], ["y"])], [value("y")], [proto])


def raw_tensor(dims, data=b"", dtype=TensorProto.FLOAT):
    proto = TensorProto()
    proto.name = "w"
    proto.data_type = dtype
    proto.dims.extend(dims)
    proto.raw_data = data
    return proto


def external(location, offset=None, length=None, dims=(4,)):
    proto = TensorProto()
    proto.name = "w"
    proto.data_type = TensorProto.FLOAT
    proto.dims.extend(dims)
    proto.data_location = TensorProto.EXTERNAL
    for key, val in (("location", location), ("offset", offset), ("length", length)):
        if val is not None:
            entry = proto.external_data.add()
            entry.key, entry.value = key, str(val)
    return initializer_model(proto)


def loop(trips, body_nodes, condition, outputs=("s_out",), scan_outputs=(), extra=()):
    body = helper.make_graph(
        list(body_nodes), "body",
        [value("i", TensorProto.INT64, []), value("c_in", TensorProto.BOOL, []), value("s_in", TensorProto.FLOAT, [2])],
        [value(condition, TensorProto.BOOL, [])] + [value(o, TensorProto.FLOAT, [2]) for o in outputs]
        + [value(o, TensorProto.FLOAT, [2]) for o in scan_outputs])
    inputs = ["trips" if trips is not None else "", "", "s"]
    names = ["final"] + [f"stacked{i}" for i in range(len(scan_outputs))]
    node = helper.make_node("Loop", inputs, names, body=body, name="endless")
    initializers = [tensor("s", np.zeros(2, np.float32))] + list(extra)
    if trips is not None:
        initializers.append(tensor("trips", np.array(trips, np.int64)))
    return model([node], [value(n) for n in names], initializers)


def varint(number):
    result = bytearray()
    while True:
        byte = number & 0x7F
        number >>= 7
        result.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(result)


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def nested_ifs(depth):
    """An If inside the branch of an If, `depth` deep: too deep for any library to write."""
    def name(number, text):
        return field(number, text.encode())

    graph = field(1, name(2, "y") + name(4, "Constant") + field(
        5, name(1, "value_int") + b"\x18\x01" + varint(20 << 3) + varint(AttributeProto.INT))) + field(12, name(1, "y"))
    for _ in range(depth):
        branch = varint(20 << 3) + varint(AttributeProto.GRAPH) + field(6, graph)
        node = (name(1, "c") + name(2, "y") + name(4, "If") + field(5, name(1, "then_branch") + branch))
        graph = field(1, node) + field(12, name(1, "y"))
    return b"\x08\x08" + field(7, graph) + field(8, b"\x10\x0d")


def files():
    good = lstm().SerializeToString()
    write("empty", b"", "empty")
    write("truncated", good[: len(good) // 2], "truncated")
    write("truncated_by_one", good[:-1], "truncated")
    write("random_bytes", random.Random(1).randbytes(1000), "not an ONNX model")
    write("text", b"This is not a model, and it is longer than a tag.\n", "not an ONNX model")
    write("no_graph", b"\x08\x08" + field(8, b"\x10\x0d"), "no graph")
    write("nested_10000", nested_ifs(10_000), "nested too deeply: expected at most 64, found 10000")


def recurrences():
    write("weights_too_wide", lstm(weights=(1, 12, 5)), "W")
    write("weights_for_other_hidden_size", lstm(hidden=7), "hidden_size")
    write("hidden_size_zero", lstm(hidden=0), "hidden_size")
    write("hidden_size_negative", lstm(hidden=-3), "hidden_size")
    write("hidden_size_absurd", lstm(hidden=2**61), "hidden_size")
    write("lengths_negative", lstm(lengths=[4, -1]), "sequence length")
    write("lengths_beyond_time", lstm(lengths=[5, 1]), "sequence length")
    write("lengths_of_another_batch", lstm(lengths=[4, 4, 4]), "lengths")


def tensors():
    write("dim_negative", initializer_model(raw_tensor([-4], bytes(16))), "negative")
    write("dims_overflow", initializer_model(raw_tensor([2**61, 2**61], bytes(16))), "overflow")
    write("dims_beyond_data", initializer_model(raw_tensor([2**40], bytes(16))), "data")
    write("data_too_long", initializer_model(raw_tensor([2], bytes(16))), "data")
    write("element_type_unknown", initializer_model(raw_tensor([2], bytes(8), dtype=99)), "element type")
    write("external_parent_folder", external("../outside.bin"), "outside")
    write("external_absolute", external("/etc/passwd"), "outside")
    write("external_missing", external("nowhere.bin"), "nowhere.bin")
    write("external_past_end", external("make_corpus.py", offset=2**40), "past the end")
    write("external_offset_overflow", external("make_corpus.py", offset=2**63 - 1), "past the end")
    write("external_offset_malformed", external("make_corpus.py", offset="-5"), "offset")
    write("external_length_misfit", external("make_corpus.py", offset=0, length=5), "length")


def graphs():
    neg = helper.make_node
    write("cycle", model([neg("Neg", ["b"], ["a"]), neg("Neg", ["a"], ["b"])], [value("b")]), "cycle")
    write("unsorted", model([neg("Neg", ["a"], ["b"]), neg("Neg", ["w"], ["a"])], [value("b")],
                            [tensor("w", np.zeros(2, np.float32))]), "not sorted")
    write("undefined_name", model([neg("Neg", ["nothing"], ["a"])], [value("a")]), "nothing")
    write("undefined_output", model([], [value("nothing")]), "nothing")
    write("duplicate_name", model([neg("Neg", ["w"], ["a"]), neg("Abs", ["w"], ["a"])], [value("a")],
                                  [tensor("w", np.zeros(2, np.float32))]), "twice")
    write("unknown_ops", model([neg("Frobnicate", ["w"], ["a"]), neg("Frobnicate", ["a"], ["b"]),
                                neg("Transmogrify", ["b"], ["c"])], [value("c")],
                               [tensor("w", np.zeros(2, np.float32))]), "Frobnicate (2), Transmogrify (1)")
    write("unknown_attribute", model([neg("Neg", ["w"], ["a"], speed=3)], [value("a")],
                                     [tensor("w", np.zeros(2, np.float32))]), "speed")
    write("opset_too_old", model([neg("Add", ["w", "w"], ["a"])], [value("a")],
                                 [tensor("w", np.zeros(2, np.float32))], opset=6), "opset")
    write("empty_op_type", model([neg("", ["w"], ["a"])], [value("a")],
                                 [tensor("w", np.zeros(2, np.float32))]), "op")
    write("attribute_of_wrong_type", model([neg("Concat", ["w", "w"], ["a"], axis="zero")], [value("a")],
                                           [tensor("w", np.zeros(2, np.float32))]), "axis")
    write("shapes_do_not_fit", model([neg("MatMul", ["w", "v"], ["a"], name="product")], [value("a")],
                                     [tensor("w", np.zeros((2, 3), np.float32)), tensor("v", np.zeros((2, 3), np.float32))]),
          'node "product" (matmul)')
    write("output_of_wrong_type", model([neg("Neg", ["w"], ["a"])], [value("a", TensorProto.INT64)],
                                        [tensor("w", np.zeros(2, np.float32))]), "i64")


def runs():
    add = helper.make_node("Add", ["s_in", "s_in"], ["s_out"])
    keep = helper.make_node("Identity", ["c_in"], ["c"])
    write("loop_2_62_trips", loop(2**62, [add, keep], "c"), "iterations")
    write("loop_never_ends",
          loop(None, [add, helper.make_node("ReduceSum", ["s_out"], ["t"], keepdims=0),
                      helper.make_node("Less", ["t", "limit"], ["c"])], "c",
               extra=[tensor("limit", np.array(1, np.float32))]), "iterations")
    inner = helper.make_graph(
        [helper.make_node("Add", ["s2", "s2"], ["s3"]), helper.make_node("Less", ["j", "many"], ["c3"])], "inner",
        [value("j", TensorProto.INT64, []), value("c2", TensorProto.BOOL, []), value("s2", TensorProto.FLOAT, [2])],
        [value("c3", TensorProto.BOOL, []), value("s3", TensorProto.FLOAT, [2])])
    write("loops_in_loops",
          loop(None, [helper.make_node("Loop", ["", "", "s_in"], ["s_out"], body=inner),
                      helper.make_node("Less", ["i", "many"], ["c"])], "c",
               extra=[tensor("many", np.array(100_000, np.int64))]), "iterations")
    grow = [add, helper.make_node("Expand", ["s_out", "wide"], ["row"]), helper.make_node("Less", ["i", "many"], ["c"])]
    write("loop_that_fills_memory",
          loop(None, grow, "c", scan_outputs=["row"],
               extra=[tensor("wide", np.array([1 << 20, 2], np.int64)), tensor("many", np.array(10**9, np.int64))]),
          "memory")
    write("gather_out_of_range",
          model([helper.make_node("Gather", ["w", "i"], ["y"], name="lookup")], [value("y")],
                [tensor("w", np.zeros((3, 2), np.float32)), tensor("i", np.array([1, 3], np.int64))]), "out of range")
    write("fill_2_40", model([helper.make_node("ConstantOfShape", ["s"], ["y"])], [value("y")],
                             [tensor("s", np.array([2**40], np.int64))]), "memory")
    write("fill_2_61", model([helper.make_node("ConstantOfShape", ["s"], ["y"])], [value("y")],
                             [tensor("s", np.array([2**61], np.int64))]), "overflow")
    write("tile_overflow", model([helper.make_node("Tile", ["w", "r"], ["y"])], [value("y")],
                                 [tensor("w", np.zeros(4, np.float32)), tensor("r", np.array([2**62], np.int64))]),
          "overflow")
    write("range_without_end", model([helper.make_node("Range", ["a", "b", "z"], ["y"])], [value("y", TensorProto.INT64)],
                                     [tensor("a", np.int64(0)), tensor("b", np.int64(9)), tensor("z", np.int64(0))]),
          "range")
    write("range_2_62", model([helper.make_node("Range", ["a", "b", "z"], ["y"])], [value("y", TensorProto.INT64)],
                              [tensor("a", np.int64(0)), tensor("b", np.int64(2**62)), tensor("z", np.int64(1))]),
          "over")
    write("divide_by_zero", model([helper.make_node("Div", ["a", "z"], ["y"])], [value("y", TensorProto.INT64)],
                                  [tensor("a", np.ones(2, np.int64)), tensor("z", np.zeros(2, np.int64))]), "zero")
    write("conv_kernel_too_large",
          model([helper.make_node("Conv", ["x", "w"], ["y"])], [value("y")],
                [tensor("x", np.zeros((1, 1, 3), np.float32)), tensor("w", np.zeros((1, 1, 5), np.float32))]), "kernel")
    # 2^40 steps over slices without elements: nothing to read, and no end
    body = helper.make_graph([helper.make_node("Add", ["s", "s"], ["t"])], "b",
                             [value("s", TensorProto.FLOAT, [2]), value("x", TensorProto.FLOAT, [0])],
                             [value("t", TensorProto.FLOAT, [2])])
    write("scan_over_empty_slices",
          model([helper.make_node("ConstantOfShape", ["shape"], ["x"]),
                 helper.make_node("Scan", ["s0", "x"], ["y"], body=body, num_scan_inputs=1)], [value("y")],
                [tensor("shape", np.array([2**40, 0], np.int64)), tensor("s0", np.zeros(2, np.float32))]), "iterations")


def main():
    for make in (files, recurrences, tensors, graphs, runs):
        make()
    with open(os.path.join(HERE, "expected.json"), "w") as file:
        json.dump(EXPECTED, file, indent=1, sort_keys=True)
        file.write("\n")


if __name__ == "__main__":
    main()
