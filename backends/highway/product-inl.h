// Sums of products for a tile of rows and columns, in registers.
//
// Include from code that foreach_target.h compiles again for each target.

#if defined(REFRAIN_BACKENDS_HIGHWAY_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REFRAIN_BACKENDS_HIGHWAY_PRODUCT_INL_H_
#undef REFRAIN_BACKENDS_HIGHWAY_PRODUCT_INL_H_
#else
#define REFRAIN_BACKENDS_HIGHWAY_PRODUCT_INL_H_
#endif

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "backends/highway/pack.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;
constexpr size_t kLanes = hn::MaxLanes(Floats());

// Registers for sums: the rest hold a broadcast element of each row, or weights.
#if HWY_ARCH_ARM_A64 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
constexpr size_t kAccumulators = 24;
#else
constexpr size_t kAccumulators = 12;
#endif

// The left side of one product: element (row, k) lies at data[row * row_stride + k].
struct LeftRows {
  const float* data;
  int64_t row_stride, depth;
};

// What sums start from: zeros, what streams hold, or what is where the sums go to.
enum class Start : uint8_t { zeros, streams, stored };

struct TileArgs {
  const LeftRows* products;
  size_t product_count;
  const float* weights;  // of the first block's group of columns
  int64_t block_stride;  // floats from one block to the next
  const int64_t* rows;   // indices of the tile's rows
  Start start;
  // For Start::streams: column c of row r of block u starts from
  // initial[c][rows[r] * initial_stride[c] + unit + u * block_units].
  const float* const* initial;
  const int64_t* initial_stride;
  int64_t unit, block_units;
  // Sums of column c of row r of block u go to out[column_out[c] + r * row_out + u * block_out].
  float* out;
  const size_t* column_out;
  size_t row_out, block_out;
};

using TileFunction = void (*)(const TileArgs&);

#if HWY_ARCH_ARM
// Constructors of std::array would be compiled for the baseline, into which that of a vector, for
// this target and not trivial on Arm, can't be inlined.
template <class T, size_t kSize>
struct Array {
  HWY_INLINE Array() {}
  HWY_INLINE explicit Array(const T& only) requires(kSize == 1) : elements{only} {}
  HWY_INLINE T& operator[](size_t i) { return elements[i]; }
  T elements[kSize];
};
#else
template <class T, size_t kSize>
using Array = std::array<T, kSize>;
#endif

template <size_t kRows, size_t kBlocks, size_t kColumns>
using TileSums = Array<Array<Array<Vector, kColumns>, kBlocks>, kRows>;

// Calls f(row, block, column) for each sum of a tile, with constants.
template <size_t kRows, size_t kBlocks, size_t kColumns, class F>
HWY_INLINE void ForEachSum(F&& f) {
  HWY_UNROLL(8)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(4)
    for (size_t u = 0; u < kBlocks; ++u) {
      HWY_UNROLL(4)
      for (size_t c = 0; c < kColumns; ++c) f(r, u, c);
    }
  }
}

HWY_INLINE float* SumPlace(const TileArgs& args, size_t r, size_t u, size_t c) {
  return args.out + args.column_out[c] + r * args.row_out + u * args.block_out;
}

// What a sum starts from if that isn't zero.
HWY_INLINE const float* StreamPlace(const TileArgs& args, size_t r, size_t u, size_t c) {
  return args.initial[c] + args.rows[r] * args.initial_stride[c] + args.unit +
         static_cast<int64_t>(u) * args.block_units;
}
HWY_INLINE Vector InitialSum(const TileArgs& args, size_t r, size_t u, size_t c) {
  const Floats d;
  if (args.start == Start::zeros) return hn::Zero(d);
  return hn::LoadU(
      d, args.start == Start::streams ? StreamPlace(args, r, u, c) : SumPlace(args, r, u, c));
}

