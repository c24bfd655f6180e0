// Products of one value by several matrices become one product by the matrices side by side:
// x U, x V = split(x [U V]). What the gates of a cell compute from one input, in short, but also
// any other products that share their left side.
//
// Only in the bodies of scans and loops, and only by matrices that don't change there: these are
// put side by side before the loop. A matrix by a vector, V x, counts as x transpose(V); a left
// side that only lacks axes of extent 1 in front counts as the same.
#include <map>
#include <utility>
#include <vector>

#include "passes/body.h"
#include "passes/passes.h"

namespace refrain::passes {
namespace {

using internal::Body;
using internal::Dependence;

struct Member {
  Node* product;
  bool matrix_first;               // V x
  std::vector<int64_t> unsqueeze;  // axes, of the product's result, that the shared value lacks
};

// A value without the axes of extent 1 that an unsqueeze put before its last axis.
Value* without_added_axes(Value* value, std::vector<int64_t>& added) {
  const Node* node = value->node();
  if (!node || node->op() != Op::unsqueeze) return value;
  const TensorPtr axes = constant_tensor(node->operand(1));
  const Shape &inner = node->operand(0)->type().shape, &outer = value->type().shape;
  if (!axes || !inner.ranked() || !outer.ranked() || inner.rank() == 0) return value;
  std::vector<int64_t> positive;
  for (int64_t axis : axes->view().as_ints()) {
    positive.push_back(static_cast<int64_t>(normalize_axis(axis, outer.rank())));
    if (positive.back() + 1 == static_cast<int64_t>(outer.rank())) return value;
  }
  added = std::move(positive);
  return node->operand(0);
}

// The left side that a product shares with others, or null if it is not one to fuse.
Value* left_side(Body& body, Member& member) {
  Value *left = member.product->operand(0), *right = member.product->operand(1);
  const auto is_matrix = [&](const Value* value) {
    return body.movable(value) && value->type().shape.rank() == 2;
  };
  Value* x = nullptr;
  if (left->type().shape.ranked() && left->type().shape.rank() > 0 && is_matrix(right)) {
    x = without_added_axes(left, member.unsqueeze);
  } else if (right->type().shape.ranked() && right->type().shape.rank() == 1 && is_matrix(left)) {
    member.matrix_first = true;
    x = right;
  }
  return x && body.dependence(x) != Dependence::none ? x : nullptr;
}

// What that is now: what another group computed, for one that multiplies its results, was replaced
// since.
Value* shared_side(const Member& member) {
  Value* side = member.product->operand(member.matrix_first ? 1 : 0);
  return member.unsqueeze.empty() ? side : side->node()->operand(0);
}

void fuse(Body& body, const std::vector<Member>& members) {
  Builder outer = body.before();
  std::vector<Value*> matrices;
  std::vector<int64_t> widths;
  for (const Member& member : members) {
    Value* matrix = body.outside(member.product->operand(member.matrix_first ? 0 : 1));
    if (member.matrix_first) matrix = outer.transpose(matrix, {1, 0});
    matrices.push_back(matrix);
    widths.push_back(matrix->type().shape[1].extent());
  }
  Value* weights = body.inside(internal::side_by_side(outer, matrices, 1));

  Builder inner(body.region(), members.front().product);
  inner.set_node_name(members.front().product->name());
  Value* product = inner.op(Op::matmul, {shared_side(members.front()), weights});
  const std::vector<Value*> operands = {product, inner.ints(widths)};
  const Node* pieces =
      inner.create(Op::split, operands, {{AttributeName::axis, int64_t{-1}}}, members.size());
  for (size_t i = 0; i < members.size(); ++i) {
    Value* piece = pieces->result(i);
    if (!members[i].unsqueeze.empty()) {
      Value* axes = inner.ints(members[i].unsqueeze);
      piece = inner.op(Op::unsqueeze, {piece, axes});
    }
    body.replace(members[i].product->result(), piece);
    body.retire(members[i].product);
  }
}

bool fuse_products(Body& body) {
  // By the left side and the extent that is summed over, which its type may leave open.
  std::map<std::pair<Value*, int64_t>, size_t> group_of;
  std::vector<std::vector<Member>> groups;
  for (Node* node = body.region().first(); node; node = node->next()) {
    if (node->op() != Op::matmul || node->unused()) continue;
    Member member{node, false, {}};
    Value* left = left_side(body, member);
    if (!left) continue;
    const int64_t inner = member.matrix_first ? node->operand(0)->type().shape[1].extent()
                                              : node->operand(1)->type().shape[0].extent();
    const auto [it, inserted] = group_of.emplace(std::pair(left, inner), groups.size());
    if (inserted) groups.emplace_back();
    groups[it->second].push_back(std::move(member));
  }
  bool changed = false;
  for (const std::vector<Member>& members : groups) {
    if (members.size() < 2) continue;
    fuse(body, members);
    changed = true;
  }
  return changed;
}

}  // namespace

bool fuse_gates(Graph& graph, const PassContext&) {
  return internal::for_each_body(graph.body(), fuse_products);
}

}  // namespace refrain::passes
