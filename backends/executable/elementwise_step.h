// Internal to executables: the element-wise loop as a step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backends/executable/step.h"
#include "backends/highway/elementwise_loop.h"
#include "ir/element_type.h"

namespace refrain::executable {

// Slots, in this order: the loop's buffers; scratch of scratch_bytes(); the lengths, if there are
// any.
class ElementwiseStep final : public Step {
 public:
  ElementwiseStep(const highway::ElementwiseLoopSpec& spec, int64_t steps, bool backward,
                  int threads);

  // For all threads.
  int64_t scratch_bytes() const { return parts_ * loop_.scratch_bytes(); }
  // Slots so far are the loop's buffers.
  void add_scratch(Place scratch);
  void add_lengths(Place lengths, ElementType type, int64_t count);

  void run() override;
  void rebind() override;
  bool uses_workers() const override { return parts_ > 1; }
  std::string describe() const override;

 private:
  highway::ElementwiseLoop loop_;
  int64_t steps_;
  bool backward_;
  int64_t parts_ = 1;  // of the tiles, each on one thread at a time
  int threads_;
  std::vector<float*> buffers_;
  size_t scratch_slot_ = 0, lengths_slot_ = 0;
  ElementType lengths_type_ = ElementType::i64;
  std::vector<int64_t> lengths_;
};

}  // namespace refrain::executable
