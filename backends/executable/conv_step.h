// Internal to executables: convolutions as products of windows by weights.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/executable/executable.h"
#include "backends/executable/step.h"
#include "backends/executable/window_chain.h"
#include "backends/highway/program.h"
#include "backends/highway/recurrent.h"

namespace refrain::executable {

// A chain's convolution with its bias and the element-wise program that follows it, by the loop
// kernel: row b, p of its result is the window of place p of batch entry b times the weights
// [taps * channels, filters], and the program is the product's epilogue. Windows that are pieces of
// the input are read where they lie, those that reach into padding from a copy of a few rows of it
// in scratch, others (dilated, grouped, of several axes) are gathered there.
//
// Slots: the chain's input, the program's other inputs, its results, which are dense rows of
// `filters`, and scratch of scratch_bytes(). Allocates nothing in a run.
class ConvStep final : public Step {
 public:
  // The program's inputs are the convolution's result, bias included, and then others: `moves` says
  // for each whether it has a row for each of the result's, else one for all. The chain's bias, a
  // constant of the graph, must outlive the step. Of the options, threads and weights count.
  ConvStep(const WindowChain& chain, const highway::Program& program, std::vector<bool> moves,
           const PrepareOptions& options);

  int64_t scratch_bytes() const;
  // Multiplications of a run.
  int64_t cost() const { return rows_ * depth_ * filters_; }

  void run() override;
  std::string describe() const override;
  bool uses_workers() const override { return parts_ > 1; }
  bool worth_a_task() const override;
  int64_t own_bytes() const override;

 private:
  // How windows become rows of a product's left side.
  enum class Mode : uint8_t {
    uniform,   // row r lies at offset_ + r * row_stride_ of the input
    sequence,  // row p of a sequence at p * row_stride_, but for the padding
    gathered,
  };

  void choose_mode(const WindowChain& chain);
  void make_products(const WindowChain& chain, const highway::Program& program, WeightStore* store);
  void run_rows(int64_t begin, int64_t end, float* scratch) const;
  void multiply(size_t group, const float* left, int64_t begin, int64_t end) const;
  const float* sequence_rows(int64_t begin, int64_t end, float* scratch) const;
  void gather(size_t group, int64_t row, float* to) const;

  std::vector<SlidingAxis> axes_;  // those that windows slide over
  int64_t batch_, channels_;       // what other axes were is part of these
  int64_t filters_, depth_;        // depth: of one group's product
  int64_t rows_, places_;          // places: of one batch entry
  Mode mode_ = Mode::gathered;
  int64_t offset_ = 0, row_stride_ = 0;  // in elements
  int64_t block_rows_ = 0;               // that are multiplied at once
  int64_t parts_;
  const float* bias_ = nullptr;
  std::vector<bool> moves_;
  size_t results_;
  std::string text_;
  std::vector<std::unique_ptr<highway::RecurrentLoop>> products_;  // one a group
};

}  // namespace refrain::executable
