// Runs graphs op by op: the oracle.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/error.h"
#include "ir/evaluator.h"
#include "ir/graph.h"
#include "ir/runtime_value.h"

namespace refrain::reference {

struct Limits {
  // Bytes that all tensors of a run may hold at once, inputs and constants not counted.
  int64_t max_bytes = int64_t{4} << 30;
  // Most iterations of all loops of a run together, so that loops in loops end too. (Scans are
  // bounded by their operands' elements; one that has none to read may take this many steps.)
  int64_t max_iterations = 200'000;
};

// The error of loops that pass the limit; `found`: what does.
Error iteration_limit_error(const Limits& limits, std::string found);

// Runs the graph on the inputs, one a graph input, in order; returns its outputs. Checks inputs
// against their declared types (element type, kind, rank, constant extents; a symbol must be bound
// to one extent everywhere). Throws Error that names the node. The graph is not changed and may be
// shared by threads. `iterations`, if given, is how many count against the limit already, and then
// also those of this run.
std::vector<RuntimeValue> run(const Graph& graph, std::span<const RuntimeValue> inputs,
                              const Limits& limits = {}, int64_t* iterations = nullptr);

// The evaluator that passes fold constants with.
std::unique_ptr<Evaluator> make_evaluator(const Limits& limits = {});

}  // namespace refrain::reference
