// Internal to executables: depthwise convolutions over time between transposes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backends/executable/step.h"
#include "backends/highway/depthwise.h"
#include "backends/highway/program.h"
#include "ir/graph.h"

namespace refrain::executable {

// A convolution that takes its channels from the last axis of `input` and puts them back into the
// last axis of its result: perhaps a slice of channels, transpose, conv with one group a channel,
// perhaps a slice along time, transpose. Nothing else reads what lies between.
struct DepthwiseChain {
  const Value* input = nullptr;
  int64_t first_channel = 0;  // of the input's
  const Node* conv = nullptr;
  const Node* last = nullptr;
  std::vector<const Node*> inner;  // those before the last
  highway::DepthwiseShape shape;
};

// The chain that ends in a transpose, or none. Weights and bias must be constants of the graph.
std::optional<DepthwiseChain> depthwise_chain(const Node& last);

// A chain and the element-wise program that follows it. The program's inputs are the convolution's
// result and others of the same rows. Slots: the chain's input, the program's other inputs, then
// its results, which are dense. The bias, a constant of the graph, must outlive it.
class DepthwiseStep final : public Step {
 public:
  // `moves`: for each of the program's other inputs whether it has a row for each of the result's,
  // else one for all.
  DepthwiseStep(const DepthwiseChain& chain, highway::Program program,
                const std::vector<bool>& moves, int threads);

  void run() override;
  std::string describe() const override;
  bool uses_workers() const override { return threads_ > 1 && rows_ >= 2 * grain(); }
  bool worth_a_task() const override { return rows_ >= grain(); }
  int64_t own_bytes() const override {
    return static_cast<int64_t>(weights_.size() * sizeof(float));
  }

 private:
  int64_t grain() const;
  void run_rows(int64_t begin, int64_t end) const;

  highway::DepthwiseShape shape_;
  highway::Program program_;
  std::vector<float> weights_;  // [taps, channels]
  const float* bias_ = nullptr;
  std::vector<int64_t> row_strides_;  // of the program's other inputs
  std::vector<int64_t> result_strides_;
  int64_t rows_;
  int threads_;
};

}  // namespace refrain::executable
