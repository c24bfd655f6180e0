// What a trace writes into a tensor row by row, every row once, is a stack of these rows. Then the
// rows are results of their iterations, and the tensor is none that iterations pass on.
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "ir/builder.h"
#include "passes/passes.h"
#include "passes/refine.h"

namespace refrain::passes {
namespace {

// Shapes that are known to be the same.
bool same_shape(const Shape& a, const Shape& b) {
  if (!a.ranked() || !b.ranked() || a.rank() != b.rank()) return false;
  for (size_t i = 0; i < a.rank(); ++i) {
    if (!provably_equal(a[i], b[i])) return false;
  }
  return true;
}

// The rank without its first axis of extent 1.
Shape row_of(const Shape& shape) { return Shape({shape.dims().begin() + 1, shape.dims().end()}); }

// A node that replaces one row: the row's index, and rows [1, ...] of the tensor's type.
struct Write {
  int64_t index = 0;
  Value* rows = nullptr;
};

std::optional<Write> write_of(const Node& node) {
  if (node.op() != Op::scatter_nd || node.string(AttributeName::reduction) != "none") return {};
  const Shape& shape = node.operand(0)->type().shape;
  Value* rows = node.operand(2);
  if (!shape.ranked() || shape.rank() == 0 || !shape[0].is_constant()) return {};
  const TensorPtr indices = constant_tensor(node.operand(1));
  if (!indices || indices->size() != 1) return {};
  int64_t index = indices->view().as_ints()[0];
  if (index < 0) index += shape[0].extent();
  if (index < 0 || index >= shape[0].extent()) return {};
  const Shape& update = rows->type().shape;
  if (!update.ranked() || update.rank() != shape.rank() || update[0] != Dim(1) ||
      !same_shape(row_of(update), row_of(shape)))
    return {};
  return Write{index, rows};
}

// What expands and reshapes to its own shape gave.
Value* unchanged(Value* value) {
  while (value->node() &&
         (value->node()->op() == Op::expand || value->node()->op() == Op::reshape)) {
    Value* from = value->node()->operand(0);
    if (!same_shape(from->type().shape, value->type().shape)) break;
    value = from;
  }
  return value;
}

// Rows [1, ...] as the stack of a row if they were one before.
Value* as_stack(Builder& builder, Value* rows) {
  rows = unchanged(rows);
  if (!rows->node() || rows->node()->op() != Op::reshape) return rows;
  Value* row = rows->node()->operand(0);
  if (!same_shape(row->type().shape, row_of(rows->type().shape))) return rows;
  return builder.unsqueeze(unchanged(row), {0});
}

// `budget` is how many rows may still be stacked.
bool resolve(Node& last, size_t& budget) {
  const Shape& shape = last.result()->type().shape;
  if (!write_of(last) || !shape.ranked() || !shape[0].is_constant()) return false;
  const int64_t count = shape[0].extent();
  if (count < 1 || static_cast<uint64_t>(count) > budget) return false;
  budget -= static_cast<size_t>(count);
  std::vector<Value*> rows(static_cast<size_t>(count));
  const Node* node = &last;
  for (int64_t i = 0; i < count; ++i) {
    const std::optional<Write> write = node ? write_of(*node) : std::nullopt;
    if (!write || rows[static_cast<size_t>(write->index)]) return false;
    rows[static_cast<size_t>(write->index)] = write->rows;
    node = node->operand(0)->node();
  }
  Builder builder(*last.parent(), &last);
  builder.set_node_name(last.name());
  for (Value*& row : rows) row = as_stack(builder, row);
  Value* stack = builder.create(Op::concat, rows, {{AttributeName::axis, int64_t{0}}})->result();
  return internal::replace_value(last.result(), stack);
}

// The last node of each chain of them. Each row is written by a node of its own, so that all stacks
// together have no more rows than there are nodes, but for chains that share their beginning, which
// traces don't have: O(nodes).
bool resolve_scatters(Region& region) {
  std::unordered_set<const Value*> written_again;
  size_t budget = region.size();
  bool changed = false;
  for (Node *node = region.last(), *previous = nullptr; node; node = previous) {
    previous = node->previous();
    for (size_t i = 0; i < node->region_count(); ++i) changed |= resolve_scatters(node->region(i));
    if (node->op() != Op::scatter_nd || node->unused()) continue;
    if (!written_again.contains(node->result())) changed |= resolve(*node, budget);
    written_again.insert(node->operand(0));
  }
  return changed;
}

}  // namespace

bool resolve_scatters(Graph& graph, const PassContext&) {
  const bool changed = resolve_scatters(graph.body());
  if (changed) internal::refine_types(graph);
  return changed;
}

}  // namespace refrain::passes
