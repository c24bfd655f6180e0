// Internal to executables: pooling between transposes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backends/executable/step.h"
#include "backends/executable/window_chain.h"
#include "backends/highway/pooling.h"

namespace refrain::executable {

// A chain's max_pool or average_pool. Slots: the chain's input, its result. A maximum under which
// only padding lies is the lowest number, a mean of nothing 0. Allocates nothing in a run.
class PoolStep final : public Step {
 public:
  PoolStep(const WindowChain& chain, int threads);

  void run() override;
  std::string describe() const override { return text_; }
  bool uses_workers() const override { return threads_ > 1 && rows_ >= 2 * grain(); }
  bool worth_a_task() const override { return rows_ >= grain(); }

 private:
  // What the window of one place covers along one axis.
  struct Covered {
    int64_t begin = 0, count = 0;  // of the input, a dilation apart
    int64_t padded = 0;            // of the padded input
  };
  int64_t grain() const;
  void run_row(int64_t row) const;

  highway::Pooling pooling_;
  bool with_padding_ = false;
  std::vector<SlidingAxis> axes_;
  std::vector<std::vector<Covered>> covered_;  // by axis and place
  int64_t channels_, rows_, row_cost_;
  int threads_;
  std::string text_;
};

}  // namespace refrain::executable
