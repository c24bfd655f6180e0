// Depthwise convolution over time, with the channels beside each other in memory.
#pragma once

#include <cstdint>

namespace refrain::highway {

// y[b, t, c] = bias[c] + sum over k of weights[k, c] * x[b, t * stride + first + k * dilation, c];
// steps outside [0, steps) count as zero.
struct DepthwiseShape {
  int64_t batch = 1, steps = 1, channels = 1;  // of x
  int64_t places = 1;                          // of y along time
  int64_t taps = 1, stride = 1, dilation = 1;
  int64_t first = 0;  // negative: so much padding in front
  // Element (b, t, c) of x lies at b * batch_stride + t * step_stride + c.
  int64_t batch_stride = 0, step_stride = 0;
  // Row of y that (b, t) is: t * batch + b if time comes first, otherwise b * places + t.
  bool time_first = false;
};

// Computes rows [row_begin, row_end) of y; the first of them is at `result`, the others follow
// densely. Weights are [taps, channels]; `bias` may be null. `result` overlaps nothing that is
// read. No allocation, no lock; any thread. Each row's bits are the same in any call.
void convolve_depthwise(const DepthwiseShape& shape, const float* x, const float* weights,
                        const float* bias, int64_t row_begin, int64_t row_end, float* result);

}  // namespace refrain::highway
