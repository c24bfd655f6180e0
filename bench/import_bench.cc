// How the cost of importing, verifying, printing and parsing a traced LSTM grows with the number of
// its nodes.
#include <benchmark/benchmark.h>

#include <string>

#include "frontend/onnx/import.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "traced_lstm.h"

namespace refrain {
namespace {

void import_bytes(benchmark::State& state) {
  const std::string bytes = traced_lstm(state.range(0)).SerializeAsString();
  for (auto _ : state) benchmark::DoNotOptimize(onnx_import::import_bytes(bytes, "traced"));
  state.SetComplexityN(state.range(0));
}

std::unique_ptr<Graph> imported(int64_t nodes) {
  return onnx_import::import_bytes(traced_lstm(nodes).SerializeAsString(), "traced").graph;
}

void verify(benchmark::State& state) {
  const std::unique_ptr<Graph> graph = imported(state.range(0));
  for (auto _ : state) refrain::verify(*graph);
  state.SetComplexityN(state.range(0));
}

void print(benchmark::State& state) {
  const std::unique_ptr<Graph> graph = imported(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(refrain::print(*graph));
  state.SetComplexityN(state.range(0));
}

void parse(benchmark::State& state) {
  const std::string text = refrain::print(*imported(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(refrain::parse(text));
  state.SetComplexityN(state.range(0));
}

void sizes(benchmark::internal::Benchmark* benchmark) {
  for (int64_t nodes : {1'000, 10'000, 100'000, 1'000'000}) benchmark->Arg(nodes);
  benchmark->Unit(benchmark::kMillisecond)->Complexity(benchmark::oNLogN);
}

BENCHMARK(import_bytes)->Apply(sizes);
BENCHMARK(verify)->Apply(sizes);
BENCHMARK(print)->Apply(sizes);
BENCHMARK(parse)->Apply(sizes);

}  // namespace
}  // namespace refrain

BENCHMARK_MAIN();
