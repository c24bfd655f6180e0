// The loop over time, stages, unit blocks and rows.
//
// Include from code that foreach_target.h compiles again for each target.

#if defined(REFRAIN_BACKENDS_HIGHWAY_RECURRENT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REFRAIN_BACKENDS_HIGHWAY_RECURRENT_INL_H_
#undef REFRAIN_BACKENDS_HIGHWAY_RECURRENT_INL_H_
#else
#define REFRAIN_BACKENDS_HIGHWAY_RECURRENT_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "backends/highway/block_share.h"
#include "backends/highway/epilogues-inl.h"
#include "backends/highway/pack.h"
#include "backends/highway/product-inl.h"
#include "backends/highway/program-inl.h"
#include "backends/highway/recurrent.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rows that go through all stages and steps together: their states and left sides stay in the
// cache.
constexpr int64_t kChunkRows = RecurrentLoop::kMostSharedRows;
constexpr size_t kPanelStride = kPanelVectors * kLanes;
static_assert(kPanelVectors >= kAccumulators);

constexpr size_t kMaxStreams = kMaxRegisters;

// A stage with its streams resolved for one step.
struct StageStep {
  const StagePlan* plan;
  const Tiles* tiles;
  const int64_t* rows;  // indices of the rows that take part
  size_t row_count;
  LeftRows products[kMaxProducts];
  InputRows inputs[kMaxStreams];
  OutputRows outputs[kMaxStreams];
  // By gate, at unit 0; if each gate has one.
  InputRows initial[kMaxStreams];
  float* registers;  // [kMaxRegisters][kPanelStride], or the gates of a panel
};

// One run over one chunk of rows.
class ChunkRun {
 public:
  ChunkRun(const LoopPlan& plan, const RecurrentLoop::Run& run, int64_t row_begin, int64_t row_end)
      : plan_(plan), run_(run), row_begin_(row_begin), row_end_(row_end) {
    for (size_t state = 0; state < plan.state_sizes.size(); ++state) {
      if (run.state_initial != nullptr) {
        // Only read, in the one step that there is.
        read_[state] = const_cast<float*>(run.state_initial[state]);
        write_[state] = run.state_current[state];
        continue;
      }
      read_[state] = run.state_current[state];
      write_[state] = plan.in_place[state] ? run.state_current[state] : run.state_next[state];
    }
  }

  void Run() {
    HWY_ALIGN float registers[kMaxRegisters * kPanelStride];
    int64_t rows[kChunkRows];
    TakeRows(registers, rows);
    if (run_.lengths != nullptr && run_.backward) CopyLateStates();
    for (int64_t step = 0; step < run_.steps; ++step) {
      time_ = run_.backward ? run_.steps - 1 - step : step;
      if (run_.lengths != nullptr) {
        CollectRows(rows);
        FinishRows();
      }
      if (step_.row_count > 0) {
        for (const StagePlan& stage : plan_.stages) {
          StartStage(stage);
          RunBlockRange(0, BlockCount(stage), BlocksTogether(stage));
        }
      }
      SwapStates();
    }
    FinalStates();
  }

  // One worker's part of the run. What isn't done by unit blocks is done by whoever claims the
  // first block of a step.
  void RunShared(BlockShare& share) {
    HWY_ALIGN float registers[kMaxRegisters * kPanelStride];
    int64_t rows[kChunkRows];
    TakeRows(registers, rows);
    int64_t swapped = 0;
    BlockShare::Worker worker(share);
    for (; worker.step() < run_.steps; worker.next()) {
      time_ = run_.backward ? run_.steps - 1 - worker.step() : worker.step();
      for (; swapped < worker.step(); ++swapped) SwapStates();
      if (run_.lengths != nullptr) CollectRows(rows);
      const StagePlan& stage = plan_.stages[worker.stage()];
      // Parts that are smaller than what is best run at once leave others something to claim.
      const int64_t together = BlocksTogether(stage);
      const int64_t least = static_cast<int64_t>(stage.block.tile_blocks);
      const int64_t most = std::min(together, std::max(least, (worker.own() + 3) / 4));
      bool started = false;
      for (BlockShare::Blocks blocks; worker.claim(most, blocks);) {
        if (!started) StartStage(stage);
        started = true;
        if (run_.lengths != nullptr && blocks.begin == 0 && worker.stage() == 0) {
          if (run_.backward && worker.step() == 0) CopyLateStates();
          FinishRows();
        }
        if (step_.row_count > 0) RunBlockRange(blocks.begin, blocks.end, together);
      }
    }
    if (!worker.first()) return;
    for (; swapped < run_.steps; ++swapped) SwapStates();
    FinalStates();
  }

