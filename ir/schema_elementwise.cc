#include "ir/schema.h"

namespace refrain::internal {
namespace {

Types numeric_unary(const InferenceContext& c) {
  const ValueType& type = tensor_operand(c, 0);
  if (type.element == ElementType::boolean)
    fail("wrong operand type", "a number tensor", to_string(type));
  return {type};
}
Types float_unary(const InferenceContext& c) { return {float_operand(c, 0)}; }
Types float_test(const InferenceContext& c) {
  return {ValueType::tensor(ElementType::boolean, float_operand(c, 0).shape)};
}

Types logical_unary(const InferenceContext& c) {
  const ValueType& type = tensor_operand(c, 0);
  if (type.element != ElementType::boolean)
    fail("wrong operand type", "a bool tensor", to_string(type));
  return {type};
}

Types cast(const InferenceContext& c) {
  return {ValueType::tensor(c.node().attribute<ElementType>(A::to), tensor_operand(c, 0).shape)};
}

Types binary(const InferenceContext& c) {
  const ValueType &x = tensor_operand(c, 0), &y = tensor_operand(c, 1);
  require_same_element(c, 0, 1);
  return {ValueType::tensor(x.element, broadcast(x.shape, y.shape))};
}

Types numeric_binary(const InferenceContext& c) {
  numeric_unary(c);
  return binary(c);
}

Types power(const InferenceContext& c) {  // the exponent may be of another number type
  numeric_unary(c);
  const ValueType &x = tensor_operand(c, 0), &y = tensor_operand(c, 1);
  if (y.element == ElementType::boolean) {
    fail("wrong type of the exponent", "a number tensor", to_string(y));
  }
  return {ValueType::tensor(x.element, broadcast(x.shape, y.shape))};
}

Types comparison(const InferenceContext& c) {
  return {ValueType::tensor(ElementType::boolean, binary(c)[0].shape)};
}

Types logical_binary(const InferenceContext& c) {
  logical_unary(c);
  return binary(c);
}

Types where(const InferenceContext& c) {
  const ValueType &condition = tensor_operand(c, 0), &x = tensor_operand(c, 1),
                  &y = tensor_operand(c, 2);
  if (condition.element != ElementType::boolean) {
    fail("wrong type of the condition", "a bool tensor", to_string(condition));
  }
  require_same_element(c, 1, 2);
  return {ValueType::tensor(x.element, broadcast(condition.shape, broadcast(x.shape, y.shape)))};
}

OpSchema unary(Op op, Types (*infer)(const InferenceContext&),
               std::vector<AttributeSpec> attributes = {}) {
  return {
      .op = op, .kind = OpKind::elementwise, .attributes = std::move(attributes), .infer = infer};
}

OpSchema broadcasting(Op op, int operands, Types (*infer)(const InferenceContext&),
                      std::vector<AttributeSpec> attributes = {}) {
  return {.op = op,
          .kind = OpKind::elementwise,
          .min_operands = operands,
          .max_operands = operands,
          .attributes = std::move(attributes),
          .infer = infer};
}

}  // namespace

std::vector<OpSchema> elementwise_schemas() {
  std::vector<OpSchema> result = {
      unary(Op::neg, numeric_unary),
      unary(Op::abs, numeric_unary),
      unary(Op::sign, numeric_unary),
      unary(Op::relu, numeric_unary),
      // alpha and gamma as in ONNX's operators of the same names
      unary(Op::leaky_relu, float_unary, {{A::alpha, AT::real, 0.01}}),
      unary(Op::elu, float_unary, {{A::alpha, AT::real, 1.0}}),
      unary(Op::selu, float_unary,
            {{A::alpha, AT::real, 1.67326319217681884765625},
             {A::gamma, AT::real, 1.05070102214813232421875}}),
      unary(Op::hard_sigmoid, float_unary, {{A::alpha, AT::real, 0.2}, {A::beta, AT::real, 0.5}}),
      unary(Op::thresholded_relu, float_unary, {{A::alpha, AT::real, 1.0}}),
      unary(Op::gelu, float_unary, {{A::approximate, AT::boolean, false}}),  // true: by tanh
      unary(Op::logical_not, logical_unary),
      unary(Op::is_nan, float_test),
      unary(Op::cast, cast, {{A::to, AT::element, {}}}),
      broadcasting(Op::mod, 2, numeric_binary, {{A::fmod, AT::boolean, false}}),
      broadcasting(Op::pow, 2, power),
      broadcasting(Op::where, 3, where),
  };
  for (Op op : {Op::sqrt,    Op::exp,  Op::log,      Op::erf,     Op::floor, Op::ceil,
                Op::round,   Op::sin,  Op::cos,      Op::tan,     Op::asin,  Op::acos,
                Op::atan,    Op::sinh, Op::cosh,     Op::asinh,   Op::acosh, Op::atanh,
                Op::sigmoid, Op::tanh, Op::softplus, Op::softsign}) {
    result.push_back(unary(op, float_unary));
  }
  for (Op op : {Op::add, Op::sub, Op::mul, Op::div, Op::max, Op::min, Op::prelu}) {
    result.push_back(broadcasting(op, 2, numeric_binary));
  }
  for (Op op : {Op::equal, Op::less, Op::less_equal, Op::greater, Op::greater_equal}) {
    result.push_back(broadcasting(op, 2, comparison));
  }
  for (Op op : {Op::logical_and, Op::logical_or, Op::logical_xor}) {
    result.push_back(broadcasting(op, 2, logical_binary));
  }
  return result;
}

}  // namespace refrain::internal
