// Scan. In opset 8 it was batched; a scan over the batch holds one over time.
#include <algorithm>
#include <string>

#include "frontend/onnx/ops_control.h"
#include "frontend/onnx/state_types.h"
#include "ir/error.h"

namespace refrain::onnx_import {
namespace {

using A = AttributeName;

// The type of one slice of a scanned tensor.
ValueType slice_type(const ValueType& whole, int64_t axis, size_t input) {
  if (!whole.is_tensor()) {
    throw Error("scanned input " + std::to_string(input) + " is not a tensor", "a tensor",
                to_string(whole));
  }
  if (!whole.shape.ranked()) return whole;
  const auto rank = static_cast<int64_t>(whole.shape.rank());
  if (axis < -rank || axis >= rank) {
    throw Error("scanned input " + std::to_string(input) + " has no such axis",
                "an axis of " + to_string(whole), std::to_string(axis));
  }
  std::vector<Dim> dims = whole.shape.dims();
  dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis < 0 ? axis + rank : axis));
  return ValueType::tensor(whole.element, Shape(std::move(dims)));
}

std::vector<int64_t> list_of(NodeImport& node, std::string_view name, size_t size) {
  auto values = node.integers(name).value_or(std::vector<int64_t>(size));
  if (values.size() != size) {
    throw Error("wrong length of attribute " + std::string(name), std::to_string(size),
                std::to_string(values.size()));
  }
  return values;
}

// Slots from the attributes that give axes (empty name: 0) and directions.
std::vector<ScanSlot> slots_of(NodeImport& node, std::string_view axes_name,
                               std::string_view directions_name, size_t size) {
  const std::vector<int64_t> axes =
      axes_name.empty() ? std::vector<int64_t>(size) : list_of(node, axes_name, size);
  const std::vector<int64_t> directions =
      directions_name.empty() ? std::vector<int64_t>(size) : list_of(node, directions_name, size);
  std::vector<ScanSlot> slots;
  for (size_t i = 0; i < size; ++i) {
    if (directions[i] != 0 && directions[i] != 1) {
      throw Error("wrong direction", "0 (forward) or 1 (backward)", std::to_string(directions[i]));
    }
    slots.push_back({axes[i], directions[i] == 1});
  }
  return slots;
}

// Number of scanned inputs, of `inputs` in all.
size_t scanned_count(NodeImport& node, size_t inputs) {
  const int64_t count = node.integer("num_scan_inputs");
  if (count < 1 || count > static_cast<int64_t>(inputs)) {
    throw Error("wrong attribute num_scan_inputs", "1 to " + std::to_string(inputs),
                std::to_string(count));
  }
  return static_cast<size_t>(count);
}

size_t stacked_count(const onnx::GraphProto& body, size_t states) {
  const auto outputs = static_cast<size_t>(body.output_size());
  if (outputs < states) {
    throw Error("wrong number of outputs of the scan's body", std::to_string(states) + " or more",
                std::to_string(outputs));
  }
  return outputs - states;
}

// Makes the scan that `spec` describes, with `body` as its body, in the region that `builder`
// builds.
Node* build_scan(NodeImport& node, Builder& builder, const onnx::GraphProto& body,
                 const Captures& captures, ScanSpec spec, int levels) {
  StateTypes types(node, builder, spec.states);
  for (;;) {
    auto region = std::make_unique<Region>();
    const auto input_name = [&](size_t i) {
      const int index = static_cast<int>(i);
      return index < body.input_size() ? body.input(index).name() : std::string();
    };
    const std::vector<Value*> invariants = add_invariants(*region, captures);
    std::vector<Value*> inputs;
    for (size_t i = 0; i < types.size(); ++i) {
      inputs.push_back(region->add_argument(types[i], input_name(i)));
    }
    for (size_t i = 0; i < spec.scanned.size(); ++i) {
      inputs.push_back(
          region->add_argument(slice_type(spec.scanned[i]->type(), spec.scan_slots[i].axis, i),
                               input_name(types.size() + i)));
    }
    const std::vector<Value*> values =
        node.graph().import_region(body, *region, captures, invariants, inputs, levels);
    const std::span<Value* const> states = std::span(inputs).first(types.size());
    if (!types.settle(states, std::span(values).first(types.size()))) continue;
    Builder(*region).yield(values);
    spec.states = types.initial();
    return builder.scan(spec, std::move(region));
  }
}

// Rows of `x` before the scalar `count`.
Value* first_rows(Builder& builder, Value* x, Value* count) {
  return builder.op(Op::slice,
                    {x, builder.ints({0}), builder.reshape(count, {1}), builder.ints({0})});
}

