// Internal to `highway`: tiles of an element-wise loop and where their registers lie.
#pragma once

#include <cstddef>
#include <vector>

#include "backends/highway/elementwise_plan.h"

namespace refrain::highway {

// What is known of a plan's registers.
struct PlannedValues {
  std::vector<size_t> nexts;           // of the states: the register that a state is after the step
  std::vector<bool> last_only;         // of the states: nothing reads their values of earlier steps
  std::vector<bool> varies_with_rows;  // of all registers
  bool sums = false;                   // some operation sums over the rows
};

// Chooses the tiles of a plan whose operations and groups are known, and places its registers.
// Throws Error if a tile takes too much memory.
void lay_out(ElementwisePlan& plan, const PlannedValues& values);

}  // namespace refrain::highway
