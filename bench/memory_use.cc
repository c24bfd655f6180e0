// What a process holds that runs one model.
//
// usage: memory_use MODEL STEPS [--whole N]
//            Loads the model, prepares it as a stream for one step of time with our own kernels
//            (and with --whole for sequences of N steps too), runs STEPS runs, and prints JSON:
//            {constant_bytes, load_us, prepare_us, start, loaded, prepared, run, peak}; of the last
//            five, each the bytes of memory that are resident by then: own (anonymous) and of files
//            (mapped)
#include <fmt/core.h>
#include <malloc.h>

#include <charconv>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/driver/executable.h"
#include "frontend/driver/model.h"
#include "frontend/driver/random_inputs.h"
#include "ir/error.h"
#include "passes/stream.h"
#include "passes/time_symbols.h"

namespace refrain {
namespace {

constexpr int64_t kMostSteps = 1'000'000;

nlohmann::ordered_json resident() {
  int64_t own = 0, file = 0, peak = 0;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    const auto kilobytes = [&](std::string_view key, int64_t& to) {
      if (line.starts_with(key)) to = 1024 * std::stoll(line.substr(key.size()));
    };
    kilobytes("RssAnon:", own);
    kilobytes("RssFile:", file);
    kilobytes("VmHWM:", peak);
  }
  return {{"own", own}, {"file", file}, {"peak", peak}};
}

int64_t constant_bytes(const Region& region) {
  int64_t bytes = 0;
  for (const Node* node = region.first(); node; node = node->next()) {
    if (node->op() == Op::constant)
      bytes += node->attribute<TensorPtr>(AttributeName::value)->bytes();
    for (size_t i = 0; i < node->region_count(); ++i) bytes += constant_bytes(node->region(i));
  }
  return bytes;
}

std::vector<RuntimeValue> inputs_for(const Graph& graph, int64_t steps) {
  SymbolBinding symbols;
  for (const std::string& symbol : passes::time_symbols(graph)) symbols.bind(symbol, steps);
  symbols.bind_defaults(graph);
  std::mt19937_64 engine(1);
  std::vector<RuntimeValue> values;
  for (size_t i = 0; i < graph.input_count(); ++i) {
    values.push_back(random_value(graph, i, symbols, engine, nullptr));
  }
  return values;
}

int measure(const std::string& path, int64_t steps, int64_t whole) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point begin) {
    return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
  };
  nlohmann::ordered_json result;
  const nlohmann::ordered_json start = resident();
  Clock::time_point begin = Clock::now();
  LoadedModel model = load_model(path);
  optimize(model);
  result["load_us"] = since(begin);
  malloc_trim(0);
  result["constant_bytes"] = constant_bytes(model.graph->body());
  result["start"] = start;
  result["loaded"] = resident();

  ExecutableOptions options{.backend = Backend::highway, .weights = model.weights};
  if (!options.weights) {
    options.weights = std::make_shared<WeightStore>();
    options.weights->add(*model.graph);
  }
  std::vector<std::pair<std::vector<RuntimeValue>, Preparation>> prepared;
  begin = Clock::now();
  const passes::StreamForm stream = passes::make_stream(*model.graph);
  for (const int64_t time : {int64_t{1}, whole}) {
    if (time == 0) continue;
    const Graph& graph = time == 1 ? *stream.graph : *model.graph;
    std::vector<RuntimeValue> inputs = inputs_for(graph, time);
    Preparation preparation = prepare(graph, inputs, options);
    if (!preparation.program) throw Error("can't prepare the model: " + preparation.why);
    prepared.emplace_back(std::move(inputs), std::move(preparation));
    if (time == 1) result["prepare_us"] = since(begin);
  }
  result["prepared"] = resident();
  for (auto& [inputs, preparation] : prepared) {
    for (int64_t i = 0; i < steps; ++i) {
      int64_t iterations = 0;
      preparation.program->run(inputs, iterations);
    }
  }
  result["run"] = resident();
  fmt::print("{}\n", result.dump(1));
  return 0;
}

int64_t parse(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool good = error == std::errc() && end == text.data() + text.size();
  return good && number > 0 && number <= kMostSteps ? number : -1;
}

}  // namespace
}  // namespace refrain

int main(int argc, char** argv) {
  try {
    const bool whole = argc == 5 && std::string_view(argv[3]) == "--whole";
    const int64_t steps = argc == 3 || whole ? refrain::parse(argv[2]) : -1;
    const int64_t all = whole ? refrain::parse(argv[4]) : 0;
    if (steps < 0 || all < 0) {
      fmt::print(stderr, "usage: memory_use MODEL STEPS [--whole N]\n");
      return 2;
    }
    return refrain::measure(argv[1], steps, all);
  } catch (const std::exception& error) {
    fmt::print(stderr, "memory_use: {}\n", error.what());
    return 2;
  }
}
