// Prepared for real time: a run by our own kernels on one thread allocates nothing, maps nothing,
// takes no lock and makes no system call, and denormal numbers neither slow it nor come out of it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "backends/executable/executable.h"
#include "frontend/driver/model.h"
#include "frontend/driver/program.h"
#include "frontend/driver/random_inputs.h"
#include "ir/text.h"
#include "passes/time_symbols.h"
#include "support/call_counter.h"
#include "support/cases.h"
#include "support/prepared.h"

namespace refrain {
namespace {

using testing::CallCounts;
using testing::calls_so_far;
using testing::Syscalls;
using testing::system_calls_of;

// A graph bound to inputs, run by our own kernels on one thread.
struct Bound {
  std::vector<RuntimeValue> inputs;
  Preparation preparation;
  std::vector<Tensor> outputs;
  PreparedGraph* steps = nullptr;  // null: more than a list of steps

  Bound(const Graph& graph, std::vector<RuntimeValue> values) : inputs(std::move(values)) {
    ExecutableOptions options;
    options.backend = Backend::highway;
    preparation = prepare(graph, inputs, options);
    steps = preparation.program ? preparation.program->steps() : nullptr;
    if (!steps) return;
    std::vector<const Tensor*> tensors;
    for (const RuntimeValue& input : inputs) tensors.push_back(input.tensor.get());
    outputs = steps->make_outputs();
    steps->bind(tensors, outputs);
  }
};

void expect_realtime(PreparedGraph& steps) {
  constexpr int kRuns = 100;
  steps.run();
  const CallCounts before = calls_so_far();
  for (int i = 0; i < kRuns; ++i) steps.run();
  const CallCounts calls = calls_so_far() - before;
  EXPECT_EQ(calls.total(), 0) << to_string(calls) << " in " << kRuns << " runs of\n"
                              << steps.describe();
  EXPECT_NE(system_calls_of([&] { steps.run(); }), Syscalls::some) << steps.describe();
}

// That the counter counts.
TEST(CallCounter, SeesWhatItShould) {
  const CallCounts before = calls_so_far();
  auto* const number = new int(1);
  const CallCounts made = calls_so_far() - before;
  EXPECT_EQ(made.allocations, 1) << *number;
  EXPECT_EQ(made.total(), 1) << to_string(made);
  delete number;
  EXPECT_EQ((calls_so_far() - before).frees, 1);
  EXPECT_NE(system_calls_of([] {}), Syscalls::some);
  EXPECT_NE(system_calls_of([] { getppid(); }), Syscalls::none);
}

class Realtime : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { graph_ = load_model(GetParam() + "/model.onnx").graph; }

