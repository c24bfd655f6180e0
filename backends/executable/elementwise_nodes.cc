// The nodes that bodies of element-wise loops may have.
#include <algorithm>
#include <utility>

#include "backends/executable/elementwise_finder.h"
#include "backends/executable/pointwise.h"
#include "ir/einsum.h"
#include "ir/slice.h"

namespace refrain::executable {

using highway::Operation;

// Broadcasts operands' axes, which meet at the end, into the result's.
bool ElementwiseFinder::elementwise(const Node& node) {
  const auto instruction = instruction_of(node);
  if (!instruction) return false;
  ElementwiseView result;
  result.extents = extents_of(*node.result());
  result.axes.assign(result.extents.size(), kNoAxis);
  std::vector<size_t> operands;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const auto operand = register_of(node.operand(i));
    if (!operand) return false;
    operands.push_back(*operand);
    const ElementwiseView& view = views_.at(node.operand(i));
    for (size_t k = 0; k < view.axes.size(); ++k) {
      int& to = result.axes[result.axes.size() - view.axes.size() + k];
      if (view.axes[k] == kNoAxis) continue;
      if (to == kNoAxis) to = view.axes[k];
      if (!axes_.join(to, view.axes[k])) return false;
    }
  }
  result.value = add_code(*instruction, std::move(operands), result.axes);
  return set(node.result(), std::move(result));
}

// What is summed over is one axis, even if it has several names.
bool ElementwiseFinder::sum_over(int axis) {
  if (summed_ == kNoAxis) summed_ = axis;
  return axes_.join(summed_, axis);
}

bool ElementwiseFinder::matmul(const Node& node) {
  const auto left = register_of(node.operand(0)), right = register_of(node.operand(1));
  if (!left || !right) return false;
  std::vector<int> a = views_.at(node.operand(0)).axes, b = views_.at(node.operand(1)).axes;
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) a.insert(a.begin(), kNoAxis);
  if (column) b.push_back(kNoAxis);
  ElementwiseView result;
  result.extents = extents_of(*node.result());
  const int inner = a.back();
  if (!axes_.join(inner, b[b.size() - 2])) return false;
  std::vector<int> batch(std::max(a.size(), b.size()) - 2, kNoAxis);
  for (const std::vector<int>* side : {&a, &b}) {
    for (size_t k = 0; k + 2 < side->size(); ++k) {
      int& to = batch[batch.size() + 2 - side->size() + k];
      if ((*side)[k] == kNoAxis) continue;
      if (to == kNoAxis) to = (*side)[k];
      if (!axes_.join(to, (*side)[k])) return false;
    }
  }
  result.axes = batch;
  if (!row) result.axes.push_back(a[a.size() - 2]);
  if (!column) result.axes.push_back(b.back());
  std::vector<int> all = result.axes;
  all.push_back(inner);
  result.value = add_code({Operation::mul, 0, {0, 0, 0}, 0, 0}, {*left, *right}, std::move(all));
  if (inner != kNoAxis) {
    if (!sum_over(inner)) return false;
    result.value = add_sum(*result.value, result.axes);
  }
  return set(node.result(), std::move(result));
}

bool ElementwiseFinder::einsum(const Node& node) {
  if (node.operand_count() == 0 || node.operand_count() > 2) return false;
  std::vector<size_t> ranks, operands;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const auto operand = register_of(node.operand(i));
    if (!operand) return false;
    operands.push_back(*operand);
    ranks.push_back(views_.at(node.operand(i)).axes.size());
  }
  const EinsumPlan plan = parse_einsum(node.string(AttributeName::equation), ranks);
  std::vector<int> labels(static_cast<size_t>(plan.labels), kNoAxis);
  for (size_t i = 0; i < operands.size(); ++i) {
    const std::vector<int>& axes = views_.at(node.operand(i)).axes;
    for (size_t k = 0; k < axes.size(); ++k) {
      int& label = labels[static_cast<size_t>(plan.operands[i][k])];
      if (axes[k] == kNoAxis) continue;
      if (label == kNoAxis) label = axes[k];
      if (!axes_.join(label, axes[k])) return false;
    }
  }
  ElementwiseView result;
  result.extents = extents_of(*node.result());
  std::vector<bool> kept(labels.size());
  for (const int label : plan.result) {
    kept[static_cast<size_t>(label)] = true;
    result.axes.push_back(labels[static_cast<size_t>(label)]);
  }
  result.value = operands.size() == 1
                     ? operands[0]
                     : add_code({Operation::mul, 0, {0, 0, 0}, 0, 0}, std::move(operands), labels);
  int sums = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (kept[i] || labels[i] == kNoAxis) continue;
    if (++sums > 1 || !sum_over(labels[i])) return false;
    result.value = add_sum(*result.value, result.axes);
  }
  return set(node.result(), std::move(result));
}

