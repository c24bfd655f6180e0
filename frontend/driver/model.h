// From a model's file to something that runs: the one place that every subcommand goes through.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/reference/executor.h"
#include "frontend/artifact/reader.h"
#include "ir/graph.h"
#include "passes/pass.h"

namespace refrain {

inline constexpr int64_t kDefaultMaxBytes = int64_t{4} << 30;

struct LoadedModel {
  std::unique_ptr<Graph> graph;       // verified
  std::vector<std::string> warnings;  // of the importer
  // Of a compiled model (see artifact/reader.h): its constants and packed weights, for
  // ExecutableOptions::weights; its graph is optimized already. Null for others.
  std::shared_ptr<WeightStore> weights = nullptr;
  std::optional<artifact::Info> compiled = {};
};

// Reads a model: a compiled one or the text form of a graph, recognised by their content whatever
// the file is called, an .onnx file, or equations (an .rfn file, or one whose first word is a
// statement of the language). Throws Error with the file; onnx_import::UnsupportedError if nothing
// but support is missing.
LoadedModel load_model(const std::string& path, int64_t max_bytes = kDefaultMaxBytes);

// The same from memory, which isn't needed afterwards; `name` stands for the file in messages.
// External data of ONNX models is refused; weights of equations are looked for in the working
// directory.
LoadedModel load_model_bytes(std::string_view bytes, const std::string& name,
                             int64_t max_bytes = kDefaultMaxBytes);

// Checks all that a compiled model's file holds now, rather than when it is used first. Throws
// Error with `path`.
void check_constants(const LoadedModel& model, const std::string& path);

// The graph alone, with its constants checked.
std::unique_ptr<Graph> load_graph(const std::string& path, int64_t max_bytes = kDefaultMaxBytes);

// Runs the default pipeline in place, constants folded by the reference backend within `limits`.
std::vector<passes::PassReport> optimize(Graph& graph, const reference::Limits& limits = {},
                                         const passes::PipelineOptions& options = {});

// The same for what load_model gave; does nothing if that is compiled already.
std::vector<passes::PassReport> optimize(LoadedModel& model, const reference::Limits& limits = {});

// The default pipeline with the time axis freed that tracing froze. Throws Error, with the reasons,
// if there is none that could be.
std::vector<passes::PassReport> optimize_dynamic_time(Graph& graph,
                                                      const reference::Limits& limits = {},
                                                      const passes::PipelineOptions& options = {});

}  // namespace refrain
