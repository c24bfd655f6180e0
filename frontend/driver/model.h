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
#include "passes/pass.h"

namespace refrain {

inline constexpr int64_t kDefaultMaxBytes = int64_t{4} << 30;

struct LoadedModel {
  std::unique_ptr<Graph> graph;       // verified
  std::vector<std::string> warnings;  // of the importer
};

// Reads a model: the text form of a graph, recognised by its content whatever the file is called,
// an .onnx file, or equations (an .rfn file, or one whose first word is a statement of the
// language). Throws Error with the file; onnx_import::UnsupportedError if nothing but
// support is missing.
LoadedModel load_model(const std::string& path, int64_t max_bytes = kDefaultMaxBytes);

// The same from memory, which isn't needed afterwards; `name` stands for the file in messages. What
// refers to other files is refused.
LoadedModel load_model_bytes(std::string_view bytes, const std::string& name,
                             int64_t max_bytes = kDefaultMaxBytes);

// Runs the default pipeline in place, constants folded by the reference backend within `limits`.
std::vector<passes::PassReport> optimize(Graph& graph, const reference::Limits& limits = {},
                                         const passes::PipelineOptions& options = {});

// The same with the time axis freed that tracing froze. Throws Error, with the reasons, if there is
// none that could be.
std::vector<passes::PassReport> optimize_dynamic_time(Graph& graph,
                                                      const reference::Limits& limits = {},
                                                      const passes::PipelineOptions& options = {});

}  // namespace refrain
