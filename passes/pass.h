// Passes and pipelines.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/evaluator.h"
#include "ir/graph.h"

namespace refrain::passes {

struct PassContext {
  Evaluator* evaluator = nullptr;  // for passes that compute constants; not owned
  // Largest tensor, in bytes, that folding may make out of smaller ones.
  int64_t max_folded_bytes = int64_t{16} << 20;
  // Most nodes that `unroll` may make.
  int64_t max_unrolled_nodes = 4'000'000;
  // Where passes say what people may want to know of their work, a line each; may be null.
  std::vector<std::string>* notes = nullptr;
};

// One rewrite. `run` returns whether it changed anything, truthfully; it leaves the graph valid.
// Running it again right away changes nothing.
struct Pass {
  std::string_view name;
  std::string_view summary;
  bool (*run)(Graph& graph, const PassContext& context);
};

std::span<const Pass> all_passes();
const Pass* find_pass(std::string_view name);

// A pipeline is data: which pass, and why it stands where it does.
struct PipelineEntry {
  std::string_view pass;
  std::string_view reason;
};

// What `refrain compile` runs.
std::span<const PipelineEntry> default_pipeline();

// The same with `free_time` (`refrain compile --dynamic-time`).
std::vector<PipelineEntry> dynamic_time_pipeline();

struct PassReport {
  std::string pass;
  bool changed = false;
  size_t nodes_before = 0, nodes_after = 0;
  std::chrono::microseconds time{0};
  std::vector<std::string> notes;  // PassContext::notes
};

struct PipelineOptions {
  std::string stop_after;  // a pass's name: end after its last run in the pipeline
  // Called after each pass.
  std::function<void(const PassReport& report, const Graph& graph)> after_pass;
};

// Runs the pipeline, verifying the graph after each pass that changed it and after the last; an
// Error from a pass or the verifier names the pass. Throws Error for an unknown name in the
// pipeline or in stop_after.
std::vector<PassReport> run_pipeline(Graph& graph, std::span<const PipelineEntry> pipeline,
                                     const PassContext& context,
                                     const PipelineOptions& options = {});

}  // namespace refrain::passes
