#include "backends/highway/elementwise_loop.h"

#include <algorithm>
#include <cstring>

#include "backends/highway/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/highway/elementwise_loop.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
// clang-format off
#include "hwy/highway.h"
#include "backends/highway/elementwise_loop-inl.h"
#include "backends/highway/program-inl.h"
// clang-format on

#include "backends/highway/elementwise_plan.h"

#ifndef REFRAIN_BACKENDS_HIGHWAY_ELEMENTWISE_LOOP_CC_
#define REFRAIN_BACKENDS_HIGHWAY_ELEMENTWISE_LOOP_CC_
namespace refrain::highway {

// What one target offers.
struct ElementwiseKernel {
  const char* target;
  int64_t lanes;
  void (*run)(const ElementwisePlan&, const ElementwiseLoop::Run&);
};

inline constexpr size_t kMostLoopRegisters = 2 * kMaxRegisters;  // copies too

}  // namespace refrain::highway
#endif

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {

// One tile over a block of steps.
class LoopTile {
 public:
  LoopTile(const ElementwisePlan& plan, const ElementwiseLoop::Run& run)
      : plan_(plan), spec_(plan.spec), run_(run), lanes_(plan.target_lanes) {}

  // Times [begin, end), upward or downward; `first`: from the initial states.
  void run(int64_t tile, int64_t begin, int64_t end, bool first) {
    locate(tile);
    int64_t active = end - begin;
    if (run_.lengths) {
      active = std::clamp<int64_t>(run_.lengths[outer_[spec_.lengths_axis]] - begin, 0, active);
    }
    start(first);
    for (int64_t done = 0; done < active; done += plan_.chunk) {
      steps_ = std::min(plan_.chunk, active - done);
      time_ = run_.backward ? begin + active - 1 - done : begin + done;
      run_chunk();
    }
    finish();
    zero_outputs(begin + active, end);
  }

 private:
  // Which part of the space the tile is.
  void locate(int64_t tile) {
    const int64_t lane_tile = tile % plan_.lane_tiles;
    tile /= plan_.lane_tiles;
    const int64_t row_tile = tile % plan_.row_tiles;
    int64_t outer = tile / plan_.row_tiles;
    for (size_t i = spec_.outer.size(); i-- > 0;) {
      outer_[i] = outer % spec_.outer[i];
      outer /= spec_.outer[i];
    }
    row_ = row_tile * plan_.tile_rows;
    rows_ = std::min(plan_.tile_rows, spec_.rows - row_);
    lane_ = lane_tile * plan_.tile_lanes();
    lane_count_ = std::min(plan_.tile_lanes(), spec_.lanes - lane_);
    vectors_ = (lane_count_ + lanes_ - 1) / lanes_;
  }

  int64_t place_offset(const SpacePlace& place) const {
    int64_t offset = place.offset + row_ * place.row_stride + lane_ * place.lane_stride;
    for (size_t i = 0; i < spec_.outer.size(); ++i) offset += outer_[i] * place.outer_strides[i];
    return offset;
  }

  float* at(const SpacePlace& place) const {
    return run_.buffers[place.buffer] + place_offset(place);
  }

  float* scratch(size_t value) const { return run_.scratch + plan_.registers[value].offset; }

  int64_t time_step(const SpacePlace& place) const {
    return run_.backward ? -place.time_stride : place.time_stride;
  }

  // Whether an input's vectors are read where they lie.
  bool in_place(const SpacePlace& input) const {
    return input.lane_stride == 1 && spec_.lanes > 1 && lane_count_ % lanes_ == 0;
  }

  // `count` numbers, `stride` apart, as whole vectors; one number as a vector of it.
  void gather(const float* from, int64_t stride, int64_t count, bool broadcast, float* to) const {
    const LoopTag d;
    if (broadcast) {
      hn::StoreU(hn::Set(d, *from), d, to);
      return;
    }
    if (stride == 1) {
      std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
    } else {
      for (int64_t i = 0; i < count; ++i) to[i] = from[i * stride];
    }
    std::fill(to + count, to + vectors_ * lanes_, 0.0f);
  }

  void stage(size_t i, int64_t steps) {
    const SpacePlace& input = spec_.inputs[i];
    const RegisterPlace& place = plan_.registers[i];
    const float* from = at(input) + time_ * input.time_stride;
    float* to = scratch(i);
    const int64_t rows = place.row > 0 ? rows_ : 1, step = time_step(input);
    for (int64_t t = 0; t < steps; ++t) {
      for (int64_t r = 0; r < rows; ++r) {
        gather(from + t * step + r * input.row_stride, input.lane_stride, lane_count_,
               place.one_vector, to + t * place.step + r * place.row);
      }
    }
  }

  void start(bool first) {
    time_ = 0;
    for (size_t i = 0; i < spec_.inputs.size(); ++i) {
      const SpacePlace& input = spec_.inputs[i];
      const RegisterPlace& place = plan_.registers[i];
      if (in_place(input)) {
        reads_[i] = {nullptr, time_step(input), input.row_stride, lanes_};
        continue;
      }
      reads_[i] = {scratch(i), place.step, place.row, place.one_vector ? 0 : lanes_};
      if (input.time_stride == 0) stage(i, 1);
    }
    for (size_t i = spec_.inputs.size(); i < plan_.registers.size(); ++i) {
      const RegisterPlace& place = plan_.registers[i];
      if (place.offset < 0) continue;
      reads_[i] = {scratch(i), place.step, place.row, place.one_vector ? 0 : lanes_};
    }
    const LoopTag d;
    for (const auto& [value, number] : plan_.constants) {
      hn::StoreU(hn::Set(d, number), d, scratch(value));
    }
    for (size_t s = 0; s < spec_.states.size(); ++s) {
      const SpacePlace& state = first ? spec_.states[s].initial : spec_.states[s].final;
      const RegisterPlace& place = plan_.registers[spec_.inputs.size() + s];
      const float* from = at(state);
      float* to = scratch(spec_.inputs.size() + s);
      for (int64_t r = 0; r < (place.row > 0 ? rows_ : 1); ++r) {
        gather(from + r * state.row_stride, state.lane_stride, lane_count_, false,
               to + r * place.row);
      }
    }
  }

  void finish() {
    for (size_t s = 0; s < spec_.states.size(); ++s) {
      const SpacePlace& state = spec_.states[s].final;
      const RegisterPlace& place = plan_.registers[spec_.inputs.size() + s];
      put(scratch(spec_.inputs.size() + s), place.row, 0, state, at(state), 0, 1);
    }
  }

  // Writes rows of `from` (or, if it is null, zeros) to a place.
  void put(const float* from, int64_t row_stride, int64_t step_stride, const SpacePlace& place,
           float* to, int64_t time_step, int64_t steps) const {
    const bool rows_vary = place.row_stride != 0 || spec_.rows == 1;
    const bool lanes_vary = place.lane_stride != 0 || spec_.lanes == 1;
    if (!rows_vary && row_ > 0) return;
    if (!lanes_vary && lane_ > 0) return;
    for (size_t i = 0; i < spec_.outer.size(); ++i) {
      if (place.outer_strides[i] == 0 && outer_[i] > 0) return;
    }
    const int64_t rows = rows_vary ? rows_ : 1, count = lanes_vary ? lane_count_ : 1;
    for (int64_t t = 0; t < steps; ++t) {
      for (int64_t r = 0; r < rows; ++r) {
        const float* const source = from ? from + t * step_stride + r * row_stride : nullptr;
        float* const target = to + t * time_step + r * place.row_stride;
        if (place.lane_stride == 1 && source && count % lanes_ == 0) {
          const LoopTag d;
          for (int64_t i = 0; i < count; i += lanes_) {
            hn::StoreU(hn::LoadU(d, source + i), d, target + i);
          }
          continue;
        }
        for (int64_t i = 0; i < count; ++i) target[i * place.lane_stride] = source ? source[i] : 0;
      }
    }
  }

  void zero_outputs(int64_t begin, int64_t end) const {
    if (begin >= end) return;
    for (const ElementwiseLoopSpec::Output& output : spec_.outputs) {
      put(nullptr, 0, 0, output.place, at(output.place) + begin * output.place.time_stride,
          output.place.time_stride, end - begin);
    }
  }

  void run_chunk() {
    for (size_t i = 0; i < spec_.inputs.size(); ++i) {
      const SpacePlace& input = spec_.inputs[i];
      if (in_place(input)) {
        reads_[i].data = at(input) + time_ * input.time_stride;
      } else if (input.time_stride != 0) {
        stage(i, steps_);
      }
    }
    for (const OperationGroup& group : plan_.groups) run_group(group);
    for (const ElementwiseLoopSpec::Output& output : spec_.outputs) {
      const LoopOperand& from = reads_[output.value];
      put(from.data, from.row, from.step, output.place,
          at(output.place) + time_ * output.place.time_stride, time_step(output.place), steps_);
    }
    for (size_t s = 0; s < spec_.states.size(); ++s) {
      const RegisterPlace& place = plan_.registers[spec_.inputs.size() + s];
      float* const state = scratch(spec_.inputs.size() + s);
      std::memcpy(state, state + steps_ * place.step,
                  static_cast<size_t>(place.step) * sizeof(float));
    }
  }

  LoopArguments arguments(const PlannedOperation& operation, int64_t step) const {
    LoopArguments result;
    for (size_t k = 0; k < operand_count(operation); ++k) {
      result.operands[k] = reads_[operation.operands[k]];
      result.operands[k].data += step * result.operands[k].step;
    }
    const RegisterPlace& place = plan_.registers[operation.result];
    result.result = {scratch(operation.result) + step * place.step, place.step, place.row, lanes_};
    if (operation.sums) {
      const RegisterPlace& sum = plan_.registers[operation.sum];
      result.sum = {scratch(operation.sum) + step * sum.step, sum.step, sum.row, lanes_};
    }
    return result;
  }

  // Whether a serial group is one operation that knows how to run all steps.
  bool is_known(const OperationGroup& group) const {
    const PlannedOperation& first = plan_.operations[group.begin];
    return group.end - group.begin == 1 &&
           (first.recurrence != Recurrence::none || first.form == Form::decay);
  }

  void run_group(const OperationGroup& group) {
    const PlannedOperation& first = plan_.operations[group.begin];
    if (group.serial && !is_known(group)) {
      for (int64_t t = 0; t < steps_; ++t) {
        for (size_t i = group.begin; i < group.end; ++i) {
          run_operation(plan_.operations[i], t, 1);
        }
      }
      return;
    }
    if (group.serial) {
      const int64_t rows = plan_.registers[first.result].row > 0 ? rows_ : 1;
      RecurrenceOf(first)(arguments(first, 0), {steps_, rows, vectors_});
      return;
    }
    run_operation(first, 0, steps_);
  }

  void run_operation(const PlannedOperation& operation, int64_t step, int64_t steps) {
    if (operation.form == Form::decay) {
      return DecayOf(operation)(arguments(operation, step), {steps, rows_, vectors_});
    }
    if (operation.form == Form::general) return run_general(operation, step, steps);
    const bool sums = operation.form == Form::sum || operation.form == Form::sum_product;
    const int64_t rows = sums || plan_.registers[operation.result].row > 0 ? rows_ : 1;
    MapOf(operation)(arguments(operation, step), {steps, rows, vectors_});
  }

  // Operands that do not lie like the result are spread out like it first.
  void run_general(const PlannedOperation& operation, int64_t step, int64_t steps) {
    const LoopTag d;
    const LoopArguments all = arguments(operation, step);
    const RegisterPlace& place = plan_.registers[operation.result];
    const int64_t rows = place.row > 0 ? rows_ : 1,
                  room = plan_.chunk * plan_.tile_rows * plan_.tile_lanes();
    const float* values[3] = {nullptr, nullptr, nullptr};
    Instruction instruction = operation.instruction;
    for (size_t k = 0; k < operand_count(operation); ++k) {
      const LoopOperand& in = all.operands[k];
      instruction.operands[k] = static_cast<uint8_t>(k);
      values[k] = in.data;
      if (in.step == place.step && in.row == place.row && in.vector == lanes_) continue;
      float* const to = run_.scratch + plan_.spill + static_cast<int64_t>(k) * room;
      for (int64_t t = 0; t < steps; ++t) {
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t v = 0; v < vectors_; ++v) {
            hn::StoreU(hn::LoadU(d, in.data + t * in.step + r * in.row + v * in.vector), d,
                       to + t * place.step + r * place.row + v * lanes_);
          }
        }
      }
      values[k] = to;
    }
    instruction.result = 0;
    int64_t count = vectors_ * lanes_;
    int64_t rows_apart = rows, steps_apart = steps;
    if (rows == 1 || place.row == count) {
      count *= rows;
      rows_apart = 1;
      if (place.step == count) {
        count *= steps;
        steps_apart = 1;
      }
    }
    for (int64_t t = 0; t < steps_apart; ++t) {
      for (int64_t r = 0; r < rows_apart; ++r) {
        const int64_t at = t * place.step + r * place.row;
        const float* const moved[3] = {values[0] + at, values[1] ? values[1] + at : nullptr,
                                       values[2] ? values[2] + at : nullptr};
        RunInstruction(d, instruction,
                       {moved, all.result.data + at, 0, static_cast<size_t>(count)});
      }
    }
  }

  const ElementwisePlan& plan_;
  const ElementwiseLoopSpec& spec_;
  const ElementwiseLoop::Run& run_;
  const int64_t lanes_;
  int64_t outer_[kMaxOuterAxes] = {};
  int64_t row_ = 0, rows_ = 1, lane_ = 0, lane_count_ = 1, vectors_ = 1;
  int64_t time_ = 0, steps_ = 1;  // of the chunk: its first time, in the order of the run
  LoopOperand reads_[kMostLoopRegisters];
};

