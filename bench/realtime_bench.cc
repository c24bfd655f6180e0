// What matters for a deadline: what a run of a prepared graph costs beyond its kernel, whether
// denormal numbers cost anything, and the worst of many runs.
//
// usage: realtime_bench [CASE...]
//            CASE: a folder with model.onnx and test_data_set_0/input_I.pb; the model runs 100,000
//            times on these inputs, by our own kernels on one thread, each run timed by itself
//
// Pin it (taskset -c 1) for figures that mean something.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "backends/executable/executable.h"
#include "backends/highway/recurrent.h"
#include "frontend/driver/model.h"
#include "frontend/driver/program.h"
#include "frontend/driver/timing.h"
#include "frontend/io/value_file.h"
#include "ir/error.h"
#include "ir/text.h"

namespace refrain {
namespace {

using Clock = std::chrono::steady_clock;

// One step of an LSTM of so many units and inputs, weights all the same.
std::unique_ptr<Graph> lstm_step(int64_t units) {
  const std::string n = std::to_string(units), g = std::to_string(4 * units);
  const std::string row = "f32[1, " + n + "]", gates = "f32[1, " + g + "]";
  std::string parts, types;
  for (const char* gate : {"%f", "%i", "%u", "%o"}) {
    parts += (parts.empty() ? "" : ", ") + std::string(gate);
    types += (types.empty() ? "" : ", ") + row;
  }
  const auto node = [&](const std::string& result, const std::string& op) {
    return "    %" + result + " = " + op + " : " + row + "\n";
  };
  return parse("graph @step (%x: f32[1, 1, " + n + "], %h0: " + row + ", %c0: " + row + ") {\n" +
               "  %hT, %cT = scan state(%h = %h0: " + row + ", %c = %c0: " + row +
               ") scanned(%xt = %x[0]: " + row + ") {\n    %wx = constant f32[" + n + ", " + g +
               "] splat(0.01)\n    %wh = constant f32[" + n + ", " + g +
               "] splat(0.02)\n    %b = constant f32[" + g +
               "] splat(0.5)\n    %px = matmul(%xt, %wx) : " + gates +
               "\n    %ph = matmul(%h, %wh) : " + gates + "\n    %p = add(%px, %ph) : " + gates +
               "\n    %q = add(%p, %b) : " + gates + "\n    " + parts +
               " = split(%q) {axis = 1} : " + types + "\n" + node("sf", "sigmoid(%f)") +
               node("si", "sigmoid(%i)") + node("tu", "tanh(%u)") + node("so", "sigmoid(%o)") +
               node("fc", "mul(%sf, %c)") + node("iu", "mul(%si, %tu)") +
               node("cn", "add(%fc, %iu)") + node("tc", "tanh(%cn)") + node("hn", "mul(%so, %tc)") +
               "    yield %hn, %cn\n  } : " + row + ", " + row +
               "\n  yield \"h\" = %hT, \"c\" = %cT\n}\n");
}

// The same by the loop kernel alone.
class BareStep {
 public:
  explicit BareStep(int64_t units) : units_(units) {
    using enum highway::Operation;
    const auto op = [](highway::Operation operation, int result, int a, int b = 0, int c = 0) {
      return highway::Instruction{operation, uint8_t(result), {uint8_t(a), uint8_t(b), uint8_t(c)}};
    };
    const std::vector<float> weights(static_cast<size_t>(4 * units * units), 0.01F);
    highway::LoopSpec spec;
    spec.state_sizes = {units, units};
    highway::Stage& stage = spec.stages.emplace_back();
    stage.units = units;
    stage.gates = 4;
    for (const auto kind : {highway::Stream::Kind::rows, highway::Stream::Kind::state}) {
      highway::Product& product = stage.products.emplace_back();
      product.left = {kind, 0, 0, units, 0};
      product.depth = units;
      product.weights = highway::weight_terms(4, weights.data(), 4 * units, units);
    }
    // Gates f, i, u, o; their biases; c.
    stage.program = {9,
                     {op(add, 9, 0, 4), op(add, 10, 1, 5), op(add, 11, 2, 6), op(add, 12, 3, 7),
                      op(sigmoid, 13, 9), op(sigmoid, 14, 10), op(tanh, 15, 11),
                      op(sigmoid, 16, 12), op(mul, 17, 14, 15), op(multiply_add, 18, 13, 8, 17),
                      op(tanh, 19, 18), op(mul, 20, 16, 19)},
                     {20, 18}};
    for (int64_t g = 0; g < 4; ++g) {
      stage.inputs.push_back({highway::Stream::Kind::units, 1, 0, 0, g * units});
    }
    stage.inputs.push_back({highway::Stream::Kind::state, 1});
    stage.outputs = {{highway::Stream::Kind::state, 0}, {highway::Stream::Kind::state, 1}};
    loop_ = std::make_unique<highway::RecurrentLoop>(spec);
    for (std::vector<float>* row : {&x_, &h0_, &c0_, &h_, &c_}) {
      row->assign(static_cast<size_t>(units), 0.25F);
    }
    bias_.assign(static_cast<size_t>(4 * units), 0.5F);
  }

  void run() {
    float* const buffers[] = {x_.data(), bias_.data()};
    const float* const initial[] = {h0_.data(), c0_.data()};
    float* const current[] = {h_.data(), c_.data()};
    loop_->run({.buffers = buffers,
                .state_current = current,
                .state_next = nullptr,
                .state_initial = initial});
  }

