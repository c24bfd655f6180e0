// Checks of the loop kernel against a float64 oracle.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backends/highway/recurrent.h"

namespace refrain::highway {

// A loop with everything that a run needs. Buffers have more room than the loop may touch.
struct Case {
  LoopSpec spec;
  std::vector<std::vector<float>> weights;  // what the spec's products point to
  std::vector<std::vector<float>> buffers;
  std::vector<std::vector<float>> states;
  int64_t steps = 1, rows = 1;
  std::vector<int64_t> lengths;  // empty: all rows take part
  bool backward = false;
};

struct Results {
  std::vector<std::vector<float>> buffers, states;
  friend bool operator==(const Results&, const Results&) = default;
};

// Runs a loop on copies of the case's buffers and states, the rows in parts of `part` rows each.
// `apart`: reads initial states where they are, which only one step may do.
Results run(const RecurrentLoop& loop, const Case& c, int64_t part, bool apart = false);

// Checks on each target, made for one row and for all of them, that results are right and have the
// same bits for any split of the rows, the steps or the unit blocks of a step. Returns the
// description of the loop on the best target.
std::string check(const Case& c);

}  // namespace refrain::highway
