// Leaves, and ops that change shapes.
#include <algorithm>
#include <cmath>

#include "ir/schema.h"

namespace refrain::internal {
namespace {

Types constant(const InferenceContext& c) {
  const TensorPtr& tensor = c.node().attribute<TensorPtr>(A::value);
  if (!tensor) fail("a constant without a tensor", "a tensor", "none");
  return {ValueType::tensor(tensor->type(), Shape::of_extents(tensor->extents()))};
}

Types dims(const InferenceContext& c) {
  const auto& dims = c.node().attribute<std::vector<Dim>>(A::dims);
  for (Dim dim : dims) {
    if (dim.is_unknown()) fail("dims holds an unknown dimension", "constants and symbols", "?");
  }
  if (!c.node().flag(A::keep_dims)) {
    if (dims.size() != 1)
      fail("wrong number of dimensions for a scalar", "1", std::to_string(dims.size()));
    return {ValueType::tensor(ElementType::i64, {})};
  }
  return {ValueType::tensor(ElementType::i64, {Dim(static_cast<int64_t>(dims.size()))})};
}

// ONNX's Shape: attributes start and end clamp to the rank.
Types shape_of(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  if (!x.shape.ranked()) return {ValueType::tensor(ElementType::i64, {Dim::unknown()})};
  const auto rank = static_cast<int64_t>(x.shape.rank());
  const auto clamp = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + rank : i, 0, rank); };
  const int64_t begin = clamp(c.node().integer(A::start)), end = clamp(c.node().integer(A::end));
  return {ValueType::tensor(ElementType::i64, {Dim(std::max<int64_t>(0, end - begin))})};
}

// Shape that a 1-D operand of extents describes, as far as it is known.
Shape shape_operand(const InferenceContext& c, size_t i) {
  const ValueType& type = index_operand(c, i);
  require_rank(c, i, 1);
  if (auto dims = c.dims(i)) return Shape(std::move(*dims));
  if (const auto values = c.ints(i)) {
    fail("negative extent", "0 or more",
         std::to_string(*std::min_element(values->begin(), values->end())));
  }
  if (type.shape.ranked() && type.shape[0].is_constant()) {
    if (type.shape[0].extent() > kMaxRank)
      fail("rank too large", std::to_string(kMaxRank), to_string(type));
    return Shape::unknown_of_rank(static_cast<size_t>(type.shape[0].extent()));
  }
  return Shape::unranked();
}

// The extent that reshape's -1 stands for: what is left of `from` when the other extents of `to`
// are divided out, symbol by symbol.
Dim remaining_extent(const Shape& from, const std::vector<Dim>& to, size_t wildcard) {
  int64_t numerator = 1, denominator = 1;
  std::vector<Dim> symbols;
  for (Dim dim : from.dims()) {
    if (dim.is_unknown()) return Dim::unknown();
    if (dim.is_symbol()) {
      symbols.push_back(dim);
    } else if (__builtin_mul_overflow(numerator, dim.extent(), &numerator)) {
      return Dim::unknown();
    }
  }
  for (size_t i = 0; i < to.size(); ++i) {
    if (i == wildcard) continue;
    if (to[i].is_constant()) {
      if (__builtin_mul_overflow(denominator, to[i].extent(), &denominator)) return Dim::unknown();
      continue;
    }
    const auto it = std::find(symbols.begin(), symbols.end(), to[i]);
    if (to[i].is_unknown() || it == symbols.end()) return Dim::unknown();
    symbols.erase(it);
  }
  if (symbols.empty()) {
    if (denominator == 0 || numerator % denominator != 0) {
      fail("reshape does not fit", "extents that divide " + to_string(from), to_string(Shape(to)));
    }
    return numerator / denominator;
  }
  return symbols.size() == 1 && numerator == denominator && numerator != 0 ? symbols[0]
                                                                           : Dim::unknown();
}

