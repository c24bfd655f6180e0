// A model that is one recurrent layer, run by oneDNN's own primitive: a rival for timing.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "backends/onednn/kernels.h"
#include "backends/reference/executor.h"
#include "ir/graph.h"
#include "ir/runtime_value.h"
#include "ir/tensor.h"

namespace refrain {

// The layer's primitive with its weights packed and its inputs in place. What else the model has
// (transposes and the like around the layer) it does not do.
class OnednnLayer {
 public:
  // Recognises in a graph as it was imported, before any pass, the one scan that an RNN, LSTM or
  // GRU of one direction with default activations (or Relu, RNN), without clip, peepholes and
  // lengths became; f32, time in front. What is around it may only move elements. `inputs` are the
  // model's. Null if the graph is anything else; then `why` says what. Throws Error where the
  // graph's own ops do.
  static std::unique_ptr<OnednnLayer> find(std::unique_ptr<Graph> imported,
                                           std::span<const RuntimeValue> inputs, int threads,
                                           const reference::Limits& limits, std::string* why);

  void run();
  // [T, B, H], of the last run.
  const Tensor& y() const { return y_; }

 private:
  OnednnLayer(const onednn::RecurrentShape& shape,
              std::unique_ptr<onednn::RecurrentPrimitive> layer, TensorPtr x, TensorPtr h0,
              TensorPtr c0);

  std::unique_ptr<onednn::RecurrentPrimitive> layer_;
  TensorPtr x_, h0_, c0_;  // c0_ of the LSTM only
  Tensor y_, h_, c_;
};

}  // namespace refrain
