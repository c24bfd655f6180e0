// Loops of one row and few units: all sums of a step in registers, and nothing between two steps
// but what a step waits for.
//
// Include from code that foreach_target.h compiles again for each target.

#if defined(REFRAIN_BACKENDS_HIGHWAY_SMALL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REFRAIN_BACKENDS_HIGHWAY_SMALL_INL_H_
#undef REFRAIN_BACKENDS_HIGHWAY_SMALL_INL_H_
#else
#define REFRAIN_BACKENDS_HIGHWAY_SMALL_INL_H_
#endif

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "backends/highway/epilogues-inl.h"
#include "backends/highway/pack.h"
#include "backends/highway/product-inl.h"
#include "backends/highway/recurrent-inl.h"
#include "backends/highway/recurrent.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kMaxSmallProducts = 2;
constexpr size_t kMaxSmallStores = 4;

// Where a stream of one row lies at this step and at the next, as addresses: those after the last
// step may lie outside of any array. Advancing is the same for all kinds: rows go on, the copies of
// a state change places, the rest stays.
struct Walk {
  uintptr_t now, next, twice;

  float* data() const { return reinterpret_cast<float*>(now); }
  void advance() {
    const uintptr_t after = now + twice;
    now = next;
    next = after;
  }
};

class Walks {
 public:
  Walks(const LoopPlan& plan, const RecurrentLoop::Run& run) : plan_(plan), run_(run) {}

  Walk input(const Stream& stream, const StagePlan& stage) const {
    if (stream.kind == Stream::Kind::rows) return rows(stream);
    if (stream.kind == Stream::Kind::state) return state(stream, false);
    const float* units = stream.buffer == kZerosBuffer
                             ? stage.zeros.data()
                             : run_.buffers[stream.buffer] + stream.offset;
    return {address(units), address(units), 0};
  }

  Walk output(const Stream& stream) const {
    return stream.kind == Stream::Kind::state ? state(stream, true) : rows(stream);
  }

 private:
  static uintptr_t address(const float* data) { return reinterpret_cast<uintptr_t>(data); }

  Walk rows(const Stream& stream) const {
    const int64_t first = run_.backward ? run_.steps - 1 : 0;
    const uintptr_t begin =
        address(run_.buffers[stream.buffer] + stream.offset + run_.row_begin * stream.row_stride +
                first * stream.time_stride);
    const auto stride = static_cast<uintptr_t>(stream.time_stride) * sizeof(float);
    const uintptr_t step = run_.backward ? -stride : stride;
    return {begin, begin + step, 2 * step};
  }

  Walk state(const Stream& stream, bool written) const {
    const int64_t offset = run_.row_begin * plan_.state_sizes[stream.buffer] + stream.offset;
    const uintptr_t current = address(run_.state_current[stream.buffer] + offset);
    if (run_.state_initial != nullptr) {
      return {written ? current : address(run_.state_initial[stream.buffer] + offset), 0, 0};
    }
    if (plan_.in_place[stream.buffer]) return {current, current, 0};
    const uintptr_t next = address(run_.state_next[stream.buffer] + offset);
    return written ? Walk{next, current, 0} : Walk{current, next, 0};
  }

  const LoopPlan& plan_;
  const RecurrentLoop::Run& run_;
};