Types reshape(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  const bool allow_zero = c.node().flag(A::allow_zero);
  std::vector<Dim> dims;
  size_t wildcard = SIZE_MAX;
  if (const auto values = c.ints(1)) {
    require_rank(c, 1, 1);
    for (size_t i = 0; i < values->size(); ++i) {
      const int64_t extent = (*values)[i];
      if (extent == -1 && wildcard == SIZE_MAX) {
        wildcard = i;
        dims.push_back(Dim::unknown());
      } else if (extent == 0 && !allow_zero) {  // 0 copies the extent at the same place
        if (x.shape.ranked() && i >= x.shape.rank()) {
          fail("reshape copies an extent that is not there", to_string(x),
               "0 at " + std::to_string(i));
        }
        dims.push_back(x.shape.ranked() ? x.shape[i] : Dim::unknown());
      } else if (extent < 0) {
        fail("wrong extent in reshape", "0 or more, or one -1", std::to_string(extent));
      } else {
        dims.push_back(extent);
      }
    }
  } else {
    const Shape shape = shape_operand(c, 1);
    if (!shape.ranked()) return {ValueType::tensor(x.element, shape)};
    dims = shape.dims();
  }
  if (x.shape.ranked()) {
    if (wildcard != SIZE_MAX) {
      dims[wildcard] = remaining_extent(x.shape, dims, wildcard);
    } else if (x.shape.is_static() && Shape(dims).is_static() &&
               element_count(x.shape.extents()) != element_count(Shape(dims).extents())) {
      fail("reshape changes the number of elements", to_string(x), to_string(Shape(dims)));
    }
  }
  return {ValueType::tensor(x.element, Shape(std::move(dims)))};
}

Types squeeze(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  const Types unranked = {ValueType::tensor(x.element, Shape::unranked())};
  if (c.has_operand(1)) index_operand(c, 1);
  if (!x.shape.ranked()) return unranked;
  const size_t rank = x.shape.rank();
  std::vector<bool> removed(rank);
  if (!c.has_operand(1)) {  // every axis of extent 1
    if (!x.shape.is_static()) return unranked;
    for (size_t i = 0; i < rank; ++i) removed[i] = x.shape[i] == Dim(1);
  } else {
    const auto axes = c.ints(1);
    if (!axes) return unranked;
    removed = axis_mask(*axes, rank);
  }
  std::vector<Dim> dims;
  for (size_t i = 0; i < rank; ++i) {
    if (!removed[i]) {
      dims.push_back(x.shape[i]);
    } else if (provably_different(x.shape[i], 1)) {
      fail("squeeze of an axis that is not 1", "1", to_string(x.shape[i]));
    }
  }
  return {ValueType::tensor(x.element, Shape(std::move(dims)))};
}

Types unsqueeze(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  index_operand(c, 1);
  const auto axes = c.ints(1);
  if (!axes || !x.shape.ranked()) return {ValueType::tensor(x.element, Shape::unranked())};
  const size_t rank = x.shape.rank() + axes->size();
  if (rank > static_cast<size_t>(kMaxRank))
    fail("rank too large", std::to_string(kMaxRank), std::to_string(rank));
  const std::vector<bool> added = axis_mask(*axes, rank);
  std::vector<Dim> dims;
  for (size_t i = 0, from = 0; i < rank; ++i) dims.push_back(added[i] ? Dim(1) : x.shape[from++]);
  return {ValueType::tensor(x.element, Shape(std::move(dims)))};
}

Types transpose(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  const std::vector<int64_t>& perm = c.node().integers(A::perm);
  if (!x.shape.ranked()) {
    return {ValueType::tensor(x.element, Shape::unknown_of_rank(perm.size()))};
  }
  if (perm.size() != x.shape.rank()) {
    fail("wrong length of perm", std::to_string(x.shape.rank()), std::to_string(perm.size()));
  }
  axis_mask(perm, perm.size());  // distinct and in range
  std::vector<Dim> dims;
  for (int64_t axis : perm) dims.push_back(x.shape[normalize_axis(axis, perm.size())]);
  return {ValueType::tensor(x.element, Shape(std::move(dims)))};
}

