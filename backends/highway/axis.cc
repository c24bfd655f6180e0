#include "backends/highway/axis.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "backends/highway/targets.h"
#include "ir/schema.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/highway/axis.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, because it and what follows is compiled for each target.
#include "backends/highway/program-inl.h"
#include "hwy/highway.h"

#ifndef REFRAIN_BACKENDS_HIGHWAY_AXIS_CC_
#define REFRAIN_BACKENDS_HIGHWAY_AXIS_CC_
namespace refrain::highway {

// Element (o, k, i) of an operand [outer, extent, inner] goes into (o, i).
struct Slabs {
  int64_t outer = 1, extent = 1, inner = 1;
};

enum class AxisOperation : uint8_t {
  sum,
  mean,
  max,
  min,
  softmax,
  log_softmax,
  arg_max,
  arg_min,
  last_arg_max,
  last_arg_min,
};

}  // namespace refrain::highway
#endif

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {

using AxisTag = hn::CappedTag<float, 16>;
using AxisVector = hn::Vec<AxisTag>;

// Some elements beside each other, at most a vector.
struct Columns {
  size_t count;

  AxisVector Load(const float* from) const {
    const AxisTag d;
    if (count == hn::Lanes(d)) return hn::LoadU(d, from);
    HWY_ALIGN float lanes[16] = {};
    std::memcpy(lanes, from, count * sizeof(float));
    return hn::Load(d, lanes);
  }

  void Store(AxisVector v, float* to) const {
    const AxisTag d;
    if (count == hn::Lanes(d)) return hn::StoreU(v, d, to);
    HWY_ALIGN float lanes[16];
    hn::Store(v, d, lanes);
    std::memcpy(to, lanes, count * sizeof(float));
  }
};

// combine() of the elements of some columns along the axis.
template <class Combine>
HWY_INLINE AxisVector Along(const float* x, const Slabs& slabs, Columns columns, Combine combine) {
  AxisVector total = columns.Load(x);
  for (int64_t k = 1; k < slabs.extent; ++k)
    total = combine(total, columns.Load(x + k * slabs.inner));
  return total;
}

HWY_INLINE void Reduce(AxisOperation operation, const float* x, const Slabs& slabs, Columns columns,
                       float* to) {
  const AxisTag d;
  const auto add = [](AxisVector a, AxisVector b) HWY_ATTR { return hn::Add(a, b); };
  const auto larger = [](AxisVector a, AxisVector b) HWY_ATTR { return Larger(a, b); };
  const auto smaller = [](AxisVector a, AxisVector b) HWY_ATTR { return Smaller(a, b); };
  switch (operation) {
    case AxisOperation::sum:
      return columns.Store(Along(x, slabs, columns, add), to);
    case AxisOperation::mean:
      return columns.Store(
          hn::Div(Along(x, slabs, columns, add), hn::Set(d, static_cast<float>(slabs.extent))), to);
    case AxisOperation::max:
      return columns.Store(Along(x, slabs, columns, larger), to);
    case AxisOperation::min:
      return columns.Store(Along(x, slabs, columns, smaller), to);
    default:
      break;
  }
  // Softmax: the result holds the powers, or the differences, until their sum is known.
  const bool log = operation == AxisOperation::log_softmax;
  const AxisVector most = Along(x, slabs, columns, larger);
  AxisVector sum = hn::Zero(d);
  for (int64_t k = 0; k < slabs.extent; ++k) {
    const AxisVector shifted = hn::Sub(columns.Load(x + k * slabs.inner), most);
    const AxisVector power = Exp(d, shifted);
    sum = hn::Add(sum, power);
    columns.Store(log ? shifted : power, to + k * slabs.inner);
  }
  const AxisVector log_sum = Log(d, sum);
  for (int64_t k = 0; k < slabs.extent; ++k) {
    float* const at = to + k * slabs.inner;
    const AxisVector v = columns.Load(at);
    columns.Store(log ? hn::Sub(v, log_sum) : hn::Div(v, sum), at);
  }
}

// Columns beside each other are lanes.
void RunColumns(AxisOperation operation, const Slabs& slabs, const float* x, float* result) {
  const AxisTag d;
  const bool whole = operation == AxisOperation::softmax || operation == AxisOperation::log_softmax;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t o = 0; o < slabs.outer; ++o) {
    for (int64_t i = 0; i < slabs.inner; i += lanes) {
      const Columns columns{static_cast<size_t>(std::min(lanes, slabs.inner - i))};
      Reduce(operation, x + o * slabs.extent * slabs.inner + i, slabs, columns,
             result + o * (whole ? slabs.extent : 1) * slabs.inner + i);
    }
  }
}