  std::unique_ptr<Graph> graph_;
};

TEST_P(Realtime, RunsWithoutTheSystem) {
  Bound bound(*graph_, testing::case_inputs(GetParam(), *graph_));
  if (!bound.steps) GTEST_SKIP() << "no list of steps: " << bound.preparation.why;
  expect_realtime(*bound.steps);
}

// The same for one step of time and for a few.
TEST_P(Realtime, RunsStepsWithoutTheSystem) {
  optimize(*graph_);
  const std::set<std::string> time = passes::time_symbols(*graph_);
  if (time.empty()) GTEST_SKIP() << "its number of steps is fixed";
  for (const int64_t steps : {1, 3}) {
    std::mt19937_64 engine(static_cast<uint64_t>(steps));
    SymbolBinding symbols;
    for (const std::string& symbol : time) symbols.bind(symbol, steps);
    symbols.bind_defaults(*graph_);
    std::vector<RuntimeValue> inputs;
    for (size_t i = 0; i < graph_->input_count(); ++i) {
      inputs.push_back(random_value(*graph_, i, symbols, engine, nullptr));
    }
    SCOPED_TRACE(std::to_string(steps) + " steps");
    try {
      Bound bound(*graph_, std::move(inputs));
      if (bound.steps) expect_realtime(*bound.steps);
    } catch (const Error& error) {
      // A window wider than so few steps.
      EXPECT_NE(std::string(error.what()).find("larger than the padded input"), std::string::npos)
          << error.what();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Realtime, ::testing::ValuesIn(testing::case_folders()),
                         testing::case_test_name);

// Every operator that ONNX has tests for, on one thread by our own kernels. Reference kernels of
// some allocate: of integers and doubles, and where weights, axes or indices are known at run time
// only.
TEST(RealtimeNodes, AllButSomeRareOnesAllocateNothing) {
  const std::filesystem::path data = "/usr/share/libonnx-testdata/data/node";
  if (!std::filesystem::is_directory(data)) GTEST_SKIP() << "libonnx-testdata is not installed";
  const std::set<std::string> rare = {
      "conv",        "conv_transpose", "cum_sum",    "einsum",           "gather_elements",
      "gather_nd",   "matmul",         "max_pool",   "reduce_max",       "reduce_min",
      "reduce_mean", "reduce_prod",    "reduce_sum", "reverse_sequence", "scatter_elements",
      "scatter_nd",  "top_k",          "trilu"};
  int checked = 0, allocating = 0;
  for (const auto& entry : std::filesystem::directory_iterator(data)) {
    const std::string folder = entry.path().string();
    std::unique_ptr<Bound> bound;
    try {
      const std::unique_ptr<Graph> graph = load_model(folder + "/model.onnx").graph;
      bound = std::make_unique<Bound>(*graph, testing::case_inputs(folder, *graph));
    } catch (const Error&) {
      continue;  // not supported, or its inputs are not all there
    }
    if (!bound->steps) continue;
    ++checked;
    bound->steps->run();
    const CallCounts before = calls_so_far();
    bound->steps->run();
    if ((calls_so_far() - before).total() == 0) continue;
    ++allocating;
    const std::string steps = bound->steps->describe();
    EXPECT_TRUE(std::any_of(rare.begin(), rare.end(),
                            [&](const std::string& op) {
                              return steps.find("reference " + op + " ") != std::string::npos;
                            }))
        << folder << "\n"
        << steps;
  }
  EXPECT_GT(checked, 500);
  EXPECT_LT(allocating, checked / 5);
}

// Element-wise, a product, a loop and a reference kernel: all take denormals for zeros.
TEST(Denormals, AreFlushedWhileARunLasts) {
  const std::unique_ptr<Graph> graph = parse(R"(
graph @denormals(%x: f32[1, 20], %y: f64[3], %h0: f32[1, 4]) {
  %scale = constant f32[] (0.5)
  %half = mul(%x, %scale) : f32[1, 20]
  %w = constant f32[20, 4] splat(1)
  %product = matmul(%half, %w) : f32[1, 4]
  %sum = add(%y, %y) : f64[3]
  %trips = constant i64[] (5)
  %h = scan trips(%trips) state(%a = %h0: f32[1, 4]) {
    %s = constant f32[] (0.25)
    %next = mul(%a, %s) : f32[1, 4]
    yield %next
  } : f32[1, 4]
  yield "half" = %half, "product" = %product, "sum" = %sum, "h" = %h
}
)");
  const float tiny = std::numeric_limits<float>::denorm_min() * 1000;
  std::vector<Tensor> inputs;
  inputs.push_back(Tensor::of<float>({1, 20}, std::vector<float>(20, tiny)));
  inputs.push_back(Tensor::of<double>({3}, std::vector<double>(3, 1e-310)));
  inputs.push_back(Tensor::of<float>({1, 4}, std::vector<float>(4, 2e-38F)));
  for (const KernelChoice kernels : {KernelChoice::highway, KernelChoice::automatic}) {
    for (const int threads : {1, 2}) {
      PreparedGraph prepared(*graph, {.kernels = kernels, .threads = threads});
      for (const Tensor& output : testing::run(prepared, inputs)) {
        for (const double value : output.view().as_doubles()) {
          EXPECT_EQ(value, 0) << prepared.describe();
        }
      }
      // Afterwards the caller has them again.
      volatile float number = std::numeric_limits<float>::min();
      number = number / 2;
      EXPECT_GT(number, 0);
    }
  }
}

// Rows that several workers share.
TEST(Denormals, AreFlushedByWorkersToo) {
  constexpr int64_t kRows = 4096, kColumns = 64;
  const std::unique_ptr<Graph> graph = parse(R"(
graph @denormals(%x: f32[4096, 64]) {
  %half = constant f32[] (0.5)
  %y = mul(%x, %half) : f32[4096, 64]
  %w = constant f32[64, 64] splat(1)
  %z = matmul(%x, %w) : f32[4096, 64]
  yield "y" = %y, "z" = %z
}
)");
  const float tiny = std::numeric_limits<float>::denorm_min() * 1000;
  std::vector<Tensor> inputs;
  inputs.push_back(Tensor::of<float>(
      {kRows, kColumns}, std::vector<float>(static_cast<size_t>(kRows * kColumns), tiny)));
  PreparedGraph prepared(*graph, {.kernels = KernelChoice::highway, .threads = 2});
  for (const Tensor& output : testing::run(prepared, inputs)) {
    for (const float value : output.data<float>()) ASSERT_EQ(value, 0.0F) << prepared.describe();
  }
}

}  // namespace
}  // namespace refrain
