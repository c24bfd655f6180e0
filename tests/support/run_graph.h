// Runs whole graphs on the reference backend. Only for tests that link the backends.
#pragma once

#include <string>
#include <vector>

#include "backends/reference/executor.h"
#include "ir/error.h"
#include "ir/verify.h"

namespace refrain::testing {

// Verifies the graph, then runs it.
inline std::vector<RuntimeValue> verified_run(const Graph& graph,
                                              const std::vector<RuntimeValue>& inputs,
                                              const reference::Limits& limits = {}) {
  verify(graph);
  return reference::run(graph, inputs, limits);
}

// The message of the Error that running the graph, which must be well formed, throws, or "no
// error".
inline std::string run_error(const Graph& graph, const std::vector<RuntimeValue>& inputs,
                             const reference::Limits& limits = {}) {
  verify(graph);
  try {
    reference::run(graph, inputs, limits);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// Makes the results of a node the graph's outputs y0, y1, ...
inline void set_outputs(Graph& graph, const Node& node) {
  std::vector<Value*> values;
  std::vector<std::string> names;
  for (size_t i = 0; i < node.result_count(); ++i) {
    values.push_back(node.result(i));
    names.push_back("y" + std::to_string(i));
  }
  graph.set_outputs(values, names);
}

}  // namespace refrain::testing