 private:
  // `registers` and `rows`: room for a panel and the indices of the rows that take part.
  void TakeRows(float* registers, int64_t* rows) {
    step_.registers = registers;
    step_.rows = rows;
    step_.row_count = static_cast<size_t>(row_end_ - row_begin_);
    for (int64_t row = row_begin_; row < row_end_; ++row) rows[row - row_begin_] = row;
  }

  // The caller finds final values where the initial ones were.
  void FinalStates() {
    for (size_t state = 0; state < plan_.state_sizes.size(); ++state) {
      if (read_[state] == run_.state_current[state]) continue;
      const int64_t size = plan_.state_sizes[state];
      const size_t count = static_cast<size_t>((row_end_ - row_begin_) * size);
      std::memcpy(run_.state_current[state] + row_begin_ * size, read_[state] + row_begin_ * size,
                  count * sizeof(float));
    }
  }

  // Whenever rows begin, both copies of their states hold the initial value.
  void CopyLateStates() {
    for (int64_t row = row_begin_; row < row_end_; ++row)
      if (run_.lengths[row] < run_.steps) CopyStates(row);
  }

  void SwapStates() {
    for (size_t state = 0; state < plan_.state_sizes.size(); ++state)
      std::swap(read_[state], write_[state]);
  }

  // Both copies of a row's states get the value to be read.
  void CopyStates(int64_t row) {
    for (size_t state = 0; state < plan_.state_sizes.size(); ++state) {
      if (plan_.in_place[state]) continue;
      const int64_t size = plan_.state_sizes[state];
      std::memcpy(write_[state] + row * size, read_[state] + row * size,
                  static_cast<size_t>(size) * sizeof(float));
    }
  }

  // The rows whose sequence covers this time.
  void CollectRows(int64_t* rows) {
    step_.row_count = 0;
    for (int64_t row = row_begin_; row < row_end_; ++row)
      if (time_ < run_.lengths[row]) rows[step_.row_count++] = row;
  }

  // The others' results are zeros, and both copies of their states hold the final value.
  void FinishRows() {
    if (step_.row_count == static_cast<size_t>(row_end_ - row_begin_)) return;
    for (int64_t row = row_begin_; row < row_end_; ++row) {
      const int64_t length = std::max<int64_t>(run_.lengths[row], 0);
      if (time_ < length) continue;
      if (time_ == length && !run_.backward) CopyStates(row);
      for (const StagePlan& stage : plan_.stages) {
        for (const Store& store : stage.stores) {
          if (store.stream.kind != Stream::Kind::rows) continue;
          const OutputRows output = Output(store);
          std::memset(output.data + row * output.row_stride, 0,
                      static_cast<size_t>(stage.units) * sizeof(float));
        }
      }
    }
  }

  InputRows Input(const Stream& stream, const StagePlan& stage) const {
    switch (stream.kind) {
      case Stream::Kind::rows:
        return {run_.buffers[stream.buffer] + stream.offset + time_ * stream.time_stride,
                stream.row_stride};
      case Stream::Kind::units:
        if (stream.buffer == kZerosBuffer) return {stage.zeros.data(), 0};
        return {run_.buffers[stream.buffer] + stream.offset, 0};
      case Stream::Kind::state:
        break;
    }
    return {read_[stream.buffer] + stream.offset, plan_.state_sizes[stream.buffer]};
  }

  OutputRows Output(const Store& store) const {
    const Stream& stream = store.stream;
    if (stream.kind == Stream::Kind::state)
      return {write_[stream.buffer] + stream.offset, plan_.state_sizes[stream.buffer], store.value};
    return {run_.buffers[stream.buffer] + stream.offset + time_ * stream.time_stride,
            stream.row_stride, store.value};
  }

