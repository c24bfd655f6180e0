// A model with the backend that runs it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/executable/executable.h"
#include "backends/reference/executor.h"
#include "ir/graph.h"
#include "ir/runtime_value.h"

namespace refrain {

// `automatic`, `highway` and `onednn` prepare the graph for the shapes of its inputs and differ in
// the kernels that are preferred; what cannot be prepared runs on the reference backend.
enum class Backend : uint8_t { automatic, reference, highway, onednn };

std::string_view name(Backend backend);
// Throws Error, naming what is available, for another name.
Backend backend_from_name(std::string_view name);

struct ExecutableOptions {
  Backend backend = Backend::automatic;
  int threads = 1;
  bool optimize = true;  // run the whole pipeline on the graph once its shapes are known
  reference::Limits limits;
};

// The graph bound to the shapes of these inputs and prepared, or null, and then `why` says what is
// in the way. Throws Error if the inputs don't fit the graph or each other.
std::unique_ptr<PreparedGraph> prepare(const Graph& graph, std::span<const RuntimeValue> inputs,
                                       const ExecutableOptions& options, std::string& why);

// May be shared by threads; runs of one executable go one after the other unless it is the
// reference backend's.
class Executable {
 public:
  Executable(std::unique_ptr<Graph> graph, const ExecutableOptions& options)
      : graph_(std::move(graph)), options_(options) {}

  const Graph& graph() const { return *graph_; }
  Backend backend() const { return options_.backend; }
  // One value a graph input, in order; returns one a graph output. Throws Error. What is prepared
  // for some shapes is kept for the next run with them, for the last few shapes.
  std::vector<RuntimeValue> run(std::span<const RuntimeValue> inputs) const;

  // What a run on inputs of these shapes does, a line a step; if they can't be prepared, the
  // reference backend's steps and why.
  std::string describe(std::span<const RuntimeValue> inputs) const;

 private:
  struct Prepared {
    std::vector<std::vector<int64_t>> extents;  // of the inputs
    std::unique_ptr<PreparedGraph> graph;       // null: can't be prepared
    std::string why;
    int64_t last_use = 0;
  };
  const Prepared& prepared_for(std::span<const RuntimeValue> inputs) const;

  std::unique_ptr<Graph> graph_;
  ExecutableOptions options_;
  mutable std::mutex mutex_;  // of what follows
  mutable std::vector<Prepared> prepared_;
  mutable int64_t uses_ = 0;
};

}  // namespace refrain
