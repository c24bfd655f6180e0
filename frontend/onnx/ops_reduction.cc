// Importers of reductions and what is made of them.
#include <limits>

#include "frontend/onnx/lower.h"

namespace refrain::onnx_import {
namespace {

// The attributes and the axes that every Reduce* has.
struct Reduction {
  Builder& builder;
  Value* axes;
  bool keep_dims;
  bool noop_with_empty_axes;

  // `input_since`: opset that made the axes an input.
  Reduction(NodeImport& node, int input_since)
      : builder(node.builder()),
        axes(axes_operand(node, input_since)),
        keep_dims(node.flag("keepdims", true)),
        noop_with_empty_axes(node.opset() >= input_since &&
                             node.flag("noop_with_empty_axes", false)) {}

  Value* apply(Op op, Value* x) const {
    return reduce(builder, op, x, axes, keep_dims, noop_with_empty_axes);
  }
  Value* apply_keeping(Op op, Value* x) const {
    return reduce(builder, op, x, axes, true, noop_with_empty_axes);
  }
};

constexpr int kSumAxesInput = 13, kAxesInput = 18;

template <Op op>
void import_reduce(NodeImport& node) {
  const Reduction reduction(node, op == Op::reduce_sum ? kSumAxesInput : kAxesInput);
  Value* x = node.input(0);
  if (x->type().element == ElementType::boolean && (op == Op::reduce_max || op == Op::reduce_min)) {
    Builder& b = node.builder();  // any and all; the IR orders numbers only
    node.set_output(0,
                    b.cast(reduction.apply(op, b.cast(x, ElementType::u8)), ElementType::boolean));
    return;
  }
  node.set_output(0, reduction.apply(op, x));
}

void import_reduce_l1(NodeImport& node) {
  const Reduction reduction(node, kAxesInput);
  node.set_output(0, reduction.apply(Op::reduce_sum, node.builder().op(Op::abs, {node.input(0)})));
}

void import_reduce_sum_square(NodeImport& node) {
  const Reduction reduction(node, kAxesInput);
  Value* x = node.input(0);
  node.set_output(0, reduction.apply(Op::reduce_sum, mul(node.builder(), x, x)));
}

// Integers are allowed where the IR's functions are not defined for them; f64 holds what they hold.
Value* as_float(Builder& builder, Value* x) {
  return is_float(x->type().element) ? x : builder.cast(x, ElementType::f64);
}

void import_reduce_l2(NodeImport& node) {
  const Reduction reduction(node, kAxesInput);
  Builder& b = node.builder();
  Value* x = as_float(b, node.input(0));
  Value* norm = b.op(Op::sqrt, {reduction.apply(Op::reduce_sum, mul(b, x, x))});
  node.set_output(0, b.cast(norm, node.input(0)->type().element));
}

void import_reduce_log_sum(NodeImport& node) {
  const Reduction reduction(node, kAxesInput);
  Builder& b = node.builder();
  Value* sum = reduction.apply(Op::reduce_sum, as_float(b, node.input(0)));
  node.set_output(0, b.cast(b.op(Op::log, {sum}), node.input(0)->type().element));
}

// log(sum(exp(x - m))) + m with m = max(x), so that exp neither overflows nor loses everything.
void import_reduce_log_sum_exp(NodeImport& node) {
  const Reduction reduction(node, kAxesInput);
  Builder& b = node.builder();
  Value* x = as_float(b, node.input(0));
  Value* zero = scalar_like(b, x, 0);
  Value* infinity = scalar_like(b, x, std::numeric_limits<double>::infinity());
  // An infinite maximum would give inf - inf.
  const auto finite = [&](Value* m) {
    return b.op(Op::where, {b.op(Op::equal, {b.op(Op::abs, {m}), infinity}), zero, m});
  };
  Value* kept = finite(reduction.apply_keeping(Op::reduce_max, x));
  Value* shift = reduction.keep_dims ? kept : finite(reduction.apply(Op::reduce_max, x));
  Value* sum = reduction.apply(Op::reduce_sum, b.op(Op::exp, {sub(b, x, kept)}));
  node.set_output(0, b.cast(add(b, b.op(Op::log, {sum}), shift), node.input(0)->type().element));
}

template <Op op>
void import_arg(NodeImport& node) {
  require_at_most_inputs(node, 1);
  node.set_output(
      0, node.builder().op(op, {node.input(0)},
                           {{AttributeName::axis, node.integer("axis", 0)},
                            {AttributeName::keep_dims, node.flag("keepdims", true)},
                            {AttributeName::select_last, node.flag("select_last_index", false)}}));
}

// Since opset 13 these ops work along one axis, the last one by default. Before, they worked along
// all axes from `axis` (1 by default) to the last, taken as one.
template <typename AlongAxis>
void import_along_axis(NodeImport& node, const AlongAxis& along_axis) {
  require_at_most_inputs(node, 1);
  Value* x = node.input(0);
  if (node.opset() >= 13) {
    node.set_output(0, along_axis(x, node.integer("axis", -1)));
    return;
  }
  int64_t axis = node.integer("axis", 1);
  if (axis != -1) {
    const size_t rank = node.rank(0);
    // A vector has no axis 1; its flattened form [n, 1] is one row an element.
    const size_t first = resolve_axis(axis, rank, true);
    if (first + 1 != rank) {
      Value* merged = merge_from(node.builder(), x, first);
      node.set_output(0, reshape_like(node.builder(), along_axis(merged, -1), x));
      return;
    }
    axis = -1;
  }
  node.set_output(0, along_axis(x, axis));
}

template <Op op>
void import_softmax(NodeImport& node) {
  import_along_axis(node, [&](Value* x, int64_t axis) {
    return node.builder().op(op, {x}, {{AttributeName::axis, axis}});
  });
}

// One where the first maximum is, zero elsewhere.
void import_hardmax(NodeImport& node) {
  import_along_axis(node, [&](Value* x, int64_t axis) {
    Builder& b = node.builder();
    Value* index = b.op(Op::arg_max, {x},
                        {{AttributeName::axis, axis},
                         {AttributeName::keep_dims, false},
                         {AttributeName::select_last, false}});
    Value* depth =
        b.op(Op::gather, {extents_of(b, x), b.scalar(axis)}, {{AttributeName::axis, int64_t{0}}});
    Value* values = b.cast(b.ints({0, 1}), x->type().element);
    return b.op(Op::one_hot, {index, depth, values}, {{AttributeName::axis, axis}});
  });
}

void import_cum_sum(NodeImport& node) {
  require_at_most_inputs(node, 2);
  node.set_output(0, node.builder().op(Op::cum_sum, {node.input(0), node.input(1)},
                                       {{AttributeName::exclusive, node.flag("exclusive", false)},
                                        {AttributeName::reverse, node.flag("reverse", false)}}));
}

void import_top_k(NodeImport& node) {
  Builder& b = node.builder();
  Value* k = nullptr;
  if (node.opset() < 10) {
    require_at_most_inputs(node, 1);
    k = b.ints({node.integer("k")});
  } else {
    require_at_most_inputs(node, 2);
    k = node.input(1);
  }
  Value* operands[] = {node.input(0), k};
  node.set_outputs(*b.create(Op::top_k, operands,
                             {{AttributeName::axis, node.integer("axis", -1)},
                              {AttributeName::largest, node.flag("largest", true)},
                              {AttributeName::sorted, node.flag("sorted", true)}},
                             2));
}

}  // namespace

std::vector<OpEntry> reduction_ops() {
  return {
      {"ReduceSum", import_reduce<Op::reduce_sum>},
      {"ReduceMean", import_reduce<Op::reduce_mean>},
      {"ReduceMax", import_reduce<Op::reduce_max>},
      {"ReduceMin", import_reduce<Op::reduce_min>},
      {"ReduceProd", import_reduce<Op::reduce_prod>},
      {"ReduceL1", import_reduce_l1},
      {"ReduceL2", import_reduce_l2},
      {"ReduceSumSquare", import_reduce_sum_square},
      {"ReduceLogSum", import_reduce_log_sum},
      {"ReduceLogSumExp", import_reduce_log_sum_exp},
      {"ArgMax", import_arg<Op::arg_max>},
      {"ArgMin", import_arg<Op::arg_min>},
      {"Softmax", import_softmax<Op::softmax>},
      {"LogSoftmax", import_softmax<Op::log_softmax>},
      {"Hardmax", import_hardmax},
      {"CumSum", import_cum_sum, 11},
      {"TopK", import_top_k},
  };
}

}  // namespace refrain::onnx_import