  // Resolves the stage's streams for this step.
  void StartStage(const StagePlan& stage) {
    step_.plan = &stage;
    step_.tiles = &(stage.skewed ? kSkewedTiles : kTiles)[stage.splits / 2];
    for (size_t i = 0; i < stage.products.size(); ++i) {
      const InputRows left = Input(stage.products[i].left, stage);
      step_.products[i] = {left.data, left.row_stride, stage.products[i].depth};
    }
    for (size_t i = 0; i < stage.inputs.size(); ++i)
      step_.inputs[i] = Input(stage.inputs[i], stage);
    for (size_t i = 0; i < stage.stores.size(); ++i) step_.outputs[i] = Output(stage.stores[i]);
    for (size_t g = 0; g < stage.initial.size(); ++g)
      step_.initial[g] = Input(stage.initial[g], stage);
  }

  // How many blocks are best run at once.
  int64_t BlocksTogether(const StagePlan& stage) const {
    if (step_.row_count == 1 && stage.known) return static_cast<int64_t>(stage.block.tile_blocks);
    const size_t block_vectors = stage.block.vectors * step_.row_count;
    const bool one = step_.row_count == 0 || 2 * block_vectors > kPanelVectors;
    return one ? 1 : static_cast<int64_t>(kPanelVectors / block_vectors);
  }

  // Blocks [begin, end) of the stage that was started, the last of which may be its tail.
  void RunBlockRange(int64_t begin, int64_t end, int64_t together) {
    const StagePlan& stage = *step_.plan;
    const int64_t block_units = static_cast<int64_t>(stage.block.vectors * kLanes);
    const int64_t full = std::min(end, stage.full_blocks);
    for (int64_t block = begin; block < full; block += together) {
      const int64_t count = std::min(together, full - block);
      RunBlocks(stage.block, stage.weights.get() + block * stage.block.floats,
                static_cast<size_t>(count), block * block_units, 0);
    }
    if (end > stage.full_blocks && stage.tail.vectors > 0)
      RunBlocks(stage.tail, stage.weights.get() + stage.full_blocks * stage.block.floats, 1,
                stage.full_blocks * block_units, stage.tail_lanes);
  }

  // All rows of some unit blocks; if these are several, they fit into one panel with all rows.
  void RunBlocks(const BlockShape& shape, const float* weights, size_t blocks, int64_t unit,
                 size_t last) {
    if (step_.row_count == 1) return RunPanel(shape, weights, blocks, unit, last, 0, 1, 1);
    // Panels and tiles of nearly equal size: a small last one would leave multipliers idle. What
    // goes right to its place needs no panel.
    const size_t most = IsDirect(last) ? step_.row_count : shape.panel_rows;
    for (Parts panels(step_.row_count, most); panels.left > 0; panels.next())
      RunPanel(shape, weights, blocks, unit, last, panels.begin, panels.count, shape.tile_rows);
  }

  // Whether sums are results already and go right to where these belong.
  bool IsDirect(size_t last) const {
    const StagePlan& stage = *step_.plan;
    return stage.known == kIdentity && stage.stores.size() == 1 && last == 0 &&
           stage.initials.empty() && run_.lengths == nullptr && step_.outputs[0].row_stride >= 0;
  }

  // 0 .. total-1 in the fewest parts of at most `most`, nearly equal, the larger ones first.
  struct Parts {
    size_t begin = 0, count, left;
    HWY_INLINE Parts(size_t total, size_t most) : count(total), left(1) {
      if (total <= most) return;
      // 32 bits divide faster; rows of a chunk are few.
      left = (static_cast<uint32_t>(total) + static_cast<uint32_t>(most) - 1) /
             static_cast<uint32_t>(most);
      least = static_cast<uint32_t>(total) / static_cast<uint32_t>(left);
      larger = total - least * left;
      count = least + (larger > 0 ? 1 : 0);
    }
    HWY_INLINE void next() {
      begin += count;
      if (larger > 0) --larger;
      count = least + (larger > 0 ? 1 : 0);
      --left;
    }

   private:
    size_t least = 0, larger = 0;
  };

