#include "ir/einsum.h"
#include "ir/schema.h"
#include "ir/window.h"

namespace refrain::internal {
namespace {

// numpy.matmul: a vector gets a 1 before (left) or after (right) that the result lacks again.
Types matmul(const InferenceContext& c) {
  const ValueType &a = tensor_operand(c, 0), &b = tensor_operand(c, 1);
  require_same_element(c, 0, 1);
  if (!a.shape.ranked() || !b.shape.ranked())
    return {ValueType::tensor(a.element, Shape::unranked())};
  const size_t ra = a.shape.rank(), rb = b.shape.rank();
  if (ra == 0 || rb == 0) {
    fail("a scalar in a matrix product", "rank 1 or more", to_string(ra == 0 ? a : b));
  }
  const Dim inner_a = a.shape[ra - 1], inner_b = b.shape[rb == 1 ? 0 : rb - 2];
  if (provably_different(inner_a, inner_b)) {
    fail("matrix product does not fit", "equal inner extents",
         to_string(a.shape) + " by " + to_string(b.shape));
  }
  const auto batch = [](const Shape& shape) {
    std::vector<Dim> dims = shape.dims();
    dims.resize(dims.size() > 2 ? dims.size() - 2 : 0);
    return Shape(std::move(dims));
  };
  std::vector<Dim> dims = broadcast(batch(a.shape), batch(b.shape)).dims();
  if (ra > 1) dims.push_back(a.shape[ra - 2]);
  if (rb > 1) dims.push_back(b.shape[rb - 1]);
  return {ValueType::tensor(a.element, Shape(std::move(dims)))};
}

Types einsum(const InferenceContext& c) {
  const ElementType element = tensor_operand(c, 0).element;
  std::vector<size_t> ranks;
  for (size_t i = 0; i < c.operand_count(); ++i) {
    if (!c.has_operand(i)) fail("an einsum operand is absent", "a tensor", "none");
    require_same_element(c, 0, i);
    if (!tensor_operand(c, i).shape.ranked())
      return {ValueType::tensor(element, Shape::unranked())};
    ranks.push_back(c.operand(i).shape.rank());
  }
  const EinsumPlan plan = parse_einsum(c.node().string(A::equation), ranks);
  std::vector<Dim> extents(static_cast<size_t>(plan.labels), Dim(1));
  for (size_t i = 0; i < plan.operands.size(); ++i) {
    for (size_t k = 0; k < plan.operands[i].size(); ++k) {
      Dim& extent = extents[static_cast<size_t>(plan.operands[i][k])];
      extent = broadcast(Shape{extent}, Shape{c.operand(i).shape[k]})[0];
    }
  }
  std::vector<Dim> dims;
  for (int label : plan.result) dims.push_back(extents[static_cast<size_t>(label)]);
  return {ValueType::tensor(element, Shape(std::move(dims)))};
}

void require_spatial(const ValueType& x) {
  if (x.shape.rank() < 3) {
    fail("wrong rank of the input", "[batch, channels, spatial...]", to_string(x));
  }
}

void require_channels(Dim found, Dim expected, const char* what) {
  if (provably_different(found, expected)) fail(what, to_string(expected), to_string(found));
}

// What both convolutions ask of their operands. Returns the number of groups, or none if a rank is
// unknown.
std::optional<int64_t> convolution_groups(const InferenceContext& c) {
  const ValueType &x = tensor_operand(c, 0), &w = tensor_operand(c, 1);
  if (x.element == ElementType::boolean)
    fail("wrong operand type", "a number tensor", to_string(x));
  require_same_element(c, 0, 1);
  if (c.has_operand(2)) {
    require_same_element(c, 0, 2);
    require_rank(c, 2, 1);
  }
  if (!x.shape.ranked() || !w.shape.ranked()) return std::nullopt;
  require_spatial(x);
  require_rank(c, 1, x.shape.rank());
  const int64_t groups = c.node().integer(A::groups);
  if (groups < 1) fail("attribute groups out of range", "1 or more", std::to_string(groups));
  return groups;
}

// x [N, C, spatial...], w [M, C/groups, kernel...], bias [M] -> [N, M, spatial...]
Types conv(const InferenceContext& c) {
  const ValueType &x = c.operand(0), &w = c.operand(1);
  const std::optional<int64_t> known = convolution_groups(c);
  if (!known) return {ValueType::tensor(x.element, Shape::unranked())};
  const int64_t groups = *known;
  require_channels(x.shape[1], multiply(w.shape[1], groups),
                   "input channels don't fit the weights");
  if (w.shape[0].is_constant() && w.shape[0].extent() % groups != 0) {
    fail("output channels don't divide by groups", std::to_string(groups), to_string(w.shape[0]));
  }
  if (c.has_operand(2) && c.operand(2).shape.ranked()) {
    require_channels(c.operand(2).shape[0], w.shape[0], "wrong length of the bias");
  }
  std::vector<Dim> dims = {x.shape[0], w.shape[0]};
  const size_t spatial = x.shape.rank() - 2;
  const WindowAttributes attributes = window_attributes(c.node(), spatial);
  for (size_t i = 0; i < spatial; ++i) {
    const Dim input = x.shape[2 + i], kernel = w.shape[2 + i];
    dims.push_back(input.is_constant() && kernel.is_constant()
                       ? Dim(window_axis(attributes, i, input.extent(), kernel.extent()).output)
                       : Dim::unknown());
  }
  return {ValueType::tensor(x.element, Shape(std::move(dims)))};
}

// x [N, C, spatial...], w [C, M/groups, kernel...], bias [M] -> [N, M, spatial...]
Types conv_transpose(const InferenceContext& c) {
  const ValueType &x = c.operand(0), &w = c.operand(1);
  const std::optional<int64_t> known = convolution_groups(c);
  if (!known) return {ValueType::tensor(x.element, Shape::unranked())};
  const int64_t groups = *known;
  require_channels(x.shape[1], w.shape[0], "input channels don't fit the weights");
  if (x.shape[1].is_constant() && x.shape[1].extent() % groups != 0) {
    fail("input channels don't divide by groups", std::to_string(groups), to_string(x.shape[1]));
  }
  const Dim channels = multiply(w.shape[1], groups);
  if (c.has_operand(2) && c.operand(2).shape.ranked()) {
    require_channels(c.operand(2).shape[0], channels, "wrong length of the bias");
  }
  std::vector<Dim> dims = {x.shape[0], channels};
  const size_t spatial = x.shape.rank() - 2;
  const WindowAttributes attributes = window_attributes(c.node(), spatial);
  const auto &padding = c.node().integers(A::output_padding),
             &shape = c.node().integers(A::output_shape);
  if ((!padding.empty() && padding.size() != spatial) ||
      (!shape.empty() && shape.size() != spatial)) {
    fail("wrong length of output_padding or output_shape", std::to_string(spatial),
         std::to_string(padding.empty() ? shape.size() : padding.size()));
  }
  for (size_t i = 0; i < spatial; ++i) {
    const Dim input = x.shape[2 + i], kernel = w.shape[2 + i];
    dims.push_back(input.is_constant() && kernel.is_constant()
                       ? Dim(transposed_window_axis(attributes, i, input.extent(), kernel.extent(),
                                                    padding.empty() ? 0 : padding[i],
                                                    shape.empty() ? -1 : shape[i])
                                 .output)
                       : Dim::unknown());
  }
  return {ValueType::tensor(x.element, Shape(std::move(dims)))};
}

ValueType pooled(const InferenceContext& c, const ValueType& x) {
  if (!x.shape.ranked()) return x;
  require_spatial(x);
  const size_t spatial = x.shape.rank() - 2;
  const std::vector<int64_t>& kernel = c.node().integers(A::kernel);
  if (kernel.size() != spatial) {
    fail("wrong length of attribute kernel", std::to_string(spatial),
         std::to_string(kernel.size()));
  }
  const WindowAttributes attributes = window_attributes(c.node(), spatial);
  std::vector<Dim> dims = {x.shape[0], x.shape[1]};
  for (size_t i = 0; i < spatial; ++i) {
    if (kernel[i] < 1)
      fail("attribute kernel out of range", "1 or more", std::to_string(kernel[i]));
    const Dim input = x.shape[2 + i];
    dims.push_back(input.is_constant()
                       ? Dim(window_axis(attributes, i, input.extent(), kernel[i]).output)
                       : Dim::unknown());
  }
  return ValueType::tensor(x.element, Shape(std::move(dims)));
}

Types max_pool(const InferenceContext& c) {
  Types result = {pooled(c, tensor_operand(c, 0))};
  if (c.result_count() > 1) {
    result.push_back(ValueType::tensor(ElementType::i64, result[0].shape));
  }
  return result;
}

Types average_pool(const InferenceContext& c) { return {pooled(c, float_operand(c, 0))}; }

std::vector<AttributeSpec> window(std::vector<AttributeSpec> more) {
  const std::vector<int64_t> none;
  std::vector<AttributeSpec> result = {{A::strides, AT::integers, none},
                                       {A::dilations, AT::integers, none},
                                       {A::pads, AT::integers, none},
                                       {A::auto_pad, AT::string, std::string("none")}};
  result.insert(result.end(), more.begin(), more.end());
  return result;
}

}  // namespace

std::vector<OpSchema> product_schemas() {
  const std::vector<int64_t> none;
  return {
      {.op = Op::matmul, .min_operands = 2, .max_operands = 2, .infer = matmul},
      {.op = Op::einsum,
       .max_operands = kVariadic,
       .attributes = {{A::equation, AT::string, {}}},
       .infer = einsum},
      {.op = Op::conv,
       .min_operands = 2,
       .max_operands = 3,
       .attributes = window({{A::groups, AT::integer, int64_t{1}}}),
       .infer = conv},
      {.op = Op::conv_transpose,
       .min_operands = 2,
       .max_operands = 3,
       .attributes = window({{A::groups, AT::integer, int64_t{1}},
                             {A::output_padding, AT::integers, none},
                             {A::output_shape, AT::integers, none}}),
       .infer = conv_transpose},
      {.op = Op::max_pool,
       .max_results = 2,
       .attributes = window({{A::kernel, AT::integers, {}},
                             {A::ceil_mode, AT::boolean, false},
                             // indices of the second result count column by column if 1
                             {A::storage_order, AT::integer, int64_t{0}}}),
       .infer = max_pool},
      {.op = Op::average_pool,
       .attributes = window({{A::kernel, AT::integers, {}},
                             {A::ceil_mode, AT::boolean, false},
                             {A::count_include_pad, AT::boolean, false}}),
       .infer = average_pool},
  };
}

}  // namespace refrain::internal
