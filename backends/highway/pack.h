// How the loop kernel runs a loop on one target: weights packed, epilogues chosen.
//
// packed_weights.h says what the weights look like.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "backends/highway/packed_weights.h"
#include "backends/highway/recurrent.h"

namespace refrain::highway {

inline constexpr size_t kMaxTileRows = 8;
inline constexpr size_t kMaxTileBlocks = 4;
// Vectors of a panel: the tiles whose epilogue runs at once, so that a program that isn't known is
// interpreted once for all of them.
inline constexpr size_t kPanelVectors = 24;
inline constexpr size_t kMaxProducts = 8;
inline constexpr size_t kMaxStates = 64;

// What packing needs to know about a target.
struct TargetShape {
  size_t lanes;         // f32 lanes of a vector
  size_t accumulators;  // vector registers for sums
};

// The shape of some unit blocks.
struct BlockShape {
  size_t vectors = 0;  // V
  std::vector<ColumnGroup> groups;
  int64_t floats = 0;      // packed, of one block
  size_t tile_rows = 1;    // most rows of a tile of one block
  size_t tile_blocks = 1;  // most blocks of a tile of one row
  size_t panel_rows = 1;   // most rows of a panel of one block, a multiple of those
};

struct StageProduct {
  Stream left;
  int64_t depth;
};

// Where the program of a stage stores a value.
struct Store {
  size_t value;  // of a known program: index of its output; otherwise a register
  Stream stream;
  bool in_place;  // a state whose new value may replace the old one at once
};

struct StagePlan {
  int64_t units = 0;
  size_t gates = 0;  // those that the program uses, in its order
  std::vector<StageProduct> products;
  BlockShape block;         // of the first `full_blocks` blocks
  int64_t full_blocks = 0;  // blocks without missing units
  BlockShape tail;          // of the last block, if vectors is not 0
  size_t tail_lanes = 0;    // units in its last vector; 0: all
  // Partial sums of each dot product (1, 2 or 4): term k goes to sum k mod splits. More than one
  // where there are too few sums to keep the multipliers busy. A property of the stage, not of the
  // tile, so that every row gets the same bits whatever is computed beside it.
  size_t splits = 1;
  WeightStore::Block weights;
  int64_t weight_floats = 0;

  // What sums start from. If every gate has at most one, `initial` has one stream for each gate
  // (or is empty: zeros), otherwise `initials` lists them by gate.
  std::vector<Stream> initial;
  std::vector<std::vector<Stream>> initials;
  std::vector<float> zeros;  // what gates without a stream in `initial` start from

  std::optional<size_t> known;  // index into kKnownPrograms
  // Two products: the first is no part of the last gate, the second of the first one.
  bool skewed = false;
  Program program;  // inputs: the gates, then `inputs`
  std::vector<Stream> inputs;
  std::vector<bool> stored_inputs;  // by stream: whether an output stores it as it is
  std::vector<Store> stores;        // by rising value
};

// The buffer of a Stream of kind units that stands for StagePlan::zeros.
inline constexpr size_t kZerosBuffer = ~size_t{0};

// StagePlan::splits for so many sums beside each other, of all columns and some rows: two
// multipliers with a latency of four cycles are busy with eight.
constexpr size_t Splits(size_t sums) { return sums <= 3 ? 4 : sums < 8 ? 2 : 1; }

// Most rows of a tile of one block of so many columns, and most blocks of a tile of one row.
constexpr size_t TileRows(size_t accumulators, size_t splits, size_t columns) {
  return std::clamp<size_t>(accumulators / (splits * columns), 1, kMaxTileRows);
}
constexpr size_t TileBlocks(size_t accumulators, size_t splits, size_t columns) {
  return std::clamp<size_t>(accumulators * 2 / 3 / (splits * columns), 1, kMaxTileBlocks);
}

struct LoopPlan {
  std::vector<StagePlan> stages;
  std::vector<int64_t> state_sizes;
  std::vector<bool> in_place;  // states with one copy only
};

// Unit blocks of a stage, the tail included; 1 if it has no units.
inline int64_t BlockCount(const StagePlan& stage) {
  return std::max<int64_t>(1, stage.full_blocks + (stage.tail.vectors > 0 ? 1 : 0));
}

// The code that runs a loop on one target.
using LoopFunction = void (*)(const LoopPlan&, const RecurrentLoop::Run&);
using SharedLoopFunction = void (*)(const LoopPlan&, const RecurrentLoop::Run&, BlockShare&);

// Throws Error if the spec is not consistent.
LoopPlan plan_loop(const LoopSpec& spec, const TargetShape& target, WeightStore* store = nullptr);

}  // namespace refrain::highway