  void RunPanel(const BlockShape& shape, const float* weights, size_t blocks, int64_t unit,
                size_t last, size_t first_row, size_t rows, size_t most) {
    const StagePlan& stage = *step_.plan;
    const Panel panel{step_.registers,
                      kPanelStride,
                      step_.rows + first_row,
                      rows,
                      blocks * shape.vectors,
                      last,
                      unit,
                      step_.inputs,
                      stage.inputs.size(),
                      step_.outputs,
                      stage.stores.size()};
    const bool stored = !stage.initials.empty() || (last != 0 && !stage.initial.empty());
    if (stored) StoreInitials(panel);
    const Start start = stored                  ? Start::stored
                        : stage.initial.empty() ? Start::zeros
                                                : Start::streams;
    const bool direct = IsDirect(last);
    for (const ColumnGroup& group : shape.groups)
      RunGroup(shape, group, weights, blocks, panel, start, most, direct ? step_.outputs : nullptr);
    if (direct) return;
    if (stage.known) {
      kKnownFunctions[*stage.known](panel);
    } else {
      RunInterpreted(panel);
    }
  }

  // What the tiles of one group of columns of a panel work on, and room for what it points to.
  struct GroupArgs {
    const float* initial[kMaxColumns];
    int64_t initial_stride[kMaxColumns];
    size_t column_out[kMaxColumns];
    TileArgs args;
  };

  void Prepare(const BlockShape& shape, const ColumnGroup& group, const float* weights,
               const Panel& panel, Start start, GroupArgs& prepared) const {
    size_t gate = group.first / shape.vectors, vector = group.first % shape.vectors;
    for (size_t c = 0; c < group.count; ++c) {
      prepared.column_out[c] = gate * kPanelStride + vector * kLanes;
      if (start == Start::streams) {
        prepared.initial[c] = step_.initial[gate].data + vector * kLanes;
        prepared.initial_stride[c] = step_.initial[gate].row_stride;
      }
      if (++vector == shape.vectors) vector = 0, ++gate;
    }
    prepared.args = {step_.products,
                     step_.plan->products.size(),
                     weights + group.weights,
                     shape.floats,
                     panel.rows,
                     start,
                     prepared.initial,
                     prepared.initial_stride,
                     panel.unit,
                     static_cast<int64_t>(shape.vectors * kLanes),
                     panel.gates,
                     prepared.column_out,
                     panel.vectors * kLanes,
                     shape.vectors * kLanes};
  }

  // The sums of one group of columns of a panel, tile by tile.
  void RunGroup(const BlockShape& shape, const ColumnGroup& group, const float* weights,
                size_t blocks, const Panel& panel, Start start, size_t most,
                const OutputRows* direct) {
    GroupArgs prepared;
    Prepare(shape, group, weights, panel, start, prepared);
    TileArgs& args = prepared.args;
    if (direct != nullptr) {
      args.out = direct->data + panel.rows[0] * direct->row_stride + panel.unit;
      args.row_out = static_cast<size_t>(direct->row_stride);
    }
    float* const out = args.out;
    if (panel.row_count == 1) {
      const size_t together = shape.tile_blocks;
      const auto& functions = step_.tiles->blocks[group.count - 1];
      for (size_t block = 0; block < blocks;) {
        const size_t count = std::min(together, blocks - block);
        functions[count - 1](args);
        block += count;
        args.weights += static_cast<int64_t>(count) * args.block_stride;
        args.unit += static_cast<int64_t>(count) * args.block_units;
        args.out += count * args.block_out;
      }
      return;
    }
    const auto& functions = step_.tiles->rows[group.count - 1];
    const Parts parts(panel.row_count, most);
    for (size_t block = 0; block < blocks; ++block) {
      args.rows = panel.rows;
      args.out = out + block * args.block_out;
      for (Parts tiles = parts; tiles.left > 0; tiles.next()) {
        functions[tiles.count - 1](args);
        args.rows += tiles.count;
        args.out += tiles.count * args.row_out;
      }
      args.weights += args.block_stride;
      args.unit += args.block_units;
    }
  }

  // Calls f(register, memory, count) for each vector of a register of the panel, with its place in
  // the rows of a stream. What the loops need is in local variables: as far as the compiler knows,
  // a vector that is stored may lie over anything else.
  template <class T, class F>
  HWY_INLINE static void ForEachVector(const Panel& panel, float* registers, T* data,
                                       int64_t row_stride, F f) {
    const size_t row_count = panel.row_count, last = panel.last;
    const size_t whole = panel.vectors - (last != 0 ? 1 : 0);
    const int64_t* const rows = panel.rows;
    data += panel.unit;
    for (size_t r = 0; r < row_count; ++r) {
      T* memory = data + rows[r] * row_stride;
      for (size_t j = 0; j < whole; ++j, registers += kLanes, memory += kLanes)
        f(registers, memory, kLanes);
      if (last == 0) continue;
      f(registers, memory, last);
      registers += kLanes;
    }
  }

