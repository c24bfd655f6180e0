// The machine's measurements are sane, and the roofline is its formula.
#include "backends/machine/machine.h"

#include <gtest/gtest.h>

#include "backends/machine/roofline.h"
#include "ir/text.h"

namespace refrain {
namespace {

TEST(Machine, MeasuresSomethingPossible) {
  const machine::Profile profile = machine::measure(0.05);
  // From a slow virtual core to more than any core of today does.
  EXPECT_GT(profile.peak_gflops, 0.5);
  EXPECT_LT(profile.peak_gflops, 1000);
  ASSERT_EQ(profile.bandwidths.size(), 7u);
  int64_t last = 0;
  for (const machine::Bandwidth& level : profile.bandwidths) {
    EXPECT_GT(level.bytes, last);
    last = level.bytes;
    EXPECT_GT(level.gb_per_s, 0.1);
    EXPECT_LT(level.gb_per_s, 5000);
  }
  EXPECT_FALSE(profile.target.empty());
}

// 100 GFLOP/s; 200 GB/s to 32 KiB, 50 GB/s beyond.
const machine::Profile kProfile{"test", 100, {{32 << 10, 200}, {1 << 20, 50}}};

TEST(Machine, BandwidthOfTheLevelThatHoldsIt) {
  EXPECT_EQ(machine::bandwidth_of(kProfile, 1), 200);
  EXPECT_EQ(machine::bandwidth_of(kProfile, 32 << 10), 200);
  EXPECT_EQ(machine::bandwidth_of(kProfile, (32 << 10) + 1), 50);
  EXPECT_EQ(machine::bandwidth_of(kProfile, int64_t{1} << 40), 50);
}

// h' = x W + h R over 10 steps: the product by W depends on no state.
std::string recurrence(const std::string& batch, const std::string& steps,
                       const std::string& size) {
  const std::string bh = batch + ", " + size;
  return "graph @g (%x: f32[" + steps + ", " + bh + "], %h0: f32[" + bh + "], %w: f32[" + size +
         ", " + size + "]) {\n  %h, %y = scan invariant(%wi = %w: f32[" + size + ", " + size +
         "]) state(%s = %h0: f32[" + bh + "]) scanned(%e = %x[0]: f32[" + bh +
         "]) stacked([0]) {\n" + "    %r = constant f32[" + size + ", " + size +
         "] splat(0.5)\n"
         "    %a = matmul(%e, %wi) : f32[" +
         bh + "]\n    %b = matmul(%s, %r) : f32[" + bh +
         "]\n"
         "    %n = add(%a, %b) : f32[" +
         bh + "]\n    yield %n, %n\n  } : f32[" + bh + "], f32[" + steps + ", " + bh +
         "]\n  yield \"y\" = %y\n}\n";
}

TEST(Roofline, IsItsFormula) {
  const auto us = [](const std::string& text, int threads = 1) {
    return machine::roofline_us(*parse(text), kProfile, threads);
  };
  // Batch 1, H 64: 8192 operations a product and step; 16 KiB of weights, 0.08192 us at 200 GB/s a
  // step, as much as the 0.08192 us of the operations at 100 GFLOP/s: once at once, once step by
  // step.
  ASSERT_TRUE(us(recurrence("1", "10", "64")));
  EXPECT_NEAR(*us(recurrence("1", "10", "64")), 10 * 0.08192 + 10 * 0.08192, 1e-6);
  // H 128: 64 KiB of weights come from the level of 50 GB/s: 1.31072 us a step against 0.32768.
  EXPECT_NEAR(*us(recurrence("1", "10", "128")), 10 * 0.32768 + 10 * 1.31072, 1e-6);
  // Batch 64: bound by the operations.
  EXPECT_NEAR(*us(recurrence("64", "10", "64")), 64 * 2 * 10 * 0.08192, 1e-4);
  EXPECT_NEAR(*us(recurrence("64", "10", "64"), 2), 64 * 10 * 0.08192, 1e-4);
  EXPECT_FALSE(us(recurrence("1", "T", "64")));
  EXPECT_FALSE(us(recurrence("N", "10", "64")));
}

TEST(Roofline, EinsumAndConvolution) {
  const auto us = [](const std::string& text) {
    return *machine::roofline_us(*parse(text), kProfile, 1);
  };
  EXPECT_NEAR(
      us("graph @g (%a: f32[2, 30], %b: f32[30, 50]) {\n"
         "  %y = einsum(%a, %b) {equation = \"ij,jk->ik\"} : f32[2, 50]\n  yield \"y\" = %y\n}\n"),
      2.0 * 2 * 30 * 50 / 1e5, 1e-9);
  // 8 channels to 6, kernel 3, 20 - 2 places.
  EXPECT_NEAR(us("graph @g (%x: f32[1, 8, 20], %w: f32[6, 8, 3]) {\n"
                 "  %y = conv(%x, %w) : f32[1, 6, 18]\n  yield \"y\" = %y\n}\n"),
              2.0 * 6 * 18 * 8 * 3 / 1e5, 1e-9);
}

}  // namespace
}  // namespace refrain
