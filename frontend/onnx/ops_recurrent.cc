// RNN, LSTM and GRU: each direction becomes a scan over the steps of recurrent_cells.h.
//
// Shapes and meaning of inputs and attributes: ONNX operator specification, versions 7, 14 (which
// adds layout) and 22. With sequence_lens, Y is zero beyond a sequence's length and Y_h, Y_c are
// the states after its last step, as in ONNX Runtime; the reverse direction starts at each
// sequence's own end. A sequence of length 0 leaves its initial states, which is what no step means
// (the specification is silent; ONNX Runtime gives zero).
#include <memory>
#include <string>
#include <utility>

#include "frontend/onnx/node_import.h"
#include "frontend/onnx/recurrent_cells.h"
#include "ir/control.h"
#include "ir/error.h"

namespace refrain::onnx_import {
namespace {

// Keeps every product of sizes here far from overflow.
constexpr int64_t kMaxHidden = (int64_t{1} << 31) - 1;

enum Input : size_t { kX, kW, kR, kB, kSequenceLens, kInitialH, kInitialC, kP, kInputCount };
constexpr std::string_view kInputNames[kInputCount] = {
    "X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"};

class RecurrentImport {
 public:
  RecurrentImport(NodeImport& node, CellKind kind, std::span<const std::string_view> activations)
      : node_(node), builder_(node.builder()) {
    cell_.kind = kind;
    read_attributes(activations);
    check_counts();
    read_sizes();
    check_inputs();
  }

  void run() {
    const size_t outputs = 1 + cell_.states();
    bool wanted = false;
    for (size_t i = 0; i < outputs; ++i) wanted = wanted || node_.wants_output(i);
    if (!wanted) return;

    // Results of each direction: Y [T, N, H] (or [N, T, H]), Y_h [N, H], Y_c [N, H].
    std::vector<std::vector<Value*>> results(outputs);
    const auto w = directions(kW, {0, {gate_rows(), input_}});
    const auto r = directions(kR, {0, {gate_rows(), cell_.hidden}});
    const auto b = directions(kB, {0, {2 * gate_rows()}});
    const auto p = directions(kP, {0, {3 * cell_.hidden}});
    std::vector<std::vector<Value*>> initial;
    for (size_t s = 0; s < cell_.states(); ++s) initial.push_back(initial_states(kInitialH + s));
    Value* x = with_rank(node_.input(kX), 3);
    for (size_t d = 0; d < direction_count(); ++d) {
      std::vector<Value*> states;
      for (const auto& state : initial) states.push_back(state[d]);
      const Node* scan = add_scan(d, x, {w[d], r[d], b[d], p[d]}, std::move(states));
      for (size_t s = 0; s < cell_.states(); ++s) results[1 + s].push_back(scan->result(s));
      if (node_.wants_output(0)) results[0].push_back(scan->result(cell_.states()));
    }
    for (size_t i = 0; i < outputs; ++i) {
      // Y has its axis of directions behind T (layout 0) or behind N, T (layout 1).
      const int64_t axis = i == 0 ? 1 + layout_ : layout_;
      if (node_.wants_output(i)) node_.set_output(i, join_directions(results[i], axis));
    }
  }

 private:
  // Shape of one direction's part of an input, and where in the input the axis of directions
  // stands.
  struct Part {
    int64_t direction_axis;
    std::vector<Dim> dims;
  };

  size_t direction_count() const { return reverse_.size(); }
  int64_t gate_rows() const { return cell_.gates() * cell_.hidden; }
  size_t input_limit() const { return cell_.kind == CellKind::lstm ? kInputCount : kInitialC; }
  int64_t batch_axis() const { return layout_ == 0 ? 1 : 0; }

  void read_attributes(std::span<const std::string_view> activations) {
    const std::string direction = node_.string("direction", "forward");
    if (direction == "forward") {
      reverse_ = {false};
    } else if (direction == "reverse") {
      reverse_ = {true};
    } else if (direction == "bidirectional") {
      reverse_ = {false, true};
    } else {
      throw Error("wrong value of attribute direction", "forward, reverse or bidirectional",
                  direction);
    }
    cell_.activations = read_activations(node_, direction_count(), activations);
    if (node_.has_attribute("clip")) {
      cell_.clip = node_.real("clip", 0);
      if (!(*cell_.clip > 0)) {
        throw Error("attribute clip out of range", "more than 0", std::to_string(*cell_.clip));
      }
    }
    if (node_.opset() >= 14) {
      layout_ = node_.integer("layout", 0);
      if (layout_ != 0 && layout_ != 1) {
        throw Error("wrong value of attribute layout", "0 or 1", std::to_string(layout_));
      }
    }
    if (cell_.kind == CellKind::lstm) cell_.input_forget = node_.integer("input_forget", 0) != 0;
    if (cell_.kind == CellKind::gru) {
      cell_.linear_before_reset = node_.integer("linear_before_reset", 0) != 0;
    }
  }

