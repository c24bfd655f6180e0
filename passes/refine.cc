#include "passes/refine.h"

#include <algorithm>
#include <utility>

#include "ir/control.h"
#include "ir/error.h"

namespace refrain::passes::internal {
namespace {

// Users of more operands are not asked whether they can take another value: one after the other for
// each of their operands would cost the square of these.
constexpr size_t kFewOperands = 64;

// The type of a scanned operand's slice.
ValueType slice_type(const ValueType& whole, int64_t axis) {
  if (!whole.shape.ranked()) return whole;
  std::vector<Dim> dims = whole.shape.dims();
  const int64_t from_front = axis < 0 ? axis + static_cast<int64_t>(dims.size()) : axis;
  dims.erase(dims.begin() + from_front);  // in range: the graph was verified
  return ValueType::tensor(whole.element, Shape(std::move(dims)));
}

class Refiner {
 public:
  // `visits` bounds the nodes visited while looking for a fixpoint, so that deeply nested loops
  // cannot multiply their rounds; past it, state arguments keep their types.
  explicit Refiner(int64_t visits) : visits_(visits) {}

  bool refine(Node& node) {
    bool changed = false;
    for (size_t i = 0; i < node.region_count(); ++i) changed |= refine_region(node, node.region(i));
    try {
      std::vector<ValueType> inferred = infer_types(node);
      for (size_t i = 0; i < node.result_count(); ++i) {
        ValueType type = more_specific(inferred[i], node.result(i)->type());
        if (type == node.result(i)->type()) continue;
        node.result(i)->set_type(std::move(type));
        changed = true;
      }
    } catch (Error& error) {
      error.at_node(node.display_name(), std::string(name(node.op())));
      throw;
    }
    return changed;
  }

  bool refine_nodes(Region& region) {
    bool changed = false;
    for (Node* node = region.first(); node; node = node->next()) {
      if (node->op() != Op::yield) changed |= refine(*node);
      --visits_;
    }
    return changed;
  }

 private:
  // First argument and first body result of the states, and how many there are.
  struct States {
    size_t first_argument = 0, first_result = 0, first_operand = 0, count = 0;
  };

  static States states_of(const Node& node) {
    if (node.op() == Op::scan) {
      const ScanView scan(node);
      return {scan.invariants(), 0, scan.state_operand(0), scan.states()};
    }
    if (node.op() == Op::loop) {
      const LoopView loop(node);
      return {1 + loop.invariants(), 1, loop.state_operand(0), loop.states()};
    }
    return {};
  }

  // What the operands say of the region's arguments.
  static std::vector<ValueType> argument_types(const Node& node, Region& region) {
    std::vector<ValueType> types;
    for (size_t i = 0; i < region.argument_count(); ++i)
      types.push_back(region.argument(i)->type());
    const auto refine_from = [&](size_t argument, size_t operand) {
      types[argument] = more_specific(node.operand(operand)->type(), types[argument]);
    };
    if (node.op() == Op::scan) {
      const ScanView scan(node);
      const size_t whole = scan.invariants() + scan.states();
      for (size_t i = 0; i < whole; ++i) refine_from(i, scan.invariant_operand(i));
      for (size_t i = 0; i < scan.scanned(); ++i) {
        const ValueType& operand = node.operand(scan.scanned_operand(i))->type();
        types[whole + i] =
            more_specific(slice_type(operand, scan.scan_slot(i).axis), types[whole + i]);
      }
    } else if (node.op() == Op::loop) {
      for (size_t i = 1; i < types.size(); ++i) refine_from(i, i + 1);
    } else {
      for (size_t i = 0; i < types.size(); ++i) refine_from(i, i + 1);
    }
    return types;
  }

