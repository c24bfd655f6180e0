#include "backends/highway/pooling.h"

#include "backends/highway/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/highway/pooling.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, because it and what follows is compiled for each target.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;

struct Largest {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::IfThenElse(hn::Or(hn::Gt(b, a), hn::IsNaN(b)), b, a);
  }
  float operator()(float a, float b) const { return b > a || b != b ? b : a; }
};

struct Sum {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Add(a, b);
  }
  float operator()(float a, float b) const { return a + b; }
};

template <class Combine>
HWY_INLINE void PoolBy(Combine combine, const float* x, int64_t taps, int64_t stride,
                       int64_t channels, bool first, float* result) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t c = 0;
  for (; c + lanes <= channels; c += lanes) {
    auto value = hn::LoadU(d, x + c);
    if (!first) value = combine(hn::LoadU(d, result + c), value);
    for (int64_t k = 1; k < taps; ++k) value = combine(value, hn::LoadU(d, x + k * stride + c));
    hn::StoreU(value, d, result + c);
  }
  for (; c < channels; ++c) {
    float value = first ? x[c] : combine(result[c], x[c]);
    for (int64_t k = 1; k < taps; ++k) value = combine(value, x[k * stride + c]);
    result[c] = value;
  }
}

void PoolTaps(Pooling pooling, const float* x, int64_t taps, int64_t stride, int64_t channels,
              bool first, float* result) {
  if (pooling == Pooling::max) {
    PoolBy(Largest(), x, taps, stride, channels, first, result);
  } else {
    PoolBy(Sum(), x, taps, stride, channels, first, result);
  }
}

void Divide(float* x, int64_t channels, float divisor) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto by = hn::Set(d, divisor);
  int64_t c = 0;
  for (; c + lanes <= channels; c += lanes) hn::StoreU(hn::Div(hn::LoadU(d, x + c), by), d, x + c);
  for (; c < channels; ++c) x[c] /= divisor;
}

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace refrain::highway {
namespace {
HWY_EXPORT(PoolTaps);
HWY_EXPORT(Divide);
}  // namespace

void pool(Pooling pooling, const float* x, int64_t taps, int64_t stride, int64_t channels,
          bool first, float* result) {
  HWY_DYNAMIC_DISPATCH(PoolTaps)(pooling, x, taps, stride, channels, first, result);
}

void divide(float* x, int64_t channels, float divisor) {
  HWY_DYNAMIC_DISPATCH(Divide)(x, channels, divisor);
}

}  // namespace refrain::highway

#endif  // HWY_ONCE