  static HWY_INLINE Vector LoadUpTo(const float* from, size_t count) {
    return HWY_LIKELY(count == kLanes) ? hn::LoadU(Floats(), from) : LoadFirst(from, count);
  }
  static HWY_INLINE void StoreUpTo(Vector v, float* to, size_t count) {
    if (HWY_LIKELY(count == kLanes)) {
      hn::StoreU(v, Floats(), to);
    } else {
      StoreFirst(v, to, count);
    }
  }

  // A stream's part of a panel, to a register.
  static void Gather(const Panel& panel, const InputRows& input, float* registers) {
    ForEachVector(panel, registers, input.data, input.row_stride,
                  [](float* to, const float* from, size_t count) {
                    hn::Store(LoadUpTo(from, count), Floats(), to);
                  });
  }

  // The sums of the streams that gates start from, to where the gates will be.
  void StoreInitials(const Panel& panel) const {
    const StagePlan& stage = *step_.plan;
    for (size_t g = 0; g < stage.gates; ++g) {
      float* registers = panel.gates + g * kPanelStride;
      if (stage.initials.empty()) {
        Gather(panel, step_.initial[g], registers);
        continue;
      }
      std::fill(registers, registers + panel.row_count * panel.vectors * kLanes, 0.0F);
      for (const Stream& stream : stage.initials[g]) {
        const InputRows input = Input(stream, stage);
        ForEachVector(panel, registers, input.data, input.row_stride,
                      [](float* to, const float* from, size_t count) {
                        const Floats d;
                        hn::Store(hn::Add(hn::Load(d, to), LoadUpTo(from, count)), d, to);
                      });
      }
    }
  }

  void RunInterpreted(const Panel& panel) const {
    const Floats d;
    const StagePlan& stage = *step_.plan;
    const float* values[kMaxRegisters];
    const size_t inputs = stage.program.inputs;
    for (size_t r = 0; r < inputs + stage.program.code.size(); ++r)
      values[r] = panel.gates + r * kPanelStride;
    for (size_t i = 0; i < panel.input_count; ++i) {
      const InputRows& input = panel.inputs[i];
      // Whole vectors of a single row are as good where they lie, unless an output that is stored
      // before may lie there too.
      if (panel.row_count == 1 && panel.last == 0 && !stage.stored_inputs[i]) {
        values[stage.gates + i] = input.data + panel.rows[0] * input.row_stride + panel.unit;
        continue;
      }
      Gather(panel, input, panel.gates + (stage.gates + i) * kPanelStride);
    }
    RunTile(d, stage.program.code.data(), stage.program.code.size(),
            {values, panel.gates, kPanelStride, panel.row_count * panel.vectors * kLanes});
    for (size_t o = 0; o < panel.output_count; ++o) {
      const OutputRows& output = panel.outputs[o];
      ForEachVector(panel, panel.gates + output.value * kPanelStride, output.data,
                    output.row_stride, [](const float* from, float* to, size_t count) {
                      StoreUpTo(hn::Load(Floats(), from), to, count);
                    });
    }
  }

  const LoopPlan& plan_;
  const RecurrentLoop::Run& run_;
  const int64_t row_begin_, row_end_;
  int64_t time_ = 0;
  float* read_[kMaxStates];
  float* write_[kMaxStates];
  StageStep step_;
};

void RunLoop(const LoopPlan& plan, const RecurrentLoop::Run& run) {
  const int64_t rows = run.row_end - run.row_begin;
  if (rows <= 0) return;
  const int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
  for (int64_t chunk = 0, row = run.row_begin; chunk < chunks; ++chunk) {
    const int64_t count = (run.row_end - row + chunks - chunk - 1) / (chunks - chunk);
    ChunkRun(plan, run, row, row + count).Run();
    row += count;
  }
}

// The rows of the run are one chunk.
void RunLoopShared(const LoopPlan& plan, const RecurrentLoop::Run& run, BlockShare& share) {
  ChunkRun(plan, run, run.row_begin, run.row_end).RunShared(share);
}

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
