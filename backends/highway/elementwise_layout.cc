#include "backends/highway/elementwise_layout.h"

#include <algorithm>
#include <string>

#include "ir/error.h"

namespace refrain::highway {
namespace {

// A tile's scratch should stay in the first level cache beside what is read in place.
constexpr int64_t kScratchFloats = 20 << 10;
constexpr int64_t kMostScratchFloats = 4 << 20;
constexpr int64_t kLongestChunk = 64;
// Vectors of one step of a tile that are worth choosing an operation's code for, and more than
// which only cost room.
constexpr int64_t kTileVectors = 128;
constexpr int64_t kSummedTileVectors = 8;
// What all tiles read and write in a block of steps should stay in the second level cache.
constexpr int64_t kBlockFloats = 96 << 10;

class Layout {
 public:
  Layout(ElementwisePlan& plan, const PlannedValues& values) : plan_(plan), values_(values) {}

  void run();

 private:
  const ElementwiseLoopSpec& spec() const { return plan_.spec; }
  size_t first_state() const { return spec().inputs.size(); }
  int64_t allocate(int64_t chunk);

  ElementwisePlan& plan_;
  const PlannedValues& values_;
};

// Gives registers their places in scratch for chunks of so many steps. Returns the floats needed.
int64_t Layout::allocate(int64_t chunk) {
  int64_t end = 0;
  const auto take = [&](int64_t floats) {
    const int64_t begin = end;
    end += (floats + 15) / 16 * 16;
    return begin;
  };
  const int64_t tile_lanes = plan_.tile_lanes(), lanes = plan_.target_lanes;
  plan_.registers.assign(values_.varies_with_rows.size(), {});
  for (size_t i = 0; i < spec().inputs.size(); ++i) {
    const SpacePlace& input = spec().inputs[i];
    RegisterPlace& place = plan_.registers[i];
    place.one_vector = input.lane_stride == 0 || spec().lanes == 1;
    if (!place.one_vector && input.lane_stride == 1 && spec().lanes % lanes == 0) continue;
    const int64_t width = place.one_vector ? lanes : tile_lanes;
    const int64_t rows = values_.varies_with_rows[i] ? plan_.tile_rows : 1;
    place.row = rows > 1 ? width : 0;
    place.step = input.time_stride != 0 ? rows * width : 0;
    place.offset = take(input.time_stride != 0 ? chunk * rows * width : rows * width);
  }
  for (const auto& [value, number] : plan_.constants) {
    plan_.registers[value] = {take(lanes), 0, 0, true};
  }
  const auto result_place = [&](size_t value) {
    const bool rows = values_.varies_with_rows[value];
    RegisterPlace place;
    place.row = rows ? tile_lanes : 0;
    place.step = (rows ? plan_.tile_rows : 1) * tile_lanes;
    return place;
  };
  // A state's values of all steps follow each other, from before the first one on, or replace each
  // other.
  for (size_t s = 0; s < values_.nexts.size(); ++s) {
    RegisterPlace place = result_place(first_state() + s);
    if (values_.last_only[s]) {
      place.offset = take(place.step);
      place.step = 0;
    } else {
      place.offset = take((chunk + 1) * place.step);
    }
    plan_.registers[first_state() + s] = place;
    place.offset += place.step;
    plan_.registers[values_.nexts[s]] = place;
  }
  // The last group that reads each value.
  std::vector<size_t> last(plan_.registers.size(), 0);
  for (size_t g = 0; g < plan_.groups.size(); ++g) {
    for (size_t i = plan_.groups[g].begin; i < plan_.groups[g].end; ++i) {
      const PlannedOperation& operation = plan_.operations[i];
      for (size_t k = 0; k < operand_count(operation); ++k) last[operation.operands[k]] = g;
    }
  }
  for (const ElementwiseLoopSpec::Output& output : spec().outputs) {
    last[output.value] = plan_.groups.size();
  }
  struct Free {
    int64_t offset, floats;
    size_t group;  // the last that reads it
  };
  std::vector<Free> taken;
  for (size_t g = 0; g < plan_.groups.size(); ++g) {
    std::vector<size_t> results;
    for (size_t i = plan_.groups[g].begin; i < plan_.groups[g].end; ++i) {
      results.push_back(plan_.operations[i].result);
      if (plan_.operations[i].sums) results.push_back(plan_.operations[i].sum);
    }
    for (const size_t value : results) {
      if (plan_.registers[value].offset >= 0) continue;
      RegisterPlace place = result_place(value);
      const int64_t floats = chunk * place.step;
      const auto reused = std::find_if(taken.begin(), taken.end(), [&](const Free& other) {
        return other.group < g && other.floats == floats;
      });
      if (reused != taken.end()) {
        place.offset = reused->offset;
        reused->group = last[value];
      } else {
        place.offset = take(floats);
        taken.push_back({place.offset, floats, last[value]});
      }
      plan_.registers[value] = place;
    }
  }
  plan_.spill = end;
  for (const PlannedOperation& operation : plan_.operations) {
    if (operation.form != Form::general) continue;
    take(3 * chunk * plan_.tile_rows * tile_lanes);
    break;
  }
  return end;
}

void Layout::run() {
  const int64_t lanes = plan_.target_lanes;
  const int64_t lane_vectors = (spec().lanes + lanes - 1) / lanes;
  bool whole_rows = values_.sums;
  for (size_t s = 0; s < values_.nexts.size(); ++s) {
    whole_rows = whole_rows || !values_.varies_with_rows[first_state() + s];
  }
  if (spec().rows == 1 || !whole_rows) {
    plan_.vectors = std::min(lane_vectors, kTileVectors);
    plan_.tile_rows = std::clamp<int64_t>(kTileVectors / plan_.vectors, 1, spec().rows);
  } else {
    plan_.tile_rows = spec().rows;
    plan_.vectors = std::clamp<int64_t>(kTileVectors / spec().rows, 1,
                                        std::min(lane_vectors, kSummedTileVectors));
  }
  for (const int64_t extent : spec().outer) plan_.outer_count *= extent;
  plan_.row_tiles = (spec().rows + plan_.tile_rows - 1) / plan_.tile_rows;
  plan_.lane_tiles = (lane_vectors + plan_.vectors - 1) / plan_.vectors;

  plan_.chunk = kLongestChunk;
  while (plan_.chunk > 1 && allocate(plan_.chunk) > kScratchFloats) plan_.chunk /= 2;
  plan_.scratch_floats = allocate(plan_.chunk);
  if (plan_.scratch_floats > kMostScratchFloats) {
    throw Error("tiles of an element-wise loop take too much memory",
                "at most " + std::to_string(kMostScratchFloats) + " floats",
                std::to_string(plan_.scratch_floats));
  }

  // Floats that a step of all tiles moves.
  int64_t moved = 0;
  const auto add = [&](const SpacePlace& place) {
    if (place.time_stride == 0) return;
    int64_t floats = 1;
    for (size_t i = 0; i < spec().outer.size(); ++i) {
      if (place.outer_strides[i] != 0) floats *= spec().outer[i];
    }
    if (place.row_stride != 0) floats *= spec().rows;
    if (place.lane_stride != 0) floats *= spec().lanes;
    moved += floats;
  };
  for (const SpacePlace& input : spec().inputs) add(input);
  for (const ElementwiseLoopSpec::Output& output : spec().outputs) add(output.place);
  plan_.block =
      std::max(plan_.chunk, kBlockFloats / std::max<int64_t>(1, moved) / plan_.chunk * plan_.chunk);
}

}  // namespace

void lay_out(ElementwisePlan& plan, const PlannedValues& values) { Layout(plan, values).run(); }

}  // namespace refrain::highway
