// Internal to executables: scan bodies in the form that the loop kernel runs.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "backends/executable/loop_step.h"
#include "backends/executable/lowering.h"
#include "backends/highway/recurrent.h"

namespace refrain::executable {

// A buffer of the loop: a value of the graph, or scratch of so many floats.
struct LoopBuffer {
  const Value* value = nullptr;
  int64_t temporary = 0;
  bool written = false;
  bool fed = false;  // filled by the product that makes the value, some steps at a time
  // Not 0: holds the value's elements, f32 or truth values, as f32, each so many times.
  int64_t repeated = 0;
};

struct LoopForm {
  highway::LoopSpec spec;
  LoopShape shape;
  std::vector<const Value*> taken;  // fed values whose products the loop's own stages compute
  std::vector<LoopBuffer> buffers;
  bool padded = false;  // some products have zeros for gates that they don't belong to
  std::vector<int64_t> sequence_of_row;  // if the scan has lengths
};

// The loop that a scan of `steps` >= 1 steps is, or none. It is one if every state is f32 rows
// [..., N] of one number of rows, and what is yielded is made of states, slices, invariants and
// constants (rows, or one row for all; slices and invariants also of one element a row, and truth
// values) by element-wise operations, products with constant 2-D
// weights, and splits, slices and concatenations along the last axis. The only step of a loop whose
// states start as zeros has no products of these.
std::optional<LoopForm> find_loop_form(const Lowering& lowering, const Node& node, int64_t steps);

}  // namespace refrain::executable
