// Slices, gathers, scatters, padding.
#include <algorithm>
#include <limits>

#include "ir/schema.h"
#include "ir/slice.h"

namespace refrain::internal {
namespace {

Types slice(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  for (size_t i = 1; i < c.operand_count(); ++i) {
    if (c.has_operand(i)) {
      index_operand(c, i);
      require_rank(c, i, 1);
    }
  }
  if (!x.shape.ranked()) return {x};
  const auto begins = c.ints(1), ends = c.ints(2);
  std::optional<std::vector<int64_t>> axes, steps;
  if (c.has_operand(3)) {
    axes = c.ints(3);
    if (!axes) return {ValueType::tensor(x.element, Shape::unknown_of_rank(x.shape.rank()))};
  } else {
    const ValueType& type = c.operand(1);
    if (!type.shape.ranked() || !type.shape[0].is_constant()) {
      return {ValueType::tensor(x.element, Shape::unknown_of_rank(x.shape.rank()))};
    }
    axes.emplace();
    const int64_t count = type.shape[0].extent();
    if (count > static_cast<int64_t>(x.shape.rank()))
      fail("more bounds than axes", to_string(x), std::to_string(count));
    for (int64_t i = 0; i < count; ++i) axes->push_back(i);
  }
  steps = c.has_operand(4) ? c.ints(4) : std::vector<int64_t>(axes->size(), 1);
  axis_mask(*axes, x.shape.rank());
  const auto require_length = [&](const std::optional<std::vector<int64_t>>& list) {
    if (list && list->size() != axes->size()) {
      fail("slice operands differ in length", std::to_string(axes->size()),
           std::to_string(list->size()));
    }
  };
  require_length(begins);
  require_length(ends);
  require_length(steps);
  Shape shape = x.shape;
  for (size_t k = 0; k < axes->size(); ++k) {
    const size_t axis = normalize_axis((*axes)[k], shape.rank());
    if (steps && (*steps)[k] == 0) fail("slice with step 0", "another step", "0");
    Dim extent;
    if (begins && ends && steps) {
      const int64_t begin = (*begins)[k], end = (*ends)[k], step = (*steps)[k];
      const Dim whole = shape[axis];
      if (whole.is_constant()) {
        extent = clamp_slice(whole.extent(), begin, end, step).count;
      } else if (step == 1 && begin == 0 && end == std::numeric_limits<int64_t>::max()) {
        extent = whole;
      } else if (step == -1 && begin == -1 && end <= -std::numeric_limits<int64_t>::max()) {
        extent = whole;
      }
    }
    shape[axis] = extent;
  }
  return {ValueType::tensor(x.element, shape)};
}

Types gather(const InferenceContext& c) {
  const ValueType &x = tensor_operand(c, 0), &indices = index_operand(c, 1);
  if (!x.shape.ranked() || !indices.shape.ranked())
    return {ValueType::tensor(x.element, Shape::unranked())};
  const size_t axis = normalize_axis(c.node().integer(A::axis), x.shape.rank());
  std::vector<Dim> dims(x.shape.dims().begin(),
                        x.shape.dims().begin() + static_cast<std::ptrdiff_t>(axis));
  dims.insert(dims.end(), indices.shape.dims().begin(), indices.shape.dims().end());
  dims.insert(dims.end(), x.shape.dims().begin() + static_cast<std::ptrdiff_t>(axis) + 1,
              x.shape.dims().end());
  return {ValueType::tensor(x.element, Shape(std::move(dims)))};
}

Types gather_elements(const InferenceContext& c) {
  const ValueType &x = tensor_operand(c, 0), &indices = index_operand(c, 1);
  if (x.shape.ranked()) {
    normalize_axis(c.node().integer(A::axis), x.shape.rank());
    require_rank(c, 1, x.shape.rank());
  }
  return {ValueType::tensor(x.element, indices.shape)};
}

Types gather_nd(const InferenceContext& c) {
  const ValueType &x = tensor_operand(c, 0), &indices = index_operand(c, 1);
  const int64_t batch = c.node().integer(A::batch_dims);
  if (indices.shape.ranked() && indices.shape.rank() == 0) {
    fail("indices are a scalar", "rank 1 or more", to_string(indices));
  }
  if (!x.shape.ranked() || !indices.shape.ranked() ||
      !indices.shape[indices.shape.rank() - 1].is_constant()) {
    return {ValueType::tensor(x.element, Shape::unranked())};
  }
  const size_t q = indices.shape.rank();
  const int64_t depth = indices.shape[q - 1].extent();
  if (batch < 0 || static_cast<size_t>(batch) >= q || depth < 1 ||
      depth > static_cast<int64_t>(x.shape.rank()) - batch) {
    fail("indices don't fit the data", "an index for each of some leading axes",
         to_string(indices) + " into " + to_string(x));
  }
  std::vector<Dim> dims(indices.shape.dims().begin(), indices.shape.dims().end() - 1);
  dims.insert(dims.end(), x.shape.dims().begin() + batch + depth, x.shape.dims().end());
  return {ValueType::tensor(x.element, Shape(std::move(dims)))};
}

void check_reduction(const InferenceContext& c) {
  const std::string& reduction = c.node().string(A::reduction);
  for (const char* known : {"none", "add", "mul", "max", "min"}) {
    if (reduction == known) return;
  }
  fail("wrong attribute reduction", "none, add, mul, max or min", reduction);
}

Types scatter(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  index_operand(c, 1);
  tensor_operand(c, 2);
  require_same_element(c, 0, 2);
  check_reduction(c);
  return {x};
}

Types scatter_nd(const InferenceContext& c) {
  const Types result = scatter(c);
  const Shape &data = c.operand(0).shape, &indices = c.operand(1).shape,
              &updates = c.operand(2).shape;
  if (!data.ranked() || !indices.ranked() || !updates.ranked()) return result;
  if (indices.rank() == 0) fail("indices are a scalar", "rank 1 or more", to_string(indices));
  const Dim depth = indices[indices.rank() - 1];
  if (!depth.is_constant()) return result;
  if (depth.extent() < 1 || depth.extent() > static_cast<int64_t>(data.rank())) {
    fail("indices don't fit the data", "an index for some leading axes of " + to_string(data),
         to_string(indices));
  }
  std::vector<Dim> expected(indices.dims().begin(), indices.dims().end() - 1);
  expected.insert(expected.end(), data.dims().begin() + depth.extent(), data.dims().end());
  meet(Shape(std::move(expected)), updates);  // throws where they contradict
  return result;
}

Types scatter_elements(const InferenceContext& c) {
  const Types result = scatter(c);
  if (result[0].shape.ranked()) normalize_axis(c.node().integer(A::axis), result[0].shape.rank());
  meet(c.operand(1).shape, c.operand(2).shape);
  return result;
}

// pads: begin of each axis (of `axes`, or all), then end of each; negative ones crop.
Types pad(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  index_operand(c, 1);
  require_rank(c, 1, 1);
  const std::string& mode = c.node().string(A::mode);
  if (mode != "constant" && mode != "reflect" && mode != "edge" && mode != "wrap") {
    fail("wrong attribute mode", "constant, reflect, edge or wrap", mode);
  }
  if (c.has_operand(2)) require_same_element(c, 0, 2);
  if (c.has_operand(3)) index_operand(c, 3);
  if (!x.shape.ranked()) return {x};
  const size_t rank = x.shape.rank();
  const auto pads = c.ints(1);
  std::vector<int64_t> axes;
  if (c.has_operand(3)) {
    const auto given = c.ints(3);
    if (!given) return {ValueType::tensor(x.element, Shape::unknown_of_rank(rank))};
    axes = *given;
  } else {
    for (size_t i = 0; i < rank; ++i) axes.push_back(static_cast<int64_t>(i));
  }
  axis_mask(axes, rank);
  if (!pads) return {ValueType::tensor(x.element, Shape::unknown_of_rank(rank))};
  if (pads->size() != 2 * axes.size()) {
    fail("wrong number of pads", std::to_string(2 * axes.size()), std::to_string(pads->size()));
  }
  Shape shape = x.shape;
  for (size_t k = 0; k < axes.size(); ++k) {
    const size_t axis = normalize_axis(axes[k], rank);
    int64_t total = 0, extent = 0;
    if (__builtin_add_overflow((*pads)[k], (*pads)[k + axes.size()], &total)) {
      fail("padding overflows", "less than 2^63", "more");
    }
    if (total == 0 && (*pads)[k] == 0) continue;
    if (!shape[axis].is_constant()) {
      shape[axis] = Dim::unknown();
      continue;
    }
    if (__builtin_add_overflow(shape[axis].extent(), total, &extent) || extent < 0) {
      fail("padding leaves no valid extent", "0..2^63-1",
           to_string(shape[axis]) + " + " + std::to_string(total));
    }
    shape[axis] = extent;
  }
  return {ValueType::tensor(x.element, shape)};
}

Types one_hot(const InferenceContext& c) {
  const ValueType &indices = tensor_operand(c, 0), &values = tensor_operand(c, 2);
  tensor_operand(c, 1);
  if (!indices.shape.ranked()) return {ValueType::tensor(values.element, Shape::unranked())};
  std::vector<Dim> dims = indices.shape.dims();
  const size_t axis = normalize_axis(c.node().integer(A::axis), dims.size() + 1);
  Dim depth;
  if (const auto known = c.constant(1)) {  // may be of any number type
    if (known->size() != 1)
      fail("wrong depth of one_hot", "one element", std::to_string(known->size()));
    const double value = known->as_doubles()[0];
    if (!(value >= 0 && value < 9e18))
      fail("depth of one_hot out of range", "0 or more", std::to_string(value));
    depth = static_cast<int64_t>(value);
  } else if (const auto symbol = c.dims(1); symbol && symbol->size() == 1) {
    depth = symbol->front();
  }
  dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis), depth);
  return {ValueType::tensor(values.element, Shape(std::move(dims)))};
}

