#include "frontend/onnx/recurrent_activations.h"

#include <algorithm>
#include <optional>
#include <string>

#include "ir/error.h"

namespace refrain::onnx_import {
namespace {

struct Parameter {
  bool taken = false;
  std::optional<double> default_value = {};
};

struct Definition {
  std::string_view name;  // in lower case
  Activation::Kind kind;
  Parameter alpha = {}, beta = {};
};

// Defaults are those of the ONNX operators of the same names, as the specification of LSTM says.
// Affine and ScaledTanh are not operators any more, so that nothing gives them a default. (ONNX
// Runtime takes 0 for these and for ThresholdedRelu: core/providers/cpu/rnn/rnn_helpers.cc.)
constexpr Definition kDefinitions[] = {
    {"relu", Activation::Kind::relu},
    {"tanh", Activation::Kind::tanh},
    {"sigmoid", Activation::Kind::sigmoid},
    {"affine", Activation::Kind::affine, {true}, {true}},
    {"leakyrelu", Activation::Kind::leaky_relu, {true, 0.01}},
    {"thresholdedrelu", Activation::Kind::thresholded_relu, {true, 1.0}},
    {"scaledtanh", Activation::Kind::scaled_tanh, {true}, {true}},
    {"hardsigmoid", Activation::Kind::hard_sigmoid, {true, 0.2}, {true, 0.5}},
    {"elu", Activation::Kind::elu, {true, 1.0}},
    {"softsign", Activation::Kind::softsign},
    {"softplus", Activation::Kind::softplus},
};

// Names are case-insensitive, as ONNX Runtime reads them.
const Definition& find_definition(const std::string& name) {
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  for (const Definition& definition : kDefinitions) {
    if (definition.name == lower) return definition;
  }
  throw Error(
      "unknown activation function",
      "Relu, Tanh, Sigmoid, Affine, LeakyRelu, ThresholdedRelu, ScaledTanh, HardSigmoid, Elu, "
      "Softsign or Softplus",
      name);
}

// The values of activation_alpha or activation_beta, handed out in order. The specification says
// that they "are consumed in the order of activation functions"; like ONNX Runtime (ActivationFuncs
// in rnn_helpers.cc), only a function that takes the parameter consumes one.
class ParameterList {
 public:
  ParameterList(NodeImport& node, std::string_view attribute)
      : attribute_(attribute), values_(node.reals(attribute).value_or(std::vector<double>())) {}

  double next(const Parameter& parameter, const std::string& function) {
    if (!parameter.taken) return 0;
    if (used_ < values_.size()) return values_[used_++];
    if (!parameter.default_value) {
      throw Error("activation " + function + " has no value in attribute " + attribute_, "a value",
                  "none");
    }
    return *parameter.default_value;
  }

  // Values that nobody consumes mean that the file was written with another rule in mind.
  void require_all_used() const {
    if (used_ != values_.size()) {
      throw Error("attribute " + attribute_ + " has more values than the activations take",
                  std::to_string(used_), std::to_string(values_.size()));
    }
  }

 private:
  std::string attribute_;
  std::vector<double> values_;
  size_t used_ = 0;
};

}  // namespace

Value* Activation::apply(Builder& builder, Value* x) const {
  const auto scalar = [&](double value) { return builder.scalar(x->type().element, value); };
  const Attribute alpha{AttributeName::alpha, alpha_};
  switch (kind_) {
    case Kind::relu:
      return builder.op(Op::relu, {x});
    case Kind::tanh:
      return builder.op(Op::tanh, {x});
    case Kind::sigmoid:
      return builder.op(Op::sigmoid, {x});
    case Kind::affine:
      return builder.op(Op::add, {builder.op(Op::mul, {x, scalar(alpha_)}), scalar(beta_)});
    case Kind::leaky_relu:
      return builder.op(Op::leaky_relu, {x}, {alpha});
    case Kind::thresholded_relu:
      return builder.op(Op::thresholded_relu, {x}, {alpha});
    case Kind::scaled_tanh:
      return builder.op(Op::mul, {builder.op(Op::tanh, {builder.op(Op::mul, {x, scalar(beta_)})}),
                                  scalar(alpha_)});
    case Kind::hard_sigmoid:
      return builder.op(Op::hard_sigmoid, {x}, {alpha, {AttributeName::beta, beta_}});
    case Kind::elu:
      return builder.op(Op::elu, {x}, {alpha});
    case Kind::softsign:
      return builder.op(Op::softsign, {x});
    case Kind::softplus:
      return builder.op(Op::softplus, {x});
  }
  return nullptr;
}

std::vector<Activation> read_activations(NodeImport& node, size_t directions,
                                         std::span<const std::string_view> defaults) {
  std::vector<std::string> names;
  for (size_t d = 0; d < directions; ++d)
    names.insert(names.end(), defaults.begin(), defaults.end());
  const size_t expected = names.size();
  if (auto given = node.strings("activations")) {
    // The schema's default for RNN is two functions whatever the direction, and some exporters
    // write defaults out; ONNX Runtime takes the first one too (core/providers/cpu/rnn/rnn.h).
    if (expected == 1 && given->size() == 2) given->resize(1);
    if (given->size() != expected) {
      throw Error("wrong number of values in attribute activations", std::to_string(expected),
                  std::to_string(given->size()));
    }
    names = std::move(*given);
  }
  ParameterList alphas(node, "activation_alpha"), betas(node, "activation_beta");
  std::vector<Activation> result;
  for (const std::string& name : names) {
    const Definition& definition = find_definition(name);
    const double alpha = alphas.next(definition.alpha, name);
    const double beta = betas.next(definition.beta, name);
    result.emplace_back(definition.kind, alpha, beta);
  }
  alphas.require_all_used();
  betas.require_all_used();
  return result;
}

}  // namespace refrain::onnx_import
