#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/builder.h"
#include "ir/clone.h"
#include "ir/control.h"
#include "ir/error.h"
#include "passes/passes.h"
#include "passes/refine.h"

namespace refrain::passes {
namespace {

std::optional<int64_t> constant_count(const Value* value) {
  const TensorPtr tensor = constant_tensor(value);
  if (!tensor || tensor->size() != 1 || tensor->type() != ElementType::i64) return std::nullopt;
  return tensor->view().as_ints()[0];
}

bool is_true(const Value* value) {
  const TensorPtr tensor = constant_tensor(value);
  return tensor && tensor->type() == ElementType::boolean && tensor->size() == 1 &&
         tensor->view().as_ints()[0] != 0;
}

// The number of steps of a scan, if it is known.
std::optional<int64_t> known_length(const ScanView& scan, const Node& node) {
  for (size_t i = 0; i < scan.scanned(); ++i) {
    const Shape& shape = node.operand(scan.scanned_operand(i))->type().shape;
    if (!shape.ranked()) continue;
    const int64_t axis = scan.scan_slot(i).axis;
    const Dim dim =
        shape[static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(shape.rank()) : axis)];
    if (dim.is_constant()) return dim.extent();
  }
  if (!scan.has_trip_count()) return std::nullopt;
  const auto count = constant_count(scan.trip_count());
  return count && *count >= 0 ? count : std::nullopt;
}

// Gives results what they are to be, and removes the node.
void replace_node(Node* node, const std::vector<Value*>& values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!internal::replace_value(node->result(i), values[i])) {
      node->result(i)->replace_all_uses_with(values[i]);  // an argument, whose type stays as it is
    }
  }
  node->parent()->erase(node);
}

// Copies the body of one scan or loop step after step in front of it. Leaves that the body holds,
// its constants, are copied once for all steps.
class Copier {
 public:
  explicit Copier(Node& node) : builder_(*node.parent(), &node), node_(node), body_(node.region()) {
    builder_.set_node_name(node.name());
    for (const Node* inner = body_.first(); inner; inner = inner->next()) {
      if (inner->schema().kind == OpKind::leaf) clone_node(*inner, *node.parent(), &node, map_);
    }
  }

  Builder& builder() { return builder_; }
  void set_argument(size_t i, Value* value) { map_[body_.argument(i)] = value; }

  // One copy of the body, with the arguments as they are set. Returns what it yields.
  std::vector<Value*> copy() {
    const Node* yield = body_.yield();
    for (const Node* inner = body_.first(); inner != yield; inner = inner->next()) {
      if (inner->schema().kind == OpKind::leaf) continue;
      internal::refine_types(*clone_node(*inner, *node_.parent(), &node_, map_));
    }
    std::vector<Value*> results;
    for (Value* result : yield->operands()) results.push_back(map_.at(result));
    return results;
  }

  // Slices of all steps, in order of time, as one tensor.
  Value* stack(const std::vector<Value*>& slices, int64_t axis, const ValueType& type) {
    Value* axes = builder_.ints({axis});
    std::vector<Value*> parts;
    for (Value* slice : slices) parts.push_back(builder_.op(Op::unsqueeze, {slice, axes}));
    Value* whole = builder_.create(Op::concat, parts, {{AttributeName::axis, axis}})->result();
    whole->set_type(internal::more_specific(whole->type(), type));
    return whole;
  }

 private:
  Builder builder_;
  Node& node_;
  const Region& body_;
  ValueMap map_;
};

// where(t < lengths, value, otherwise), with `lengths` along the batch axis of `value`.
class Mask {
 public:
  Mask(Builder& builder, const ScanView& scan)
      : builder_(builder), lengths_(scan.lengths()), axis_(scan.batch_axis()) {}

  // Whether it can be laid along the values: their ranks must be known.
  static bool possible(const ScanView& scan) {
    for (Value* result : scan.body().yield()->operands()) {
      if (!result->type().shape.ranked()) return false;
    }
    return true;
  }

  void set_time(int64_t t) {
    running_ = builder_.op(
        Op::less, {builder_.scalar(lengths_->type().element, static_cast<double>(t)), lengths_});
    by_rank_.clear();
  }