Types expand(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  return {ValueType::tensor(x.element, broadcast(x.shape, shape_operand(c, 1)))};
}

Types tile(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  const Shape repeats = shape_operand(c, 1);  // read like a shape: one count an axis
  if (!x.shape.ranked() || !repeats.ranked())
    return {ValueType::tensor(
        x.element, x.shape.ranked() ? Shape::unknown_of_rank(x.shape.rank()) : Shape::unranked())};
  if (repeats.rank() != x.shape.rank()) {
    fail("wrong number of repeats", std::to_string(x.shape.rank()), std::to_string(repeats.rank()));
  }
  Shape shape = x.shape;
  for (size_t i = 0; i < shape.rank(); ++i) shape[i] = multiply(shape[i], repeats[i]);
  return {ValueType::tensor(x.element, shape)};
}

Types fill(const InferenceContext& c) {
  const TensorPtr& value = c.node().attribute<TensorPtr>(A::value);
  if (!value || value->size() != 1) fail("wrong value of fill", "one element", "another number");
  return {ValueType::tensor(value->type(), shape_operand(c, 0))};
}

Types range(const InferenceContext& c) {
  const ValueType& start = tensor_operand(c, 0);
  for (size_t i = 0; i < 3; ++i) {
    tensor_operand(c, i);
    require_same_element(c, 0, i);
  }
  const auto begin = c.constant(0), limit = c.constant(1), step = c.constant(2);
  if (!begin || !limit || !step) return {ValueType::tensor(start.element, {Dim::unknown()})};
  if (begin->size() != 1 || limit->size() != 1 || step->size() != 1) {
    fail("wrong operands of range", "scalars", "tensors of another size");
  }
  int64_t count = 0;
  if (is_float(start.element)) {
    const double by = step->as_doubles()[0];
    const double exact = std::ceil((limit->as_doubles()[0] - begin->as_doubles()[0]) / by);
    if (by == 0 || !(std::abs(exact) < 9e18))
      fail("range has no finite length", "a step that reaches the limit", std::to_string(by));
    count = static_cast<int64_t>(std::max(0.0, exact));
  } else {
    const __int128 by = step->as_ints()[0];
    if (by == 0) fail("range has no finite length", "a step other than 0", "0");
    const __int128 distance = static_cast<__int128>(limit->as_ints()[0]) - begin->as_ints()[0];
    const __int128 steps = distance / by + (distance % by != 0 && (distance < 0) == (by < 0));
    if (steps > INT64_MAX) fail("range is too long", "less than 2^63 elements", "more");
    count = steps < 0 ? 0 : static_cast<int64_t>(steps);
  }
  return {ValueType::tensor(start.element, {Dim(count)})};
}

Types concat(const InferenceContext& c) {
  const ValueType& first = tensor_operand(c, 0);
  Shape shape = Shape::unranked();
  for (size_t i = 0; i < c.operand_count(); ++i) {
    if (!c.has_operand(i)) fail("a concat operand is absent", "a tensor", "none");
    const ValueType& x = tensor_operand(c, i);
    require_same_element(c, 0, i);
    if (!x.shape.ranked()) return {ValueType::tensor(first.element, Shape::unranked())};
    const size_t axis = normalize_axis(c.node().integer(A::axis), x.shape.rank());
    if (i == 0) {
      shape = x.shape;
      continue;
    }
    if (x.shape.rank() != shape.rank())
      fail("concat operands differ in rank", to_string(first), to_string(x));
    for (size_t k = 0; k < shape.rank(); ++k) {
      if (k == axis) {
        shape[k] = add(shape[k], x.shape[k]);
      } else if (provably_different(shape[k], x.shape[k])) {
        fail("concat operands differ in extent", to_string(first), to_string(x));
      } else {
        shape[k] = meet(shape[k], x.shape[k]);
      }
    }
  }
  return {ValueType::tensor(first.element, shape)};
}