// `x` with zero rows at its end, as many as `whole` has more than `count`.
Value* pad_rows(Builder& builder, Value* x, Value* whole, Value* count) {
  Value* rows = builder.op(Op::shape, {whole}, {{A::start, int64_t{0}}, {A::end, int64_t{1}}});
  Value* missing = builder.op(Op::sub, {rows, builder.reshape(count, {1})});
  Value* pads = builder.op(Op::concat, {builder.ints({0}), missing}, {{A::axis, int64_t{0}}});
  return builder.op(Op::pad, {x, pads, nullptr, builder.ints({0})});
}

}  // namespace

void import_scan(NodeImport& node) {
  const onnx::GraphProto& body = node.subgraph("body");
  const size_t scanned = scanned_count(node, node.input_count());
  const size_t states = node.input_count() - scanned;
  const size_t stacked = stacked_count(body, states);
  ScanSpec spec;
  spec.states = required_inputs(node, 0, states);
  spec.scanned = required_inputs(node, states, node.input_count());
  spec.scan_slots = slots_of(node, "scan_input_axes", "scan_input_directions", scanned);
  spec.stack_slots = slots_of(node, "scan_output_axes", "scan_output_directions", stacked);
  const onnx::GraphProto* graphs[] = {&body};
  const Captures captures = node.graph().captures(graphs);
  spec.invariants = captures.values;
  node.set_outputs(*build_scan(node, node.builder(), body, captures, std::move(spec), 1));
}

void import_scan_opset8(NodeImport& node) {
  const onnx::GraphProto& body = node.subgraph("body");
  if (node.input_count() < 2) {
    throw Error("wrong number of inputs", "lengths (or an absent input), states and scanned inputs",
                std::to_string(node.input_count()));
  }
  const size_t scanned = scanned_count(node, node.input_count() - 1);
  const size_t states = node.input_count() - 1 - scanned;
  const size_t stacked = stacked_count(body, states);
  const std::vector<ScanSlot> time_slots = slots_of(node, {}, "directions", scanned);
  const onnx::GraphProto* graphs[] = {&body};
  const Captures captures = node.graph().captures(graphs);

  // Over the batch: [lengths], states, scanned inputs, each cut along axis 0; results stacked.
  ScanSpec batch;
  batch.invariants = captures.values;
  batch.scanned = required_inputs(node, 1, node.input_count());
  const bool ragged = node.has_input(0);
  if (ragged) {
    Value* lengths = node.input(0);
    if (lengths->type().element != ElementType::i64 &&
        lengths->type().element != ElementType::i32) {
      throw Error("wrong type of sequence_lens", "i64[B]", to_string(lengths->type()));
    }
    batch.scanned.push_back(node.builder().cast(lengths, ElementType::i64));
  }
  batch.scan_slots.resize(batch.scanned.size());
  batch.stack_slots.resize(states + stacked);

  auto region = std::make_unique<Region>();
  Builder inside(*region);
  inside.set_node_name(node.builder().node_name());
  ScanSpec time;
  time.invariants = add_invariants(*region, captures);
  std::vector<Value*> slices;
  for (size_t i = 0; i < batch.scanned.size(); ++i) {
    slices.push_back(region->add_argument(slice_type(batch.scanned[i]->type(), 0, i)));
  }
  time.states.assign(slices.begin(), slices.begin() + static_cast<std::ptrdiff_t>(states));
  time.scanned.assign(slices.begin() + static_cast<std::ptrdiff_t>(states),
                      slices.begin() + static_cast<std::ptrdiff_t>(states + scanned));
  time.scan_slots = time_slots;
  time.stack_slots.resize(stacked);
  Value* whole = time.scanned.front();
  if (ragged) {
    // A length beyond the time axis makes the trip count differ from the rows that there are: an
    // error.
    time.trip_count = slices.back();
    for (Value*& x : time.scanned) x = first_rows(inside, x, slices.back());
  }
  const Node* scan = build_scan(node, inside, body, captures, std::move(time), 2);
  std::vector<Value*> results;
  for (size_t i = 0; i < states + stacked; ++i) {
    const bool pad = ragged && i >= states;
    results.push_back(pad ? pad_rows(inside, scan->result(i), whole, slices.back())
                          : scan->result(i));
  }
  inside.yield(results);
  node.set_outputs(*node.builder().scan(batch, std::move(region)));
}

}  // namespace refrain::onnx_import
