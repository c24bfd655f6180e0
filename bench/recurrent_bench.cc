// The loop kernel alone: LSTM, GRU (linear_before_reset) and RNN over T = 100 steps, one thread.
//
// The input size is the hidden size. `hoisted` also times the product of x with the input weights
// over all steps at once, as a compiled graph runs it. `fraction` is that of the least time that
// the machine allows, measured in the same process: its FMA peak for all operations, but for the
// recurrent product at least the time to read its weights once a step from the cache level that
// holds them.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backends/highway/recurrent.h"
#include "backends/machine/machine.h"

namespace {

using namespace refrain;
using namespace refrain::highway;
using enum Operation;

constexpr int64_t kSteps = 100;

Instruction op(Operation operation, int result, int a, int b = 0, int c = 0) {
  return {operation, uint8_t(result), {uint8_t(a), uint8_t(b), uint8_t(c)}};
}

struct Cell {
  std::string name;
  int64_t gates;
  size_t states;
  Program program;  // gates, x of each gate, then the states
};

// h' = o tanh(c'), c' = f c + i g.
const Cell kLstm{
    "LSTM",
    4,
    2,
    {10,
     {op(add, 10, 0, 4), op(add, 11, 1, 5), op(add, 12, 2, 6), op(add, 13, 3, 7),
      op(sigmoid, 14, 10), op(sigmoid, 15, 11), op(sigmoid, 16, 12), op(tanh, 17, 13),
      op(mul, 18, 16, 9), op(multiply_add, 19, 14, 17, 18), op(tanh, 20, 19), op(mul, 21, 20, 15)},
     {21, 19}}};

// An LSTM whose activations changed places: no library knows it.
const Cell kSwapped{
    "swapped_LSTM",
    4,
    2,
    {10,
     {op(add, 10, 0, 4), op(add, 11, 1, 5), op(add, 12, 2, 6), op(add, 13, 3, 7), op(tanh, 14, 10),
      op(sigmoid, 15, 11), op(sigmoid, 16, 12), op(sigmoid, 17, 13), op(mul, 18, 16, 9),
      op(multiply_add, 19, 14, 17, 18), op(sigmoid, 20, 19), op(mul, 21, 20, 15)},
     {21, 19}}};

const Cell kGru{"GRU",
                3,
                1,
                {7,
                 {op(add, 7, 0, 3), op(add, 8, 1, 4), op(sigmoid, 9, 7), op(sigmoid, 10, 8),
                  op(multiply_add, 11, 10, 2, 5), op(tanh, 12, 11), op(sub, 13, 6, 12),
                  op(multiply_add, 14, 9, 13, 12)},
                 {14}}};

const Cell kRnn{"RNN", 1, 1, {3, {op(add, 3, 0, 1), op(tanh, 4, 3)}, {4}}};

std::vector<float> numbers(int64_t count, float scale) {
  static std::mt19937 random(1);
  std::uniform_real_distribution<float> distribution(-scale, scale);
  std::vector<float> result(static_cast<size_t>(count));
  for (float& x : result) x = distribution(random);
  return result;
}

// A loop over `rows` sequences, and the product before it.
class Layer {
 public:
  Layer(const Cell& cell, int64_t size, int64_t rows)
      : rows_(rows),
        x_(numbers(kSteps * rows * size, 1)),
        projected_(numbers(kSteps * rows * size * cell.gates, 1)),
        y_(numbers(kSteps * rows * size, 1)),
        bias_(numbers(cell.gates * size, 1)) {
    const float scale = 1 / std::sqrt(static_cast<float>(size));
    const std::vector<float> weights = numbers(size * size * cell.gates, scale);
    const int64_t columns = cell.gates * size;
    LoopSpec spec;
    Stage stage{size, cell.gates, {}, cell.program, {}, {}};
    stage.products = {
        {{Stream::Kind::state, 0}, size, weight_terms(cell.gates, weights.data(), columns, size)}};
    for (int64_t g = 0; g < cell.gates; ++g)
      stage.inputs.push_back({Stream::Kind::rows, 0, rows * columns, columns, g * size});
    for (size_t s = cell.states; s-- > 0;) {
      spec.state_sizes.push_back(size);
      states_.push_back(numbers(rows * size, 1));
    }
    // The state that nothing multiplies is the last input.
    stage.inputs.push_back({Stream::Kind::state, cell.states - 1});
    stage.inputs.resize(cell.program.inputs - static_cast<size_t>(cell.gates));
    for (size_t s = 0; s < cell.states; ++s) stage.outputs.push_back({Stream::Kind::state, s});
    stage.outputs.push_back({Stream::Kind::rows, 1, rows * size, size, 0});
    stage.program.outputs.push_back(stage.program.outputs[0]);
    spec.stages = {stage};
    spec.rows = rows;
    loop_ = std::make_unique<RecurrentLoop>(spec);

    Stage product{columns, 1, {}, {2, {op(add, 2, 0, 1)}, {2}}, {}, {}};
    product.products = {
        {{Stream::Kind::rows, 0, 0, size, 0}, size, weight_terms(1, weights.data(), columns, 0)}};
    product.inputs = {{Stream::Kind::units, 2}};
    product.outputs = {{Stream::Kind::rows, 1, 0, columns, 0}};
    projection_ = std::make_unique<RecurrentLoop>(LoopSpec{{product}, {}, kSteps * rows});
    next_ = states_;
  }