// A loop of one stage with a known program, whose units are kBlocks blocks of kVectors vectors.
template <size_t kKnown, size_t kSplits, size_t kVectors, size_t kBlocks>
void RunSmall(const LoopPlan& plan, const RecurrentLoop::Run& run) {
  if (run.row_end - run.row_begin != 1 || run.lengths != nullptr) return RunLoop(plan, run);
  constexpr KnownProgram kProgram = kKnownPrograms[kKnown];
  constexpr size_t kGates = kProgram.gates, kStreams = kProgram.inputs - kProgram.gates;
  constexpr size_t kColumns = kGates * kVectors;
  constexpr int64_t kRow = 0;
  const Floats d;
  const StagePlan& stage = plan.stages[0];
  const Walks walks(plan, run);
  std::array<Walk, kMaxSmallProducts> left{};
  std::array<LeftRows, kMaxSmallProducts> products{};
  std::array<Walk, kGates> initial{};
  std::array<Walk, kStreams> streams{};
  std::array<Walk, kMaxSmallStores> stores{};
  const size_t product_count = stage.products.size(), store_count = stage.stores.size();
  const bool from_zeros = stage.initial.empty();
  for (size_t p = 0; p < product_count; ++p) {
    left[p] = walks.input(stage.products[p].left, stage);
    products[p] = {nullptr, 0, stage.products[p].depth};
  }
  for (size_t g = 0; g < kGates && !from_zeros; ++g)
    initial[g] = walks.input(stage.initial[g], stage);
  for (size_t i = 0; i < kStreams; ++i) streams[i] = walks.input(stage.inputs[i], stage);
  // Stores are sorted by value: the first `split` store value 0.
  size_t split = 0;
  for (size_t o = 0; o < store_count; ++o) {
    stores[o] = walks.output(stage.stores[o].stream);
    if (stage.stores[o].value == 0) split = o + 1;
  }
  const float* weights = stage.weights.get();
  const int64_t block_stride = stage.full_blocks > 0 ? stage.block.floats : stage.tail.floats;
  const size_t last = stage.tail_lanes == 0 ? kLanes : stage.tail_lanes;

  const auto load = [last](const Walk& walk, size_t place) HWY_ATTR {
    const Floats df;
    const float* from = walk.data() + place * kLanes;
    const bool whole = place + 1 < kBlocks * kVectors || last == kLanes;
    return HWY_LIKELY(whole) ? hn::LoadU(df, from) : LoadFirst(from, last);
  };
  for (int64_t step = 0; step < run.steps; ++step) {
    TileSums<1, kBlocks, kColumns> sums;
    if (from_zeros) {
      ForEachSum<1, kBlocks, kColumns>([&](size_t r, size_t u, size_t c)
                                           HWY_ATTR { sums[r][u][c] = hn::Zero(d); });
    } else {
      ForEachSum<1, kBlocks, kColumns>([&](size_t r, size_t u, size_t c) HWY_ATTR {
        sums[r][u][c] = load(initial[c / kVectors], u * kVectors + c % kVectors);
      });
    }
    for (size_t p = 0; p < product_count; ++p) {
      products[p].data = left[p].data();
      left[p].advance();
    }
    if constexpr (kProgram.skewed) {
      TileSums<1, kBlocks, kColumns - 1> some;
      ForEachSum<1, kBlocks, kColumns - 1>([&](size_t r, size_t u, size_t c)
                                               HWY_ATTR { some[r][u][c] = sums[r][u][c]; });
      AddSkewedProducts<kSplits, 1, kBlocks, kColumns - 1>(
          products.data(), &kRow, weights, block_stride, some,
          [&](size_t r, size_t u) HWY_ATTR { return sums[r][u][kColumns - 1]; },
          [&](size_t r, size_t u, Vector sum) HWY_ATTR { sums[r][u][0] = sum; });
      ForEachSum<1, kBlocks, kColumns - 1>([&](size_t r, size_t u, size_t c)
                                               HWY_ATTR { sums[r][u][c + 1] = some[r][u][c]; });
    } else {
      AddProducts<kSplits, 1, kBlocks, kColumns>(products.data(), product_count, &kRow, weights,
                                                 block_stride, sums);
    }
    HWY_UNROLL(4)
    for (size_t place = 0; place < kBlocks * kVectors; ++place) {
      Vector registers[32];
      HWY_UNROLL(4)
      for (size_t g = 0; g < kGates; ++g)
        registers[g] = sums[0][place / kVectors][g * kVectors + place % kVectors];
      HWY_UNROLL(4)
      for (size_t i = 0; i < kStreams; ++i) registers[kGates + i] = load(streams[i], place);
      ExecuteAll<kKnown>(registers, std::make_index_sequence<kProgram.instructions>());
      const bool whole = place + 1 < kBlocks * kVectors || last == kLanes;
      for (size_t o = 0; o < store_count; ++o) {
        const Vector value = registers[kProgram.outputs[0]];
        const Vector other = registers[kProgram.outputs[kProgram.output_count - 1]];
        float* to = stores[o].data() + place * kLanes;
        if (HWY_LIKELY(whole)) {
          hn::StoreU(o < split ? value : other, d, to);
        } else {
          StoreFirst(o < split ? value : other, to, last);
        }
      }
    }
    for (Walk& walk : initial) walk.advance();
    for (Walk& walk : streams) walk.advance();
    for (size_t o = 0; o < store_count; ++o) stores[o].advance();
  }
  if (run.steps % 2 == 0 || run.state_initial != nullptr) return;
  for (size_t state = 0; state < plan.state_sizes.size(); ++state) {
    if (plan.in_place[state]) continue;
    const int64_t size = plan.state_sizes[state], offset = run.row_begin * size;
    std::memcpy(run.state_current[state] + offset, run.state_next[state] + offset,
                static_cast<size_t>(size) * sizeof(float));
  }
}

