// concat(a, b) W = a W[rows of a] + b W[rows of b], and W concat(a, b) likewise.
//
// Only in the bodies of scans and loops, where the part that does not depend on state can then
// leave, and parts that others multiply too can share a product: elsewhere it would only add work.
// For that reason some part must depend on state (the whole product leaves otherwise), and W must
// not change from one iteration to the next. The sum is rounded otherwise than the one product was.
#include <vector>

#include "passes/body.h"
#include "passes/passes.h"

namespace refrain::passes {
namespace {

// The axis that a product sums over, in its left (0) or right (1) operand.
size_t inner_axis(const Shape& shape, size_t side) {
  return side == 1 && shape.rank() > 1 ? shape.rank() - 2 : shape.rank() - 1;
}

// More parts than this stay together: gates' inputs are few, and each product by a long
// concatenation would become as many products.
constexpr size_t kMaxParts = 16;

// The parts of a concatenation along the axis; of concatenations in it that depend on state, too.
// None if there are too many, their extents are not known, or something else does not agree.
std::vector<Value*> parts_of(internal::Body& body, Value* joined, size_t axis) {
  std::vector<Value*> parts, pending = {joined};
  const Shape& whole = joined->type().shape;
  while (!pending.empty()) {
    Value* value = pending.back();
    pending.pop_back();
    const Node* node = value->node();
    if (node && node->op() == Op::concat && body.dependence(value) == internal::Dependence::state &&
        normalize_axis(node->integer(AttributeName::axis), whole.rank()) == axis) {
      if (node->operand_count() + parts.size() + pending.size() > kMaxParts) return {};
      for (size_t i = node->operand_count(); i-- > 0;) pending.push_back(node->operand(i));
      continue;
    }
    const Shape& shape = value->type().shape;
    if (!shape.ranked() || shape.rank() != whole.rank()) return {};
    if (!shape[axis].is_constant() || shape[axis].extent() == 0) return {};
    parts.push_back(value);
    for (size_t k = 0; k < shape.rank(); ++k) {
      // Of parts that differ elsewhere a sum might broadcast one where concat refuses it.
      if (k != axis && !provably_equal(shape[k], parts[0]->type().shape[k])) return {};
    }
  }
  return parts;
}

bool split_side(internal::Body& body, Node& product, size_t side) {
  Value *joined = product.operand(side), *other = product.operand(1 - side);
  const Shape& shape = joined->type().shape;
  if (!shape.ranked() || shape.rank() == 0) return false;
  if (!body.movable(other) || other->type().shape.rank() == 0) return false;
  const size_t axis = inner_axis(shape, side);
  const std::vector<Value*> parts = parts_of(body, joined, axis);
  if (parts.size() < 2) return false;

  Value* weights = body.outside(other);
  const auto weights_axis = static_cast<int64_t>(inner_axis(other->type().shape, 1 - side));
  Builder outer = body.before(), inner(body.region(), &product);
  inner.set_node_name(product.name());
  Value* sum = nullptr;
  int64_t begin = 0;
  for (Value* part : parts) {
    const int64_t end = begin + part->type().shape[axis].extent();
    Value* slice = body.inside(outer.slice(weights, weights_axis, begin, end));
    begin = end;
    Value* term =
        side == 0 ? inner.op(Op::matmul, {part, slice}) : inner.op(Op::matmul, {slice, part});
    sum = sum ? inner.op(Op::add, {sum, term}) : term;
  }
  body.replace(product.result(), sum);
  body.retire(&product);
  return true;
}

bool split_products(internal::Body& body) {
  bool changed = false;
  for (Node* node = body.region().first(); node; node = node->next()) {
    if (node->op() != Op::matmul || node->unused()) continue;
    changed |= split_side(body, *node, 0) || split_side(body, *node, 1);
  }
  return changed;
}

}  // namespace

bool split_concat(Graph& graph, const PassContext&) {
  return internal::for_each_body(graph.body(), split_products);
}

}  // namespace refrain::passes
