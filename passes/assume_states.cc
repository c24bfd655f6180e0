#include "passes/assume_states.h"

#include <vector>

#include "ir/clone.h"
#include "ir/control.h"
#include "ir/error.h"
#include "passes/refine.h"

namespace refrain::passes::internal {
namespace {

// States that fail in one trial may take others with them in the next.
constexpr int kMostTrials = 4;

struct States {
  size_t argument = 0, operand = 0, result = 0, count = 0;
};

States states_of(const Node& node) {
  if (node.op() == Op::scan) {
    const ScanView scan(node);
    return {scan.invariants(), scan.state_operand(0), 0, scan.states()};
  }
  if (node.op() == Op::loop) {
    const LoopView loop(node);
    return {1 + loop.invariants(), loop.state_operand(0), 1, loop.states()};
  }
  return {};
}

// Whether the initial value of state i tells more than its argument says.
bool is_open(const Node& node, const States& states, size_t i) {
  const ValueType& initial = node.operand(states.operand + i)->type();
  const ValueType& argument = node.region().argument(states.argument + i)->type();
  return initial.is_tensor() && argument.is_tensor() && !refines(argument, initial);
}

void erase(Node* node, const std::function<void(const Value*)>& forget) {
  for_each_value(node->region(), forget);
  for (size_t i = 0; i < node->result_count(); ++i) forget(node->result(i));
  node->parent()->erase(node);
}

}  // namespace

bool has_open_states(const Node& node) {
  const States states = states_of(node);
  for (size_t i = 0; i < states.count; ++i) {
    if (is_open(node, states, i)) return true;
  }
  return false;
}

Node* assume_states(Node* node, const std::function<void(Node&)>& simplify,
                    const std::function<void(const Value*)>& forget) {
  const States states = states_of(*node);
  std::vector<bool> assumed(states.count);
  size_t left = 0;
  for (size_t i = 0; i < states.count; ++i) left += assumed[i] = is_open(*node, states, i);
  for (int trial = 0; left > 0 && trial < kMostTrials; ++trial) {
    ValueMap map;
    for (Value* operand : node->operands()) map[operand] = operand;
    Node* copy = clone_node(*node, *node->parent(), node, map);
    Region& body = copy->region();
    for (size_t i = 0; i < states.count; ++i) {
      if (assumed[i]) {
        body.argument(states.argument + i)->set_type(node->operand(states.operand + i)->type());
      }
    }
    size_t wrong = 0;
    try {
      simplify(*copy);
      for (size_t i = 0; i < states.count; ++i) {
        if (!assumed[i] || refines(body.result(states.result + i)->type(),
                                   body.argument(states.argument + i)->type())) {
          continue;
        }
        assumed[i] = false;
        ++wrong;
      }
      if (wrong == 0) {
        refine_types(*copy);
        for (size_t i = 0; i < copy->result_count(); ++i) {
          copy->result(i)->set_type(
              more_specific(copy->result(i)->type(), node->result(i)->type()));
          node->result(i)->replace_all_uses_with(copy->result(i));
        }
        erase(node, forget);
        return copy;
      }
    } catch (const Error&) {
      wrong = left;  // the body contradicts what was supposed
    }
    erase(copy, forget);
    left -= wrong;
  }
  return nullptr;
}

}  // namespace refrain::passes::internal
