#include "backends/executable/lower_copy.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "backends/executable/basic_steps.h"
#include "ir/slice.h"

namespace refrain::executable {
namespace {

using Axis = StridedCopyStep::Axis;

std::vector<int64_t> byte_strides(const Value& value) {
  const std::vector<int64_t> extents = extents_of(value);
  std::vector<int64_t> strides(extents.size());
  auto stride = static_cast<int64_t>(size_of(value.type().element));
  for (size_t i = extents.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= extents[i];
  }
  return strides;
}

// A box of `extents` elements somewhere in a tensor, by strides in bytes.
struct Box {
  int64_t offset = 0;
  std::vector<int64_t> strides;
};

bool is_dense(const Box& box, const std::vector<int64_t>& extents, int64_t element) {
  int64_t stride = element;
  for (size_t i = extents.size(); i-- > 0;) {
    if (extents[i] != 1 && box.strides[i] != stride) return false;
    stride *= extents[i];
  }
  return true;
}

// A result that is a box of an operand: the same memory if the box is dense, otherwise a copy.
void take_box(Lowering& lowering, const Node& node, const Value* result, const Box& box,
              Steps& steps) {
  const std::vector<int64_t> extents = extents_of(*result);
  const auto element = static_cast<int64_t>(size_of(result->type().element));
  Place from = lowering.place(node.operand(0));
  from.offset += box.offset;
  if (bytes_of(*result) == 0) {
    lowering.allocate(result);
    return;
  }
  if (is_dense(box, extents, element)) {
    lowering.set_place(result, from);
    return;
  }
  std::vector<Axis> axes;
  const std::vector<int64_t> to = byte_strides(*result);
  for (size_t i = 0; i < extents.size(); ++i) {
    axes.push_back({extents[i], box.strides[i], to[i]});
  }
  auto step =
      std::make_unique<StridedCopyStep>(std::string(name(node.op())), std::move(axes), element);
  step->reads(from);
  step->writes(lowering.allocate(result));
  lowering.append(steps, std::move(step));
}

bool lower_transpose(Lowering& lowering, const Node& node, Steps& steps) {
  const std::vector<int64_t> strides = byte_strides(*node.operand(0));
  Box box;
  for (const int64_t axis : node.integers(AttributeName::perm)) {
    box.strides.push_back(strides[normalize_axis(axis, strides.size())]);
  }
  take_box(lowering, node, node.result(), box, steps);
  return true;
}

bool lower_split(Lowering& lowering, const Node& node, Steps& steps) {
  if (node.operand(1) && !lowering.constant(node.operand(1))) return false;
  const std::vector<int64_t> strides = byte_strides(*node.operand(0));
  const size_t axis = normalize_axis(node.integer(AttributeName::axis), strides.size());
  Box box{0, strides};
  for (size_t i = 0; i < node.result_count(); ++i) {
    take_box(lowering, node, node.result(i), box, steps);
    box.offset += extents_of(*node.result(i))[axis] * strides[axis];
  }
  return true;
}

bool lower_slice(Lowering& lowering, const Node& node, Steps& steps) {
  for (size_t i = 1; i < node.operand_count(); ++i) {
    if (node.operand(i) && !lowering.constant(node.operand(i))) return false;
  }
  const auto ints = [&](size_t i) { return lowering.constant(node.operand(i))->view().as_ints(); };
  const std::vector<int64_t> begins = ints(1), ends = ints(2),
                             extents = extents_of(*node.operand(0));
  Box box{0, byte_strides(*node.operand(0))};
  const std::vector<int64_t> strides = box.strides;
  for (size_t i = 0; i < begins.size(); ++i) {
    const size_t axis =
        normalize_axis(node.operand(3) ? ints(3)[i] : static_cast<int64_t>(i), extents.size());
    const SliceBounds bounds =
        clamp_slice(extents[axis], begins[i], ends[i], node.operand(4) ? ints(4)[i] : 1);
    box.offset += bounds.begin * strides[axis];
    // A step beyond the axis is never taken; as a stride it might overflow.
    box.strides[axis] = bounds.count > 1 ? strides[axis] * bounds.step : 0;
  }
  take_box(lowering, node, node.result(), box, steps);
  return true;
}

// With one constant index a gather is a slice without its axis.
bool lower_gather(Lowering& lowering, const Node& node, Steps& steps) {
  const Tensor* index = lowering.constant(node.operand(1));
  if (!index || index->size() != 1) return false;
  const std::vector<int64_t> extents = extents_of(*node.operand(0));
  const size_t axis = normalize_axis(node.integer(AttributeName::axis), extents.size());
  int64_t at = index->view().as_ints()[0];
  if (at < 0) at += extents[axis];
  if (at < 0 || at >= extents[axis]) return false;  // the kernel tells what is wrong
  Box box{0, byte_strides(*node.operand(0))};
  box.offset = at * box.strides[axis];
  const auto position = box.strides.begin() + static_cast<std::ptrdiff_t>(axis);
  box.strides.insert(box.strides.erase(position), index->rank(), 0);
  take_box(lowering, node, node.result(), box, steps);
  return true;
}

bool lower_expand(Lowering& lowering, const Node& node, Steps& steps) {
  if (!lowering.constant(node.operand(1))) return false;
  const std::vector<int64_t> from = extents_of(*node.operand(0)),
                             strides = byte_strides(*node.operand(0)),
                             to = extents_of(*node.result());
  Box box;
  box.strides.assign(to.size(), 0);
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i] != 1) box.strides[to.size() - from.size() + i] = strides[i];
  }
  take_box(lowering, node, node.result(), box, steps);
  return true;
}

bool lower_concat(Lowering& lowering, const Node& node, Steps& steps) {
  const std::vector<int64_t> to = byte_strides(*node.result());
  const size_t axis = normalize_axis(node.integer(AttributeName::axis), to.size());
  Place place = lowering.allocate(node.result());
  for (size_t k = 0; k < node.operand_count(); ++k) {
    const Value* operand = node.operand(k);
    const std::vector<int64_t> extents = extents_of(*operand), from = byte_strides(*operand);
    if (bytes_of(*operand) > 0) {
      std::vector<Axis> axes;
      for (size_t i = 0; i < extents.size(); ++i) axes.push_back({extents[i], from[i], to[i]});
      auto step = std::make_unique<StridedCopyStep>(
          "concat", std::move(axes), static_cast<int64_t>(size_of(operand->type().element)));
      step->reads(lowering.place(operand));
      step->writes(place);
      lowering.append(steps, std::move(step));
    }
    place.offset += extents[axis] * to[axis];
  }
  return true;
}

}  // namespace

bool lower_as_copy(Lowering& lowering, const Node& node, Steps& steps) {
  switch (node.op()) {
    case Op::reshape:
      if (!lowering.constant(node.operand(1))) return false;
      [[fallthrough]];
    case Op::squeeze:
    case Op::unsqueeze:
      if (node.operand(1) && !lowering.constant(node.operand(1))) return false;
      lowering.set_place(node.result(), lowering.place(node.operand(0)));
      return true;
    case Op::transpose:
      return lower_transpose(lowering, node, steps);
    case Op::split:
      return lower_split(lowering, node, steps);
    case Op::slice:
      return lower_slice(lowering, node, steps);
    case Op::gather:
      return lower_gather(lowering, node, steps);
    case Op::expand:
      return lower_expand(lowering, node, steps);
    case Op::concat:
      return lower_concat(lowering, node, steps);
    default:
      return false;
  }
}

}  // namespace refrain::executable
