// What passes do to a graph's results.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "support/pass_run.h"

namespace refrain::testing {

// A random tensor for each input; all extents must be constants.
inline std::vector<RuntimeValue> random_inputs(const Graph& graph, uint64_t seed = 1) {
  Random random(seed);
  std::vector<RuntimeValue> inputs;
  for (size_t i = 0; i < graph.input_count(); ++i) {
    const ValueType& type = graph.input(i)->type();
    inputs.emplace_back(
        std::make_shared<const Tensor>(random.tensor(type.element, type.shape.extents())));
  }
  return inputs;
}

// Runs passes one after the other on the graph and expects the same results on random inputs.
// Returns the graph that the passes leave.
inline std::unique_ptr<Graph> expect_numbers_stay(const std::vector<std::string>& names,
                                                  const std::string& text, double tolerance) {
  const auto before = parse(text);
  auto after = parse(text);
  const FoldingContext context;
  for (const std::string& name : names) run_pass(*after, name, context);
  expect_same_results(*after, *before, random_inputs(*before), tolerance, tolerance);
  return after;
}

}  // namespace refrain::testing
