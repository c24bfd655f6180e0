// Depthwise convolutions against the reference backend in double precision, for every SIMD target.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "backends/highway/depthwise.h"
#include "backends/reference/executor.h"
#include "ir/text.h"
#include "support/compare.h"
#include "support/random.h"
#include "support/targets.h"
#include "support/widened.h"

namespace refrain {
namespace {

using highway::DepthwiseShape;
using testing::for_each_target;
using testing::Random;
using testing::widened;

std::string list(const std::vector<int64_t>& numbers) {
  std::string text;
  for (const int64_t n : numbers) text += (text.empty() ? "" : ", ") + std::to_string(n);
  return "[" + text + "]";
}

// Each sum has at most 9 terms below 1: its rounding errors stay below 1e-6.
void check(int64_t batch, int64_t steps, int64_t channels, int64_t taps, int64_t stride,
           int64_t dilation, int64_t begin, int64_t end, bool time_first) {
  const int64_t places = (steps + begin + end - (taps - 1) * dilation - 1) / stride + 1;
  const std::vector<int64_t> x_extents = time_first ? std::vector<int64_t>{steps, batch, channels}
                                                    : std::vector<int64_t>{batch, steps, channels},
                             y_extents = time_first ? std::vector<int64_t>{places, batch, channels}
                                                    : std::vector<int64_t>{batch, places, channels};
  const std::string into = time_first ? "[1, 2, 0]" : "[0, 2, 1]",
                    back = time_first ? "[2, 0, 1]" : "[0, 2, 1]";
  const auto exact = parse(
      "graph @g (%x: f64" + list(x_extents) + ", %w: f64" + list({channels, 1, taps}) +
      ", %bias: f64" + list({channels}) + ") {\n  %a = transpose(%x) {perm = " + into + "} : f64" +
      list({batch, channels, steps}) + "\n  %b = conv(%a, %w, %bias) {strides = " + list({stride}) +
      ", dilations = " + list({dilation}) + ", pads = " + list({begin, end}) +
      ", groups = " + std::to_string(channels) + "} : f64" + list({batch, channels, places}) +
      "\n  %y = transpose(%b) {perm = " + back + "} : f64" + list(y_extents) +
      "\n  yield \"y\" = %y\n}");
  Random random(static_cast<uint64_t>(steps * channels));
  const Tensor x = random.tensor(ElementType::f32, x_extents),
               w = random.tensor(ElementType::f32, {channels, 1, taps}),
               bias = random.tensor(ElementType::f32, {channels});
  std::vector<RuntimeValue> values;
  for (const Tensor* tensor : {&x, &w, &bias}) values.emplace_back(widened(*tensor));
  const Tensor expected = reference::run(*exact, values)[0].tensor->clone();

  DepthwiseShape shape{.batch = batch,
                       .steps = steps,
                       .channels = channels,
                       .places = places,
                       .taps = taps,
                       .stride = stride,
                       .dilation = dilation,
                       .first = -begin};
  shape.batch_stride = (time_first ? 1 : steps) * channels;
  shape.step_stride = (time_first ? batch : 1) * channels;
  shape.time_first = time_first;
  std::vector<float> weights;  // [taps, channels]
  for (int64_t i = 0; i < taps * channels; ++i) {
    weights.push_back(w.data<float>()[static_cast<size_t>(i % channels * taps + i / channels)]);
  }
  const int64_t rows = batch * places;
  for_each_target([&] {
    Tensor y(ElementType::f32, y_extents), parts(ElementType::f32, y_extents);
    const float *from = x.data<float>().data(), *b = bias.data<float>().data();
    highway::convolve_depthwise(shape, from, weights.data(), b, 0, rows, y.data<float>().data());
    EXPECT_TRUE(testing::close(widened(y), expected, 1e-6, 2e-6)) << print(*exact);
    for (const auto& [first, last] : {std::pair{int64_t{0}, rows / 3}, {rows / 3, rows}}) {
      highway::convolve_depthwise(shape, from, weights.data(), b, first, last,
                                  parts.data<float>().data() + first * channels);
    }
    EXPECT_TRUE(identical(y, parts)) << "in two parts: " << print(*exact);
  });
}

TEST(HighwayDepthwise, AnyChannelsAndPlaces) {
  for (const int64_t channels : {1, 3, 4, 5, 15, 16, 17, 31, 64}) {
    for (const bool time_first : {false, true}) {
      check(2, 7, channels, 4, 1, 1, 3, 0, time_first);
      check(1, 1, channels, 4, 1, 1, 3, 3, time_first);
      check(3, 11, channels, 1, 1, 1, 0, 0, time_first);
    }
  }
}

TEST(HighwayDepthwise, StridesDilationsAndPadding) {
  for (const int64_t stride : {1, 2, 3}) {
    for (const int64_t dilation : {1, 2, 5}) {
      check(2, 17, 19, 3, stride, dilation, 0, 0, false);
      check(2, 17, 19, 3, stride, dilation, 4, 1, true);
      // Places that lie in padding alone.
      check(1, 2, 19, 2, stride, dilation, 7, 9, false);
    }
  }
  check(1, 40, 16, 8, 1, 1, 7, 0, false);
}

}  // namespace
}  // namespace refrain