template <size_t kRows, size_t kBlocks, size_t kColumns>
HWY_INLINE void InitializeSums(const TileArgs& args, TileSums<kRows, kBlocks, kColumns>& sums) {
  const Floats d;
  if (args.start == Start::zeros) {
    ForEachSum<kRows, kBlocks, kColumns>([&](size_t r, size_t u, size_t c)
                                             HWY_ATTR { sums[r][u][c] = hn::Zero(d); });
  } else if (args.start == Start::streams) {
    ForEachSum<kRows, kBlocks, kColumns>([&](size_t r, size_t u, size_t c) HWY_ATTR {
      sums[r][u][c] = hn::LoadU(d, StreamPlace(args, r, u, c));
    });
  } else {
    ForEachSum<kRows, kBlocks, kColumns>([&](size_t r, size_t u, size_t c) HWY_ATTR {
      sums[r][u][c] = hn::LoadU(d, SumPlace(args, r, u, c));
    });
  }
}

// Keeps the compiler from loading a value again for each multiply-add that reads it: loads would be
// the bottleneck then.
HWY_INLINE void KeepInRegister([[maybe_unused]] Vector& v) {
#if HWY_ARCH_X86 && !HWY_COMPILER_MSVC && HWY_TARGET != HWY_SCALAR
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  asm("" : "+v"(v.raw));
#else
  asm("" : "+x"(v.raw));
#endif
#endif
}

// Adds terms k, ..., k + kSplits - 1 of one product, each to its own partial sums.
template <size_t kSplits, size_t kRows, size_t kBlocks, size_t kColumns>
HWY_INLINE void AddTerms(const float* const (&left)[kRows], int64_t k, const float* weights,
                         int64_t block_stride,
                         Array<TileSums<kRows, kBlocks, kColumns>, kSplits>& sums) {
  static_assert(kRows == 1 || kBlocks == 1);
  const Floats d;
  HWY_UNROLL(4)
  for (size_t s = 0; s < kSplits; ++s) {
    const float* w = weights + s * kColumns * kLanes;
    if constexpr (kRows == 1) {
      const Vector x = hn::Set(d, left[0][k + static_cast<int64_t>(s)]);
      ForEachSum<1, kBlocks, kColumns>([&](size_t r, size_t u, size_t c) HWY_ATTR {
        const float* from = w + static_cast<int64_t>(u) * block_stride + c * kLanes;
        sums[s][r][u][c] = hn::MulAdd(x, hn::Load(Floats(), from), sums[s][r][u][c]);
      });
    } else if constexpr (kRows < kColumns) {
      // The smaller side of the tile stays in registers, the other passes through one.
      Vector x[kRows];
      HWY_UNROLL(8)
      for (size_t r = 0; r < kRows; ++r) x[r] = hn::Set(d, left[r][k + static_cast<int64_t>(s)]);
      HWY_UNROLL(4)
      for (size_t c = 0; c < kColumns; ++c) {
        Vector column = hn::Load(d, w + c * kLanes);
        KeepInRegister(column);
        HWY_UNROLL(8)
        for (size_t r = 0; r < kRows; ++r)
          sums[s][r][0][c] = hn::MulAdd(x[r], column, sums[s][r][0][c]);
      }
    } else {
      Vector columns[kColumns];
      HWY_UNROLL(4)
      for (size_t c = 0; c < kColumns; ++c) {
        columns[c] = hn::Load(d, w + c * kLanes);
        KeepInRegister(columns[c]);
      }
      HWY_UNROLL(8)
      for (size_t r = 0; r < kRows; ++r) {
        Vector x = hn::Set(d, left[r][k + static_cast<int64_t>(s)]);
        KeepInRegister(x);
        HWY_UNROLL(4)
        for (size_t c = 0; c < kColumns; ++c)
          sums[s][r][0][c] = hn::MulAdd(x, columns[c], sums[s][r][0][c]);
      }
    }
  }
}