  Value* select(Value* value, Value* otherwise, const ValueType& type) {
    const auto rank = static_cast<int64_t>(value->type().shape.rank());
    const int64_t trailing = rank - 1 - (axis_ < 0 ? axis_ + rank : axis_);
    Value*& mask = by_rank_[trailing];
    if (!mask) {
      mask = running_;
      std::vector<int64_t> axes;
      for (int64_t i = 0; i < trailing; ++i) axes.push_back(1 + i);
      if (trailing > 0) mask = builder_.op(Op::unsqueeze, {running_, builder_.ints(axes)});
    }
    Value* result = builder_.op(Op::where, {mask, value, otherwise});
    // There is a length for each sequence, so broadcasting changes no extent.
    result->set_type(internal::more_specific(result->type(), type));
    return result;
  }

 private:
  Builder& builder_;
  Value* lengths_;
  int64_t axis_;
  Value* running_ = nullptr;
  std::unordered_map<int64_t, Value*> by_rank_;  // by the number of axes after the batch
};

class Unroller {
 public:
  explicit Unroller(int64_t max_nodes) : nodes_left_(max_nodes), max_nodes_(max_nodes) {}

  bool unroll(Region& region) {
    bool changed = false;
    for (Node* node = region.first(); node;) {
      Node *previous = node->previous(), *next = node->next();
      for (size_t i = 0; i < node->region_count(); ++i) changed |= unroll(node->region(i));
      if ((node->op() == Op::scan && unroll_scan(node)) ||
          (node->op() == Op::loop && unroll_loop(node))) {
        changed = true;
        // On with the copies: what is known now may settle the length of a scan in them.
        next = previous ? previous->next() : region.first();
      }
      node = next;
    }
    return changed;
  }

 private:
  void require_room(const Node& node, int64_t steps) {
    // A slice for each scanned slot, its index, two nodes for each state and stacked slot.
    const auto each = static_cast<int64_t>(count_nodes(node.region()) + node.operand_count() +
                                           3 * node.result_count() + 2);
    int64_t made = 0;
    if (!__builtin_mul_overflow(each, steps, &made) && made <= nodes_left_) {
      nodes_left_ -= made;
      return;
    }
    throw Error("unrolling makes too many nodes", "at most " + std::to_string(max_nodes_),
                std::to_string(steps) + " steps of " + std::to_string(each))
        .at_node(node.display_name(), std::string(name(node.op())));
  }

  // What a scan or loop of no steps results in: its initial states, and nothing stacked, which
  // takes a known shape.
  static bool unroll_nothing(Node* node, size_t first_state, size_t states) {
    for (size_t i = states; i < node->result_count(); ++i) {
      if (!node->result(i)->type().shape.is_static()) return false;
    }
    Builder builder(*node->parent(), node);
    builder.set_node_name(node->name());
    std::vector<Value*> values;
    for (size_t i = 0; i < node->result_count(); ++i) {
      const ValueType& type = node->result(i)->type();
      values.push_back(i < states ? node->operand(first_state + i)
                                  : builder.constant(Tensor(type.element, type.shape.extents())));
    }
    replace_node(node, values);
    return true;
  }

