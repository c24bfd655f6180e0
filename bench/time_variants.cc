// Times a model with parts of the compiler switched off, and several models and shapes against each
// other: all in one process, in turns.
//
// usage: time_variants SECONDS VARIANT:TxBxI:MODEL...
//            MODEL has one input, f32 [T, B, I]; SECONDS for each. Prints JSON: a list with
//            {variant, shape, model, min_us, median_us, runs, arena_bytes (null: has no arena)}
//
// Variants, each what the one before is and more:
//   naive     the recurrence unrolled, one op at a time, products by oneDNN (`bench --against
//   naive`) unrolled  prepared: one arena, small products and pointwise programs steps     the loop
//   is a loop, its body run step by step gates     split_concat, fuse_gates, split_pointwise,
//   order_sums: one product for all gates hoist     hoist and sink: what does not depend on state
//   runs once over all steps all       kernels for whole loops; the default pipeline, our own
//   kernels auto      the candidate that is fastest, oneDNN's primitives too: what `refrain bench`
//   times
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "backends/executable/executable.h"
#include "backends/reference/executor.h"
#include "frontend/driver/baseline.h"
#include "frontend/driver/model.h"
#include "frontend/driver/rivals.h"
#include "frontend/driver/timing.h"
#include "ir/error.h"
#include "passes/pass.h"

