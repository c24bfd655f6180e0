// sum over l of a[..., l, 1] M[..., l, k] = a[..., 1, l] M: the sum of weighted rows that attention
// makes is a product.
//
// Only in the bodies of scans and loops, of rows that are the same in every step: a product reads
// them once and writes its sums only, and weights that follow may move to the rows.
#include <utility>
#include <vector>

#include "passes/body.h"
#include "passes/passes.h"

namespace refrain::passes {
namespace {

using internal::Body;
using internal::Dependence;

// `weights` is [..., L, 1] and `rows` [..., L, K], the same in every step.
bool are_weighted_rows(Body& body, const Value* weights, const Value* rows) {
  if (body.dependence(weights) != Dependence::state || !body.movable(rows)) return false;
  const Shape &w = weights->type().shape, &m = rows->type().shape;
  if (!w.ranked() || w.rank() != m.rank() || m.rank() < 2) return false;
  if (w[w.rank() - 1] != Dim(1)) return false;
  if (m[m.rank() - 1] == Dim(1)) return false;  // element-wise, like all else may be
  for (size_t i = 0; i + 1 < m.rank(); ++i) {
    if (!provably_equal(w[i], m[i])) return false;
  }
  return is_float(rows->type().element);
}

// The product for a sum, or null.
Value* product_of(Body& body, Node& sum) {
  const Value* summed = sum.operand(0);
  const Node* mul = summed->node();
  if (!mul || mul->op() != Op::mul || !summed->has_one_use()) return nullptr;
  Value *weights = mul->operand(0), *rows = mul->operand(1);
  if (!are_weighted_rows(body, weights, rows)) std::swap(weights, rows);
  if (!are_weighted_rows(body, weights, rows)) return nullptr;
  const TensorPtr axes = sum.operand(1) ? constant_tensor(sum.operand(1)) : nullptr;
  const size_t rank = rows->type().shape.rank();
  if (!axes || axes->size() != 1) return nullptr;
  if (normalize_axis(axes->view().as_ints()[0], rank) != rank - 2) return nullptr;

  Builder builder(body.region(), &sum);
  builder.set_node_name(sum.name());
  Value* row = builder.unsqueeze(builder.squeeze(weights, {-1}), {-2});
  Value* product = builder.op(Op::matmul, {row, rows});
  return sum.flag(AttributeName::keep_dims) ? product : builder.squeeze(product, {-2});
}

}  // namespace

bool weighted_sums(Graph& graph, const PassContext&) {
  return internal::for_each_body(graph.body(), [](Body& body) {
    bool changed = false;
    for (Node* node = body.region().first(); node; node = node->next()) {
      if (node->op() != Op::reduce_sum || node->unused()) continue;
      Value* product = product_of(body, *node);
      if (!product) continue;
      body.replace(node->result(), product);
      body.retire(node);
      changed = true;
    }
    return changed;
  });
}

}  // namespace refrain::passes