  bool unroll_scan(Node* node) {
    const ScanView scan(*node);
    const std::optional<int64_t> length = known_length(scan, *node);
    if (!length || (scan.has_lengths() && !Mask::possible(scan))) return false;
    if (*length == 0) return unroll_nothing(node, scan.state_operand(0), scan.states());
    require_room(*node, *length);

    Copier copier(*node);
    Builder& builder = copier.builder();
    Mask mask(builder, scan);
    for (size_t i = 0; i < scan.invariants(); ++i)
      copier.set_argument(i, node->operand(scan.invariant_operand(i)));
    std::vector<Value*> states;
    for (size_t i = 0; i < scan.states(); ++i)
      states.push_back(node->operand(scan.state_operand(i)));
    const auto steps = static_cast<size_t>(*length);
    std::vector<std::vector<Value*>> stacked(scan.stacked(), std::vector<Value*>(steps));

    for (size_t s = 0; s < steps; ++s) {
      std::unordered_map<int64_t, Value*> indices;  // one constant for all slots of a direction
      const auto time = [&](ScanSlot slot) { return slot.reverse ? steps - 1 - s : s; };
      const auto index = [&](ScanSlot slot) {
        Value*& value = indices[static_cast<int64_t>(time(slot))];
        return value ? value : value = builder.scalar(static_cast<int64_t>(time(slot)));
      };
      for (size_t i = 0; i < scan.states(); ++i)
        copier.set_argument(scan.invariants() + i, states[i]);
      for (size_t i = 0; i < scan.scanned(); ++i) {
        const ScanSlot slot = scan.scan_slot(i);
        Value* slice = builder.op(Op::gather, {node->operand(scan.scanned_operand(i)), index(slot)},
                                  {{AttributeName::axis, slot.axis}});
        slice->set_type(internal::more_specific(slice->type(), scan.slice_argument(i)->type()));
        copier.set_argument(scan.invariants() + scan.states() + i, slice);
      }
      const std::vector<Value*> results = copier.copy();
      if (scan.has_lengths()) mask.set_time(static_cast<int64_t>(time(direction(scan))));
      for (size_t i = 0; i < scan.states(); ++i) {
        states[i] = scan.has_lengths()
                        ? mask.select(results[i], states[i], scan.state_argument(i)->type())
                        : results[i];
      }
      for (size_t i = 0; i < scan.stacked(); ++i) {
        Value* slice = results[scan.states() + i];
        if (scan.has_lengths()) {
          slice = mask.select(slice, builder.scalar(slice->type().element, 0),
                              scan.stacked_slice(i)->type());
        }
        stacked[i][time(scan.stack_slot(i))] = slice;
      }
    }
    for (size_t i = 0; i < scan.stacked(); ++i) {
      states.push_back(
          copier.stack(stacked[i], scan.stack_slot(i).axis, scan.stacked_result(i)->type()));
    }
    replace_node(node, states);
    return true;
  }

  // The direction of a scan with lengths, which is the same for all its slots.
  static ScanSlot direction(const ScanView& scan) {
    if (scan.scanned() > 0) return scan.scan_slot(0);
    return scan.stacked() > 0 ? scan.stack_slot(0) : ScanSlot{};
  }

  bool unroll_loop(Node* node) {
    const LoopView loop(*node);
    const std::optional<int64_t> trips = constant_count(loop.trip_count());
    if (!trips || !is_true(loop.condition())) return false;
    if (*trips <= 0) return unroll_nothing(node, loop.state_operand(0), loop.states());
    // The condition that the last step leaves is read by nobody.
    if (*trips > 1 && !is_true(loop.next_condition())) return false;
    require_room(*node, *trips);

    Copier copier(*node);
    Builder& builder = copier.builder();
    for (size_t i = 0; i < loop.invariants(); ++i)
      copier.set_argument(1 + i, node->operand(loop.invariant_operand(i)));
    std::vector<Value*> states;
    for (size_t i = 0; i < loop.states(); ++i)
      states.push_back(node->operand(loop.state_operand(i)));
    std::vector<std::vector<Value*>> stacked(loop.stacked());
    for (int64_t s = 0; s < *trips; ++s) {
      copier.set_argument(0, builder.scalar(s));
      for (size_t i = 0; i < loop.states(); ++i)
        copier.set_argument(1 + loop.invariants() + i, states[i]);
      const std::vector<Value*> results = copier.copy();
      for (size_t i = 0; i < loop.states(); ++i) states[i] = results[1 + i];
      for (size_t i = 0; i < loop.stacked(); ++i)
        stacked[i].push_back(results[1 + loop.states() + i]);
    }
    for (size_t i = 0; i < loop.stacked(); ++i) {
      states.push_back(copier.stack(stacked[i], 0, node->result(loop.states() + i)->type()));
    }
    replace_node(node, states);
    return true;
  }

  int64_t nodes_left_;
  const int64_t max_nodes_;
};

}  // namespace

bool unroll(Graph& graph, const PassContext& context) {
  const bool changed = Unroller(context.max_unrolled_nodes).unroll(graph.body());
  if (changed) internal::refine_types(graph);
  return changed;
}

}  // namespace refrain::passes
