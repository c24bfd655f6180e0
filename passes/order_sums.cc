// Sums with a product in them: (x W + b) + h R, however they were written. First what changes with
// the iteration but not with the state, then what never changes, added up on its own: all of that
// leaves the loop, biases into the product. Then what depends on state, products first.
//
// Biases of the parts of a split become one bias of the whole: x W + b is one value of all gates.
// A part without one gets -0.0, which changes nothing. The order of a sum's terms is part of how it
// is rounded; so results change by roundings. Only in the bodies of scans and loops.
#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "ir/error.h"
#include "passes/body.h"
#include "passes/passes.h"
#include "passes/refine.h"

namespace refrain::passes {
namespace {

using internal::Body;
using internal::Dependence;

using Values = std::vector<Value*>;

bool is_sum(const Value* value) {
  return value->node() && value->node()->op() == Op::add && is_float(value->type().element);
}

// Parts of parts of parts are looked through to this depth.
constexpr int kMaxDepth = 8;

// A product, or a product with something added, or a part of one.
bool is_product(const Value* value) {
  const Node* node = value->node();
  for (int i = 0; i < kMaxDepth && node; ++i) {
    if (node->op() != Op::split && node->op() != Op::slice) break;
    node = node->operand(0)->node();
  }
  if (node && node->op() == Op::add) node = node->operand(0)->node();
  return node && node->op() == Op::matmul;
}

// A sum that is not a term of another one.
bool is_root(const Node& node) {
  const Value* sum = node.result();
  if (!is_sum(sum) || sum->unused()) return false;
  return !sum->has_one_use() || sum->first_use()->user()->op() != Op::add;
}

// The terms of a sum, in order. `adders` are the nodes that add them up, users first.
Values terms_of(Node& root, std::vector<Node*>& adders) {
  Values terms, pending = {root.operand(1), root.operand(0)};
  adders.push_back(&root);
  while (!pending.empty()) {
    Value* value = pending.back();
    pending.pop_back();
    if (is_sum(value) && value->has_one_use()) {
      adders.push_back(value->node());
      pending.push_back(value->node()->operand(1));
      pending.push_back(value->node()->operand(0));
    } else {
      terms.push_back(value);
    }
  }
  return terms;
}

// What is added up on its own, in the order in which that is added up, each from the left.
using Groups = std::vector<Values>;

Groups grouped(Body& body, const Values& terms) {
  Values changing, fixed, products, others;
  for (Value* term : terms) {
    const Dependence dependence = body.dependence(term);
    Values& kind = dependence == Dependence::iteration ? changing
                   : dependence == Dependence::none    ? fixed
                   : is_product(term)                  ? products
                                                       : others;
    kind.push_back(term);
  }
  Groups groups;
  for (Value* term : changing) groups.push_back({term});
  if (!fixed.empty()) groups.push_back(std::move(fixed));
  for (Value* term : products) groups.push_back({term});
  for (Value* term : others) groups.push_back({term});
  return groups;
}

// True if the value is the sum of these, from the left.
bool adds_up(const Value* value, const Values& terms) {
  for (size_t i = terms.size() - 1; i > 0; --i) {
    if (!is_sum(value) || value->node()->operand(1) != terms[i]) return false;
    value = value->node()->operand(0);
  }
  return value == terms[0];
}

bool adds_up(const Value* value, const Groups& groups) {
  for (size_t i = groups.size() - 1; i > 0; --i) {
    if (!is_sum(value) || !adds_up(value->node()->operand(1), groups[i])) return false;
    value = value->node()->operand(0);
  }
  return adds_up(value, groups[0]);
}

// True if the sum of the groups has a type that is as specific as `type`.
bool keeps_type(const ValueType& type, const Groups& groups) {
  const auto sum_of = [](const auto& parts, const auto& shape_of) {
    Shape sum = shape_of(parts[0]);
    for (size_t i = 1; i < parts.size(); ++i) sum = broadcast(sum, shape_of(parts[i]));
    return sum;
  };
  const auto shape_of_group = [&](const Values& group) {
    return sum_of(group, [](const Value* term) { return term->type().shape; });
  };
  try {
    const ValueType sum = ValueType::tensor(type.element, sum_of(groups, shape_of_group));
    return refines(internal::more_specific(sum, type), type);
  } catch (const Error&) {
    return false;  // extents that only the other order reconciles
  }
}

Value* add_up(Builder& builder, const Values& terms) {
  Value* sum = terms[0];
  for (size_t i = 1; i < terms.size(); ++i) sum = builder.op(Op::add, {sum, terms[i]});
  return sum;
}

bool order(Body& body, Node& root) {
  std::vector<Node*> adders;
  const Values terms = terms_of(root, adders);
  if (std::none_of(terms.begin(), terms.end(), is_product)) return false;
  Groups groups = grouped(body, terms);
  if (adds_up(root.result(), groups) || !keeps_type(root.result()->type(), groups)) return false;

  Builder inner(body.region(), &root);
  inner.set_node_name(root.name());
  Values sums;
  for (Values& group : groups) {
    const auto movable = [&](const Value* term) { return body.movable(term); };
    if (group.size() > 1 && std::all_of(group.begin(), group.end(), movable)) {
      for (Value*& term : group) term = body.outside(term);
      Builder outer = body.before();
      sums.push_back(body.inside(add_up(outer, group)));
    } else {
      sums.push_back(add_up(inner, group));
    }
  }
  body.replace(root.result(), add_up(inner, sums));
  for (Node* adder : adders) body.retire(adder);
  return true;
}

// The node that adds a bias of its own to every row of a part of a split, and the bias.
struct Bias {
  Node* adder = nullptr;
  Value* value = nullptr;  // [width] or [1, ..., width]
};

std::optional<Bias> bias_of(Body& body, const Value* part) {
  if (!part->has_one_use()) return std::nullopt;
  Node* adder = part->first_use()->user();
  if (adder->op() != Op::add) return std::nullopt;
  Value* bias = adder->operand(1 - part->first_use()->index());
  const Shape &shape = bias->type().shape, &whole = part->type().shape;
  if (!body.movable(bias) || shape.rank() == 0 || shape.rank() > whole.rank()) return std::nullopt;
  for (size_t i = 0; i + 1 < shape.rank(); ++i) {
    if (shape[i] != Dim(1)) return std::nullopt;
  }
  if (shape[shape.rank() - 1] != whole[whole.rank() - 1]) return std::nullopt;
  return Bias{adder, bias};
}

bool merge_biases(Body& body, Node& split) {
  Value* whole = split.operand(0);
  const Shape& shape = whole->type().shape;
  if (!is_float(whole->type().element) || !shape.ranked() || !is_product(whole)) return false;
  const size_t last = shape.rank() - 1;
  if (normalize_axis(split.integer(AttributeName::axis), shape.rank()) != last) return false;
  if (!whole->has_one_use() || body.dependence(whole) != Dependence::iteration) return false;
  std::vector<std::optional<Bias>> biases;
  std::vector<int64_t> widths;
  for (size_t i = 0; i < split.result_count(); ++i) {
    const Dim width = split.result(i)->type().shape[last];
    if (!width.is_constant()) return false;
    widths.push_back(width.extent());
    biases.push_back(bias_of(body, split.result(i)));
  }
  if (std::none_of(biases.begin(), biases.end(), [](const auto& bias) { return bias.has_value(); }))
    return false;

  Builder outer = body.before();
  Values parts;
  for (size_t i = 0; i < biases.size(); ++i) {
    if (biases[i]) {
      Value* bias = body.outside(biases[i]->value);
      parts.push_back(bias->type().shape.rank() == 1 ? bias : outer.reshape(bias, {widths[i]}));
    } else {
      Value* zero = outer.scalar(whole->type().element, -0.0);
      parts.push_back(outer.op(Op::expand, {zero, outer.ints({widths[i]})}));
    }
  }
  Value* bias = body.inside(internal::side_by_side(outer, parts, 0));
  Builder inner(body.region(), &split);
  inner.set_node_name(split.name());
  const Values operands = {inner.op(Op::add, {whole, bias}), inner.ints(widths)};
  const Node* sums = inner.create(Op::split, operands, split.attributes(), widths.size());
  for (size_t i = 0; i < biases.size(); ++i) {
    if (biases[i]) body.replace(biases[i]->adder->result(), sums->result(i));
    body.replace(split.result(i), sums->result(i));
    if (biases[i]) body.retire(biases[i]->adder);
  }
  body.retire(&split);
  return true;
}

bool rewrite_all(Body& body, Op op, bool (*rewrite)(Body& body, Node& node)) {
  bool changed = false;
  for (Node* node = body.region().first(); node; node = node->next()) {
    if (node->op() != op || body.retired(node) || node->unused()) continue;
    if (op == Op::add && !is_root(*node)) continue;
    changed |= rewrite(body, *node);
  }
  return changed;
}

// Each round of biases takes the adders of biases away, so there is an end.
bool order_all(Body& body) {
  bool changed = rewrite_all(body, Op::add, order);
  while (rewrite_all(body, Op::split, merge_biases)) {
    changed = true;
    rewrite_all(body, Op::add, order);
  }
  return changed;
}

}  // namespace

bool order_sums(Graph& graph, const PassContext&) {
  return internal::for_each_body(graph.body(), order_all);
}

}  // namespace refrain::passes
