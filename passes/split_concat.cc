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

// The parts' extents along the axis, if they are known and all else agrees; otherwise none.
std::vector<int64_t> part_extents(const Node& concat, size_t axis) {
  std::vector<int64_t> extents;
  const Shape& first = concat.operand(0)->type().shape;
  for (size_t i = 0; i < concat.operand_count(); ++i) {
    const Shape& shape = concat.operand(i)->type().shape;
    if (!shape.ranked() || shape.rank() <= axis || !shape[axis].is_constant()) return {};
    if (shape[axis].extent() == 0) return {};
    for (size_t k = 0; k < shape.rank(); ++k) {
      // Of parts that differ elsewhere a sum might broadcast one where concat refuses it.
      if (k != axis && !provably_equal(shape[k], first[k])) return {};
    }
    extents.push_back(shape[axis].extent());
  }
  return extents;
}

bool split_side(internal::Body& body, Node& product, size_t side) {
  Value *joined = product.operand(side), *other = product.operand(1 - side);
  const Node* concat = joined->node();
  if (!concat || concat->op() != Op::concat || concat->operand_count() < 2) return false;
  if (body.dependence(joined) != internal::Dependence::state || !body.movable(other)) return false;
  const Shape& shape = joined->type().shape;
  if (!shape.ranked() || shape.rank() == 0 || other->type().shape.rank() == 0) return false;
  const size_t axis = inner_axis(shape, side);
  if (normalize_axis(concat->integer(AttributeName::axis), shape.rank()) != axis) return false;
  const std::vector<int64_t> extents = part_extents(*concat, axis);
  if (extents.empty()) return false;

  Value* weights = body.outside(other);
  const auto weights_axis = static_cast<int64_t>(inner_axis(other->type().shape, 1 - side));
  Builder outer = body.before(), inner(body.region(), &product);
  inner.set_node_name(product.name());
  Value* sum = nullptr;
  int64_t begin = 0;
  for (size_t i = 0; i < extents.size(); ++i) {
    Value* part = concat->operand(i);
    Value* slice = body.inside(outer.slice(weights, weights_axis, begin, begin + extents[i]));
    begin += extents[i];
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
  for (Node* node = body.region().first(); node;) {
    Node* previous = node->previous();
    if (node->op() == Op::matmul && !node->unused() &&
        (split_side(body, *node, 0) || split_side(body, *node, 1))) {
      changed = true;
      node = previous ? previous->next() : body.region().first();  // a part may be a concat too
    } else {
      node = node->next();
    }
  }
  return changed;
}

}  // namespace

bool split_concat(Graph& graph, const PassContext&) {
  return internal::for_each_body(graph.body(), split_products);
}

}  // namespace refrain::passes
