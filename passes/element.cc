#include "passes/element.h"

#include <vector>

#include "ir/slice.h"

namespace refrain::passes::internal {
namespace {

// Parts of parts that are looked through.
constexpr int kMaxDepth = 8;

std::optional<int64_t> constant_extent(const Value* value, size_t axis) {
  const Dim dim = value->type().shape[axis];
  return dim.is_constant() ? std::optional(dim.extent()) : std::nullopt;
}

// An index counted from the front: known if it is not negative, or the extent is.
std::optional<int64_t> from_front(const Value* whole, size_t axis, int64_t index) {
  const auto extent = constant_extent(whole, axis);
  if (extent && (index >= *extent || index < -*extent)) return {};
  if (index >= 0) return index;
  return extent ? std::optional(index + *extent) : std::nullopt;
}

std::optional<Element> cut(const Value* value) {
  const Node* node = value->node();
  if (!node || node->operand_count() == 0 || !node->operand(0)) return {};
  Value* whole = node->operand(0);
  if (!whole->type().is_tensor() || !whole->type().shape.ranked()) return {};
  const size_t rank = whole->type().shape.rank();
  if (node->op() == Op::gather) {
    const auto index = constant_int(node->operand(1));
    const Shape& indices = node->operand(1)->type().shape;
    if (!index || !indices.ranked() || indices.rank() > 1) return {};
    const size_t axis = normalize_axis(node->integer(AttributeName::axis), rank);
    const auto place = from_front(whole, axis, *index);
    if (!place) return {};
    return Element{whole, axis, *place, indices.rank() == 1};
  }
  if (node->op() == Op::slice) {
    const auto slice = constant_slice(*node);
    if (!slice) return {};
    const auto extent = constant_extent(whole, slice->axis);
    int64_t begin = slice->begin;
    if (extent) {
      const SliceBounds bounds = clamp_slice(*extent, slice->begin, slice->end, slice->step);
      if (bounds.count != 1) return {};
      begin = bounds.begin;
    } else if (begin < 0 || slice->step != 1 || slice->end != begin + 1 ||
               value->type().shape[slice->axis] != Dim(1)) {
      return {};  // perhaps cut short by the end of the tensor
    }
    return Element{whole, slice->axis, begin, true};
  }
  if (node->op() == Op::split) {
    const size_t axis = normalize_axis(node->integer(AttributeName::axis), rank);
    for (size_t i = 0; i < node->result_count(); ++i) {
      const Shape& shape = node->result(i)->type().shape;
      if (!shape.ranked() || shape[axis] != Dim(1)) return {};
    }
    return Element{whole, axis, static_cast<int64_t>(value->index()), true};
  }
  return {};
}

// Element `index` of a part that was cut from a longer tensor along the same axis.
std::optional<Element> of_longer(const Element& element) {
  const Node* node = element.whole->node();
  if (!node || node->operand_count() == 0 || !node->operand(0)) return {};
  Value* longer = node->operand(0);
  if (!longer->type().is_tensor() || !longer->type().shape.ranked()) return {};
  Element outer = element;
  outer.whole = longer;
  if (node->op() == Op::slice) {
    const auto slice = constant_slice(*node);
    if (!slice || slice->axis != element.axis) return {};
    const auto extent = constant_extent(longer, slice->axis);
    if (extent) {
      const SliceBounds bounds = clamp_slice(*extent, slice->begin, slice->end, slice->step);
      if (element.index >= bounds.count) return {};
      outer.index = bounds.begin + element.index * bounds.step;
    } else {
      if (slice->begin < 0 || slice->step < 1) return {};
      outer.index = slice->begin + element.index * slice->step;
    }
    return outer;
  }
  if (node->op() == Op::gather) {
    const auto indices = constant_ints(node->operand(1));
    const size_t rank = longer->type().shape.rank();
    if (!indices || node->operand(1)->type().shape.rank() != 1) return {};
    if (normalize_axis(node->integer(AttributeName::axis), rank) != element.axis) return {};
    if (element.index >= static_cast<int64_t>(indices->size())) return {};
    const auto place =
        from_front(longer, element.axis, (*indices)[static_cast<size_t>(element.index)]);
    if (!place) return {};
    outer.index = *place;
    return outer;
  }
  return {};
}

}  // namespace

std::optional<ConstantSlice> constant_slice(const Node& node) {
  const auto begin = constant_int(node.operand(1)), end = constant_int(node.operand(2));
  const auto axis = node.operand(3) ? constant_int(node.operand(3)) : std::optional<int64_t>(0);
  const auto step = node.operand(4) ? constant_int(node.operand(4)) : std::optional<int64_t>(1);
  if (!begin || !end || !axis || !step) return {};
  const size_t rank = node.operand(0)->type().shape.rank();
  return ConstantSlice{normalize_axis(*axis, rank), *begin, *end, *step};
}

std::optional<std::vector<int64_t>> constant_ints(const Value* value) {
  const TensorPtr tensor = value ? constant_tensor(value) : nullptr;
  if (!tensor || !is_integer(tensor->type()) || tensor->type() == ElementType::u64) return {};
  if (tensor->rank() > 1) return {};
  return tensor->view().as_ints();
}

std::optional<int64_t> constant_int(const Value* value) {
  const TensorPtr tensor = value ? constant_tensor(value) : nullptr;
  if (!tensor || tensor->size() != 1 || is_float(tensor->type()) ||
      tensor->type() == ElementType::u64) {
    return {};
  }
  return tensor->view().as_ints()[0];
}

std::optional<Element> element_of(const Value* value) {
  std::optional<Element> element = cut(value);
  for (int depth = 0; element && depth < kMaxDepth; ++depth) {
    const std::optional<Element> outer = of_longer(*element);
    if (!outer) break;
    element = outer;
  }
  return element;
}

}  // namespace refrain::passes::internal
