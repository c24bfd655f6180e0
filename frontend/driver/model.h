// From a model's file to something that runs: the one place that every subcommand goes through.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/reference/executor.h"
#include "ir/graph.h"
#include "ir/runtime_value.h"
#include "passes/pass.h"

namespace refrain {

inline constexpr int64_t kDefaultMaxBytes = int64_t{4} << 30;

struct LoadedModel {
  std::unique_ptr<Graph> graph;       // verified
  std::vector<std::string> warnings;  // of the importer
};

// Reads a model: the text form of a graph, recognised by its content whatever the file is called,
// or an .onnx file. Throws Error with the file; onnx_import::UnsupportedError if nothing but
// support is missing.
LoadedModel load_model(const std::string& path, int64_t max_bytes = kDefaultMaxBytes);

// Runs the default pipeline in place, constants folded by the reference backend within `limits`.
std::vector<passes::PassReport> optimize(Graph& graph, const reference::Limits& limits = {},
                                         const passes::PipelineOptions& options = {});

enum class Backend { reference };

std::string_view name(Backend backend);
// `auto` is the best there is. Throws Error, naming what is available, for one that this build
// lacks.
Backend backend_from_name(std::string_view name);

// A graph with the backend that runs it. Immutable; may be shared by threads.
class Executable {
 public:
  Executable(std::unique_ptr<Graph> graph, Backend backend, const reference::Limits& limits)
      : graph_(std::move(graph)), backend_(backend), limits_(limits) {}

  const Graph& graph() const { return *graph_; }
  Backend backend() const { return backend_; }
  // One value a graph input, in order; returns one a graph output. Throws Error.
  std::vector<RuntimeValue> run(std::span<const RuntimeValue> inputs) const;

 private:
  std::unique_ptr<Graph> graph_;
  Backend backend_;
  reference::Limits limits_;
};

}  // namespace refrain
