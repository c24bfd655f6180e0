// Activation functions of ONNX's RNN, LSTM and GRU.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "frontend/onnx/node_import.h"
#include "ir/builder.h"

namespace refrain::onnx_import {

// One activation function with its parameters.
class Activation {
 public:
  enum class Kind : uint8_t {
    relu,
    tanh,
    sigmoid,
    affine,            // alpha * x + beta
    leaky_relu,        // x if x >= 0, else alpha * x
    thresholded_relu,  // x if x > alpha, else 0
    scaled_tanh,       // alpha * tanh(beta * x)
    hard_sigmoid,      // min(max(alpha * x + beta, 0), 1)
    elu,               // x if x >= 0, else alpha * (exp(x) - 1)
    softsign,
    softplus,
  };

  Activation(Kind kind, double alpha, double beta) : kind_(kind), alpha_(alpha), beta_(beta) {}

  // Adds the function's nodes; x is a floating-point tensor of any shape, which the result has too.
  Value* apply(Builder& builder, Value* x) const;

 private:
  Kind kind_;
  double alpha_, beta_;
};

// Reads the attributes activations, activation_alpha and activation_beta. `defaults` names the
// functions of one direction; the result holds those of all directions, direction by direction.
// Throws Error for an unknown name, a wrong number of names, a parameter that is missing and has no
// default, and for more parameters than the functions take.
std::vector<Activation> read_activations(NodeImport& node, size_t directions,
                                         std::span<const std::string_view> defaults);

}  // namespace refrain::onnx_import
