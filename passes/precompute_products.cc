// gather(E, i) W = gather(E W, i), and (a M) W = a (M W), where E, M and W are the same in every
// step: an embedding of the last output, attention over what an encoder left.
//
// Only in the bodies of scans and loops, by weights that would be read in every step; what is
// multiplied here leaves them. A table of constants is multiplied while compiling, if that costs
// little; anything else once a run, if it has no more rows than the loop has steps.
#include <utility>
#include <vector>

#include "ir/control.h"
#include "passes/body.h"
#include "passes/passes.h"

namespace refrain::passes {
namespace {

using internal::Body;
using internal::Dependence;

// Most multiply-adds that a table may cost while compiling.
constexpr int64_t kMaxTableCost = int64_t{1} << 27;

// A table takes the weights' place in caches and files; beyond so many times their size it loses
// there what a step gains.
constexpr int64_t kMostTableGrowth = 8;

// Many rows at once take less than this part of the time that so many products by a single row,
// each of which reads all weights, take.
constexpr int64_t kGainOfSingleRows = 2;

Node* made_by(const Value* value, Op op) {
  Node* node = value->node();
  return node && node->op() == op ? node : nullptr;
}

bool varies(Body& body, const Value* value) { return body.dependence(value) == Dependence::state; }

// The constant that a value is, in the body or before it; null if it is none.
TensorPtr constant_of(Body& body, Value* value) {
  return constant_tensor(value->is_argument() ? body.outside(value) : value);
}

// Whether a product of these extents may be folded, to a tensor that is no larger than the limit
// and not much larger than the weights.
bool is_small_product(int64_t rows, int64_t depth, int64_t columns, int64_t size,
                      const PassContext& context) {
  int64_t elements = 0, bytes = 0, cost = 0;
  return (rows - 1) / kMostTableGrowth < depth &&
         !__builtin_mul_overflow(rows, columns, &elements) &&
         !__builtin_mul_overflow(elements, size, &bytes) &&
         !__builtin_mul_overflow(elements, depth, &cost) && bytes <= context.max_folded_bytes &&
         cost <= kMaxTableCost;
}

// gather(E, i) W; returns gather(E W, i).
Value* multiply_table(Body& body, Node& product, const PassContext& context) {
  const Node* gather = made_by(product.operand(0), Op::gather);
  if (!gather || !varies(body, gather->operand(1))) return nullptr;
  Value *table = gather->operand(0), *weights = product.operand(1);
  if (!body.movable(table) || table->type().shape.rank() != 2) return nullptr;
  if (normalize_axis(gather->integer(AttributeName::axis), 2) != 0) return nullptr;
  if (!constant_of(body, table) || !constant_of(body, weights)) return nullptr;
  const Shape &rows = table->type().shape, &columns = weights->type().shape;
  if (!is_small_product(rows[0].extent(), rows[1].extent(), columns[1].extent(),
                        static_cast<int64_t>(size_of(table->type().element)), context)) {
    return nullptr;
  }
  Builder outer = body.before(), inner(body.region(), &product);
  outer.set_node_name(product.name());
  inner.set_node_name(gather->name());
  return inner.op(Op::gather,
                  {body.inside(outer.op(Op::matmul, {body.outside(table), body.outside(weights)})),
                   gather->operand(1)},
                  {{AttributeName::axis, int64_t{0}}});
}

// The number of steps of a scan, as far as it is known.
Dim steps_of(const Node& node) {
  if (node.op() != Op::scan) return Dim::unknown();
  const ScanView scan(node);
  if (scan.scanned() > 0) {
    const Shape& shape = node.operand(scan.scanned_operand(0))->type().shape;
    if (!shape.ranked()) return Dim::unknown();
    return shape[normalize_axis(scan.scan_slot(0).axis, shape.rank())];
  }
  const TensorPtr trips = scan.has_trip_count() ? constant_tensor(scan.trip_count()) : nullptr;
  if (!trips || trips->size() != 1) return Dim::unknown();
  const int64_t count = trips->view().as_ints()[0];
  return count >= 0 ? Dim(count) : Dim::unknown();
}

// (a M) W, or the same with axes of extent 1 taken away in between; returns a (M W).
Value* multiply_memory(Body& body, Node& product, Dim steps) {
  const Node* squeeze = made_by(product.operand(0), Op::squeeze);
  const Node* sum = made_by(squeeze ? squeeze->operand(0) : product.operand(0), Op::matmul);
  if (!sum || !varies(body, sum->operand(0))) return nullptr;
  Value *memory = sum->operand(1), *weights = product.operand(1);
  if (!body.movable(memory) || memory->type().shape.rank() < 2) return nullptr;
  const Shape &whole = sum->result()->type().shape, &shape = memory->type().shape;
  if (!whole.ranked() || whole.rank() != shape.rank()) return nullptr;
  // One row of `a` meets each matrix: of more, M W would not be less work.
  if (whole[whole.rank() - 2] != Dim(1)) return nullptr;
  const Dim rows = shape[shape.rank() - 2], depth = shape[shape.rank() - 1];
  if (!rows.is_constant() || !depth.is_constant()) return nullptr;
  if (rows.extent() == 0 || rows.extent() > depth.extent() / 2) return nullptr;
  bool single = true;
  for (size_t i = 0; i + 2 < shape.rank(); ++i) {
    if (!provably_equal(whole[i], shape[i])) return nullptr;  // one memory for several rows
    single &= shape[i] == Dim(1);
  }
  if (!steps.is_constant()) return nullptr;
  const int64_t gain = single ? kGainOfSingleRows : 1;
  if ((rows.extent() - 1) / gain >= steps.extent()) return nullptr;
  std::vector<int64_t> axes;
  if (squeeze) {
    const TensorPtr taken = squeeze->operand(1) ? constant_tensor(squeeze->operand(1)) : nullptr;
    if (!taken) return nullptr;
    axes = taken->view().as_ints();
    for (int64_t& axis : axes) {
      axis = static_cast<int64_t>(normalize_axis(axis, whole.rank()));
      if (axis + 1 == static_cast<int64_t>(whole.rank())) return nullptr;
    }
  }
  Builder outer = body.before(), inner(body.region(), &product);
  outer.set_node_name(product.name());
  inner.set_node_name(sum->name());
  Value* multiplied = outer.op(Op::matmul, {body.outside(memory), body.outside(weights)});
  Value* result = inner.op(Op::matmul, {sum->operand(0), body.inside(multiplied)});
  if (axes.empty()) return result;
  Value* taken = inner.ints(axes);
  return inner.op(Op::squeeze, {result, taken});
}

}  // namespace

bool precompute_products(Graph& graph, const PassContext& context) {
  return internal::for_each_body(graph.body(), [&](Body& body) {
    const Dim steps = steps_of(*body.region().owner());
    bool changed = false;
    for (Node* node = body.region().first(); node; node = node->next()) {
      if (node->op() != Op::matmul || node->unused()) continue;
      const Value* weights = node->operand(1);
      if (!body.movable(weights) || body.dependence(weights) != Dependence::none ||
          weights->type().shape.rank() != 2) {
        continue;
      }
      Value* result = multiply_table(body, *node, context);
      if (!result) result = multiply_memory(body, *node, steps);
      if (!result) continue;
      body.replace(node->result(), result);
      body.retire(node);
      changed = true;
    }
    return changed;
  });
}

}  // namespace refrain::passes