Types trilu(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  if (c.has_operand(1)) index_operand(c, 1);
  if (x.shape.ranked() && x.shape.rank() < 2) fail("wrong rank", "2 or more", to_string(x));
  return {x};
}

Types reverse_sequence(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  index_operand(c, 1);
  require_rank(c, 1, 1);
  if (x.shape.ranked()) {
    if (normalize_axis(c.node().integer(A::axis), x.shape.rank()) ==
        normalize_axis(c.node().integer(A::batch_axis), x.shape.rank())) {
      fail("time and batch are the same axis", "two axes",
           std::to_string(c.node().integer(A::axis)));
    }
  }
  return {x};
}

}  // namespace

std::vector<OpSchema> indexing_schemas() {
  const AttributeSpec axis0 = {A::axis, AT::integer, int64_t{0}};
  const AttributeSpec reduction = {A::reduction, AT::string, std::string("none")};
  return {
      // operands: x, begins, ends, axes (optional: the first ones), steps (optional: 1)
      {.op = Op::slice, .min_operands = 3, .max_operands = 5, .infer = slice},
      {.op = Op::gather,
       .min_operands = 2,
       .max_operands = 2,
       .attributes = {axis0},
       .infer = gather},
      {.op = Op::gather_elements,
       .min_operands = 2,
       .max_operands = 2,
       .attributes = {axis0},
       .infer = gather_elements},
      {.op = Op::gather_nd,
       .min_operands = 2,
       .max_operands = 2,
       .attributes = {{A::batch_dims, AT::integer, int64_t{0}}},
       .infer = gather_nd},
      {.op = Op::scatter_nd,
       .min_operands = 3,
       .max_operands = 3,
       .attributes = {reduction},
       .infer = scatter_nd},
      {.op = Op::scatter_elements,
       .min_operands = 3,
       .max_operands = 3,
       .attributes = {axis0, reduction},
       .infer = scatter_elements},
      // operands: x, pads, value (optional: 0), axes (optional: all)
      {.op = Op::pad,
       .min_operands = 2,
       .max_operands = 4,
       .attributes = {{A::mode, AT::string, std::string("constant")}},
       .infer = pad},
      // operands: indices, depth, values [off, on]
      {.op = Op::one_hot,
       .min_operands = 3,
       .max_operands = 3,
       .attributes = {{A::axis, AT::integer, int64_t{-1}}},
       .infer = one_hot},
      {.op = Op::trilu,
       .max_operands = 2,
       .attributes = {{A::upper, AT::boolean, true}},
       .infer = trilu},
      {.op = Op::reverse_sequence,
       .min_operands = 2,
       .max_operands = 2,
       .attributes = {axis0, {A::batch_axis, AT::integer, int64_t{1}}},
       .infer = reverse_sequence},
  };
}

}  // namespace refrain::internal