  void project() {
    float* buffers[] = {x_.data(), projected_.data(), bias_.data()};
    projection_->run({buffers, nullptr, nullptr, 1, 0, kSteps * rows_});
  }

  void loop() {
    float* buffers[] = {projected_.data(), y_.data()};
    std::vector<float*> current, other;
    for (std::vector<float>& state : states_) current.push_back(state.data());
    for (std::vector<float>& state : next_) other.push_back(state.data());
    loop_->run({buffers, current.data(), other.data(), kSteps, 0, rows_});
    benchmark::DoNotOptimize(y_.data());
  }

  std::string describe() const { return loop_->describe(); }

 private:
  int64_t rows_;
  std::vector<float> x_, projected_, y_, bias_;
  std::vector<std::vector<float>> states_, next_;
  std::unique_ptr<RecurrentLoop> loop_, projection_;
};

const machine::Profile& profile() {
  static const machine::Profile result = machine::measure(1.0);
  return result;
}

void run(benchmark::State& state, const Cell& cell, bool hoisted) {
  const int64_t size = state.range(0), rows = state.range(1);
  Layer layer(cell, size, rows);
  double best = 1e30;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    if (hoisted) layer.project();
    layer.loop();
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    best = std::min(best, time.count());
    state.SetIterationTime(time.count());
  }
  const double weights = static_cast<double>(cell.gates * size * size);
  const double flops = 2 * weights * static_cast<double>(rows * kSteps);
  const double peak = profile().peak_gflops * 1e9;
  const double bandwidth =
      machine::bandwidth_of(profile(), static_cast<int64_t>(weights) * 4) * 1e9;
  const double step =
      std::max(2 * weights * static_cast<double>(rows) / peak, weights * 4 / bandwidth);
  const double roof = step * kSteps + (hoisted ? flops / peak : 0);
  state.counters["best_us"] = best * 1e6;
  state.counters["GFLOP/s"] = flops * (hoisted ? 2 : 1) / best / 1e9;
  state.counters["fraction"] = roof / best;
  state.SetLabel(layer.describe());
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  for (const Cell* cell : {&kLstm, &kSwapped, &kGru, &kRnn}) {
    for (const bool hoisted : {false, true}) {
      auto* family = benchmark::RegisterBenchmark(
          (cell->name + (hoisted ? "/hoisted" : "/loop")).c_str(),
          [cell, hoisted](benchmark::State& state) { run(state, *cell, hoisted); });
      family->ArgsProduct({{16, 32, 64, 128, 256, 512, 1024}, {1, 4, 16, 64}})
          ->ArgNames({"H", "B"})
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond);
    }
  }
  benchmark::RunSpecifiedBenchmarks();
}
