#include "backends/executable/arena.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "ir/error.h"

namespace refrain::executable {
namespace {

int64_t aligned(int64_t bytes) {
  int64_t rounded = 0;
  if (bytes < 0) throw Error("negative size of a buffer", "0 or more", std::to_string(bytes));
  if (__builtin_add_overflow(bytes, kArenaAlignment - 1, &rounded)) {
    throw Error("size of a buffer overflows", "less than 2^63 bytes", std::to_string(bytes));
  }
  return rounded / kArenaAlignment * kArenaAlignment;
}

struct Block {
  int64_t begin, end;
};

}  // namespace

ArenaPlan plan_arena(std::span<const Interval> intervals) {
  ArenaPlan plan;
  plan.offsets.assign(intervals.size(), 0);
  std::vector<size_t> order(intervals.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // Ties by life and index, so that equal graphs get equal plans.
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (intervals[a].bytes != intervals[b].bytes) return intervals[a].bytes > intervals[b].bytes;
    if (intervals[a].first != intervals[b].first) return intervals[a].first < intervals[b].first;
    return a < b;
  });
  std::vector<size_t> placed;
  std::vector<Block> taken;
  for (const size_t i : order) {
    const Interval& interval = intervals[i];
    const int64_t bytes = aligned(interval.bytes);
    if (bytes == 0) continue;
    taken.clear();
    for (const size_t other : placed) {
      if (intervals[other].first <= interval.last && interval.first <= intervals[other].last) {
        taken.push_back(
            {plan.offsets[other], plan.offsets[other] + aligned(intervals[other].bytes)});
      }
    }
    std::sort(taken.begin(), taken.end(),
              [](const Block& a, const Block& b) { return a.begin < b.begin; });
    int64_t offset = 0;
    for (const Block& block : taken) {
      if (block.begin - offset >= bytes) break;
      offset = std::max(offset, block.end);
    }
    int64_t end = 0;
    if (__builtin_add_overflow(offset, bytes, &end)) {
      throw Error("size of the arena overflows", "less than 2^63 bytes");
    }
    plan.offsets[i] = offset;
    plan.bytes = std::max(plan.bytes, end);
    placed.push_back(i);
  }
  return plan;
}

}  // namespace refrain::executable