namespace refrain {
namespace {

constexpr double kTolerance = 1e-3;  // of outputs in -1..1, after many steps

constexpr std::string_view kGates[] = {"split_concat", "fuse_gates", "split_pointwise",
                                       "order_sums"};
constexpr std::string_view kHoist[] = {"hoist", "sink"};

struct Variant {
  std::string_view name;
  bool unrolled, gates, hoist, loop_kernels;
  KernelChoice kernels;
};
constexpr Variant kVariants[] = {
    {"unrolled", true, false, false, false, KernelChoice::highway},
    {"steps", false, false, false, false, KernelChoice::highway},
    {"gates", false, true, false, false, KernelChoice::highway},
    {"hoist", false, true, true, false, KernelChoice::highway},
    {"all", false, true, true, true, KernelChoice::highway},
    {"auto", false, true, true, true, KernelChoice::automatic},
};

template <typename Names>
bool contains(const Names& names, std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

std::vector<passes::PipelineEntry> pipeline_of(const Variant& variant) {
  std::vector<passes::PipelineEntry> pipeline;
  for (const passes::PipelineEntry& entry : passes::default_pipeline()) {
    if ((contains(kGates, entry.pass) && !variant.gates) ||
        (contains(kHoist, entry.pass) && !variant.hoist)) {
      continue;
    }
    pipeline.push_back(entry);
  }
  return pipeline;
}

struct Program {
  std::string variant, shape, model;
  std::function<void()> run;
  // Null for naive.
  std::shared_ptr<PreparedGraph> prepared;
  std::shared_ptr<std::vector<Tensor>> outputs;
};

std::vector<int64_t> parse_shape(std::string_view text) {
  std::vector<int64_t> extents;
  const char *at = text.data(), *const end = text.data() + text.size();
  while (at != end) {
    const auto [next, error] = std::from_chars(at, end, extents.emplace_back());
    if (error != std::errc() || extents.back() < 1 || (next != end && *next != 'x')) break;
    at = next == end ? end : next + 1;
    if (at == end && extents.size() == 3) return extents;
  }
  throw Error("wrong shape", "TxBxI", std::string(text));
}

Tensor random_input(const std::vector<int64_t>& extents) {
  std::mt19937 engine(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  Tensor x(ElementType::f32, extents);
  for (float& element : x.data<float>()) element = uniform(engine);
  return x;
}

Program make_program(const std::string& specification) {
  const size_t first = specification.find(':'), second = specification.find(':', first + 1);
  if (first == std::string::npos || second == std::string::npos) {
    throw Error("wrong program", "VARIANT:TxBxI:MODEL", specification);
  }
  Program program{specification.substr(0, first),
                  specification.substr(first + 1, second - first - 1),
                  specification.substr(second + 1),
                  {},
                  {},
                  {}};
  std::vector<RuntimeValue> inputs;
  inputs.emplace_back(random_input(parse_shape(program.shape)));
  if (program.variant == "naive") {
    Rival rival = naive_rival(program.model, inputs, {.threads = 1, .limits = {}});
    if (!rival.run) throw Error("no naive program: " + rival.why);
    program.run = std::move(rival.run);
    return program;
  }
  const auto* variant =
      std::find_if(std::begin(kVariants), std::end(kVariants),
                   [&](const Variant& known) { return known.name == program.variant; });
  if (variant == std::end(kVariants)) throw Error("no such variant: " + program.variant);
  std::unique_ptr<Graph> graph = load_model(program.model).graph;
  bind_shapes(*graph, inputs);
  const std::unique_ptr<Evaluator> evaluator = reference::make_evaluator({});
  passes::PassContext context;
  context.evaluator = evaluator.get();
  if (variant->unrolled) {
    graph = unrolled(*graph, {});
  } else {
    passes::run_pipeline(*graph, pipeline_of(*variant), context);
  }
  program.prepared = std::make_shared<PreparedGraph>(
      *graph, PrepareOptions{.kernels = variant->kernels, .loop_kernels = variant->loop_kernels});
  program.outputs = std::make_shared<std::vector<Tensor>>(program.prepared->make_outputs());
  program.run = [prepared = program.prepared, outputs = program.outputs, x = inputs[0].tensor] {
    prepared->run();
  };
  const Tensor* const x = inputs[0].tensor.get();
  program.prepared->bind({&x, 1}, *program.outputs);
  return program;
}

// Variants of one model that were run must agree, or their times say nothing.
void check_same(const Program& a, const Program& b) {
  if (!a.outputs || !b.outputs || a.model != b.model || a.shape != b.shape) return;
  for (size_t i = 0; i < a.outputs->size(); ++i) {
    const std::vector<double> x = (*a.outputs)[i].view().as_doubles(),
                              y = (*b.outputs)[i].view().as_doubles();
    for (size_t k = 0; k < x.size(); ++k) {
      if (std::abs(x[k] - y[k]) <= kTolerance) continue;
      throw Error("variants " + a.variant + " and " + b.variant + " of " + a.model + " differ",
                  std::to_string(x[k]), std::to_string(y[k]));
    }
  }
}

int time_all(double seconds, const std::vector<std::string>& specifications) {
  std::vector<Program> programs;
  std::vector<std::function<void()>> runs;
  for (const std::string& specification : specifications) {
    programs.push_back(make_program(specification));
    runs.push_back(programs.back().run);
  }
  const std::vector<Timing> timings = time_in_turns(runs, seconds);
  for (const Program& program : programs) check_same(programs.back(), program);
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (size_t i = 0; i < programs.size(); ++i) {
    const Program& program = programs[i];
    nlohmann::ordered_json row = {{"variant", program.variant},
                                  {"shape", program.shape},
                                  {"model", program.model},
                                  {"min_us", timings[i].min_us},
                                  {"median_us", timings[i].median_us},
                                  {"runs", timings[i].runs},
                                  {"arena_bytes", nullptr}};
    if (program.prepared) row["arena_bytes"] = program.prepared->arena_bytes();
    rows.push_back(std::move(row));
  }
  fmt::print("{}\n", rows.dump(1));
  return 0;
}

}  // namespace
}  // namespace refrain

int main(int argc, char** argv) {
  try {
    const std::string_view text = argc > 2 ? argv[1] : "";
    double seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size() || !(seconds > 0) ||
        seconds > 3600) {
      fmt::print(stderr, "usage: time_variants SECONDS VARIANT:TxBxI:MODEL...\n");
      return 2;
    }
    return refrain::time_all(seconds, {argv + 2, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "time_variants: {}\n", error.what());
    return 2;
  }
}
