#include "passes/body.h"

#include <algorithm>
#include <string>
#include <utility>

#include "ir/control.h"
#include "ir/slice.h"
#include "passes/element.h"
#include "passes/refine.h"
#include "passes/slots.h"

namespace refrain::passes::internal {
namespace {

// Ops that can't fail once their types are verified and all extents are known: they may run where
// the loop itself would not have run.
bool never_fails(const Node& node) {
  switch (node.op()) {
    case Op::constant:
    case Op::transpose:
    case Op::slice:
    case Op::split:
    case Op::concat:
    case Op::reshape:
    case Op::squeeze:
    case Op::unsqueeze:
    case Op::cast:
    case Op::neg:
    case Op::add:
    case Op::sub:
    case Op::mul:
      return true;
    default:
      return false;
  }
}

bool extents_known(const Value* value) {
  const ValueType& type = value->type();
  return type.is_tensor() && type.shape.ranked() && type.shape.is_static();
}

// First operand and first argument of the invariants of a scan or loop, and their number.
struct Invariants {
  size_t operand = 0, argument = 0, count = 0;
};

Invariants invariants_of(const Node& node) {
  if (node.op() == Op::scan) {
    const ScanView scan(node);
    return {scan.invariant_operand(0), 0, scan.invariants()};
  }
  const LoopView loop(node);
  return {loop.invariant_operand(0), 1, loop.invariants()};
}

}  // namespace

Body::Body(Node& node) : node_(&node), staged_(std::make_unique<Region>()) {
  const Invariants invariants = invariants_of(node);
  const size_t states = node.op() == Op::scan ? ScanView(node).states() : LoopView(node).states();
  const size_t states_begin = invariants.argument + invariants.count;
  const Region& body = node.region();
  for (size_t i = 0; i < body.argument_count(); ++i) {
    const Value* argument = body.argument(i);
    Facts facts{Dependence::iteration, false};
    if (i >= states_begin && i < states_begin + states) {
      facts.dependence = Dependence::state;
    } else if (i >= invariants.argument && i < states_begin) {
      facts = {Dependence::none, extents_known(argument)};
      Value* operand = node.operand(invariants.operand + i - invariants.argument);
      outside_.emplace(argument, operand);
      if (refines(argument->type(), operand->type())) {
        inside_.emplace(operand, node.region().argument(i));
      }
    }
    facts_.emplace(argument, facts);
  }
}

Body::Facts Body::facts(const Value* value) {
  std::vector<const Value*> pending = {value};
  while (!pending.empty()) {
    const Value* next = pending.back();
    if (facts_.contains(next)) {
      pending.pop_back();
      continue;
    }
    const Node& node = *next->node();
    Facts facts{Dependence::none, extents_known(next) && never_fails(node)};
    bool ready = true;
    for (size_t i = 0; i < node.operand_count(); ++i) {
      const Value* operand = node.operand(i);
      if (!operand) continue;
      if (const auto it = facts_.find(operand); it != facts_.end()) {
        facts.dependence = std::max(facts.dependence, it->second.dependence);
        facts.movable &= it->second.movable;
      } else {
        pending.push_back(operand);
        ready = false;
      }
    }
    if (!ready) continue;
    facts_.emplace(next, facts);
    pending.pop_back();
  }
  return facts_.at(value);
}

Value* Body::outside(Value* value) {
  std::vector<const Value*> pending = {value};
  while (!pending.empty()) {
    const Value* next = pending.back();
    bool ready = true;
    if (!outside_.contains(next)) {
      const Node& node = *next->node();
      for (size_t i = 0; i < node.operand_count(); ++i) {
        if (!node.operand(i) || outside_.contains(node.operand(i))) continue;
        pending.push_back(node.operand(i));
        ready = false;
      }
      if (ready) clone_node(node, *node_->parent(), node_, outside_);
    }
    if (ready) pending.pop_back();
  }
  return outside_.at(value);
}

Value* Body::inside(Value* outside) {
  const auto [it, inserted] = inside_.emplace(outside, nullptr);
  if (inserted) {
    it->second = staged_->add_argument(outside->type(), outside->name());
    staged_operands_.push_back(outside);
    outside_.emplace(it->second, outside);
    facts_.emplace(it->second, Facts{Dependence::none, extents_known(outside)});
  }
  return it->second;
}

void Body::replace(Value* old, Value* with) {
  if (!with->is_argument()) with->set_type(more_specific(with->type(), old->type()));
  if (with->name().empty()) with->set_name(old->name());
  old->replace_all_uses_with(with);
}

void Body::retire(Node* node) {
  for (size_t i = 0; i < node->operand_count(); ++i) node->set_operand(i, nullptr);
  retired_.push_back(node);
  retired_set_.insert(node);
}

void Body::finish() {
  for (Node* node : retired_) region().erase(node);
  retired_.clear();
  if (!staged_operands_.empty()) rebuild();
}

void Body::rebuild() {
  const Invariants invariants = invariants_of(*node_);
  Region& source = region();
  auto body = std::make_unique<Region>();
  std::vector<Value*> arguments;
  const auto add_staged = [&] {
    for (size_t i = 0; i < staged_->argument_count(); ++i) {
      Value* staged = staged_->argument(i);
      staged->replace_all_uses_with(body->add_argument(staged->type(), staged->name()));
    }
  };
  for (size_t i = 0; i < source.argument_count(); ++i) {
    if (i == invariants.argument + invariants.count) add_staged();
    const Value* argument = source.argument(i);
    arguments.push_back(body->add_argument(argument->type(), argument->name()));
  }
  if (source.argument_count() == invariants.argument + invariants.count) add_staged();
  const std::vector<Value*> results = move_nodes(source, arguments, *body, nullptr);
  body->insert(std::make_unique<Node>(Op::yield, results, std::vector<Attribute>{}, 0));

  std::vector<Value*> operands = node_->operands();
  operands.insert(
      operands.begin() + static_cast<std::ptrdiff_t>(invariants.operand + invariants.count),
      staged_operands_.begin(), staged_operands_.end());
  std::vector<Attribute> attributes = node_->attributes();
  for (Attribute& attribute : attributes) {
    if (attribute.name != AttributeName::invariants) continue;
    attribute.value = static_cast<int64_t>(invariants.count + staged_operands_.size());
  }
  std::vector<std::unique_ptr<Region>> regions;
  regions.push_back(std::move(body));
  Region& parent = *node_->parent();
  Node* rebuilt = parent.insert(
      std::make_unique<Node>(node_->op(), operands, std::move(attributes), node_->result_count(),
                             std::move(regions), node_->name()),
      node_);
  for (size_t i = 0; i < node_->result_count(); ++i) {
    Value *old = node_->result(i), *result = rebuilt->result(i);
    result->set_type(old->type());
    result->set_name(old->name());
    old->replace_all_uses_with(result);
  }
  parent.erase(node_);
  node_ = rebuilt;
}

bool for_each_body(Region& region, const std::function<bool(Body&)>& rewrite) {
  bool changed = false;
  for (Node* node = region.first(); node;) {
    Node* next = node->next();
    for (size_t i = 0; i < node->region_count(); ++i) {
      changed |= for_each_body(node->region(i), rewrite);
    }
    if (node->op() == Op::scan || node->op() == Op::loop) {
      Body body(*node);
      changed |= rewrite(body);
      body.finish();
    }
    node = next;
  }
  return changed;
}

std::optional<Cut> cut_along(const Value* value, size_t axis) {
  const Node* node = value->node();
  if (!node || (node->op() != Op::slice && node->op() != Op::split)) return std::nullopt;
  Value* whole = node->operand(0);
  if (!whole) return std::nullopt;
  const Shape& shape = whole->type().shape;
  if (!shape.ranked() || axis >= shape.rank() || !shape[axis].is_constant()) return std::nullopt;
  if (node->op() == Op::split) {
    if (normalize_axis(node->integer(AttributeName::axis), shape.rank()) != axis)
      return std::nullopt;
    int64_t begin = 0, end = 0;
    for (size_t i = 0; i <= value->index(); ++i) {
      const Dim size = node->result(i)->type().shape[axis];
      if (!size.is_constant()) return std::nullopt;
      begin = end;
      end += size.extent();
    }
    return Cut{whole, begin, end};
  }
  const auto slice = constant_slice(*node);
  if (!slice || slice->axis != axis || slice->step != 1) return std::nullopt;
  const SliceBounds bounds = clamp_slice(shape[axis].extent(), slice->begin, slice->end, 1);
  return Cut{whole, bounds.begin, bounds.begin + bounds.count};
}

Value* side_by_side(Builder builder, std::vector<Value*> parts, size_t axis) {
  // Transposes side by side are the transpose of what lies one below the other.
  bool transposed = false;
  const auto is_transpose = [](const Value* part) {
    return part->node() && part->node()->op() == Op::transpose && part->type().shape.rank() == 2 &&
           part->node()->integers(AttributeName::perm) == std::vector<int64_t>{1, 0};
  };
  while (std::all_of(parts.begin(), parts.end(), is_transpose)) {
    for (Value*& part : parts) part = part->node()->operand(0);
    axis = 1 - axis;
    transposed = !transposed;
  }

  Value* joined = nullptr;
  const std::optional<Cut> first = cut_along(parts[0], axis);
  int64_t end = first ? first->end : 0;
  bool neighbours = first.has_value();
  for (size_t i = 1; neighbours && i < parts.size(); ++i) {
    const Value *part = parts[i], *previous = parts[i - 1];
    if (part->node() && part->node() == previous->node() && part->index() > 0 &&
        part->index() - 1 == previous->index()) {
      end += part->type().shape[axis].extent();  // the next part of the same split
      continue;
    }
    const std::optional<Cut> cut = cut_along(part, axis);
    neighbours = cut && cut->whole == first->whole && cut->begin == end;
    if (neighbours) end = cut->end;
  }
  const auto along = static_cast<int64_t>(axis);
  if (parts.size() == 1) {
    joined = parts[0];
  } else if (!neighbours) {
    joined = builder.create(Op::concat, parts, {{AttributeName::axis, along}})->result();
  } else if (first->begin == 0 && Dim(end) == first->whole->type().shape[axis]) {
    joined = first->whole;
  } else {
    joined = builder.slice(first->whole, along, first->begin, end);
  }
  return transposed ? builder.transpose(joined, {1, 0}) : joined;
}

}  // namespace refrain::passes::internal
