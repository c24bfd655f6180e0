// Importers of element-wise ops.
#include <limits>

#include "frontend/onnx/lower.h"
#include "frontend/onnx/tensor_proto.h"
#include "ir/error.h"

namespace refrain::onnx_import {
namespace {

// ---- one IR op with attributes

template <Op op>
void import_alpha(NodeImport& node) {
  require_at_most_inputs(node, 1);
  const double default_alpha = op == Op::leaky_relu ? 0.01 : 1.0;
  node.set_output(0,
                  node.builder().op(op, {node.input(0)},
                                    {{AttributeName::alpha, node.real("alpha", default_alpha)}}));
}

void import_selu(NodeImport& node) {
  require_at_most_inputs(node, 1);
  node.set_output(0, node.builder().op(
                         Op::selu, {node.input(0)},
                         {{AttributeName::alpha, node.real("alpha", 1.67326319217681884765625)},
                          {AttributeName::gamma, node.real("gamma", 1.05070102214813232421875)}}));
}

void import_hard_sigmoid(NodeImport& node) {
  require_at_most_inputs(node, 1);
  node.set_output(0, node.builder().op(Op::hard_sigmoid, {node.input(0)},
                                       {{AttributeName::alpha, node.real("alpha", 0.2)},
                                        {AttributeName::beta, node.real("beta", 0.5)}}));
}

void import_gelu(NodeImport& node) {
  require_at_most_inputs(node, 1);
  const std::string approximate = node.string("approximate", "none");
  if (approximate != "none" && approximate != "tanh")
    node.unsupported("approximate = " + approximate);
  node.set_output(0, node.builder().op(Op::gelu, {node.input(0)},
                                       {{AttributeName::approximate, approximate == "tanh"}}));
}

void import_mod(NodeImport& node) {
  require_at_most_inputs(node, 2);
  const bool fmod = node.flag("fmod", false);
  if (!fmod && is_float(node.input(0)->type().element)) {
    throw Error("Mod of floating-point operands without fmod", "fmod = 1", "fmod = 0");
  }
  node.set_output(
      0, node.builder().op(Op::mod, {node.input(0), node.input(1)}, {{AttributeName::fmod, fmod}}));
}

void import_where(NodeImport& node) {
  require_at_most_inputs(node, 3);
  const auto values = of_one_type(node.builder(), {node.input(1), node.input(2)});
  node.set_output(0, node.builder().op(Op::where, {node.input(0), values[0], values[1]}));
}

void import_prelu(NodeImport& node) {
  require_at_most_inputs(node, 2);
  Value* result = node.builder().op(Op::prelu, {node.input(0), node.input(1)});
  node.set_output(0, require_shape_kept(result, node.input(0), "the slope"));
}

void import_cast(NodeImport& node) {
  require_at_most_inputs(node, 1);
  // Both matter only for 8-bit floats, which no value can have.
  node.ignore("saturate");
  node.ignore("round_mode");
  const int64_t to = node.integer("to");
  if (to < 0 || to > std::numeric_limits<int>::max()) {
    throw Error("attribute to out of range", "an ONNX data type", std::to_string(to));
  }
  const ElementType type = element_type_from_onnx(static_cast<int>(to));
  node.set_output(0, node.builder().cast(node.input(0), type));
}

void import_cast_like(NodeImport& node) {
  require_at_most_inputs(node, 2);
  node.ignore("saturate");
  node.ignore("round_mode");
  node.set_output(0, node.builder().cast(node.input(0), node.input(1)->type().element));
}

void import_identity(NodeImport& node) {
  require_at_most_inputs(node, 1);
  node.set_output(0, node.input(0));
}

// ---- any number of operands

template <Op op>
Value* fold_inputs(NodeImport& node) {
  std::vector<Value*> inputs;
  for (size_t i = 0; i < node.input_count(); ++i) inputs.push_back(node.input(i));
  inputs = of_one_type(node.builder(), std::move(inputs));
  Value* result = inputs[0];
  for (size_t i = 1; i < inputs.size(); ++i) result = node.builder().op(op, {result, inputs[i]});
  return result;
}

template <Op op>
void import_variadic(NodeImport& node) {
  node.set_output(0, fold_inputs<op>(node));
}

void import_mean(NodeImport& node) {
  Value* sum = fold_inputs<Op::add>(node);
  const auto count = static_cast<double>(node.input_count());
  node.set_output(0, node.input_count() == 1 ? sum : div(node.builder(), sum, count));
}

// ---- composites

void import_clip(NodeImport& node) {
  Builder& b = node.builder();
  Value* x = node.input(0);
  Value *low = nullptr, *high = nullptr;
  if (node.opset() < 11) {
    require_at_most_inputs(node, 1);
    if (node.has_attribute("min")) low = scalar_like(b, x, node.real("min", 0));
    if (node.has_attribute("max")) high = scalar_like(b, x, node.real("max", 0));
  } else {
    require_at_most_inputs(node, 3);
    if (node.has_input(1)) low = as_scalar(b, node.input(1));
    if (node.has_input(2)) high = as_scalar(b, node.input(2));
  }
  if (low) low = of_one_type(b, {x, low})[1];
  if (high) high = of_one_type(b, {x, high})[1];
  // In this order: where min > max, every element is max.
  if (low) x = b.op(Op::max, {x, low});
  if (high) x = b.op(Op::min, {x, high});
  node.set_output(0, x);
}

void import_reciprocal(NodeImport& node) {
  require_at_most_inputs(node, 1);
  Value* x = node.input(0);
  node.set_output(0, div(node.builder(), scalar_like(node.builder(), x, 1), x));
}

void import_is_inf(NodeImport& node) {
  require_at_most_inputs(node, 1);
  Builder& b = node.builder();
  Value* x = node.input(0);
  const bool negative = node.flag("detect_negative", true),
             positive = node.flag("detect_positive", true);
  const double infinity = std::numeric_limits<double>::infinity();
  if (!negative && !positive) {
    auto value = std::make_shared<const Tensor>(Tensor::scalar(false));
    node.set_output(0,
                    b.op(Op::fill, {extents_of(b, x)}, {{AttributeName::value, std::move(value)}}));
    return;
  }
  if (!is_float(x->type().element)) {
    throw Error("wrong operand type", "a floating-point tensor", to_string(x->type()));
  }
  Value* magnitude = negative && positive ? b.op(Op::abs, {x}) : x;
  node.set_output(0,
                  b.op(Op::equal, {magnitude, scalar_like(b, x, positive ? infinity : -infinity)}));
}

void import_hard_swish(NodeImport& node) {
  require_at_most_inputs(node, 1);
  Builder& b = node.builder();
  Value* gate = b.op(Op::hard_sigmoid, {node.input(0)},
                     {{AttributeName::alpha, 1.0 / 6}, {AttributeName::beta, 0.5}});
  node.set_output(0, mul(b, node.input(0), gate));
}

void import_mish(NodeImport& node) {
  require_at_most_inputs(node, 1);
  Builder& b = node.builder();
  Value* x = node.input(0);
  node.set_output(0, mul(b, x, b.op(Op::tanh, {b.op(Op::softplus, {x})})));
}

void import_swish(NodeImport& node) {
  require_at_most_inputs(node, 1);
  Builder& b = node.builder();
  Value* x = node.input(0);
  const double alpha = node.real("alpha", 1);
  node.set_output(0, mul(b, x, b.op(Op::sigmoid, {alpha == 1 ? x : mul(b, x, alpha)})));
}

// max(0, x) + min(0, alpha * (exp(x / alpha) - 1))
void import_celu(NodeImport& node) {
  require_at_most_inputs(node, 1);
  Builder& b = node.builder();
  Value* x = node.input(0);
  const double alpha = node.real("alpha", 1);
  if (!(alpha > 0)) node.unsupported("alpha = " + std::to_string(alpha));
  if (alpha == 1) {
    node.set_output(0, b.op(Op::elu, {x}, {{AttributeName::alpha, 1.0}}));
    return;
  }
  Value* negative = div(b, b.op(Op::min, {x, scalar_like(b, x, 0)}), alpha);
  node.set_output(
      0, add(b, b.op(Op::relu, {x}), b.op(Op::elu, {negative}, {{AttributeName::alpha, alpha}})));
}

void import_shrink(NodeImport& node) {
  require_at_most_inputs(node, 1);
  Builder& b = node.builder();
  Value* x = node.input(0);
  const double lambda = node.real("lambd", 0.5), bias = node.real("bias", 0);
  if (!is_float(x->type().element)) node.unsupported("input of type " + to_string(x->type()));
  Value* below = b.op(Op::less, {x, scalar_like(b, x, -lambda)});
  Value* above = b.op(Op::greater, {x, scalar_like(b, x, lambda)});
  Value *raised = x, *lowered = x;
  if (bias != 0) {
    raised = add(b, x, bias);
    lowered = add(b, x, -bias);
  }
  Value* inner = b.op(Op::where, {above, lowered, scalar_like(b, x, 0)});
  node.set_output(0, b.op(Op::where, {below, raised, inner}));
}

}  // namespace

std::vector<OpEntry> elementwise_ops() {
  return {
      {"Neg", import_direct<Op::neg>},
      {"Abs", import_direct<Op::abs>},
      {"Sign", import_direct<Op::sign>, 9},
      {"Sqrt", import_direct<Op::sqrt>},
      {"Exp", import_direct<Op::exp>},
      {"Log", import_direct<Op::log>},
      {"Erf", import_direct<Op::erf>, 9},
      {"Floor", import_direct<Op::floor>},
      {"Ceil", import_direct<Op::ceil>},
      {"Round", import_direct<Op::round>, 11},
      {"Sin", import_direct<Op::sin>},
      {"Cos", import_direct<Op::cos>},
      {"Tan", import_direct<Op::tan>},
      {"Asin", import_direct<Op::asin>},
      {"Acos", import_direct<Op::acos>},
      {"Atan", import_direct<Op::atan>},
      {"Sinh", import_direct<Op::sinh>, 9},
      {"Cosh", import_direct<Op::cosh>, 9},
      {"Asinh", import_direct<Op::asinh>, 9},
      {"Acosh", import_direct<Op::acosh>, 9},
      {"Atanh", import_direct<Op::atanh>, 9},
      {"Sigmoid", import_direct<Op::sigmoid>},
      {"Tanh", import_direct<Op::tanh>},
      {"Relu", import_direct<Op::relu>},
      {"Softplus", import_direct<Op::softplus>},
      {"Softsign", import_direct<Op::softsign>},
      {"LeakyRelu", import_alpha<Op::leaky_relu>},
      {"Elu", import_alpha<Op::elu>},
      {"ThresholdedRelu", import_alpha<Op::thresholded_relu>},
      {"Selu", import_selu},
      {"HardSigmoid", import_hard_sigmoid},
      {"Gelu", import_gelu, 20},
      {"Not", import_direct<Op::logical_not>},
      {"IsNaN", import_direct<Op::is_nan>, 9},
      {"IsInf", import_is_inf, 10},
      {"Cast", import_cast},
      {"CastLike", import_cast_like, 15},
      {"Identity", import_identity},

      {"Add", import_arithmetic<Op::add>},
      {"Sub", import_arithmetic<Op::sub>},
      {"Mul", import_arithmetic<Op::mul>},
      {"Div", import_arithmetic<Op::div>},
      {"Pow", import_direct<Op::pow>},
      {"PRelu", import_prelu},
      {"Equal", import_arithmetic<Op::equal>},
      {"Less", import_arithmetic<Op::less>},
      {"Greater", import_arithmetic<Op::greater>},
      {"And", import_direct<Op::logical_and>},
      {"Or", import_direct<Op::logical_or>},
      {"Xor", import_direct<Op::logical_xor>},
      {"LessOrEqual", import_arithmetic<Op::less_equal>, 12},
      {"GreaterOrEqual", import_arithmetic<Op::greater_equal>, 12},
      {"Mod", import_mod, 10},
      {"Where", import_where, 9},

      {"Sum", import_variadic<Op::add>},
      {"Max", import_variadic<Op::max>},
      {"Min", import_variadic<Op::min>},
      {"Mean", import_mean},

      {"Clip", import_clip},
      {"Reciprocal", import_reciprocal},
      {"HardSwish", import_hard_swish, 14},
      {"Mish", import_mish, 18},
      {"Swish", import_swish, 24},
      {"Celu", import_celu, 12},
      {"Shrink", import_shrink, 9},
  };
}

}  // namespace refrain::onnx_import