  void check_counts() const {
    if (node_.input_count() > input_limit()) {
      throw Error("too many inputs", std::to_string(input_limit()),
                  std::to_string(node_.input_count()));
    }
    if (node_.output_count() > 1 + cell_.states()) {
      throw Error("too many outputs", std::to_string(1 + cell_.states()),
                  std::to_string(node_.output_count()));
    }
  }

  // The extent of an input's axis if the input is there, of this rank and the extent is known.
  Dim extent(size_t input, size_t rank, size_t axis) const {
    if (!node_.has_input(input)) return Dim::unknown();
    const Shape& shape = node_.input(input)->type().shape;
    return shape.ranked() && shape.rank() == rank ? shape[axis] : Dim::unknown();
  }

  void read_sizes() {
    if (node_.has_attribute("hidden_size")) {
      cell_.hidden = node_.integer("hidden_size");
    } else if (const Dim last = extent(kR, 3, 2); last.is_constant()) {
      cell_.hidden = last.extent();
    } else {
      throw Error("the hidden size is not known", "attribute hidden_size, or R of known shape",
                  "neither");
    }
    if (cell_.hidden < 1 || cell_.hidden > kMaxHidden) {
      throw Error("hidden size out of range", "1 to " + std::to_string(kMaxHidden),
                  std::to_string(cell_.hidden));
    }
    batch_ = extent(kX, 3, static_cast<size_t>(batch_axis()));
    input_ = extent(kX, 3, 2);
    if (!input_.is_constant()) {
      if (const Dim columns = extent(kW, 3, 2); columns.is_constant()) input_ = columns;
    }
  }

  void check_inputs() const {
    const auto d = static_cast<int64_t>(direction_count());
    const ElementType element = node_.input(kX)->type().element;
    if (!is_float(element)) {
      throw Error("input X has the wrong type", "a floating-point tensor",
                  to_string(node_.input(kX)->type()));
    }
    check_input(kX, element, {Dim::unknown(), Dim::unknown(), input_});
    node_.input(kW);  // required
    node_.input(kR);
    check_input(kW, element, {d, gate_rows(), input_});
    check_input(kR, element, {d, gate_rows(), cell_.hidden});
    check_input(kB, element, {d, 2 * gate_rows()});
    check_input(kSequenceLens, ElementType::i32, {batch_});
    const Shape state =
        layout_ == 0 ? Shape{d, batch_, cell_.hidden} : Shape{batch_, d, cell_.hidden};
    check_input(kInitialH, element, state);
    if (cell_.kind != CellKind::lstm) return;
    check_input(kInitialC, element, state);
    check_input(kP, element, {d, 3 * cell_.hidden});
  }

  // Throws where an input, if it is there, contradicts this type.
  void check_input(size_t input, ElementType element, const Shape& shape) const {
    if (!node_.has_input(input)) return;
    const ValueType& type = node_.input(input)->type();
    bool fits = type.is_tensor() && type.element == element;
    if (fits && type.shape.ranked()) {
      fits = type.shape.rank() == shape.rank();
      for (size_t i = 0; fits && i < shape.rank(); ++i) {
        fits = !provably_different(type.shape[i], shape[i]);
      }
    }
    if (!fits) {
      throw Error("input " + std::string(kInputNames[input]) + " has the wrong type",
                  to_string(ValueType::tensor(element, shape)), to_string(type));
    }
  }

  // `x` with its rank known. A transpose that moves nothing checks it when the graph runs.
  Value* with_rank(Value* x, size_t rank) {
    if (x->type().shape.ranked()) return x;
    std::vector<int64_t> perm(rank);
    for (size_t i = 0; i < rank; ++i) perm[i] = static_cast<int64_t>(i);
    return builder_.transpose(x, std::move(perm));
  }

  // `x` with an extent known. A split into one part checks it when the graph runs.
  Value* with_extent(Value* x, size_t axis, Dim dim) {
    if (dim.is_unknown() || provably_equal(x->type().shape[axis], dim)) return x;
    return with_extent(x, axis, dims({dim}));
  }
  Value* with_extent(Value* x, size_t axis, Value* extent) {
    return builder_.op(Op::split, {x, extent}, {{AttributeName::axis, static_cast<int64_t>(axis)}});
  }

  // Extents, none unknown, as a 1-D tensor.
  Value* dims(const std::vector<Dim>& list) {
    std::vector<int64_t> extents;
    for (Dim dim : list) {
      if (dim.is_symbol()) return builder_.op(Op::dims, {}, {{AttributeName::dims, list}});
      extents.push_back(dim.extent());
    }
    return builder_.ints(extents);
  }

  // N as X has it when the graph runs, as a 1-D tensor; for when nothing is known of it before.
  Value* batch_extent() {
    return builder_.op(
        Op::shape, {with_rank(node_.input(kX), 3)},
        {{AttributeName::start, batch_axis()}, {AttributeName::end, batch_axis() + 1}});
  }

