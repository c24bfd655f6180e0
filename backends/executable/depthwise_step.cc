#include "backends/executable/depthwise_step.h"

#include <algorithm>
#include <utility>

#include "backends/executable/lowering.h"
#include "backends/executable/parallel.h"
#include "ir/slice.h"
#include "ir/window.h"

namespace refrain::executable {
namespace {

using A = AttributeName;

// Beyond so many taps a product over patches shares more loads.
constexpr int64_t kMostTaps = 32;

const Tensor* constant_of(const Value* value) {
  const Node* node = value ? value->node() : nullptr;
  return node && node->op() == Op::constant ? node->attribute<TensorPtr>(A::value).get() : nullptr;
}

// The node of this op that a value with one use comes from; null if there is none.
const Node* only_source(const Value* value, Op op) {
  const Node* node = value->has_one_use() ? value->node() : nullptr;
  return node && node->op() == op ? node : nullptr;
}

std::vector<size_t> axes_of(const Node& transpose) {
  std::vector<size_t> axes;
  const size_t rank = transpose.operand(0)->type().shape.dims().size();
  for (const int64_t axis : transpose.integers(A::perm)) {
    axes.push_back(normalize_axis(axis, rank));
  }
  return axes;
}

// What a slice takes of an axis by steps of 1; none if it slices anything else.
std::optional<SliceBounds> sliced(const Node& slice, size_t axis) {
  for (size_t i = 1; i < slice.operand_count(); ++i) {
    const Tensor* tensor = constant_of(slice.operand(i));
    if (slice.operand(i) && (!tensor || tensor->size() != 1)) return {};
  }
  const auto number = [&](size_t i) { return constant_of(slice.operand(i))->view().as_ints()[0]; };
  const std::vector<int64_t> extents = extents_of(*slice.operand(0));
  const size_t found = slice.operand(3) ? normalize_axis(number(3), extents.size()) : 0;
  if (found != axis || (slice.operand(4) && number(4) != 1)) return {};
  return clamp_slice(extents[axis], number(1), number(2), 1);
}

bool is_f32(const Value& value) { return value.type().element == ElementType::f32; }

}  // namespace

std::optional<DepthwiseChain> depthwise_chain(const Node& last) {
  if (last.op() != Op::transpose || !is_f32(*last.result())) return {};
  DepthwiseChain chain;
  chain.last = &last;
  const std::vector<size_t> to = axes_of(last);
  if (to.size() != 3 || to[2] != 1) return {};
  const Value* value = last.operand(0);
  highway::DepthwiseShape& shape = chain.shape;
  shape.time_first = to[0] == 2;
  int64_t begin = 0;
  if (const Node* slice = only_source(value, Op::slice)) {
    const auto bounds = sliced(*slice, 2);
    if (!bounds) return {};
    begin = bounds->begin;
    chain.inner.push_back(slice);
    value = slice->operand(0);
  }
  const Node* conv = chain.conv = only_source(value, Op::conv);
  if (!conv) return {};
  chain.inner.push_back(conv);
  const Tensor* weights = constant_of(conv->operand(1));
  if (!weights || (conv->operand(2) && !constant_of(conv->operand(2)))) return {};
  const Node* first = only_source(conv->operand(0), Op::transpose);
  if (!first) return {};
  chain.inner.push_back(first);
  chain.input = first->operand(0);
  const Node* channels = only_source(chain.input, Op::slice);
  if (const auto bounds = channels ? sliced(*channels, 2) : std::nullopt) {
    chain.inner.push_back(channels);
    chain.input = channels->operand(0);
    chain.first_channel = bounds->begin;
  }
  const std::vector<size_t> from = axes_of(*first);
  if (from.size() != 3 || from[1] != 2) return {};
  const std::vector<int64_t> x = extents_of(*conv->operand(0)), y = extents_of(*last.result());
  if (element_count(x) == 0 || element_count(y) == 0) return {};
  shape.batch = x[0];
  shape.channels = x[1];
  shape.steps = x[2];
  shape.places = y[shape.time_first ? 0 : 1];
  const bool depthwise = conv->integer(A::groups) == shape.channels &&
                         weights->extents()[0] == shape.channels && weights->extents()[1] == 1;
  shape.taps = weights->extents()[2];
  if (!depthwise || shape.taps < 1 || shape.taps > kMostTaps) return {};
  const WindowAttributes window = window_attributes(*conv, 1);
  shape.stride = window.strides[0];
  shape.dilation = window.dilations[0];
  shape.first = begin * shape.stride - window_axis(window, 0, shape.steps, shape.taps).pad_begin;
  const bool batch_outside = from[0] == 0;
  const int64_t row = extents_of(*chain.input)[2];
  shape.batch_stride = (batch_outside ? shape.steps : 1) * row;
  shape.step_stride = (batch_outside ? 1 : shape.batch) * row;
  return chain;
}

DepthwiseStep::DepthwiseStep(const DepthwiseChain& chain, highway::Program program,
                             const std::vector<bool>& moves, int threads)
    : shape_(chain.shape),
      program_(std::move(program)),
      rows_(chain.shape.batch * chain.shape.places),
      threads_(threads) {
  highway::check(program_);
  for (const bool moving : moves) row_strides_.push_back(moving ? shape_.channels : 0);
  result_strides_.assign(program_.outputs.size(), shape_.channels);
  const std::span<const float> given = constant_of(chain.conv->operand(1))->data<float>();
  weights_.resize(given.size());
  const auto taps = static_cast<size_t>(shape_.taps), channels = given.size() / taps;
  for (size_t i = 0; i < given.size(); ++i) {
    weights_[i % taps * channels + i / taps] = given[i];
  }
  if (const Tensor* bias = constant_of(chain.conv->operand(2))) bias_ = bias->data<float>().data();
}

void DepthwiseStep::run_rows(int64_t begin, int64_t end) const {
  // So few rows at a time that the program finds them in the first cache.
  constexpr int64_t kElements = 4096;
  const int64_t channels = shape_.channels, chunk = std::max<int64_t>(1, kElements / channels);
  const size_t inputs = row_strides_.size();
  highway::ArrayOperand operands[highway::kMaxRegisters];
  float* results[highway::kMaxRegisters];
  for (int64_t row = begin; row < end; row += chunk) {
    const int64_t until = std::min(end, row + chunk);
    for (size_t i = 0; i < result_strides_.size(); ++i) {
      results[i] = floats(1 + inputs + i) + row * channels;
    }
    highway::convolve_depthwise(shape_, floats(0), weights_.data(), bias_, row, until, results[0]);
    if (program_.code.empty() && program_.outputs.size() == 1) continue;
    operands[0] = {results[0], channels, 1};
    for (size_t i = 0; i < inputs; ++i) {
      operands[1 + i] = {floats(1 + i) + row * row_strides_[i], row_strides_[i], 1};
    }
    highway::run_program(program_, until - row, channels, operands, results,
                         result_strides_.data());
  }
}

int64_t DepthwiseStep::grain() const {
  constexpr int64_t kWorthAThread = 16384;  // elements
  return std::max<int64_t>(1, kWorthAThread / shape_.channels);
}

void DepthwiseStep::run() {
  for_rows(threads_, rows_, grain(), [&](int64_t begin, int64_t end) { run_rows(begin, end); });
}

std::string DepthwiseStep::describe() const {
  return "highway depthwise conv [" + std::to_string(shape_.batch) + ", " +
         std::to_string(shape_.steps) + ", " + std::to_string(shape_.channels) + "], " +
         std::to_string(shape_.taps) + " taps, " + std::to_string(program_.code.size()) +
         " operations";
}

}  // namespace refrain::executable
