// Internal to executables: Einstein sums.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backends/executable/step.h"
#include "ir/graph.h"

namespace refrain::executable {

// An f32 einsum of any operands by plain loops, their strides worked out beforehand, so that a run
// allocates nothing. Slots: the operands, the result.
class EinsumStep final : public Step {
 public:
  // Throws Error if the equation doesn't fit the operands.
  explicit EinsumStep(const Node& node);

  void run() override;
  std::string describe() const override { return text_; }

 private:
  // A loop over one label: its extent, and each operand's stride.
  struct Loop {
    int64_t extent = 1;
    std::vector<int64_t> strides;
  };
  // One walk over some loops, the last of which is the innermost.
  struct Walk {
    std::vector<Loop> loops;
    std::vector<int64_t> index, offsets;  // where it is; both zero when it begins

    // The next place; false, and at the beginning again, after the last.
    bool next();
  };

  size_t operands_;
  Walk kept_, summed_;  // labels of the result but for its last, and those that are summed over
  Loop inner_;          // the result's last label
  bool empty_ = false;
  std::string text_;
};

}  // namespace refrain::executable
