#include "passes/add_slots.h"

#include <memory>
#include <utility>

#include "ir/builder.h"
#include "passes/slots.h"

namespace refrain::passes::internal {
namespace {

ValueType slice_type(const ValueType& whole, int64_t axis) {
  if (!whole.shape.ranked()) return whole;
  std::vector<Dim> dims = whole.shape.dims();
  dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(normalize_axis(axis, dims.size())));
  return ValueType::tensor(whole.element, Shape(std::move(dims)));
}

ValueType stacked_type(const ValueType& slice, int64_t axis, Dim extent) {
  if (!slice.shape.ranked()) return slice;
  std::vector<Dim> dims = slice.shape.dims();
  const size_t place = normalize_axis(axis, dims.size() + 1);
  dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(place), extent);
  return ValueType::tensor(slice.element, Shape(std::move(dims)));
}

void append(std::vector<int64_t>& axes, std::vector<int64_t>& reverse, ScanSlot slot) {
  axes.push_back(slot.axis);
  reverse.push_back(slot.reverse);
}

}  // namespace

Node* add_slots(Node* node, const AddedSlots& added) {
  const bool is_scan = node->op() == Op::scan;
  Region& source = node->region();
  // Old slots before the places of the new ones, in operands and in arguments.
  const size_t first_argument = is_scan ? 0 : 1;
  const auto old_invariants = static_cast<size_t>(node->integer(AttributeName::invariants));
  const size_t leading = operand_of_argument(*node, first_argument);
  const Dim extent = is_scan ? scan_extent(ScanView(*node)) : Dim::unknown();

  auto region = std::make_unique<Region>();
  std::vector<Value*> operands, arguments;
  for (size_t i = 0; i < leading; ++i) operands.push_back(node->operand(i));
  std::vector<std::pair<Value*, Value*>> replaced;
  const auto add_old = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      if (i >= first_argument) operands.push_back(node->operand(operand_of_argument(*node, i)));
      const Value* argument = source.argument(i);
      arguments.push_back(region->add_argument(argument->type(), argument->name()));
    }
  };
  const auto add_new = [&](const AddedSlots::Argument& slot, ValueType type) {
    operands.push_back(slot.operand);
    replaced.emplace_back(slot.instead,
                          region->add_argument(std::move(type), slot.instead->name()));
  };
  const size_t end_of_invariants = first_argument + old_invariants;
  add_old(0, end_of_invariants);
  for (const auto& slot : added.invariants) add_new(slot, slot.operand->type());
  add_old(end_of_invariants, source.argument_count());
  for (const auto& slot : added.scanned)
    add_new(slot, slice_type(slot.operand->type(), slot.slot.axis));

  std::vector<Value*> yielded = move_nodes(source, arguments, *region, nullptr);
  std::vector<ValueType> types;
  for (size_t i = 0; i < node->result_count(); ++i) types.push_back(node->result(i)->type());
  for (const auto& slot : added.stacked) {
    Value* slice = slot.slice;
    if (slice->is_argument()) slice = arguments[slice->index()];
    yielded.push_back(slice);
    types.push_back(stacked_type(slice->type(), slot.slot.axis, extent));
  }
  region->insert(std::make_unique<Node>(Op::yield, yielded, std::vector<Attribute>{}, size_t{0}));
  for (const auto& [old, argument] : replaced) old->replace_all_uses_with(argument);

  std::vector<Attribute> attributes = node->attributes();
  std::vector<int64_t> scan_axes, scan_reverse, stack_axes, stack_reverse;
  if (is_scan) {
    scan_axes = node->integers(AttributeName::scan_axes);
    scan_reverse = node->integers(AttributeName::scan_reverse);
    stack_axes = node->integers(AttributeName::stack_axes);
    stack_reverse = node->integers(AttributeName::stack_reverse);
    for (const auto& slot : added.scanned) append(scan_axes, scan_reverse, slot.slot);
    for (const auto& slot : added.stacked) append(stack_axes, stack_reverse, slot.slot);
  }
  for (Attribute& attribute : attributes) {
    if (attribute.name == AttributeName::invariants) {
      attribute.value = static_cast<int64_t>(old_invariants + added.invariants.size());
    }
    if (attribute.name == AttributeName::scan_axes) attribute.value = scan_axes;
    if (attribute.name == AttributeName::scan_reverse) attribute.value = scan_reverse;
    if (attribute.name == AttributeName::stack_axes) attribute.value = stack_axes;
    if (attribute.name == AttributeName::stack_reverse) attribute.value = stack_reverse;
  }
  std::vector<std::unique_ptr<Region>> regions;
  regions.push_back(std::move(region));
  Node* wider =
      node->parent()->insert(std::make_unique<Node>(node->op(), operands, std::move(attributes),
                                                    types.size(), std::move(regions), node->name()),
                             node);
  for (size_t i = 0; i < types.size(); ++i) {
    Value* result = wider->result(i);
    result->set_type(std::move(types[i]));
    if (i >= node->result_count()) continue;
    result->set_name(node->result(i)->name());
    node->result(i)->replace_all_uses_with(result);
  }
  node->parent()->erase(node);
  return wider;
}

bool erase_unused(Region& region) {
  bool erased = false;
  for (Node* node = region.last(); node;) {
    Node* previous = node->previous();
    if (node->op() != Op::yield && node->unused()) {
      region.erase(node);
      erased = true;
    }
    node = previous;
  }
  return erased;
}

Dim scan_extent(const ScanView& scan) {
  Dim extent;
  const auto consider = [&](const Value* whole, int64_t axis) {
    const Shape& shape = whole->type().shape;
    if (!extent.is_unknown() || !shape.ranked()) return;
    extent = shape[normalize_axis(axis, shape.rank())];
  };
  for (size_t i = 0; i < scan.scanned(); ++i) {
    consider(scan.body().owner()->operand(scan.scanned_operand(i)), scan.scan_slot(i).axis);
  }
  for (size_t i = 0; i < scan.stacked(); ++i) {
    consider(scan.stacked_result(i), scan.stack_slot(i).axis);
  }
  return extent;
}

}  // namespace refrain::passes::internal
