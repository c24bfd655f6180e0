// Runs graphs op by op: the oracle.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

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

// Runs the graph on the inputs, one a graph input, in order; returns its outputs. Checks inputs
// against their declared types (element type, kind, rank, constant extents; a symbol must be bound
// to one extent everywhere). Throws Error that names the node. The graph is not changed and may be
// shared by threads.
std::vector<RuntimeValue> run(const Graph& graph, std::span<const RuntimeValue> inputs,
                              const Limits& limits = {});

// The evaluator that passes fold constants with.
std::unique_ptr<Evaluator> make_evaluator(const Limits& limits = {});

}  // namespace refrain::reference
