// Internal to `embed`: what a Model holds.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "frontend/driver/model.h"
#include "frontend/driver/program.h"
#include "ir/graph.h"
#include "passes/stream.h"
#include "refrain/refrain.h"

namespace refrain {

struct Model::Impl {
  Impl(LoadedModel loaded, LoadOptions load_options);

  // How its graphs are prepared.
  ExecutableOptions executable_options(int threads) const;

  // The graph as a stream, without look-ahead and with no input fixed; made once, when it is asked
  // for first. Null if there is none; Streaming::why says why.
  const passes::StreamForm* stream() const;

  LoadOptions options;
  std::unique_ptr<Graph> graph;  // optimized
  std::vector<TensorInfo> inputs, outputs;
  std::vector<std::string> warnings;
  // Of all that is prepared: each packed weight is in memory once.
  std::shared_ptr<WeightStore> weights;

  // Use streaming() and states() of Model.
  mutable std::once_flag streamed;
  mutable std::unique_ptr<passes::StreamForm> form;
  mutable Streaming streaming;
  mutable std::vector<StateInfo> states;
};

namespace embed {

// States as the public types tell them; `graph` is a StreamForm's, whose first inputs and outputs
// are the model's.
std::vector<StateInfo> state_infos(const Graph& graph,
                                   const std::vector<passes::StreamState>& states,
                                   size_t model_inputs, size_t model_outputs);

}  // namespace embed
}  // namespace refrain