// Adds all products to the sums of a tile. The order depends on kSplits only: a row's result is the
// same in any tile.
template <size_t kSplits, size_t kRows, size_t kBlocks, size_t kColumns>
HWY_INLINE void AddProducts(const LeftRows* products, size_t product_count, const int64_t* rows,
                            const float* HWY_RESTRICT weights, int64_t block_stride,
                            TileSums<kRows, kBlocks, kColumns>& result) {
  const Floats d;
  Array<TileSums<kRows, kBlocks, kColumns>, kSplits> sums;
  sums[0] = result;
  HWY_UNROLL(4)
  for (size_t s = 1; s < kSplits; ++s) {
    ForEachSum<kRows, kBlocks, kColumns>([&](size_t r, size_t u, size_t c)
                                             HWY_ATTR { sums[s][r][u][c] = hn::Zero(d); });
  }
  for (size_t p = 0; p < product_count; ++p) {
    const LeftRows& product = products[p];
    const float* left[kRows];
    HWY_UNROLL(8)
    for (size_t r = 0; r < kRows; ++r) left[r] = product.data + rows[r] * product.row_stride;
    const int64_t depth = product.depth;
    int64_t k = 0;
    for (; k + static_cast<int64_t>(kSplits) <= depth; k += kSplits) {
      AddTerms<kSplits, kRows, kBlocks, kColumns>(left, k, weights, block_stride, sums);
      weights += kSplits * kColumns * kLanes;
    }
    if constexpr (kSplits > 1) {
      for (; k < depth; ++k) {
        Array<TileSums<kRows, kBlocks, kColumns>, 1> first{sums[0]};
        AddTerms<1, kRows, kBlocks, kColumns>(left, k, weights, block_stride, first);
        sums[0] = first[0];
        weights += kColumns * kLanes;
      }
    }
  }
  ForEachSum<kRows, kBlocks, kColumns>([&](size_t r, size_t u, size_t c) HWY_ATTR {
    Vector sum = sums[0][r][u][c];
    if constexpr (kSplits == 2) sum = hn::Add(sum, sums[1][r][u][c]);
    if constexpr (kSplits == 4)
      sum = hn::Add(hn::Add(sum, sums[1][r][u][c]), hn::Add(sums[2][r][u][c], sums[3][r][u][c]));
    result[r][u][c] = sum;
  });
}

// The products of a skewed stage (see StagePlan). `sums` holds what all columns but the last start
// from and gets the results of all but the first: start(r, u) gives the last column's start only
// when it is needed, and finish(r, u, sum) takes the first one's result as soon as it is there, so
// that there are registers for more rows.
template <size_t kSplits, size_t kRows, size_t kBlocks, size_t kOwn, class StartF, class FinishF>
HWY_INLINE void AddSkewedProducts(const LeftRows* products, const int64_t* rows,
                                  const float* HWY_RESTRICT weights, int64_t block_stride,
                                  TileSums<kRows, kBlocks, kOwn>& sums, const StartF& start,
                                  const FinishF& finish) {
  AddProducts<kSplits, kRows, kBlocks, kOwn>(products, 1, rows, weights, block_stride, sums);
  ForEachSum<kRows, kBlocks, kOwn>([&](size_t r, size_t u, size_t c) HWY_ATTR {
    if (c == 0) finish(r, u, sums[r][u][0]);
    sums[r][u][c] = c + 1 < kOwn ? sums[r][u][c + 1 < kOwn ? c + 1 : 0] : start(r, u);
  });
  AddProducts<kSplits, kRows, kBlocks, kOwn>(
      products + 1, 1, rows, weights + products[0].depth * static_cast<int64_t>(kOwn * kLanes),
      block_stride, sums);
}

template <size_t kSplits, size_t kRows, size_t kBlocks, size_t kColumns>
void ComputeTile(const TileArgs& args) {
  TileSums<kRows, kBlocks, kColumns> sums;
  InitializeSums<kRows, kBlocks, kColumns>(args, sums);
  AddProducts<kSplits, kRows, kBlocks, kColumns>(args.products, args.product_count, args.rows,
                                                 args.weights, args.block_stride, sums);
  ForEachSum<kRows, kBlocks, kColumns>([&](size_t r, size_t u, size_t c) HWY_ATTR {
    hn::StoreU(sums[r][u][c], Floats(), SumPlace(args, r, u, c));
  });
}

