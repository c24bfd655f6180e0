#include "ir/control.h"

namespace refrain {
namespace {

ScanSlot slot(const Node& node, AttributeName axes, AttributeName reverse, size_t i) {
  return {node.integers(axes)[i], node.integers(reverse)[i] != 0};
}

}  // namespace

ScanView::ScanView(const Node& node)
    : node_(node),
      lengths_(node.flag(AttributeName::lengths)),
      trip_count_(node.flag(AttributeName::trip_count)),
      invariants_(static_cast<size_t>(node.integer(AttributeName::invariants))),
      states_(static_cast<size_t>(node.integer(AttributeName::states))) {}

ScanSlot ScanView::scan_slot(size_t i) const {
  return slot(node_, AttributeName::scan_axes, AttributeName::scan_reverse, i);
}

ScanSlot ScanView::stack_slot(size_t i) const {
  return slot(node_, AttributeName::stack_axes, AttributeName::stack_reverse, i);
}

LoopView::LoopView(const Node& node)
    : node_(node),
      invariants_(static_cast<size_t>(node.integer(AttributeName::invariants))),
      states_(static_cast<size_t>(node.integer(AttributeName::states))) {}

std::vector<Value*> scan_operands(const ScanSpec& spec) {
  std::vector<Value*> operands;
  if (spec.lengths) operands.push_back(spec.lengths);
  if (spec.trip_count) operands.push_back(spec.trip_count);
  operands.insert(operands.end(), spec.invariants.begin(), spec.invariants.end());
  operands.insert(operands.end(), spec.states.begin(), spec.states.end());
  operands.insert(operands.end(), spec.scanned.begin(), spec.scanned.end());
  return operands;
}

std::vector<Attribute> scan_attributes(const ScanSpec& spec) {
  const auto split = [](const std::vector<ScanSlot>& slots) {
    std::pair<std::vector<int64_t>, std::vector<int64_t>> result;
    for (const ScanSlot& slot : slots) {
      result.first.push_back(slot.axis);
      result.second.push_back(slot.reverse);
    }
    return result;
  };
  const auto [scan_axes, scan_reverse] = split(spec.scan_slots);
  const auto [stack_axes, stack_reverse] = split(spec.stack_slots);
  return {{AttributeName::lengths, spec.lengths != nullptr},
          {AttributeName::trip_count, spec.trip_count != nullptr},
          {AttributeName::batch_axis, spec.batch_axis},
          {AttributeName::invariants, static_cast<int64_t>(spec.invariants.size())},
          {AttributeName::states, static_cast<int64_t>(spec.states.size())},
          {AttributeName::scan_axes, scan_axes},
          {AttributeName::scan_reverse, scan_reverse},
          {AttributeName::stack_axes, stack_axes},
          {AttributeName::stack_reverse, stack_reverse}};
}

}  // namespace refrain
