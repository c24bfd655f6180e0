// Pooling, with the channels beside each other in memory.
#pragma once

#include <cstdint>

namespace refrain::highway {

enum class Pooling : uint8_t { max, sum };

// result[c] = the largest of x[k * stride + c], or their sum, over taps k in [0, taps), and of
// result[c] itself unless `first`; c in [0, channels), taps >= 1. The largest is NaN if one is.
// `result` overlaps nothing that is read. No allocation, no lock; any thread.
void pool(Pooling pooling, const float* x, int64_t taps, int64_t stride, int64_t channels,
          bool first, float* result);

// x[c] /= divisor, in place.
void divide(float* x, int64_t channels, float divisor);

}  // namespace refrain::highway
