// Internal to `passes`: which inputs and outputs of a graph are one state.
#pragma once

#include <cstddef>
#include <optional>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"
#include "passes/element_origins.h"

namespace refrain::passes::internal {

// A loop's state, from outside.
struct LoopState {
  const Node* node = nullptr;
  size_t operand = 0;            // of the initial value
  const Value* final = nullptr;  // what it ends as
};

// Finds the inputs that states start with, in whatever form (several layers in one tensor), and the
// outputs that they end as in the same form.
class StatePairs {
 public:
  // `inputs`: those that may be states. The graph must not change meanwhile.
  StatePairs(const Graph& graph, const std::vector<size_t>& inputs,
             const std::vector<LoopState>& states);

  // The input whose elements a state starts with; none if it starts otherwise.
  std::optional<size_t> input_of(size_t state) const { return inputs_[state]; }
  // The output that, fed to the input, gives every state that starts with it its final value.
  std::optional<size_t> output_of(size_t input) const;
  // The output that is a state's final value, perhaps in another shape.
  std::optional<size_t> output_like(size_t state) const;
  // Whether all that reads an input are the states that start with it.
  bool only_starts(size_t input) const;
  // The states that an input holds, if each has an equal share of its first axis, one after the
  // other, with all elements in order; empty if it is otherwise.
  std::vector<size_t> in_order(size_t input) const;

 private:
  bool matches(size_t input, const Value* output) const;

  const Graph& graph_;
  const std::vector<LoopState>& states_;
  ElementOrigins origins_;
  std::vector<std::optional<size_t>> inputs_;
};

}  // namespace refrain::passes::internal