// Without sizes: result_count() equal parts, the last one smaller if it does not divide.
Types split(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  const auto parts = static_cast<int64_t>(c.result_count());
  if (c.has_operand(1)) index_operand(c, 1);
  Types results(c.result_count(), x);
  if (!x.shape.ranked()) return results;
  const size_t axis = normalize_axis(c.node().integer(A::axis), x.shape.rank());
  const Dim extent = x.shape[axis];
  std::vector<Dim> sizes(c.result_count());
  if (c.has_operand(1)) {
    if (const auto given = c.dims(1)) {
      if (given->size() != sizes.size()) {
        fail("wrong number of split sizes", std::to_string(sizes.size()),
             std::to_string(given->size()));
      }
      sizes = *given;
      Dim sum = 0;
      for (Dim size : sizes) sum = add(sum, size);
      if (provably_different(sum, extent))
        fail("split sizes don't add up", to_string(extent), to_string(sum));
    } else if (c.ints(1)) {
      fail("negative split size", "0 or more", "less");
    }
  } else if (extent.is_constant()) {
    const int64_t size = (extent.extent() + parts - 1) / parts;
    for (int64_t i = 0; i < parts; ++i) {
      sizes[static_cast<size_t>(i)] = std::clamp<int64_t>(extent.extent() - i * size, 0, size);
    }
  }
  for (size_t i = 0; i < sizes.size(); ++i) results[i].shape[axis] = sizes[i];
  return results;
}

}  // namespace

std::vector<OpSchema> shape_schemas() {
  const auto end_of_shape = std::numeric_limits<int64_t>::max();
  return {
      {.op = Op::constant,
       .kind = OpKind::leaf,
       .min_operands = 0,
       .max_operands = 0,
       .attributes = {{A::value, AT::tensor, {}}},
       .infer = constant},
      // i64 tensor of extents: constants, and symbols as the inputs bind them; a scalar without
      // keep_dims
      {.op = Op::dims,
       .kind = OpKind::leaf,
       .min_operands = 0,
       .max_operands = 0,
       .attributes = {{A::dims, AT::dims, {}}, {A::keep_dims, AT::boolean, true}},
       .infer = dims},
      {.op = Op::shape,
       .attributes = {{A::start, AT::integer, int64_t{0}}, {A::end, AT::integer, end_of_shape}},
       .infer = shape_of},
      {.op = Op::reshape,
       .min_operands = 2,
       .max_operands = 2,
       .attributes = {{A::allow_zero, AT::boolean, false}},
       .infer = reshape},
      {.op = Op::squeeze, .max_operands = 2, .infer = squeeze},
      {.op = Op::unsqueeze, .min_operands = 2, .max_operands = 2, .infer = unsqueeze},
      {.op = Op::transpose, .attributes = {{A::perm, AT::integers, {}}}, .infer = transpose},
      {.op = Op::expand, .min_operands = 2, .max_operands = 2, .infer = expand},
      {.op = Op::tile, .min_operands = 2, .max_operands = 2, .infer = tile},
      {.op = Op::fill, .attributes = {{A::value, AT::tensor, {}}}, .infer = fill},
      {.op = Op::range, .min_operands = 3, .max_operands = 3, .infer = range},
      {.op = Op::concat,
       .max_operands = kVariadic,
       .attributes = {{A::axis, AT::integer, {}}},
       .infer = concat},
      {.op = Op::split,
       .max_operands = 2,
       .max_results = kVariadic,
       .attributes = {{A::axis, AT::integer, int64_t{0}}},
       .infer = split},
  };
}

}  // namespace refrain::internal
