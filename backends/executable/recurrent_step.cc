#include "backends/executable/recurrent_step.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <new>
#include <span>
#include <vector>

#include "ir/control.h"
#include "ir/error.h"

namespace refrain::executable {
namespace {

using onednn::Cell;
using onednn::RecurrentPrimitive;
using onednn::RecurrentShape;
using Clock = std::chrono::steady_clock;

constexpr int64_t kLeastRows = 8, kLeastUnits = 64;
constexpr int64_t kTimedMultiplications = 64'000'000;
constexpr int kLeastRuns = 2, kMostRuns = 3;
constexpr std::chrono::milliseconds kTimeBound{5};
constexpr double kWorthwhile = 0.97;  // of the loop's time

const char* name_of(Cell cell) {
  switch (cell) {
    case Cell::vanilla_tanh:
      return "rnn, tanh";
    case Cell::vanilla_relu:
      return "rnn, relu";
    case Cell::lstm:
      return "lstm";
    case Cell::gru:
      return "gru";
    case Cell::lbr_gru:
      return "gru, reset after";
  }
  return "";
}

// Packed weights, and the gates of all steps, which the primitive computes before the first one.
int64_t primitive_bytes(const RecurrentShape& shape) {
  const int64_t columns = gate_count(shape.cell) * shape.hidden;
  return byte_count(ElementType::f32, std::vector<int64_t>{shape.input + shape.hidden, columns}) +
         byte_count(ElementType::f32, std::vector<int64_t>{shape.steps, shape.batch, columns});
}

std::unique_ptr<RecurrentPrimitive> make_primitive(const RecurrentShape& shape,
                                                   const OnnxWeights& weights) {
  try {
    return std::make_unique<RecurrentPrimitive>(shape, weights.w.data(), weights.r.data(),
                                                weights.bias.data());
  } catch (const Error&) {
    return nullptr;  // not on this machine
  }
}

void check_weights(WeightStore* store, const RecurrentCell& cell) {
  if (!store) return;
  for (const RecurrentCell::Gate& gate : cell.gates) {
    store->check(gate.input.data);
    store->check(gate.recurrent.data);
    for (const float* bias : gate.input_bias) store->check(bias);
    for (const float* bias : gate.recurrent_bias) store->check(bias);
  }
}

// Numbers in [-0.5, 0.5), the same each time.
void fill(std::span<float> elements) {
  uint32_t state = 1;
  for (float& element : elements) {
    state = state * 1664525U + 1013904223U;
    element = static_cast<float>(state >> 8) / static_cast<float>(1U << 24) - 0.5F;
  }
}

// Memory of its own for every slot of the loop that is no constant. Only the first elements of what
// is read get numbers, those that a few steps need; the rest stays zero and, mostly, unpaged.
class ScratchSlots {
 public:
  ScratchSlots(const Storage& storage, Step& step, size_t elements) {
    for (size_t i = 0; i < step.slots().size(); ++i) {
      const Step::Slot& slot = step.slots()[i];
      if (slot.place.absent()) continue;
      const Buffer& buffer = storage.buffer(slot.place);
      if (buffer.kind == BufferKind::constant) {
        step.set_pointer(i, buffer.constant + slot.place.offset);
        continue;
      }
      const auto size = static_cast<size_t>(buffer.bytes) / sizeof(float) + 1;
      memory_.emplace_back(static_cast<float*>(std::calloc(size, sizeof(float))), &std::free);
      if (!memory_.back()) throw std::bad_alloc();
      if (!slot.written) fill({memory_.back().get(), std::min(size, elements)});
      step.set_pointer(i, memory_.back().get());
    }
    step.rebind();
  }