bool ElementwiseFinder::reduction(const Node& node) {
  const auto operand = register_of(node.operand(0));
  if (!operand) return false;
  const ElementwiseView& view = views_.at(node.operand(0));
  std::vector<int64_t> axes;
  if (node.operand(1)) {
    const auto given = ints(node.operand(1));
    if (!given) return false;
    axes = *given;
  }
  std::vector<bool> reduced(view.axes.size(),
                            axes.empty() && !node.flag(AttributeName::noop_with_empty_axes));
  for (const int64_t i : axes) reduced[normalize_axis(i, reduced.size())] = true;
  ElementwiseView result;
  result.extents = extents_of(*node.result());
  result.value = operand;
  int64_t count = 1;
  for (size_t i = 0; i < reduced.size(); ++i) {
    if (!reduced[i]) {
      result.axes.push_back(view.axes[i]);
      continue;
    }
    if (node.flag(AttributeName::keep_dims)) result.axes.push_back(kNoAxis);
    if (view.axes[i] == kNoAxis) continue;
    if (count > 1 || !sum_over(view.axes[i])) return false;
    count = view.extents[i];
  }
  if (count > 1) result.value = add_sum(*result.value, result.axes);
  if (node.op() == Op::reduce_mean && count > 1) {
    const size_t number =
        add_code({Operation::constant, 0, {0, 0, 0}, static_cast<float>(count), 0}, {}, {});
    result.value =
        add_code({Operation::div, 0, {0, 0, 0}, 0, 0}, {*result.value, number}, result.axes);
  }
  return set(node.result(), std::move(result));
}

// A result with the operand's axes in another order, or others of extent 1: axis i is the operand's
// from[i], or new.
bool ElementwiseFinder::take_axes(const Node& node, const std::vector<int>& from) {
  const ElementwiseView& view = views_.at(node.operand(0));
  ElementwiseView result;
  result.value = view.value;
  result.memory = view.memory;
  result.memory.strides.clear();
  result.extents = extents_of(*node.result());
  for (const int i : from) {
    const auto k = static_cast<size_t>(i);
    result.axes.push_back(i < 0 ? kNoAxis : view.axes[k]);
    if (!view.value) result.memory.strides.push_back(i < 0 ? 0 : view.memory.strides[k]);
  }
  // Memory may be seen in several ways at once, along other axes each time.
  if (!view.value) result.axes = axes_.add(result.extents);
  return set(node.result(), std::move(result));
}

// Squeezes, unsqueezes and reshapes: extents of 1 come and go; dense memory takes any shape.
bool ElementwiseFinder::reshape(const Node& node) {
  const ElementwiseView& view = views_.at(node.operand(0));
  const std::vector<int64_t> to = extents_of(*node.result());
  std::vector<int> from;
  size_t next = 0;
  bool same = true;
  for (const int64_t extent : to) {
    if (extent == 1) {
      from.push_back(-1);
      continue;
    }
    while (next < view.extents.size() && view.extents[next] == 1) ++next;
    same = same && next < view.extents.size() && view.extents[next] == extent;
    from.push_back(static_cast<int>(next++));
  }
  while (next < view.extents.size() && view.extents[next] == 1) ++next;
  if (same && next == view.extents.size()) return take_axes(node, from);
  if (view.value) return false;
  const std::vector<int64_t> dense = dense_strides(view.extents);
  for (size_t i = 0; i < dense.size(); ++i) {
    if (view.extents[i] != 1 && view.memory.strides[i] != dense[i]) return false;
  }
  ElementwiseView result;
  result.memory = view.memory;
  result.memory.strides = dense_strides(to);
  result.extents = to;
  result.axes = axes_.add(to);
  return set(node.result(), std::move(result));
}

