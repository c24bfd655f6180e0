#include "passes/restack.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "ir/builder.h"
#include "ir/control.h"
#include "passes/element.h"
#include "passes/lift.h"
#include "passes/refine.h"

namespace refrain::passes::internal {
namespace {

// An element that a concatenation along `axis` takes in with an extent of 1 there.
std::optional<Element> stacked_element(const Value* part, size_t axis) {
  const Node* node = part->node();
  if (!node || !part->type().shape.ranked()) return {};
  if (node->op() == Op::unsqueeze) {
    const auto axes = constant_ints(node->operand(1));
    if (!axes || axes->size() != 1) return {};
    if (normalize_axis((*axes)[0], part->type().shape.rank()) != axis) return {};
    auto element = element_of(node->operand(0));
    return element && !element->keeps_axis ? element : std::nullopt;
  }
  auto element = element_of(part);
  return element && element->keeps_axis && element->axis == axis ? element : std::nullopt;
}

// A view of [B, H] as [1, B, H] that a reshape made.
void reshapes_to_unsqueezes(Node& concat, size_t axis) {
  for (size_t i = 0; i < concat.operand_count(); ++i) {
    const Value* part = concat.operand(i);
    const Node* node = part->node();
    if (!node || node->op() != Op::reshape) continue;
    Value* from = node->operand(0);
    const Shape &inner = from->type().shape, &outer = part->type().shape;
    if (!inner.ranked() || !outer.ranked() || inner.rank() + 1 != outer.rank()) continue;
    std::vector<Dim> dims = inner.dims();
    dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis), Dim(1));
    bool same = true;
    for (size_t k = 0; k < dims.size(); ++k) same = same && provably_equal(dims[k], outer[k]);
    if (!same || !element_of(from)) continue;
    Builder builder(*concat.parent(), &concat);
    builder.set_node_name(node->name());
    concat.set_operand(i, builder.unsqueeze(from, {static_cast<int64_t>(axis)}));
  }
}

Value* whole_of(Node& concat) {
  const Value* result = concat.result();
  if (!result->type().shape.ranked() || concat.operand_count() < 2) return nullptr;
  const size_t axis =
      normalize_axis(concat.integer(AttributeName::axis), result->type().shape.rank());
  reshapes_to_unsqueezes(concat, axis);
  std::optional<Element> first;
  int64_t step = 1;
  for (size_t i = 0; i < concat.operand_count(); ++i) {
    auto element = stacked_element(concat.operand(i), axis);
    if (!element) return nullptr;
    if (!first) first = element;
    if (i == 1 && element->index < first->index) step = -1;
    if (element->whole != first->whole || element->axis != first->axis ||
        element->keeps_axis != first->keeps_axis ||
        element->index != first->index + step * static_cast<int64_t>(i)) {
      return nullptr;
    }
  }
  const auto count = static_cast<int64_t>(concat.operand_count());
  const Dim extent = first->whole->type().shape[first->axis];
  if (!extent.is_constant()) return nullptr;
  Builder builder(*concat.parent(), &concat);
  builder.set_node_name(concat.name());
  Value* whole = first->whole;
  const auto at = static_cast<int64_t>(first->axis);
  const int64_t lowest = step < 0 ? first->index - count + 1 : first->index;
  if (lowest != 0 || extent.extent() != count)
    whole = builder.slice(whole, at, lowest, lowest + count);
  if (step < 0) {
    whole = builder.op(Op::slice, {whole, builder.ints({-1}), builder.ints({-count - 1}),
                                   builder.ints({at}), builder.ints({-1})});
  }
  return move_axis(builder, whole, first->axis, axis);
}

// The axis along which a slice turns a tensor over, whole.
std::optional<size_t> turned_axis(const Node& node) {
  if (node.op() != Op::slice || !node.operand(0)->type().shape.ranked()) return {};
  const auto slice = constant_slice(node);
  if (!slice || slice->step != -1) return {};
  const Dim extent = node.operand(0)->type().shape[slice->axis];
  if (!extent.is_constant()) return {};
  const bool from_end = slice->begin == -1 || slice->begin >= extent.extent() - 1;
  const bool to_front = slice->end < -extent.extent();
  return from_end && to_front ? std::optional(slice->axis) : std::nullopt;
}

