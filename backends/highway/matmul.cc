#include "backends/highway/matmul.h"

#include <algorithm>
#include <cstddef>

#include "backends/highway/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/highway/matmul.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, because it and what follows is compiled for each target.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kRows = 4;

// kTile rows by two vectors of columns, or one: sums in registers.
template <size_t kTile, bool kTwo>
HWY_INLINE void Tile(const float* a, const float* b, float* c, int64_t k, int64_t m) {
  const hn::CappedTag<float, 16> d;
  using V = hn::Vec<hn::CappedTag<float, 16>>;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  V first[kTile], second[kTile];
  HWY_UNROLL(4)
  for (size_t r = 0; r < kTile; ++r) first[r] = second[r] = hn::Zero(d);
  for (int64_t p = 0; p < k; ++p) {
    const V left = hn::LoadU(d, b + p * m);
    const V right = kTwo ? hn::LoadU(d, b + p * m + lanes) : left;
    HWY_UNROLL(4)
    for (size_t r = 0; r < kTile; ++r) {
      const V x = hn::Set(d, a[static_cast<int64_t>(r) * k + p]);
      first[r] = hn::MulAdd(x, left, first[r]);
      if constexpr (kTwo) second[r] = hn::MulAdd(x, right, second[r]);
    }
  }
  HWY_UNROLL(4)
  for (size_t r = 0; r < kTile; ++r) {
    float* const to = c + static_cast<int64_t>(r) * m;
    hn::StoreU(first[r], d, to);
    if constexpr (kTwo) hn::StoreU(second[r], d, to + lanes);
  }
}

template <size_t kTile>
HWY_INLINE void Rows(const float* a, const float* b, float* c, int64_t k, int64_t m) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(hn::CappedTag<float, 16>()));
  int64_t j = 0;
  for (; j + 2 * lanes <= m; j += 2 * lanes) Tile<kTile, true>(a, b + j, c + j, k, m);
  for (; j + lanes <= m; j += lanes) Tile<kTile, false>(a, b + j, c + j, k, m);
  if (j == m) return;
  if (m >= lanes) {  // the last vector overlaps the one before: it computes the same again
    Tile<kTile, false>(a, b + m - lanes, c + m - lanes, k, m);
    return;
  }
  for (size_t r = 0; r < kTile; ++r) {
    for (int64_t column = 0; column < m; ++column) {
      float sum = 0;
      for (int64_t p = 0; p < k; ++p) sum += a[static_cast<int64_t>(r) * k + p] * b[p * m + column];
      c[static_cast<int64_t>(r) * m + column] = sum;
    }
  }
}

void Multiply(const float* a, const float* b, float* c, int64_t n, int64_t k, int64_t m) {
  int64_t i = 0;
  for (; i + static_cast<int64_t>(kRows) <= n; i += kRows)
    Rows<kRows>(a + i * k, b, c + i * m, k, m);
  for (; i < n; ++i) Rows<1>(a + i * k, b, c + i * m, k, m);
}

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace refrain::highway {
namespace {
HWY_EXPORT(Multiply);
}  // namespace

void multiply(const float* a, const float* b, float* c, int64_t n, int64_t k, int64_t m) {
  HWY_DYNAMIC_DISPATCH(Multiply)(a, b, c, n, k, m);
}

}  // namespace refrain::highway

#endif  // HWY_ONCE
