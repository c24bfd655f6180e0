// Graphs that run over a whole sequence, as graphs that run over one block of it after another.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"

namespace refrain::passes {

// A tensor that a stream carries from one run to the next.
struct StreamState {
  // The model's own input that starts it, or for one that the model hides (`h0 = 0`) a name made of
  // its node's and its own; unique among the states and the model's inputs.
  std::string name;
  size_t input = 0, output = 0;  // of StreamForm::graph; of the same type
  // What it starts with, to be broadcast to the input's shape; null: zeros of the input's type once
  // its symbols are bound. A state that is one of the model's own inputs starts with what the
  // caller gives, by default zeros.
  TensorPtr initial;
};

// An input or output of StreamForm::graph.
struct StreamPort {
  std::optional<size_t> time_axis;   // none: the same for every step; of an output: the last one's
  std::optional<size_t> batch_axis;  // none: not of one row
};

struct StreamOptions {
  // The caller's (input, output) pairs that are states, beyond those that are found. Nothing but
  // their types is checked.
  std::vector<std::pair<std::string, std::string>> states = {};
  // With block > 0, models that read the future may be run in blocks, each with `look_ahead` (0 or
  // more) steps of the next one behind it: see StreamForm.
  int64_t look_ahead = 0;
  int64_t block = 0;
};

struct StreamForm {
  // Inputs: the model's, in order, then hidden states'; outputs likewise. One step of a stream is a
  // run with `time` bound to 1, a block of n steps one with n, in which every states[i].input is
  // fed what states[i].output gave the run before.
  //
  // With StreamOptions::block: `time` counts the steps of a block and its look-ahead, n + L, and
  // outputs over time have the first n of them. What runs forward carries its state after n steps;
  // what runs backward starts anew behind the look-ahead (a latency-controlled bidirectional
  // network; Zhang et al., "Highway long short-term memory RNNs for distant speech recognition",
  // 2016); windows read what they need of it. Results that have no time axis are the block's own.
  std::unique_ptr<Graph> graph;
  // The symbol for the number of steps; none: one run is one step.
  std::optional<Dim> time;
  // The symbol of the batch, if it is proved that rows don't depend on each other; why not,
  // otherwise. A model that was traced with a batch of a fixed number of rows (traced_batch, else
  // 0) is freed of it, and has a symbol of its own.
  std::optional<Dim> batch;
  int64_t traced_batch = 0;
  std::string why_no_batch;
  std::vector<StreamState> states;
  std::vector<StreamPort> inputs, outputs;
};

// Makes the streaming form of an optimized graph (default_pipeline). The graph itself stays as it
// is. Several inputs with a time axis share the number of steps, if they can; a frozen time axis is
// freed as by `free_time`. A graph none of whose inputs has a time axis, or whose steps are
// computed from its inputs' extents by something that is no step by step function (a spectrogram),
// is a stream if it has states among its inputs and outputs: one run is one step. (Its rows can be
// told apart only where its shapes are known: specialize its other symbols, optimize it and make a
// stream of that.)
//
// In the graph of a stream every value over time at t depends on nothing later than t. Throws Error
// with node, op and reason where that is not so, or is not known to be so.
StreamForm make_stream(const Graph& model, const StreamOptions& options = {});

}  // namespace refrain::passes
