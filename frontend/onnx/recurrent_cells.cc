#include "frontend/onnx/recurrent_cells.h"

namespace refrain::onnx_import {
namespace {

// Parts of the given sizes along an axis.
std::vector<Value*> split(Builder& builder, Value* x, int64_t axis,
                          std::initializer_list<int64_t> sizes) {
  Value* const operands[] = {x, builder.ints(sizes)};
  const Node* node =
      builder.create(Op::split, operands, {{AttributeName::axis, axis}}, sizes.size());
  std::vector<Value*> parts;
  for (size_t i = 0; i < sizes.size(); ++i) parts.push_back(node->result(i));
  return parts;
}

class Step {
 public:
  Step(Builder& builder, const Cell& cell, const StepWeights& weights, Value* x, Value* h)
      : builder_(builder), cell_(cell), weights_(weights), x_(x), h_(h) {}

  std::vector<Value*> rnn() { return {activate(0, add(input_part(), recurrent_part()))}; }

  std::vector<Value*> lstm(Value* c) {
    const int64_t n = cell_.hidden;
    const auto gates = split(builder_, add(input_part(), recurrent_part()), -1, {n, n, n, n});
    Value* i = activate(0, with_peephole(gates[0], kInputPeephole, c));
    Value* f = cell_.input_forget ? one_minus(i)
                                  : activate(0, with_peephole(gates[2], kForgetPeephole, c));
    Value* candidate = activate(1, gates[3]);
    Value* next_c = add(mul(f, c), mul(i, candidate));
    Value* o = activate(0, with_peephole(gates[1], kOutputPeephole, next_c));
    return {mul(o, activate(2, next_c)), next_c};
  }

  std::vector<Value*> gru() {
    const int64_t n = cell_.hidden;
    const auto from_x = split(builder_, input_part(), -1, {n, n, n});
    const auto from_h = cell_.linear_before_reset ? split(builder_, recurrent_part(), -1, {n, n, n})
                                                  : split(builder_, recurrent_part(), -1, {n, n});
    Value* z = activate(0, add(from_x[0], from_h[0]));
    Value* r = activate(0, add(from_x[1], from_h[1]));
    Value* from_reset = nullptr;
    if (cell_.linear_before_reset) {
      Value* linear = from_h[2];
      if (weights_[kHiddenBias]) linear = add(linear, weights_[kHiddenBias]);
      from_reset = mul(r, linear);
    } else {
      from_reset = matmul(mul(r, h_), weights_[kHiddenWeights]);
    }
    Value* candidate = activate(1, add(from_x[2], from_reset));
    return {add(mul(one_minus(z), candidate), mul(z, h_))};
  }

 private:
  Value* add(Value* a, Value* b) { return builder_.op(Op::add, {a, b}); }
  Value* mul(Value* a, Value* b) { return builder_.op(Op::mul, {a, b}); }
  Value* matmul(Value* a, Value* b) { return builder_.op(Op::matmul, {a, b}); }
  Value* scalar(double value) { return builder_.scalar(x_->type().element, value); }
  Value* one_minus(Value* a) { return builder_.op(Op::sub, {scalar(1), a}); }

  // The bias goes here, so that the whole term can leave the loop.
  Value* input_part() {
    Value* product = matmul(x_, weights_[kInputWeights]);
    return weights_[kBias] ? add(product, weights_[kBias]) : product;
  }
  Value* recurrent_part() { return matmul(h_, weights_[kRecurrentWeights]); }

  Value* with_peephole(Value* gate, StepWeight peephole, Value* c) {
    return weights_[peephole] ? add(gate, mul(weights_[peephole], c)) : gate;
  }

  Value* activate(size_t function, Value* x) {
    if (cell_.clip) {
      x = builder_.op(Op::max, {x, scalar(-*cell_.clip)});
      x = builder_.op(Op::min, {x, scalar(*cell_.clip)});
    }
    return cell_.activations[function].apply(builder_, x);
  }

  Builder& builder_;
  const Cell& cell_;
  const StepWeights& weights_;
  Value* x_;
  Value* h_;
};

}  // namespace

std::string_view step_weight_name(size_t i) {
  constexpr std::string_view kNames[kStepWeightCount] = {"W",  "R",  "Rh", "b",
                                                         "bh", "Pi", "Po", "Pf"};
  return kNames[i];
}

StepWeights prepare_weights(Builder& builder, const Cell& cell, const CellWeights& weights) {
  const int64_t n = cell.hidden, g = cell.gates();
  const bool reset_before = cell.kind == CellKind::gru && !cell.linear_before_reset;
  const bool reset_after = cell.kind == CellKind::gru && cell.linear_before_reset;
  StepWeights result{};
  result[kInputWeights] = builder.transpose(weights.w, {1, 0});
  if (reset_before) {
    const auto parts = split(builder, weights.r, 0, {2 * n, n});
    result[kRecurrentWeights] = builder.transpose(parts[0], {1, 0});
    result[kHiddenWeights] = builder.transpose(parts[1], {1, 0});
  } else {
    result[kRecurrentWeights] = builder.transpose(weights.r, {1, 0});
  }
  if (weights.b && reset_after) {
    // Rbh is multiplied by r_t; everything else adds to x_t W'.
    const auto parts = split(builder, weights.b, 0, {2 * n, n, 2 * n, n});
    Value* gates = builder.op(Op::add, {parts[0], parts[2]});
    result[kBias] = builder.op(Op::concat, {gates, parts[1]}, {{AttributeName::axis, int64_t{0}}});
    result[kHiddenBias] = parts[3];
  } else if (weights.b) {
    const auto parts = split(builder, weights.b, 0, {g * n, g * n});
    result[kBias] = builder.op(Op::add, {parts[0], parts[1]});
  }
  if (weights.p) {
    const auto parts = split(builder, weights.p, 0, {n, n, n});
    result[kInputPeephole] = parts[0];
    result[kOutputPeephole] = parts[1];
    result[kForgetPeephole] = parts[2];
  }
  return result;
}

std::vector<Value*> add_step(Builder& builder, const Cell& cell, const StepWeights& weights,
                             Value* x, std::span<Value* const> states) {
  Step step(builder, cell, weights, x, states[0]);
  switch (cell.kind) {
    case CellKind::rnn:
      return step.rnn();
    case CellKind::lstm:
      return step.lstm(states[1]);
    case CellKind::gru:
      return step.gru();
  }
  return {};
}

}  // namespace refrain::onnx_import