 private:
  int64_t units_;
  std::unique_ptr<highway::RecurrentLoop> loop_;
  std::vector<float> x_, h0_, c0_, h_, c_, bias_;
};

// A prepared graph with inputs of its own.
struct Bound {
  Bound(const Graph& graph, float value) : prepared(graph, {.kernels = KernelChoice::highway}) {
    for (size_t i = 0; i < graph.input_count(); ++i) {
      const ValueType& type = graph.input(i)->type();
      Tensor& input = inputs.emplace_back(type.element, type.shape.extents());
      std::ranges::fill(input.data<float>(), value);
    }
    outputs = prepared.make_outputs();
    std::vector<const Tensor*> pointers;
    for (const Tensor& input : inputs) pointers.push_back(&input);
    prepared.bind(pointers, outputs);
  }

  PreparedGraph prepared;
  std::vector<Tensor> inputs, outputs;
};

void time_overhead() {
  fmt::print("One step of an LSTM, ns (fastest of many groups of runs)\n{:>6}{:>12}{:>12}{:>12}\n",
             "units", "kernel", "prepared", "more");
  for (const int64_t units : {8, 16, 32, 64, 128}) {
    Bound bound(*lstm_step(units), 0.25F);
    BareStep bare(units);
    const std::function<void()> programs[] = {[&] { bare.run(); }, [&] { bound.prepared.run(); }};
    const std::vector<Timing> times = time_in_turns(programs, 0.5);
    fmt::print("{:>6}{:>12.1f}{:>12.1f}{:>12.1f}\n", units, times[0].min_us * 1e3,
               times[1].min_us * 1e3, (times[1].min_us - times[0].min_us) * 1e3);
  }
}

// A product, a chain of element-wise operations and a filter over time.
void time_denormals() {
  const std::unique_ptr<Graph> graph = parse(R"(
graph @filter (%x: f32[256, 64], %h0: f32[64]) {
  %a = constant f32[] (0.5)
  %w = constant f32[64, 64] splat(0.01)
  %p = matmul(%x, %w) : f32[256, 64]
  %q = mul(%p, %a) : f32[256, 64]
  %hT, %y = scan state(%h = %h0: f32[64]) scanned(%xt = %x[0]: f32[64]) stacked([0]) {
    %b = constant f32[] (0.5)
    %s = mul(%h, %b) : f32[64]
    %n = add(%s, %xt) : f32[64]
    yield %n, %n
  } : f32[64], f32[256, 64]
  yield "q" = %q, "y" = %y
}
)");
  Bound usual(*graph, 0.25F), denormal(*graph, std::numeric_limits<float>::denorm_min() * 5000);
  const std::function<void()> programs[] = {[&] { usual.prepared.run(); },
                                            [&] { denormal.prepared.run(); }};
  const std::vector<Timing> times = time_in_turns(programs, 0.5);
  fmt::print("\nThe same run on usual numbers {:.2f} us, on denormal ones {:.2f} us\n",
             times[0].min_us, times[1].min_us);
}

// Returns the median.
template <typename Run>
double print_times(const std::string& what, const Run& run) {
  constexpr size_t kRuns = 100'000;
  std::vector<double> times(kRuns);
  for (size_t i = 0; i < kRuns / 10; ++i) run();
  for (double& time : times) {
    const Clock::time_point begin = Clock::now();
    run();
    time = std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
  }
  std::sort(times.begin(), times.end());
  const double median = times[kRuns / 2], worst = times.back();
  fmt::print(
      "\n{}: of {} runs, us: fastest {:.2f}, median {:.2f}, 99 % {:.2f}, 99.9 % {:.2f}, "
      "99.99 % {:.2f}, worst {:.2f} ({:.2f} times the median)\n",
      what, kRuns, times.front(), median, times[kRuns / 100 * 99], times[kRuns / 1000 * 999],
      times[kRuns / 10000 * 9999], worst, worst / median);
  return median;
}

void time_case(const std::string& folder) {
  const LoadedModel model = load_model(folder + "/model.onnx");
  std::vector<RuntimeValue> inputs;
  std::vector<const Tensor*> tensors;
  for (size_t i = 0; i < model.graph->input_count(); ++i) {
    inputs.push_back(read_value(folder + "/test_data_set_0/input_" + std::to_string(i) + ".pb",
                                model.graph->input(i)->type(), kDefaultMaxBytes));
    tensors.push_back(inputs.back().tensor.get());
  }
  ExecutableOptions options;
  options.backend = Backend::highway;
  const Preparation preparation = prepare(*model.graph, inputs, options);
  PreparedGraph* const steps = preparation.program ? preparation.program->steps() : nullptr;
  if (!steps) throw Error(folder + " is no list of steps");
  std::vector<Tensor> outputs = steps->make_outputs();
  steps->bind(tensors, outputs);
  const double median = print_times(folder, [&] { steps->run(); });
  // What the machine does to any program: one that needs registers only, for about as long.
  print_times("counting", [count = static_cast<int64_t>(median * 2000)] {
    for (int64_t i = 0; i < count; ++i) asm volatile("" : "+r"(i));
  });
}

}  // namespace
}  // namespace refrain

int main(int argc, char** argv) {
  try {
    refrain::time_overhead();
    refrain::time_denormals();
    for (int i = 1; i < argc; ++i) refrain::time_case(argv[i]);
  } catch (const refrain::Error& error) {
    fmt::print(stderr, "realtime_bench: {}\n", error.what());
    return 2;
  }
  return 0;
}