  bool refine_region(Node& node, Region& region) {
    const std::vector<ValueType> proposed = argument_types(node, region);
    bool same = true;
    for (size_t i = 0; i < proposed.size(); ++i) same &= proposed[i] == region.argument(i)->type();
    // Nothing more can be known of the states either: they are as specific as their initial values.
    if (same) return refine_nodes(region);

    const std::vector<ValueType> before = save_types(region);
    if (!settle(node, region, proposed, before)) {
      restore_types(region, before);
      return false;
    }
    return save_types(region) != before;
  }

  // Assumes the proposed types and widens those of the states until each round of the body keeps
  // them.
  bool settle(const Node& node, Region& region, std::vector<ValueType> types,
              const std::vector<ValueType>& before) {
    const States states = states_of(node);
    for (bool settled = false; !settled;) {
      const bool give_up = visits_ < 0;
      for (size_t i = 0; give_up && i < states.count; ++i) {
        types[states.first_argument + i] = before[states.first_argument + i];
      }
      for (size_t i = 0; i < types.size(); ++i) region.argument(i)->set_type(types[i]);
      try {
        refine_nodes(region);
        settled = true;
        for (size_t i = 0; i < states.count; ++i) {
          ValueType& type = types[states.first_argument + i];
          const ValueType& next = region.result(states.first_result + i)->type();
          if (refines(next, type)) continue;
          type = join(type, next);
          settled = false;
        }
      } catch (const Error&) {
        return false;
      }
      if (!settled && give_up) return false;
      if (!settled) restore_types(region, before);
    }
    return true;
  }

  int64_t visits_;
};

}  // namespace

ValueType more_specific(const ValueType& known, const ValueType& fallback) {
  if (known.element != fallback.element || known.kind != fallback.kind) return known;
  ValueType type = known;
  type.optional = known.optional && fallback.optional;
  if (!type.shape.ranked()) {
    type.shape = fallback.shape;
  } else if (fallback.shape.ranked() && fallback.shape.rank() == type.shape.rank()) {
    for (size_t i = 0; i < type.shape.rank(); ++i) {
      if (type.shape[i].is_unknown()) type.shape[i] = fallback.shape[i];
    }
  }
  return type;
}

bool refine_types(Node& node) {
  int64_t nodes = 1;
  for (size_t i = 0; i < node.region_count(); ++i)
    nodes += static_cast<int64_t>(count_nodes(node.region(i)));
  return Refiner(16 * nodes).refine(node);
}

bool refine_types(Graph& graph) {
  return Refiner(16 * static_cast<int64_t>(count_nodes(graph.body()))).refine_nodes(graph.body());
}

bool replace_value(Value* old, Value* with) {
  const ValueType type_before = with->type();
  if (!refines(with->type(), old->type())) {
    // An argument's type is a promise of others; a result's may say more than its op infers.
    ValueType type = more_specific(with->type(), old->type());
    if (with->is_argument() || !refines(type, old->type())) return false;
    with->set_type(std::move(type));
  }
  if (with->region()->owner()) {
    std::vector<std::pair<Node*, size_t>> uses;
    for (const Use* use = old->first_use(); use; use = use->next()) {
      uses.emplace_back(use->user(), use->index());
    }
    for (const auto& [user, index] : uses) user->set_operand(index, with);
    try {
      for (const auto& use : uses) {
        if (use.first->operand_count() <= kFewOperands) infer_types(*use.first);
      }
    } catch (const Error&) {
      for (const auto& [user, index] : uses) user->set_operand(index, old);
      with->set_type(type_before);
      return false;
    }
  }
  if (with->name().empty()) with->set_name(old->name());
  old->replace_all_uses_with(with);
  return true;
}

std::vector<ValueType> save_types(Region& region) {
  std::vector<ValueType> types;
  for_each_value(region, [&](const Value* value) { types.push_back(value->type()); });
  return types;
}

void restore_types(Region& region, const std::vector<ValueType>& types) {
  size_t i = 0;
  for_each_value(region, [&](Value* value) { value->set_type(types[i++]); });
}

}  // namespace refrain::passes::internal
