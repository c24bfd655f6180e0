#include "passes/slots.h"

#include <memory>
#include <utility>

#include "ir/builder.h"
#include "ir/control.h"
#include "passes/refine.h"

namespace refrain::passes::internal {
namespace {

template <typename T>
std::vector<T> filtered(const std::vector<T>& values, const std::vector<bool>& keep, size_t first) {
  std::vector<T> result;
  for (size_t i = 0; i < values.size(); ++i) {
    if (keep[first + i]) result.push_back(values[i]);
  }
  return result;
}

int64_t count_kept(const std::vector<bool>& keep, size_t first, size_t count) {
  int64_t kept = 0;
  for (size_t i = 0; i < count; ++i) kept += keep[first + i];
  return kept;
}

// A region with the kept arguments, the moved nodes, and the kept ones of what it yielded.
std::unique_ptr<Region> narrowed_region(Region& source, const std::vector<bool>& keep_arguments,
                                        const std::vector<bool>& keep_results) {
  auto region = std::make_unique<Region>();
  std::vector<Value*> arguments(source.argument_count(), nullptr);
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Value* argument = source.argument(i);
    if (keep_arguments[i]) arguments[i] = region->add_argument(argument->type(), argument->name());
  }
  const std::vector<Value*> results = move_nodes(source, arguments, *region, nullptr);
  region->insert(std::make_unique<Node>(Op::yield, filtered(results, keep_results, 0),
                                        std::vector<Attribute>{}, 0));
  return region;
}

}  // namespace

size_t operand_of_argument(const Node& node, size_t argument) {
  if (node.op() == Op::scan) return ScanView(node).invariant_operand(argument);
  return argument +
         1;  // a loop's argument 0 is the iteration, its operands 0 and 1 have no argument
}

std::vector<Value*> move_nodes(Region& source, std::span<Value* const> arguments, Region& target,
                               Node* position) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i]) source.argument(i)->replace_all_uses_with(arguments[i]);
  }
  const std::vector<Value*> results = source.yield()->operands();
  source.erase(source.yield());
  while (Node* node = source.first()) target.insert(source.remove(node), position);
  return results;
}

Node* take_branch(Node* node) {
  const TensorPtr condition = constant_tensor(node->operand(0));
  if (!condition || condition->size() != 1) return nullptr;
  Region& taken = node->region(condition->view().as_ints()[0] != 0 ? 0 : 1);
  Region& parent = *node->parent();
  Node* before = node->previous();
  const std::vector<Value*> operands = node->operands();
  const std::vector<Value*> results =
      move_nodes(taken, std::span<Value* const>(operands).subspan(1), parent, node);
  for (size_t i = 0; i < results.size(); ++i) {
    if (!replace_value(node->result(i), results[i])) {
      node->result(i)->replace_all_uses_with(results[i]);  // an argument, whose type stays as it is
    }
  }
  parent.erase(node);
  return before ? before->next() : parent.first();
}

Node* keep_slots(Node* node, const KeptSlots& kept) {
  std::vector<Attribute> attributes = node->attributes();
  std::vector<bool> yields = kept.results;
  size_t leading = 1;  // operands that are no slot
  size_t first_argument = 0;
  const auto set = [&](AttributeName name, AttributeValue value) {
    for (Attribute& attribute : attributes) {
      if (attribute.name == name) attribute.value = std::move(value);
    }
  };
  if (node->op() == Op::scan) {
    const ScanView scan(*node);
    leading = scan.invariant_operand(0);
    set(AttributeName::invariants, count_kept(kept.arguments, 0, scan.invariants()));
    set(AttributeName::states, count_kept(kept.arguments, scan.invariants(), scan.states()));
    const size_t first_scanned = scan.invariants() + scan.states();
    for (AttributeName name : {AttributeName::scan_axes, AttributeName::scan_reverse}) {
      set(name, filtered(node->integers(name), kept.arguments, first_scanned));
    }
    for (AttributeName name : {AttributeName::stack_axes, AttributeName::stack_reverse}) {
      set(name, filtered(node->integers(name), kept.results, scan.states()));
    }
  } else if (node->op() == Op::loop) {
    const LoopView loop(*node);
    leading = 2;
    first_argument = 1;
    set(AttributeName::invariants, count_kept(kept.arguments, 1, loop.invariants()));
    set(AttributeName::states, count_kept(kept.arguments, 1 + loop.invariants(), loop.states()));
    yields.insert(yields.begin(), true);  // the condition
  }

  std::vector<bool> arguments = kept.arguments;
  for (size_t i = 0; i < first_argument; ++i) arguments[i] = true;
  std::vector<Value*> operands;
  for (size_t i = 0; i < node->operand_count(); ++i) {
    if (i < leading || arguments[i - leading + first_argument])
      operands.push_back(node->operand(i));
  }
  std::vector<std::unique_ptr<Region>> regions;
  for (size_t i = 0; i < node->region_count(); ++i) {
    regions.push_back(narrowed_region(node->region(i), arguments, yields));
  }
  size_t result_count = 0;
  for (bool keep : kept.results) result_count += keep;
  Node* narrowed =
      node->parent()->insert(std::make_unique<Node>(node->op(), operands, std::move(attributes),
                                                    result_count, std::move(regions), node->name()),
                             node);
  for (size_t i = 0, k = 0; i < node->result_count(); ++i) {
    if (!kept.results[i]) continue;
    Value* result = narrowed->result(k++);
    result->set_type(node->result(i)->type());
    result->set_name(node->result(i)->name());
    node->result(i)->replace_all_uses_with(result);
  }
  node->parent()->erase(node);
  return narrowed;
}

}  // namespace refrain::passes::internal
