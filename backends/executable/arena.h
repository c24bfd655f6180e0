// Where values live: offsets in one block of memory by lifetime.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace refrain::executable {

inline constexpr int64_t kArenaAlignment = 64;

// A buffer that must keep its bytes from position `first` to position `last`, both included.
struct Interval {
  int64_t first = 0, last = 0;
  int64_t bytes = 0;
};

struct ArenaPlan {
  std::vector<int64_t> offsets;  // one an interval, multiples of kArenaAlignment
  int64_t bytes = 0;             // of the whole arena
};

// Offsets at which no two intervals that share a position overlap: the largest buffers first, each
// at the lowest place that is free during all of its life. Buffers of 0 bytes lie at 0. Throws
// Error if sizes are negative or their sum overflows. O(n^2 log n) at worst in intervals that meet.
ArenaPlan plan_arena(std::span<const Interval> intervals);

}  // namespace refrain::executable