void RunTiles(const ElementwisePlan& plan, const ElementwiseLoop::Run& run) {
  LoopTile tile(plan, run);
  const int64_t blocks = (run.steps + plan.block - 1) / plan.block;
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t begin = plan.block * (run.backward ? blocks - 1 - i : i);
    const int64_t end = std::min(begin + plan.block, run.steps);
    for (int64_t k = run.tile_begin; k < run.tile_end; ++k) {
      tile.run(k, begin, end, i == 0 && !run.continued);
    }
  }
}

ElementwiseKernel ElementwiseKernelOfTarget() {
  return {hwy::TargetName(HWY_TARGET), static_cast<int64_t>(hn::Lanes(LoopTag())), RunTiles};
}

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace refrain::highway {
namespace {
HWY_EXPORT(ElementwiseKernelOfTarget);
}

struct ElementwiseLoop::Prepared {
  ElementwiseKernel kernel;
  ElementwisePlan plan;
};

ElementwiseLoop::ElementwiseLoop(const ElementwiseLoopSpec& spec) {
  const ElementwiseKernel chosen = HWY_DYNAMIC_DISPATCH(ElementwiseKernelOfTarget)();
  prepared_ = std::make_unique<Prepared>(Prepared{chosen, plan_elementwise(spec, chosen.lanes)});
}

ElementwiseLoop::~ElementwiseLoop() = default;

void ElementwiseLoop::run(const Run& run) const { prepared_->kernel.run(prepared_->plan, run); }

int64_t ElementwiseLoop::tiles() const { return prepared_->plan.tiles(); }

int64_t ElementwiseLoop::scratch_bytes() const {
  return prepared_->plan.scratch_floats * static_cast<int64_t>(sizeof(float));
}

int64_t ElementwiseLoop::tile_cost() const {
  const ElementwisePlan& plan = prepared_->plan;
  return plan.tile_rows * plan.tile_lanes() *
         static_cast<int64_t>(plan.operations.size() + plan.spec.outputs.size());
}

std::string ElementwiseLoop::describe() const {
  const ElementwisePlan& plan = prepared_->plan;
  std::string text = prepared_->kernel.target;
  text += "; " + std::to_string(plan.outer_count) + " x " + std::to_string(plan.spec.rows) +
          " rows x " + std::to_string(plan.spec.lanes) + " lanes, tiles of " +
          std::to_string(plan.tile_rows) + " x " + std::to_string(plan.tile_lanes()) + ", " +
          std::to_string(plan.chunk) + " steps at a time; " +
          std::to_string(plan.operations.size()) + " operations";
  const auto decays = std::count_if(
      plan.operations.begin(), plan.operations.end(),
      [](const PlannedOperation& operation) { return operation.form == Form::decay; });
  if (decays > 0) text += ", " + std::to_string(decays) + " of them decaying sums";
  int64_t serial = 0;
  for (const OperationGroup& group : plan.groups) {
    const PlannedOperation& first = plan.operations[group.begin];
    if (group.serial && first.recurrence == Recurrence::none && first.form != Form::decay) {
      serial += static_cast<int64_t>(group.end - group.begin);
    }
  }
  if (serial > 0) text += ", " + std::to_string(serial) + " step by step";
  return text;
}

}  // namespace refrain::highway
#endif
