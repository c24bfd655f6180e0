// A model with the backend that runs it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "frontend/driver/program.h"
#include "ir/graph.h"
#include "ir/runtime_value.h"

namespace refrain {

// May be shared by threads; runs of one executable go one after the other unless it is the
// reference backend's.
class Executable {
 public:
  Executable(std::unique_ptr<Graph> graph, const ExecutableOptions& options);

  const Graph& graph() const { return *graph_; }
  Backend backend() const { return options_.backend; }
  // One value a graph input, in order; returns one a graph output. Throws Error. What is prepared
  // for some shapes (and values of inputs that decide shapes) is kept for the next run with them,
  // for the last few of them.
  std::vector<RuntimeValue> run(std::span<const RuntimeValue> inputs) const;
  // As a part of a larger run, whose loops have taken so many iterations.
  std::vector<RuntimeValue> run(std::span<const RuntimeValue> inputs, int64_t& iterations) const;

  // What a run on inputs of these shapes does, a line a step; if they can't be prepared, the
  // reference backend's steps and why.
  std::string describe(std::span<const RuntimeValue> inputs) const;

 private:
  struct Prepared {
    std::vector<std::vector<int64_t>> extents;         // of the inputs
    std::vector<std::pair<size_t, TensorPtr>> values;  // of the decisive ones
    std::unique_ptr<Program> program;                  // null: can't be prepared
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