 private:
  std::vector<std::unique_ptr<float, decltype(&std::free)>> memory_;
};

template <typename Run>
double microseconds(const Run& run) {
  const Clock::time_point begin = Clock::now();
  run();
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

Lowering::RecurrentTimes time_both(const Storage& storage, const RecurrentShape& whole,
                                   RecurrentPrimitive& primitive, const RecurrentShape& shape,
                                   LoopStep& loop) {
  const int64_t state = shape.batch * shape.hidden;
  const auto x_size = static_cast<size_t>(shape.steps * shape.batch * shape.input);
  const auto state_size = static_cast<size_t>(state);
  const ScratchSlots scratch(storage, loop, std::max(x_size, state_size));
  loop.set_steps(shape.steps);
  std::vector<float> x(x_size), h0(state_size), c0(state_size), h(state_size), c(state_size),
      y(static_cast<size_t>(shape.steps) * state_size);
  fill(x);
  fill(h0);
  fill(c0);
  const bool lstm = shape.cell == Cell::lstm;
  const auto run_primitive = [&] {
    primitive.run(x.data(), h0.data(), lstm ? c0.data() : nullptr, y.data(), h.data(),
                  lstm ? c.data() : nullptr);
  };
  constexpr double kNever = std::numeric_limits<double>::infinity();
  Lowering::RecurrentTimes times{shape.steps, kNever, kNever};
  loop.run();
  run_primitive();
  const Clock::time_point end = Clock::now() + kTimeBound;
  for (int i = 0; i < kMostRuns && (i < kLeastRuns || Clock::now() < end); ++i) {
    times.loop_us = std::min(times.loop_us, microseconds([&] { loop.run(); }));
    times.onednn_us = std::min(times.onednn_us, microseconds(run_primitive));
  }
  loop.set_steps(whole.steps);
  return times;
}

}  // namespace

void RecurrentStep::run() {
  primitive_->run(floats(0), floats(1), floats(2), floats(3), floats(4), floats(5));
}

std::string RecurrentStep::describe() const {
  return fmt::format("onednn {}, {} steps, {} rows{}: {} -> {} units{}", name_of(shape_.cell),
                     shape_.steps, shape_.batch, shape_.backward ? ", backward" : "", shape_.input,
                     shape_.hidden, note_);
}

int64_t RecurrentStep::own_bytes() const { return primitive_bytes(shape_); }

bool may_use_onednn(const PrepareOptions& options, const RecurrentShape& shape) {
  // Bounded before the primitive is made; what it takes is reserved once it is chosen.
  if (primitive_bytes(shape) > options.max_bytes) return false;
  switch (options.kernels) {
    case KernelChoice::highway:
      return false;
    case KernelChoice::onednn:
      return true;
    case KernelChoice::automatic:
      return options.threads == 1 && shape.batch >= kLeastRows && shape.hidden >= kLeastUnits;
  }
  return false;
}

std::unique_ptr<Step> choose_recurrent(Lowering& lowering, const RecurrentCell& cell,
                                       const Node& scan, LoopStep& loop) {
  const RecurrentShape& shape = cell.shape;
  check_weights(lowering.options().weights, cell);
  OnnxWeights weights;
  std::string note;
  if (lowering.options().kernels == KernelChoice::automatic) {
    const std::vector<int64_t> key = {static_cast<int64_t>(shape.cell), shape.steps, shape.batch,
                                      shape.input, shape.hidden};
    auto found = lowering.recurrent_times().find(key);
    if (found == lowering.recurrent_times().end()) {
      const int64_t step_cost =
          shape.batch * gate_count(shape.cell) * shape.hidden * (shape.input + shape.hidden);
      RecurrentShape part = shape;
      part.steps = std::min(shape.steps, std::max<int64_t>(2, kTimedMultiplications / step_cost));
      weights = onnx_weights(cell);
      const std::unique_ptr<RecurrentPrimitive> primitive = make_primitive(part, weights);
      if (!primitive) return nullptr;
      found = lowering.recurrent_times()
                  .emplace(key, time_both(lowering.storage(), shape, *primitive, part, loop))
                  .first;
    }
    const Lowering::RecurrentTimes& times = found->second;
    note = fmt::format("; {} steps took our loop {:.0f} us, oneDNN's primitive {:.0f} us",
                       times.steps, times.loop_us, times.onednn_us);
    if (times.onednn_us >= kWorthwhile * times.loop_us) {
      loop.set_note(note);
      return nullptr;
    }
  }
  if (weights.w.empty()) weights = onnx_weights(cell);
  std::unique_ptr<RecurrentPrimitive> primitive = make_primitive(shape, weights);
  if (!primitive) return nullptr;

  const ScanView view(scan);
  const auto initial = [&](size_t state) {
    return lowering.place(scan.operand(view.state_operand(state)));
  };
  const auto final = [&](size_t state) { return lowering.place(view.final_state(state)); };
  const bool lstm = shape.cell == Cell::lstm;
  auto step = std::make_unique<RecurrentStep>(shape, std::move(primitive), std::move(note));
  step->reads(lowering.place(cell.x));
  step->reads(initial(cell.h));
  step->reads(lstm ? initial(cell.c) : Place());
  step->writes(cell.y ? lowering.place(cell.y)
                      : lowering.storage().arena(byte_count(
                            ElementType::f32,
                            std::vector<int64_t>{shape.steps, shape.batch, shape.hidden})));
  step->writes(final(cell.h));
  step->writes(lstm ? final(cell.c) : Place());
  return step;
}

}  // namespace refrain::executable
