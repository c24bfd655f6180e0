// Internal to executables: ops that only move elements, by rules that are known beforehand.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/executable/lowering.h"
#include "backends/executable/step.h"
#include "ir/graph.h"

namespace refrain::executable {

// A result of which every element is one of the operand's, or the same value everywhere: pad, tile,
// trilu, reverse_sequence. Its elements are in runs that follow each other in the operand, forward
// or backward, or repeat one element. Slots: operand, the value (absent: zero), result.
class MoveStep final : public Step {
 public:
  struct Run {
    int64_t from;   // element of the operand; -1: the value
    int64_t count;  // at least 1
    int64_t step;   // to the operand's next element
  };
  MoveStep(std::string what, std::vector<Run> runs, int64_t element_bytes)
      : what_(std::move(what)), runs_(std::move(runs)), element_bytes_(element_bytes) {}

  void run() override;
  std::string describe() const override;
  bool worth_a_task() const override;
  int64_t own_bytes() const override { return static_cast<int64_t>(runs_.size() * sizeof(Run)); }

 private:
  std::string what_;
  std::vector<Run> runs_;
  int64_t element_bytes_;
};

// The step for a node whose operands but the first, and the value of pad, are constant, without
// its slots; null for other nodes and where runs would be too many or too short.
std::unique_ptr<MoveStep> make_move(const Lowering& lowering, const Node& node);

}  // namespace refrain::executable
