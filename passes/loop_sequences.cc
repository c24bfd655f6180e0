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

// The node that appends an element to state i of a loop in each iteration, if that is all that
// happens to it; the sequence starts empty.
Node* appender(const Node& node, const LoopView& loop, size_t i) {
  const Value* initial = node.operand(loop.state_operand(i));
  const Value* argument = loop.body().argument(1 + loop.invariants() + i);
  if (!initial->node() || initial->node()->op() != Op::sequence_empty) return nullptr;
  Node* insert = loop.next_state(i)->node();
  if (!insert || insert->op() != Op::sequence_insert || insert->operand(0) != argument ||
      insert->operand(2) || !argument->has_one_use() || !insert->result()->has_one_use()) {
    return nullptr;
  }
  const ValueType& element = insert->operand(1)->type();
  return element.is_tensor() && element.shape.ranked() ? insert : nullptr;
}

// Whether what reads the finished sequence can read the stack of its elements instead.
bool reads_a_stack(const Node& user, const ValueType& element) {
  switch (user.op()) {
    case Op::sequence_length:
      return true;
    case Op::sequence_at:
      return user.operand(1)->type().shape == Shape{};
    case Op::concat_from_sequence: {
      const bool new_axis = user.flag(AttributeName::new_axis);
      if (new_axis) return true;
      if (element.shape.rank() == 0) return false;
      // Elements may differ in an extent that is not known.
      const size_t axis = normalize_axis(user.integer(AttributeName::axis), element.shape.rank());
      return !element.shape[axis].is_unknown();
    }
    default:
      return false;
  }
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

// What a user of the sequence made of it, from the stack of its elements (along axis 0).
Value* from_stack(Builder& builder, const Node& user, Value* stack) {
  switch (user.op()) {
    case Op::sequence_length:
      return builder.reshape(extents(builder, stack, 0, 1), {});
    case Op::sequence_at:
      return builder.op(Op::gather, {stack, builder.cast(user.operand(1), ElementType::i64)});
    default: {
      const bool new_axis = user.flag(AttributeName::new_axis);
      const size_t rank = stack->type().shape.rank();
      const size_t axis =
          normalize_axis(user.integer(AttributeName::axis), new_axis ? rank : rank - 1);
      Value* moved = move_axis(builder, stack, 0, axis);
      return new_axis ? moved : merge_axes(builder, moved, axis);
    }
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
      for (const Use* use = node->result(i)->first_use(); insert && use; use = use->next()) {
        if (!reads_a_stack(*use->user(), insert->operand(1)->type()) || use->index() != 0)
          insert = nullptr;
      }
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
    Value *sequence = node->result(i), *stack = node->result(stacked++);
    while (const Use* use = sequence->first_use()) {
      Node* user = use->user();
      Builder builder(*user->parent(), user);
      builder.set_node_name(user->name());
      Value* value = from_stack(builder, *user, stack);
      if (!replace_value(user->result(), value)) user->result()->replace_all_uses_with(value);
      user->parent()->erase(user);
    }
    node->region().yield()->set_operand(1 + i, nullptr);
    node->region().erase(appenders[i]);
    kept.results[i] = kept.arguments[1 + loop.invariants() + i] = false;
  }
  return keep_slots(node, kept);
}

}  // namespace refrain::passes::internal