bool ElementwiseFinder::transpose(const Node& node) {
  const size_t rank = views_.at(node.operand(0)).axes.size();
  std::vector<int> from;
  for (const int64_t i : node.integers(AttributeName::perm)) {
    from.push_back(static_cast<int>(normalize_axis(i, rank)));
  }
  return take_axes(node, from);
}

bool ElementwiseFinder::expand(const Node& node) {
  const ElementwiseView& view = views_.at(node.operand(0));
  const std::vector<int64_t> to = extents_of(*node.result());
  ElementwiseView result;
  result.value = view.value;
  result.memory = view.memory;
  result.memory.strides.assign(to.size(), 0);
  result.extents = to;
  const size_t added = to.size() - view.extents.size();
  for (size_t i = 0; i < to.size(); ++i) {
    const bool there = i >= added && view.extents[i - added] == to[i];
    result.axes.push_back(there ? view.axes[i - added] : axes_.add(to[i]));
    if (there && !view.value) result.memory.strides[i] = view.memory.strides[i - added];
  }
  return set(node.result(), std::move(result));
}

// `to` is every `step`-th element of memory along one axis, from `begin` on.
bool ElementwiseFinder::part(const Value* from, const Value* to, size_t along, int64_t begin,
                             int64_t step) {
  const ElementwiseView& view = views_.at(from);
  ElementwiseView result = view;
  result.extents = extents_of(*to);
  if (result.extents == view.extents && begin == 0 && step == 1) return set(to, std::move(result));
  if (view.value || element_count(result.extents) == 0) return false;
  result.memory.offset += begin * view.memory.strides[along];
  result.memory.strides[along] = result.extents[along] > 1 ? view.memory.strides[along] * step : 0;
  result.axes[along] = axes_.add(result.extents[along]);
  return set(to, std::move(result));
}

bool ElementwiseFinder::split(const Node& node) {
  const ElementwiseView& view = views_.at(node.operand(0));
  const size_t along = normalize_axis(node.integer(AttributeName::axis), view.extents.size());
  int64_t begin = 0;
  for (size_t i = 0; i < node.result_count(); ++i) {
    if (!node.result(i)->unused() && !part(node.operand(0), node.result(i), along, begin, 1)) {
      return false;
    }
    begin += extents_of(*node.result(i))[along];
  }
  return true;
}

bool ElementwiseFinder::slice(const Node& node) {
  const auto begins = ints(node.operand(1)), ends = ints(node.operand(2));
  if (!begins || !ends || begins->size() != 1) return false;
  const ElementwiseView& view = views_.at(node.operand(0));
  int64_t along = 0, step = 1;
  if (node.operand(3)) {
    const auto axes = ints(node.operand(3));
    if (!axes) return false;
    along = (*axes)[0];
  }
  if (node.operand(4)) {
    const auto steps = ints(node.operand(4));
    if (!steps) return false;
    step = (*steps)[0];
  }
  const size_t at = normalize_axis(along, view.extents.size());
  const SliceBounds bounds = clamp_slice(view.extents[at], (*begins)[0], (*ends)[0], step);
  return part(node.operand(0), node.result(), at, bounds.begin, bounds.count > 1 ? bounds.step : 1);
}

bool ElementwiseFinder::find_node(const Node& node) {
  switch (node.op()) {
    case Op::constant: {
      ElementwiseView view;
      view.memory.whole = node.result();
      view.extents = extents_of(*node.result());
      view.memory.strides = dense_strides(view.extents);
      view.axes = axes_.add(view.extents);
      return set(node.result(), std::move(view));
    }
    case Op::matmul:
      return matmul(node);
    case Op::einsum:
      return einsum(node);
    case Op::reduce_sum:
    case Op::reduce_mean:
      return reduction(node);
    default:
      break;
  }
  if (is_elementwise(node.op())) return elementwise(node);
  if (!views_.contains(node.operand(0))) return false;
  switch (node.op()) {
    case Op::reshape:
    case Op::squeeze:
    case Op::unsqueeze:
      return reshape(node);
    case Op::transpose:
      return transpose(node);
    case Op::expand:
      return expand(node);
    case Op::split:
      return split(node);
    case Op::slice:
      return slice(node);
    default:
      return false;
  }
}

}  // namespace refrain::executable
