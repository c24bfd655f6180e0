#include "backends/executable/arena.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ir/error.h"
#include "support/random.h"

namespace refrain::executable {
namespace {

using refrain::testing::Random;

int64_t rounded(int64_t bytes) {
  return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

// The most bytes that live at one position: no plan can do with less.
int64_t lower_bound(const std::vector<Interval>& intervals) {
  int64_t most = 0;
  for (const Interval& at : intervals) {
    int64_t live = 0;
    for (const Interval& other : intervals) {
      if (other.first <= at.first && at.first <= other.last) live += rounded(other.bytes);
    }
    most = std::max(most, live);
  }
  return most;
}

void expect_no_overlap(const std::vector<Interval>& intervals, const ArenaPlan& plan) {
  ASSERT_EQ(plan.offsets.size(), intervals.size());
  for (size_t i = 0; i < intervals.size(); ++i) {
    EXPECT_EQ(plan.offsets[i] % kArenaAlignment, 0);
    EXPECT_GE(plan.offsets[i], 0);
    EXPECT_LE(plan.offsets[i] + intervals[i].bytes, plan.bytes);
    for (size_t k = 0; k < i; ++k) {
      const bool together =
          intervals[i].first <= intervals[k].last && intervals[k].first <= intervals[i].last;
      const bool apart = plan.offsets[i] + intervals[i].bytes <= plan.offsets[k] ||
                         plan.offsets[k] + intervals[k].bytes <= plan.offsets[i];
      EXPECT_TRUE(!together || apart) << "buffers " << k << " and " << i;
    }
  }
}

TEST(Arena, Empty) { EXPECT_EQ(plan_arena({}).bytes, 0); }

TEST(Arena, BuffersThatNeverMeetShareMemory) {
  const std::vector<Interval> intervals = {{0, 1, 100}, {2, 3, 100}, {4, 4, 128}};
  const ArenaPlan plan = plan_arena(intervals);
  EXPECT_EQ(plan.bytes, 128);
  EXPECT_EQ(plan.offsets, (std::vector<int64_t>{0, 0, 0}));
}

TEST(Arena, LivesThatTouchOverlap) {
  // The step at position 1 reads the first and writes the second.
  const std::vector<Interval> intervals = {{0, 1, 64}, {1, 2, 64}};
  EXPECT_EQ(plan_arena(intervals).bytes, 128);
}

TEST(Arena, FillsGaps) {
  const std::vector<Interval> intervals = {
      {0, 5, 640}, {0, 1, 320}, {0, 5, 256}, {2, 3, 64}, {2, 5, 192}};
  const ArenaPlan plan = plan_arena(intervals);
  expect_no_overlap(intervals, plan);
  EXPECT_EQ(plan.bytes, 640 + 320 + 256);
}

TEST(Arena, EmptyBuffersTakeNoPlace) {
  const std::vector<Interval> intervals = {{0, 9, 0}, {0, 9, 1}, {3, 3, 0}};
  EXPECT_EQ(plan_arena(intervals).bytes, kArenaAlignment);
}

TEST(Arena, RefusesSizesThatOverflow) {
  const std::vector<Interval> negative = {{0, 1, -1}};
  EXPECT_THROW(plan_arena(negative), Error);
  const std::vector<Interval> huge = {{0, 1, INT64_MAX}};
  EXPECT_THROW(plan_arena(huge), Error);
  const std::vector<Interval> sum = {{0, 1, INT64_MAX - 1000}, {0, 1, 4096}};
  EXPECT_THROW(plan_arena(sum), Error);
}

TEST(Arena, RandomPlansDontOverlapAndAreNearTheBound) {
  Random random(7);
  double ratios = 0;
  constexpr int kPlans = 200;
  for (int n = 0; n < kPlans; ++n) {
    std::vector<Interval> intervals;
    const int64_t count = random.integer(1, 80);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t first = random.integer(0, 60);
      // Mostly short lives, sizes over three orders of magnitude, as in a graph.
      const int64_t last =
          first + (random.integer(0, 4) == 0 ? random.integer(0, 40) : random.integer(0, 3));
      intervals.push_back({first, last, int64_t{1} << random.integer(0, 14)});
    }
    const ArenaPlan plan = plan_arena(intervals);
    expect_no_overlap(intervals, plan);
    const int64_t bound = lower_bound(intervals);
    EXPECT_LE(static_cast<double>(plan.bytes), 1.5 * static_cast<double>(bound));
    ratios += static_cast<double>(plan.bytes) / static_cast<double>(bound);
  }
  EXPECT_LE(ratios / kPlans, 1.05);
}

}  // namespace
}  // namespace refrain::executable