  // One value a direction: that direction's part of an input, of the part's shape; null if the
  // input is absent.
  std::vector<Value*> directions(size_t input, const Part& part) {
    std::vector<Value*> result(direction_count());
    if (!node_.has_input(input)) return result;
    Value* whole = with_rank(node_.input(input), part.dims.size() + 1);
    if (result.size() == 1) {
      result[0] = whole;
    } else {
      Value* const operands[] = {whole, builder_.ints({1, 1})};
      const Node* split = builder_.create(
          Op::split, operands, {{AttributeName::axis, part.direction_axis}}, result.size());
      for (size_t d = 0; d < result.size(); ++d) result[d] = split->result(d);
    }
    for (Value*& value : result) {
      value = builder_.squeeze(value, {part.direction_axis});
      for (size_t i = 0; i < part.dims.size(); ++i) value = with_extent(value, i, part.dims[i]);
    }
    return result;
  }

  // Initial states [N, H], one a direction.
  std::vector<Value*> initial_states(size_t input) {
    if (!node_.has_input(input)) {
      return std::vector<Value*>(direction_count(), zero_state());
    }
    std::vector<Value*> result = directions(input, {layout_, {batch_, cell_.hidden}});
    if (batch_.is_unknown()) {
      Value* batch = batch_extent();
      for (Value*& value : result) value = with_extent(value, 0, batch);
    }
    return result;
  }

  Value* zero_state() {
    Value* shape = nullptr;
    if (batch_.is_unknown()) {
      shape = builder_.op(Op::concat, {batch_extent(), builder_.ints({cell_.hidden})},
                          {{AttributeName::axis, int64_t{0}}});
    } else {
      shape = dims({batch_, cell_.hidden});
    }
    const TensorPtr zero =
        std::make_shared<const Tensor>(Tensor::scalar(node_.input(kX)->type().element, 0));
    Value* state = builder_.op(Op::fill, {shape}, {{AttributeName::value, zero}});
    return with_extent(state, 1, cell_.hidden);
  }

  const Node* add_scan(size_t direction, Value* x, const CellWeights& given,
                       std::vector<Value*> states) {
    // Time is axis 0 of X and Y in layout 0 and axis 1 in layout 1; N is always axis 0 of slices.
    const ScanSlot time{layout_, reverse_[direction]};
    Cell cell = cell_;
    const size_t functions = cell_.activations.size() / direction_count();
    const auto first =
        cell_.activations.begin() + static_cast<std::ptrdiff_t>(direction * functions);
    cell.activations.assign(first, first + static_cast<std::ptrdiff_t>(functions));

    auto body = std::make_unique<Region>();
    ScanSpec spec;
    StepWeights weights = prepare_weights(builder_, cell, given);
    for (size_t i = 0; i < weights.size(); ++i) {
      if (!weights[i]) continue;
      spec.invariants.push_back(weights[i]);
      weights[i] = body->add_argument(weights[i]->type(), std::string(step_weight_name(i)));
    }
    const ElementType element = x->type().element;
    const ValueType state = ValueType::tensor(element, {batch_, cell.hidden});
    std::vector<Value*> inner_states;
    for (size_t s = 0; s < states.size(); ++s) {
      inner_states.push_back(body->add_argument(state, s == 0 ? "h" : "c"));
    }
    spec.states = std::move(states);
    spec.lengths = node_.optional_input(kSequenceLens);
    spec.scanned = {x};
    spec.scan_slots = {time};
    Value* slice =
        body->add_argument(ValueType::tensor(element, {batch_, x->type().shape[2]}), "x");

    Builder inner(*body);
    inner.set_node_name(builder_.node_name());
    std::vector<Value*> results = add_step(inner, cell, weights, slice, inner_states);
    if (node_.wants_output(0)) {
      spec.stack_slots = {time};
      results.push_back(results[0]);
    }
    inner.yield(results);
    return builder_.scan(spec, std::move(body));
  }

  Value* join_directions(const std::vector<Value*>& parts, int64_t axis) {
    std::vector<Value*> whole;
    for (Value* part : parts) whole.push_back(builder_.unsqueeze(part, {axis}));
    if (whole.size() == 1) return whole[0];
    return builder_.create(Op::concat, whole, {{AttributeName::axis, axis}})->result();
  }

  NodeImport& node_;
  Builder& builder_;
  Cell cell_;  // with the activations of all directions
  std::vector<bool> reverse_;
  int64_t layout_ = 0;
  Dim batch_;  // N
  Dim input_;  // I
};

void import_rnn(NodeImport& node) {
  constexpr std::string_view kActivations[] = {"Tanh"};
  RecurrentImport(node, CellKind::rnn, kActivations).run();
}

void import_lstm(NodeImport& node) {
  constexpr std::string_view kActivations[] = {"Sigmoid", "Tanh", "Tanh"};
  RecurrentImport(node, CellKind::lstm, kActivations).run();
}

void import_gru(NodeImport& node) {
  constexpr std::string_view kActivations[] = {"Sigmoid", "Tanh"};
  RecurrentImport(node, CellKind::gru, kActivations).run();
}

}  // namespace

std::vector<OpEntry> recurrent_ops() {
  return {{"RNN", import_rnn, 7}, {"LSTM", import_lstm, 7}, {"GRU", import_gru, 7}};
}

}  // namespace refrain::onnx_import
