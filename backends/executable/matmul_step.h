// Internal to executables: products of which neither side is constant.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backends/executable/step.h"
#include "ir/graph.h"

namespace refrain::executable {

// An f32 matmul of any shapes, numpy's broadcasting of batches included. Slots: the two operands,
// the result. Allocates nothing in a run.
class MatmulStep final : public Step {
 public:
  MatmulStep(const Node& node, int threads);

  void run() override;
  std::string describe() const override { return text_; }
  bool uses_workers() const override;
  bool worth_a_task() const override;

 private:
  int64_t grain() const;  // in batch entries
  void run_batches(int64_t begin, int64_t end) const;

  int64_t n_, k_, m_;
  // Of each product: which matrices it multiplies.
  std::vector<int64_t> left_, right_;
  int threads_;
  std::string text_;
};

}  // namespace refrain::executable
