// Internal to `embed`: a model compiled for the shapes of a session.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "frontend/driver/program.h"
#include "frontend/embed/model_impl.h"
#include "ir/graph.h"
#include "ir/tensor.h"
#include "refrain/refrain.h"

namespace refrain::embed {

// An input or output of the graph that a session's user fills or reads.
struct Port {
  size_t index = 0;        // of the graph
  bool is_static = false;  // the extents are known
  DataType type = DataType::f32;
  Extents extents;
  passes::StreamPort axes;  // of steps
};

struct StatePort {
  size_t input = 0, output = 0;  // of the graph
  DataType type = DataType::f32;
  Extents extents;
  TensorPtr initial;  // of these extents
  std::optional<size_t> batch_axis;
};

// Immutable: sessions that were forked share it.
struct Compiled {
  std::shared_ptr<const Model::Impl> model;
  ExecutableOptions options;
  bool steps = false;            // or whole sequences
  std::unique_ptr<Graph> graph;  // inputs of constant shape
  bool prepared = false;         // supported by PreparedGraph
  std::string why;               // no guarantee for real time; empty: nothing that is known here
  std::vector<Port> inputs, outputs;
  std::vector<StatePort> states;
  std::vector<TensorInfo> input_infos, output_infos;
  std::vector<StateInfo> state_infos;
  std::vector<std::pair<size_t, TensorPtr>> fixed;  // inputs
  std::string batch;  // of steps: the symbol of the batch, if its rows are independent
};

enum class Form : uint8_t { sequence, steps };

// Throws Error for a setup that does not fit, and for steps if the model can't be stepped.
std::shared_ptr<const Compiled> compile(const std::shared_ptr<const Model::Impl>& model,
                                        const Setup& setup, Form form, int threads);

// Steps of batches of so many rows each, for one thread; the setup is for one row. Packed weights
// are shared. Throws Error as well if rows are not independent, the model being what it is once the
// setup's values and extents are put in.
std::vector<std::shared_ptr<const Compiled>> compile_batches(
    const std::shared_ptr<const Model::Impl>& model, const Setup& setup,
    std::span<const int64_t> rows);

}  // namespace refrain::embed