// One line of elements, by lanes; what is left over one by one.
float SumLine(const float* x, int64_t count) {
  const AxisTag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  AxisVector total = hn::Zero(d);
  int64_t k = 0;
  for (; k + lanes <= count; k += lanes) total = hn::Add(total, hn::LoadU(d, x + k));
  float sum = hn::GetLane(hn::SumOfLanes(d, total));
  for (; k < count; ++k) sum += x[k];
  return sum;
}

// The largest (smallest); NaN if there is one.
template <bool kLargest>
float ExtremeOfLine(const float* x, int64_t count) {
  const AxisTag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto better = [](float a, float b) { return kLargest ? a > b : a < b; };
  float best = x[0];
  int64_t k = 0;
  if (count >= lanes) {
    AxisVector most = hn::LoadU(d, x);
    for (k = lanes; k + lanes <= count; k += lanes) {
      const AxisVector v = hn::LoadU(d, x + k);
      most = kLargest ? Larger(most, v) : Smaller(most, v);
    }
    HWY_ALIGN float values[16];
    hn::Store(most, d, values);
    for (int64_t j = 0; j < lanes; ++j) {
      if (better(values[j], best) || std::isnan(values[j])) best = values[j];
    }
  }
  for (; k < count; ++k) {
    if (better(x[k], best) || std::isnan(x[k])) best = x[k];
  }
  return best;
}

void SoftmaxLine(const float* x, int64_t count, bool log, float* result) {
  const AxisTag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const AxisVector most = hn::Set(d, ExtremeOfLine<true>(x, count));
  AxisVector total = hn::Zero(d);
  for (int64_t k = 0; k < count; k += lanes) {
    const Columns columns{static_cast<size_t>(std::min(lanes, count - k))};
    const AxisVector shifted = hn::Sub(columns.Load(x + k), most);
    const AxisVector power = hn::IfThenElseZero(hn::FirstN(d, columns.count), Exp(d, shifted));
    total = hn::Add(total, power);
    columns.Store(log ? shifted : power, result + k);
  }
  const float sum = hn::GetLane(hn::SumOfLanes(d, total));
  const AxisVector scale = hn::Set(d, log ? std::log(sum) : sum);
  for (int64_t k = 0; k < count; k += lanes) {
    const Columns columns{static_cast<size_t>(std::min(lanes, count - k))};
    const AxisVector v = columns.Load(result + k);
    columns.Store(log ? hn::Sub(v, scale) : hn::Div(v, scale), result + k);
  }
}

void RunLines(AxisOperation operation, const Slabs& slabs, const float* x, float* result) {
  const int64_t n = slabs.extent;
  for (int64_t o = 0; o < slabs.outer; ++o, x += n) {
    switch (operation) {
      case AxisOperation::sum:
        result[o] = SumLine(x, n);
        break;
      case AxisOperation::mean:
        result[o] = SumLine(x, n) / static_cast<float>(n);
        break;
      case AxisOperation::max:
        result[o] = ExtremeOfLine<true>(x, n);
        break;
      case AxisOperation::min:
        result[o] = ExtremeOfLine<false>(x, n);
        break;
      default:
        SoftmaxLine(x, n, operation == AxisOperation::log_softmax, result + o * n);
        break;
    }
  }
}

// The first (last) element that is the best, by a search for the best and then for where it is.
void RunArgLines(AxisOperation operation, const Slabs& slabs, const float* x, int64_t* result) {
  const int64_t n = slabs.extent;
  const bool largest =
      operation == AxisOperation::arg_max || operation == AxisOperation::last_arg_max;
  const bool last =
      operation == AxisOperation::last_arg_max || operation == AxisOperation::last_arg_min;
  for (int64_t o = 0; o < slabs.outer; ++o, x += n) {
    const float best = largest ? ExtremeOfLine<true>(x, n) : ExtremeOfLine<false>(x, n);
    const bool nan = std::isnan(best);
    const auto found = [&](int64_t k) { return nan ? std::isnan(x[k]) : x[k] == best; };
    int64_t k = last ? n - 1 : 0;
    while (!found(k)) k += last ? -1 : 1;
    result[o] = k;
  }
}

