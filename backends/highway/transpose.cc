#include "backends/highway/transpose.h"

#include <algorithm>
#include <cstring>

#include "backends/highway/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/highway/transpose.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, because it and what follows is compiled for each target.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Sides of what is transposed at once: a line of the cache. Rows whose distance is a power of two
// compete for few places there, and of larger squares lines would be lost before their turn.
constexpr int64_t kSide = 16;

void Single(const char* from, int64_t from_stride, int64_t rows, int64_t columns, char* to,
            int64_t to_stride) {
  for (int64_t j = 0; j < columns; ++j) {
    for (int64_t i = 0; i < rows; ++i) {
      std::memcpy(to + j * to_stride + i * 4, from + i * from_stride + j * 4, 4);
    }
  }
}

#if HWY_TARGET == HWY_SCALAR
void Square(const char* from, int64_t from_stride, int64_t rows, int64_t columns, char* to,
            int64_t to_stride) {
  Single(from, from_stride, rows, columns, to, to_stride);
}
#else
// By blocks of four rows and columns: two rounds of interleaving.
void Square(const char* from, int64_t from_stride, int64_t rows, int64_t columns, char* to,
            int64_t to_stride) {
  const hn::FixedTag<float, 4> d;
  const hn::FixedTag<double, 2> pairs;
  const auto load = [&](int64_t i, int64_t j) HWY_ATTR {
    return hn::LoadU(hn::FixedTag<float, 4>(),
                     reinterpret_cast<const float*>(from + i * from_stride + j * 4));
  };
  const int64_t whole_rows = rows & ~int64_t{3}, whole_columns = columns & ~int64_t{3};
  for (int64_t i = 0; i < whole_rows; i += 4) {
    for (int64_t j = 0; j < whole_columns; j += 4) {
      const auto a = load(i, j), b = load(i + 1, j), c = load(i + 2, j), e = load(i + 3, j);
      const auto ab_low = hn::BitCast(pairs, hn::InterleaveLower(d, a, b));
      const auto ce_low = hn::BitCast(pairs, hn::InterleaveLower(d, c, e));
      const auto ab_high = hn::BitCast(pairs, hn::InterleaveUpper(d, a, b));
      const auto ce_high = hn::BitCast(pairs, hn::InterleaveUpper(d, c, e));
      char* const at = to + j * to_stride + i * 4;
      const auto store = [&](auto v, int64_t row) HWY_ATTR {
        hn::StoreU(hn::BitCast(hn::FixedTag<float, 4>(), v), hn::FixedTag<float, 4>(),
                   reinterpret_cast<float*>(at + row * to_stride));
      };
      store(hn::InterleaveLower(pairs, ab_low, ce_low), 0);
      store(hn::InterleaveUpper(pairs, ab_low, ce_low), 1);
      store(hn::InterleaveLower(pairs, ab_high, ce_high), 2);
      store(hn::InterleaveUpper(pairs, ab_high, ce_high), 3);
    }
  }
  Single(from + whole_columns * 4, from_stride, whole_rows, columns - whole_columns,
         to + whole_columns * to_stride, to_stride);
  Single(from + whole_rows * from_stride, from_stride, rows - whole_rows, columns,
         to + whole_rows * 4, to_stride);
}
#endif

void Transpose(const char* from, int64_t from_stride, int64_t rows, int64_t columns, char* to,
               int64_t to_stride) {
  for (int64_t j = 0; j < columns; j += kSide) {
    for (int64_t i = 0; i < rows; i += kSide) {
      Square(from + i * from_stride + j * 4, from_stride, std::min(kSide, rows - i),
             std::min(kSide, columns - j), to + j * to_stride + i * 4, to_stride);
    }
  }
}

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace refrain::highway {
namespace {
HWY_EXPORT(Transpose);
}  // namespace

void transpose(const char* from, int64_t from_stride, int64_t rows, int64_t columns, char* to,
               int64_t to_stride) {
  HWY_DYNAMIC_DISPATCH(Transpose)(from, from_stride, rows, columns, to, to_stride);
}

}  // namespace refrain::highway

#endif  // HWY_ONCE
