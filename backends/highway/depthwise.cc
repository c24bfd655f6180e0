#include "backends/highway/depthwise.h"

#include "backends/highway/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/highway/depthwise.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, because it and what follows is compiled for each target.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The taps [begin, end) of one place that lie inside the sequence; x is at tap `begin`.
struct Taps {
  const float* x;
  int64_t begin, end;
};

HWY_INLINE Taps TapsOf(const DepthwiseShape& shape, const float* x, int64_t row) {
  const int64_t b = shape.time_first ? row % shape.batch : row / shape.places;
  const int64_t t = shape.time_first ? row / shape.batch : row % shape.places;
  const int64_t from = t * shape.stride + shape.first;
  Taps taps{nullptr, 0, shape.taps};
  while (taps.begin < taps.end && from + taps.begin * shape.dilation < 0) ++taps.begin;
  while (taps.end > taps.begin && from + (taps.end - 1) * shape.dilation >= shape.steps) --taps.end;
  if (taps.begin == taps.end) return taps;
  taps.x = x + b * shape.batch_stride + (from + taps.begin * shape.dilation) * shape.step_stride;
  return taps;
}

void ConvolveRows(const DepthwiseShape& shape, const float* x, const float* weights,
                  const float* bias, int64_t row_begin, int64_t row_end, float* result) {
  const hn::CappedTag<float, 16> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t channels = shape.channels, stride = shape.dilation * shape.step_stride;
  for (int64_t row = row_begin; row < row_end; ++row, result += channels) {
    const Taps taps = TapsOf(shape, x, row);
    if (channels < lanes) {
      for (int64_t c = 0; c < channels; ++c) {
        float sum = bias ? bias[c] : 0.0F;
        for (int64_t k = taps.begin; k < taps.end; ++k) {
          sum += weights[k * channels + c] * taps.x[(k - taps.begin) * stride + c];
        }
        result[c] = sum;
      }
      continue;
    }
    for (int64_t at = 0; at < channels; at += lanes) {
      // The last vector may overlap the one before: it computes the same again.
      const int64_t c = at + lanes <= channels ? at : channels - lanes;
      auto sum = bias ? hn::LoadU(d, bias + c) : hn::Zero(d);
      for (int64_t k = taps.begin; k < taps.end; ++k) {
        sum = hn::MulAdd(hn::LoadU(d, weights + k * channels + c),
                         hn::LoadU(d, taps.x + (k - taps.begin) * stride + c), sum);
      }
      hn::StoreU(sum, d, result + c);
    }
  }
}

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace refrain::highway {
namespace {
HWY_EXPORT(ConvolveRows);
}  // namespace

void convolve_depthwise(const DepthwiseShape& shape, const float* x, const float* weights,
                        const float* bias, int64_t row_begin, int64_t row_end, float* result) {
  HWY_DYNAMIC_DISPATCH(ConvolveRows)(shape, x, weights, bias, row_begin, row_end, result);
}

}  // namespace refrain::highway

#endif  // HWY_ONCE
