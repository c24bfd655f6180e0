// Internal to executables: transposed convolutions between transposes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/executable/step.h"
#include "backends/executable/window_chain.h"
#include "backends/highway/recurrent.h"

namespace refrain::executable {

// A chain's conv_transpose: place i of the input meets place i * stride + k * dilation - pad of the
// result. Some rows of the input at a time are multiplied by all taps' weights, [channels, taps *
// filters], and each product is added to the row that it belongs to. Slots: the chain's input, its
// result, scratch of scratch_bytes(). Allocates nothing in a run; on the calling thread alone.
class ConvTransposeStep final : public Step {
 public:
  // The chain's bias, a constant of the graph, must outlive the step.
  explicit ConvTransposeStep(const WindowChain& chain);

  int64_t scratch_bytes() const {
    return block_rows_ * columns_ * static_cast<int64_t>(sizeof(float));
  }

  void run() override;
  std::string describe() const override { return text_ + ": " + products_[0]->describe(); }
  int64_t own_bytes() const override;

 private:
  void start() const;
  void add(size_t group, int64_t row, const float* taps) const;

  std::vector<SlidingAxis> axes_;  // `in` of the input, `out` of the result
  int64_t channels_, filters_, rows_, result_rows_;
  int64_t columns_;  // of a group's product
  int64_t block_rows_;
  const float* bias_ = nullptr;
  std::string text_;
  std::vector<std::unique_ptr<highway::RecurrentLoop>> products_;  // one a group
};

}  // namespace refrain::executable