template <size_t kSplits, size_t kRows, size_t kBlocks, size_t kColumns>
void ComputeSkewedTile(const TileArgs& args) {
  TileSums<kRows, kBlocks, kColumns - 1> sums;
  InitializeSums<kRows, kBlocks, kColumns - 1>(args, sums);
  AddSkewedProducts<kSplits, kRows, kBlocks, kColumns - 1>(
      args.products, args.rows, args.weights, args.block_stride, sums,
      [&](size_t r, size_t u) HWY_ATTR { return InitialSum(args, r, u, kColumns - 1); },
      [&](size_t r, size_t u, Vector sum)
          HWY_ATTR { hn::StoreU(sum, Floats(), SumPlace(args, r, u, 0)); });
  ForEachSum<kRows, kBlocks, kColumns - 1>([&](size_t r, size_t u, size_t c) HWY_ATTR {
    hn::StoreU(sums[r][u][c], Floats(), SumPlace(args, r, u, c + 1));
  });
}

template <size_t kSplits, size_t kRows, size_t kBlocks, size_t kColumns, bool kSkewed>
constexpr TileFunction TileOf() {
  if constexpr (kSkewed) {
    return ComputeSkewedTile<kSplits, kRows, kBlocks, kColumns>;
  } else {
    return ComputeTile<kSplits, kRows, kBlocks, kColumns>;
  }
}

template <size_t kSplits, size_t kColumns, bool kSkewed, size_t... kIndex>
constexpr auto TilesOfRows(std::index_sequence<kIndex...>) {
  return std::array<TileFunction, kMaxTileRows>{
      TileOf<kSplits, kIndex + 1, 1, kColumns, kSkewed>()...};
}
template <size_t kSplits, size_t kColumns, bool kSkewed, size_t... kIndex>
constexpr auto TilesOfBlocks(std::index_sequence<kIndex...>) {
  return std::array<TileFunction, kMaxTileBlocks>{
      TileOf<kSplits, 1, kIndex + 1, kColumns, kSkewed>()...};
}

// [columns - 1][rows - 1] and [columns - 1][blocks - 1].
struct Tiles {
  std::array<std::array<TileFunction, kMaxTileRows>, kMaxColumns> rows{};
  std::array<std::array<TileFunction, kMaxTileBlocks>, kMaxColumns> blocks{};
};

template <size_t kSplits, size_t kColumns, bool kSkewed>
constexpr void AddTiles(Tiles& tiles) {
  constexpr size_t kAtOnce = kColumns - (kSkewed ? 1 : 0);
  tiles.rows[kColumns - 1] = TilesOfRows<kSplits, kColumns, kSkewed>(
      std::make_index_sequence<TileRows(kAccumulators, kSplits, kAtOnce)>());
  tiles.blocks[kColumns - 1] = TilesOfBlocks<kSplits, kColumns, kSkewed>(
      std::make_index_sequence<TileBlocks(kAccumulators, kSplits, kAtOnce)>());
}

template <size_t kSplits, size_t... kIndex>
constexpr Tiles TilesOf(std::index_sequence<kIndex...>) {
  Tiles tiles;
  (AddTiles<kSplits, kIndex + 1, false>(tiles), ...);
  return tiles;
}
// Skewed stages have kMaxColumns columns.
template <size_t kSplits>
constexpr Tiles SkewedTilesOf() {
  Tiles tiles;
  AddTiles<kSplits, kMaxColumns, true>(tiles);
  return tiles;
}

// By 1, 2 and 4 partial sums.
constexpr std::array<Tiles, 3> kTiles{
    TilesOf<1>(std::make_index_sequence<kMaxColumns>()),
    TilesOf<2>(std::make_index_sequence<kMaxColumns>()),
    TilesOf<4>(std::make_index_sequence<kMaxColumns>()),
};
constexpr std::array<Tiles, 3> kSkewedTiles{SkewedTilesOf<1>(), SkewedTilesOf<2>(),
                                            SkewedTilesOf<4>()};

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
