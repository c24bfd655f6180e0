#include "ir/schema.h"

namespace refrain::internal {
namespace {

Types with_axes(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  const bool keep = c.node().flag(A::keep_dims);
  std::optional<std::vector<int64_t>> axes;
  if (c.has_operand(1)) {
    index_operand(c, 1);
    axes = c.ints(1);
    if (!axes) {  // which axes go is known only at run time
      const Shape shape =
          keep && x.shape.ranked() ? Shape::unknown_of_rank(x.shape.rank()) : Shape::unranked();
      return {ValueType::tensor(x.element, shape)};
    }
  } else {
    axes.emplace();
  }
  if (!x.shape.ranked()) return {ValueType::tensor(x.element, Shape::unranked())};
  if (axes->empty() && c.node().flag(A::noop_with_empty_axes)) return {x};
  const size_t rank = x.shape.rank();
  const std::vector<bool> reduced =
      axes->empty() ? std::vector<bool>(rank, true) : axis_mask(*axes, rank);
  std::vector<Dim> dims;
  for (size_t i = 0; i < rank; ++i) {
    if (!reduced[i]) {
      dims.push_back(x.shape[i]);
    } else if (keep) {
      dims.push_back(1);
    }
  }
  return {ValueType::tensor(x.element, Shape(std::move(dims)))};
}

Types arg(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  if (!x.shape.ranked()) return {ValueType::tensor(ElementType::i64, Shape::unranked())};
  std::vector<Dim> dims = x.shape.dims();
  const size_t axis = normalize_axis(c.node().integer(A::axis), dims.size());
  if (dims[axis] == Dim(0)) fail("arg of an empty axis", "an extent of 1 or more", to_string(x));
  if (c.node().flag(A::keep_dims)) {
    dims[axis] = 1;
  } else {
    dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis));
  }
  return {ValueType::tensor(ElementType::i64, Shape(std::move(dims)))};
}

Types softmax(const InferenceContext& c) {
  const ValueType& x = float_operand(c, 0);
  if (x.shape.ranked()) normalize_axis(c.node().integer(A::axis), x.shape.rank());
  return {x};
}

Types cum_sum(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  index_operand(c, 1);
  if (const auto axis = c.ints(1); axis && x.shape.ranked()) {
    if (axis->size() != 1) fail("wrong axis operand", "one element", std::to_string(axis->size()));
    normalize_axis(axis->front(), x.shape.rank());
  }
  return {x};
}

Types top_k(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  index_operand(c, 1);
  Shape shape = x.shape;
  if (shape.ranked()) {
    const size_t axis = normalize_axis(c.node().integer(A::axis), shape.rank());
    const auto k = c.dims(1);
    if (k && k->size() != 1) fail("wrong k of top_k", "one element", std::to_string(k->size()));
    if (const auto exact = c.ints(1); exact && !exact->empty() && exact->front() < 0) {
      fail("k of top_k out of range", "0 or more", std::to_string(exact->front()));
    }
    const Dim count = k ? k->front() : Dim::unknown();
    if (count.is_constant() && shape[axis].is_constant() && count.extent() > shape[axis].extent()) {
      fail("k of top_k out of range", "at most " + to_string(shape[axis]), to_string(count));
    }
    shape[axis] = count;
  }
  return {ValueType::tensor(x.element, shape), ValueType::tensor(ElementType::i64, shape)};
}

OpSchema reduction(Op op) {
  // operands: x, axes (optional; without it, or empty, all axes)
  return {.op = op,
          .max_operands = 2,
          .attributes = {{A::keep_dims, AT::boolean, true},
                         {A::noop_with_empty_axes, AT::boolean, false}},
          .infer = with_axes};
}

OpSchema arg_reduction(Op op) {
  return {.op = op,
          .attributes = {{A::axis, AT::integer, int64_t{0}},
                         {A::keep_dims, AT::boolean, true},
                         {A::select_last, AT::boolean, false}},
          .infer = arg};
}

}  // namespace

std::vector<OpSchema> reduction_schemas() {
  return {
      reduction(Op::reduce_sum),
      reduction(Op::reduce_mean),
      reduction(Op::reduce_max),
      reduction(Op::reduce_min),
      reduction(Op::reduce_prod),
      arg_reduction(Op::arg_max),
      arg_reduction(Op::arg_min),
      {.op = Op::softmax, .attributes = {{A::axis, AT::integer, int64_t{-1}}}, .infer = softmax},
      {.op = Op::log_softmax,
       .attributes = {{A::axis, AT::integer, int64_t{-1}}},
       .infer = softmax},
      {.op = Op::cum_sum,
       .min_operands = 2,
       .max_operands = 2,
       .attributes = {{A::exclusive, AT::boolean, false}, {A::reverse, AT::boolean, false}},
       .infer = cum_sum},
      {.op = Op::top_k,
       .min_operands = 2,
       .max_operands = 2,
       .min_results = 2,
       .max_results = 2,
       .attributes = {{A::axis, AT::integer, int64_t{-1}},
                      {A::largest, AT::boolean, true},
                      {A::sorted, AT::boolean, true}},
       .infer = top_k},
  };
}

}  // namespace refrain::internal
