#include "passes/loop_sequences.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "ir/builder.h"
#include "ir/control.h"
#include "passes/add_slots.h"
#include "passes/lift.h"
#include "passes/refine.h"
#include "passes/slots.h"

namespace refrain::passes::internal {
namespace {

// Whether a sequence starts with elements that are known one by one, of the shape of the others.
bool starts_known(const Value& initial, const Shape& element) {
  const Node* node = initial.node();
  if (node && node->op() == Op::sequence_empty) return true;
  if (!node || node->op() != Op::sequence_construct) return false;
  for (const Value* value : node->operands()) {
    if (value->type().shape != element) return false;
  }
  return true;
}

// The node that appends an element to state i of a loop in each iteration, if that is all that
// happens to it.
Node* appender(const Node& node, const LoopView& loop, size_t i) {
  const Value* initial = node.operand(loop.state_operand(i));
  const Value* argument = loop.body().argument(1 + loop.invariants() + i);
  Node* insert = loop.next_state(i)->node();
  if (!insert || insert->op() != Op::sequence_insert || insert->operand(0) != argument ||
      insert->operand(2) || !argument->has_one_use() || !insert->result()->has_one_use()) {
    return nullptr;
  }
  const ValueType& element = insert->operand(1)->type();
  return element.is_tensor() && element.shape.ranked() && starts_known(*initial, element.shape)
             ? insert
             : nullptr;
}

// The stack of all elements: those that the sequence starts with, and what the loop stacked.
Value* whole_stack(Node& node, const Value& initial, Value* stacked) {
  if (initial.node()->op() == Op::sequence_empty) return stacked;
  Builder builder(*node.parent(), node.next());
  builder.set_node_name(node.name());
  std::vector<Value*> parts;
  for (Value* value : initial.node()->operands()) parts.push_back(builder.unsqueeze(value, {0}));
  parts.push_back(stacked);
  return builder.create(Op::concat, parts, {{AttributeName::axis, int64_t{0}}})->result();
}

// A sequence as the slices of one tensor along an axis.
struct Stack {
  Value* tensor = nullptr;
  size_t axis = 0;
  bool keeps_axis = false;  // the elements have the axis, of extent 1
};

// First argument, operand of the first argument and number of what regions see of the operands of
// their node without change. (Other operands of a branch, scan or loop can't be sequences here.)
struct Passed {
  size_t argument = 0, operand = 0, count = 0;
};

Passed passed_into(const Node& node) {
  switch (node.op()) {
    case Op::scan: {
      const ScanView scan(node);
      return {0, scan.invariant_operand(0), scan.invariants()};
    }
    case Op::loop: {
      const LoopView loop(node);
      return {1, loop.invariant_operand(0), loop.invariants()};
    }
    case Op::branch:
      return {0, 1, node.operand_count() - 1};
    default:
      return {};
  }
}

// The arguments that a use is seen as in the regions of its node.
std::vector<Value*> arguments_of(const Node& node, size_t operand) {
  const Passed passed = passed_into(node);
  if (operand < passed.operand || operand >= passed.operand + passed.count) return {};
  std::vector<Value*> arguments;
  for (size_t i = 0; i < node.region_count(); ++i) {
    arguments.push_back(node.region(i).argument(operand - passed.operand + passed.argument));
  }
  return arguments;
}

// Whether all that reads a sequence can read the stack instead.
bool reads_a_stack(const Value& sequence, const Shape& element, bool keeps_axis) {
  for (const Use* use = sequence.first_use(); use; use = use->next()) {
    const Node& user = *use->user();
    switch (user.op()) {
      case Op::sequence_length:
        break;
      case Op::sequence_at:
        if (use->index() != 0 || user.operand(1)->type().shape != Shape{}) return false;
        break;
      case Op::concat_from_sequence: {
        const bool new_axis = user.flag(AttributeName::new_axis);
        if (keeps_axis) return false;
        if (new_axis) break;
        if (element.rank() == 0) return false;
        // Elements may differ in an extent that is not known.
        const size_t along = normalize_axis(user.integer(AttributeName::axis), element.rank());
        if (element[along].is_unknown()) return false;
        break;
      }
      default: {
        const std::vector<Value*> arguments = arguments_of(user, use->index());
        if (arguments.empty()) return false;
        for (const Value* argument : arguments) {
          if (!reads_a_stack(*argument, element, keeps_axis)) return false;
        }
      }
    }
  }
  return true;
}

Value* extents(Builder& builder, Value* x, size_t begin, size_t end) {
  return builder.op(Op::shape, {x},
                    {{AttributeName::start, static_cast<int64_t>(begin)},
                     {AttributeName::end, static_cast<int64_t>(end)}});
}

// Axes `axis` and `axis` + 1 of x as one.
Value* merge_axes(Builder& builder, Value* x, size_t axis) {
  const size_t rank = x->type().shape.rank();
  std::vector<Value*> target;
  if (axis > 0) target.push_back(extents(builder, x, 0, axis));
  target.push_back(builder.op(
      Op::mul, {extents(builder, x, axis, axis + 1), extents(builder, x, axis + 1, axis + 2)}));
  if (axis + 2 < rank) target.push_back(extents(builder, x, axis + 2, rank));
  Value* whole = builder.create(Op::concat, target, {{AttributeName::axis, int64_t{0}}})->result();
  return builder.op(Op::reshape, {x, whole}, {{AttributeName::allow_zero, true}});
}

// What a user of the sequence makes of it, from the stack.
Value* from_stack(Builder& builder, const Node& user, const Stack& stack) {
  const auto axis = static_cast<int64_t>(stack.axis);
  switch (user.op()) {
    case Op::sequence_length:
      return builder.reshape(extents(builder, stack.tensor, stack.axis, stack.axis + 1), {});
    case Op::sequence_at: {
      Value* element =
          builder.op(Op::gather, {stack.tensor, user.operand(1)}, {{AttributeName::axis, axis}});
      return stack.keeps_axis ? builder.unsqueeze(element, {axis}) : element;
    }
    default: {
      const bool new_axis = user.flag(AttributeName::new_axis);
      const size_t rank = stack.tensor->type().shape.rank();
      const size_t to =
          normalize_axis(user.integer(AttributeName::axis), new_axis ? rank : rank - 1);
      Value* moved = move_axis(builder, stack.tensor, stack.axis, to);
      return new_axis ? moved : merge_axes(builder, moved, to);
    }
  }
}

// Makes all that reads the sequence read the stack. Arguments of regions stand for the one until
// now, and for the other from now on.
void read_stack(Value* sequence, const Stack& stack) {
  std::vector<std::pair<Node*, size_t>> uses;  // those of the sequence, not of the stack
  for (const Use* use = sequence->first_use(); use; use = use->next())
    uses.emplace_back(use->user(), use->index());
  for (const auto& [user, index] : uses) {
    const std::vector<Value*> arguments = arguments_of(*user, index);
    for (Value* argument : arguments) {
      argument->set_type(stack.tensor->type());
      read_stack(argument, {argument, stack.axis, stack.keeps_axis});
    }
    if (!arguments.empty()) {
      user->set_operand(index, stack.tensor);
      continue;
    }
    Builder builder(*user->parent(), user);
    builder.set_node_name(user->name());
    Value* value = from_stack(builder, *user, stack);
    if (!replace_value(user->result(), value)) user->result()->replace_all_uses_with(value);
    user->parent()->erase(user);
  }
}

}  // namespace

Node* stack_sequences(Node* node) {
  std::vector<Node*> appenders;
  AddedSlots added;
  {
    const LoopView loop(*node);
    for (size_t i = 0; i < loop.states(); ++i) {
      Node* insert = appender(*node, loop, i);
      if (insert && !reads_a_stack(*node->result(i), insert->operand(1)->type().shape, false))
        insert = nullptr;
      appenders.push_back(insert);
      if (insert) added.stacked.push_back({insert->operand(1), {}});
    }
  }
  if (added.stacked.empty()) return nullptr;
  size_t stacked = node->result_count();
  node = add_slots(node, added);

  const LoopView loop(*node);
  KeptSlots kept{std::vector<bool>(node->region().argument_count(), true),
                 std::vector<bool>(node->result_count(), true)};
  for (size_t i = 0; i < appenders.size(); ++i) {
    if (!appenders[i]) continue;
    const Value& initial = *node->operand(loop.state_operand(i));
    read_stack(node->result(i), {whole_stack(*node, initial, node->result(stacked++)), 0, false});
    node->region().yield()->set_operand(1 + i, nullptr);
    node->region().erase(appenders[i]);
    kept.results[i] = kept.arguments[1 + loop.invariants() + i] = false;
  }
  return keep_slots(node, kept);
}

bool stack_split(Node* split) {
  Value* whole = split->operand(0);
  const Shape& shape = whole->type().shape;
  if (split->operand(1) || !shape.ranked() || split->result()->unused()) return false;
  const size_t axis = normalize_axis(split->integer(AttributeName::axis), shape.rank());
  const bool keeps_axis = split->flag(AttributeName::keep_dims);
  if (!reads_a_stack(*split->result(), split->result()->type().shape, keeps_axis)) return false;
  read_stack(split->result(), {whole, axis, keeps_axis});
  return true;
}

}  // namespace refrain::passes::internal