// What a slice that turns a tensor over is of: twice over is not at all, and a scan may stack its
// slices the other way round, if nothing else reads them.
Value* turned(const Node& node) {
  const auto axis = turned_axis(node);
  Value* whole = node.operand(0);
  Node* made = axis ? whole->node() : nullptr;
  if (!made) return nullptr;
  if (turned_axis(*made) == axis) return made->operand(0);
  if (made->op() != Op::scan || !whole->has_one_use()) return nullptr;
  const ScanView scan(*made);
  if (scan.has_lengths() || whole->index() < scan.states()) return nullptr;
  const size_t slot = whole->index() - scan.states();
  if (normalize_axis(scan.stack_slot(slot).axis, whole->type().shape.rank()) != axis)
    return nullptr;
  std::vector<int64_t> reverse = made->integers(AttributeName::stack_reverse);
  reverse[slot] = !reverse[slot];
  made->set_attribute(AttributeName::stack_reverse, std::move(reverse));
  return whole;
}

// The axis to which a transpose moves `axis`, all others in their order.
std::optional<size_t> moved_to(const Node& transpose, size_t axis) {
  const std::vector<int64_t>& perm = transpose.integers(AttributeName::perm);
  const auto at = std::find(perm.begin(), perm.end(), static_cast<int64_t>(axis));
  if (at == perm.end()) return {};
  std::vector<int64_t> others(perm.begin(), at);
  others.insert(others.end(), at + 1, perm.end());
  if (!std::is_sorted(others.begin(), others.end())) return {};
  return static_cast<size_t>(at - perm.begin());
}

// What a scan stacks along one axis and only a transpose to another one reads it may stack along
// that.
Value* stacked_there(const Node& node) {
  Value* whole = node.operand(0);
  Node* made = whole->node();
  if (!made || made->op() != Op::scan || !whole->has_one_use()) return nullptr;
  const ScanView scan(*made);
  if (whole->index() < scan.states() || !whole->type().shape.ranked()) return nullptr;
  const size_t slot = whole->index() - scan.states();
  const size_t rank = whole->type().shape.rank();
  const auto axis = moved_to(node, normalize_axis(scan.stack_slot(slot).axis, rank));
  if (!axis) return nullptr;
  std::vector<int64_t> axes = made->integers(AttributeName::stack_axes);
  axes[slot] = static_cast<int64_t>(*axis);
  made->set_attribute(AttributeName::stack_axes, std::move(axes));
  whole->set_type(node.result()->type());
  if (whole->name().empty()) whole->set_name(node.result()->name());
  return whole;
}

// The scan's final state that a value, the last element of what it stacks of it, is.
Value* final_state_of(const Node& node) {
  const auto element = element_of(node.result());
  if (!element || element->keeps_axis || !element->whole->node()) return nullptr;
  const Node& made = *element->whole->node();
  if (made.op() != Op::scan) return nullptr;
  const ScanView scan(made);
  const size_t result = element->whole->index();
  if (result < scan.states() || scan.has_lengths()) return nullptr;
  const ScanSlot slot = scan.stack_slot(result - scan.states());
  const Shape& shape = element->whole->type().shape;
  const Dim extent = shape[element->axis];
  if (normalize_axis(slot.axis, shape.rank()) != element->axis || !extent.is_constant())
    return nullptr;
  if (element->index != (slot.reverse ? 0 : extent.extent() - 1)) return nullptr;
  const Value* slice = scan.stacked_slice(result - scan.states());
  for (size_t i = 0; i < scan.states(); ++i) {
    if (scan.next_state(i) == slice) return scan.final_state(i);
  }
  return nullptr;
}

// Elements that nobody reads any more are still uses of their tensors.
void erase_unused(Region& region) {
  for (Node *node = region.last(), *previous = nullptr; node; node = previous) {
    previous = node->previous();
    if (node->op() != Op::yield && node->region_count() == 0 && node->unused()) region.erase(node);
  }
}

bool read_states(Region& region) {
  bool changed = false;
  for (Node* node = region.first(); node; node = node->next()) {
    if (node->op() != Op::gather || node->unused()) continue;
    if (Value* state = final_state_of(*node)) changed |= replace_value(node->result(), state);
  }
  return changed;
}

}  // namespace

bool restack(Region& region) {
  bool changed = false;
  for (Node *node = region.first(), *next = nullptr; node; node = next) {
    next = node->next();
    if (node->op() == Op::concat && !node->unused()) {
      if (Value* whole = whole_of(*node); whole && replace_value(node->result(), whole)) {
        region.erase(node);
        changed = true;
      }
    }
  }
  // Elements that are states are no other readers of what may be stacked in another way.
  changed |= read_states(region);
  if (changed) erase_unused(region);
  for (Node *node = region.first(), *next = nullptr; node; node = next) {
    next = node->next();
    if (node->unused()) continue;
    Value* whole = node->op() == Op::slice       ? turned(*node)
                   : node->op() == Op::transpose ? stacked_there(*node)
                                                 : nullptr;
    if (!whole) continue;
    node->result()->replace_all_uses_with(whole);
    region.erase(node);
    changed = true;
  }
  changed |= read_states(region);
  return changed;
}

}  // namespace refrain::passes::internal
