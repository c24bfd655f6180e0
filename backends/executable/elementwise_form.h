// Internal to executables: scan bodies in the form that the element-wise loop runs.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "backends/executable/lowering.h"
#include "backends/highway/elementwise_loop.h"
#include "ir/graph.h"

namespace refrain::executable {

// A buffer of the loop.
struct SpaceBuffer {
  const Value* value = nullptr;
  bool written = false;
};

struct ElementwiseForm {
  highway::ElementwiseLoopSpec spec;
  std::vector<SpaceBuffer> buffers;
  bool backward = false;  // of a loop with lengths
};

// The element-wise loop that a scan of `steps` >= 1 steps is, or none. It is one if what is yielded
// is f32 and made of states, slices, invariants and constants by element-wise operations that
// broadcast, by sums over one axis (reduce_sum, reduce_mean, products and einsums whose terms all
// belong to one place of the states), and by views. An axis of one value is the same as that of
// another if they meet in an operation; every state must vary with all axes but the one that is
// summed over.
std::optional<ElementwiseForm> find_elementwise_form(const Lowering& lowering, const Node& node,
                                                     int64_t steps);

}  // namespace refrain::executable