// A stage's blocks have kVectors vectors: as many as fit beside its gates, or fewer if there is
// only one block. What can't be is null.
template <size_t kKnown, size_t kVectors, size_t kBlocks>
constexpr LoopFunction SmallLoopOf() {
  constexpr size_t kGates = kKnownPrograms[kKnown].gates;
  constexpr size_t kSplits =
      Splits((kGates - (kKnownPrograms[kKnown].skewed ? 1 : 0)) * kVectors * kBlocks);
  constexpr bool kExists =
      kVectors == BlockVectors(kGates) || (kVectors < BlockVectors(kGates) && kBlocks == 1);
  if constexpr (kExists && kBlocks <= TileBlocks(kAccumulators, kSplits, kGates * kVectors)) {
    return RunSmall<kKnown, kSplits, kVectors, kBlocks>;
  } else {
    return nullptr;
  }
}

// By (known, vectors - 1, blocks - 1), in this order.
template <size_t... kIndex>
constexpr auto SmallLoops(std::index_sequence<kIndex...>) {
  return std::array<LoopFunction, sizeof...(kIndex)>{
      SmallLoopOf<kIndex / 16, kIndex / 4 % 4 + 1, kIndex % 4 + 1>()...};
}
static_assert(kMaxColumns == 4 && kMaxTileBlocks == 4);
constexpr auto kSmallLoops = SmallLoops(std::make_index_sequence<kKnownPrograms.size() * 16>());

// The function that runs a loop.
inline LoopFunction ChooseLoop(const LoopPlan& plan) {
  if (plan.stages.size() != 1) return RunLoop;
  const StagePlan& stage = plan.stages[0];
  const bool small = stage.known && stage.initials.empty() && stage.units > 0 &&
                     stage.products.size() <= kMaxSmallProducts &&
                     stage.stores.size() <= kMaxSmallStores;
  if (!small) return RunLoop;
  const size_t full = static_cast<size_t>(std::min<int64_t>(stage.full_blocks, kMaxTileBlocks + 1));
  const bool tail = stage.tail.vectors > 0;
  // Blocks of equal size only.
  if (tail && full > 0 && stage.tail.vectors != stage.block.vectors) return RunLoop;
  const size_t vectors = tail ? stage.tail.vectors : stage.block.vectors;
  const size_t blocks = full + (tail ? 1 : 0);
  if (vectors > kMaxColumns || blocks > kMaxTileBlocks) return RunLoop;
  const size_t gates = stage.skewed ? stage.gates - 1 : stage.gates;
  if (stage.splits != Splits(gates * vectors * blocks)) return RunLoop;
  const LoopFunction small_loop = kSmallLoops[*stage.known * 16 + (vectors - 1) * 4 + blocks - 1];
  return small_loop != nullptr ? small_loop : RunLoop;
}

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