void RunAxis(AxisOperation operation, const Slabs& slabs, const float* x, void* result) {
  if (operation >= AxisOperation::arg_max) {
    RunArgLines(operation, slabs, x, static_cast<int64_t*>(result));
  } else if (slabs.inner == 1) {
    RunLines(operation, slabs, x, static_cast<float*>(result));
  } else {
    RunColumns(operation, slabs, x, static_cast<float*>(result));
  }
}

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace refrain::highway {
namespace {

HWY_EXPORT(RunAxis);

class AxisKernel final : public StepKernel {
 public:
  AxisKernel(AxisOperation operation, Slabs slabs, std::string what)
      : operation_(operation), slabs_(slabs), what_(std::move(what)) {}

  void run(const void* const* operands, void* const* results) override {
    HWY_DYNAMIC_DISPATCH(RunAxis)
    (operation_, slabs_, static_cast<const float*>(operands[0]), results[0]);
  }

  bool real_time() const override { return true; }
  std::string describe() const override {
    return "highway " + what_ + " [" + std::to_string(slabs_.outer) + ", " +
           std::to_string(slabs_.extent) + ", " + std::to_string(slabs_.inner) + "]";
  }

 private:
  const AxisOperation operation_;
  const Slabs slabs_;
  const std::string what_;
};

std::optional<AxisOperation> operation_of(const Node& node) {
  switch (node.op()) {
    case Op::reduce_sum:
      return AxisOperation::sum;
    case Op::reduce_mean:
      return AxisOperation::mean;
    case Op::reduce_max:
      return AxisOperation::max;
    case Op::reduce_min:
      return AxisOperation::min;
    case Op::softmax:
      return AxisOperation::softmax;
    case Op::log_softmax:
      return AxisOperation::log_softmax;
    case Op::arg_max:
      return node.flag(AttributeName::select_last) ? AxisOperation::last_arg_max
                                                   : AxisOperation::arg_max;
    case Op::arg_min:
      return node.flag(AttributeName::select_last) ? AxisOperation::last_arg_min
                                                   : AxisOperation::arg_min;
    default:
      return std::nullopt;
  }
}

// Axes [begin, end) that the node works along; none if they are not known or not neighbours.
std::optional<std::pair<size_t, size_t>> axes_of(const Node& node, size_t rank,
                                                 std::span<const Tensor* const> constants) {
  if (node.find_attribute(AttributeName::axis)) {
    const size_t axis = normalize_axis(node.integer(AttributeName::axis), rank);
    return std::pair{axis, axis + 1};
  }
  std::vector<int64_t> axes;
  if (node.operand(1)) {
    if (!constants[1]) return {};
    axes = constants[1]->view().as_ints();
  }
  if (axes.empty()) {
    if (node.flag(AttributeName::noop_with_empty_axes)) return {};
    return std::pair{size_t{0}, rank};
  }
  std::vector<size_t> sorted;
  for (const int64_t axis : axes) sorted.push_back(normalize_axis(axis, rank));
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i] != sorted[0] + i) return {};
  }
  return std::pair{sorted[0], sorted[0] + sorted.size()};
}

}  // namespace

std::unique_ptr<StepKernel> make_axis_kernel(const Node& node,
                                             std::span<const Tensor* const> constants) {
  const std::optional<AxisOperation> operation = operation_of(node);
  if (!operation) return nullptr;
  const ValueType& x = node.operand(0)->type();
  const std::vector<int64_t> extents = x.shape.extents();
  if (x.element != ElementType::f32 || extents.empty() || element_count(extents) == 0)
    return nullptr;
  const auto axes = axes_of(node, extents.size(), constants);
  if (!axes) return nullptr;
  Slabs slabs;
  for (size_t i = 0; i < extents.size(); ++i) {
    (i < axes->first ? slabs.outer : i < axes->second ? slabs.extent : slabs.inner) *= extents[i];
  }
  if (*operation >= AxisOperation::arg_max && slabs.inner != 1) return nullptr;
  return std::make_unique<AxisKernel>(*operation, slabs, std::string(name(node.op())));
}

}  // namespace refrain::highway

#endif  // HWY_ONCE
