// Internal to `passes`: which inputs and outputs of a graph are one state.
#pragma once

#include <cstddef>
#include <cstdint>
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
  // What of an input is read by others than the states that start with it.
  enum class Read : uint8_t {
    nothing,
    rest,   // only elements that no state starts with
    states  // those of states, too, or it is not known
  };
  Read read_by_others(size_t input) const;
  // What the equal shares of an input's first axis, one after the other, hold: the state that
  // starts with the share's elements in order, or nothing of any state. Empty if it is otherwise.
  std::vector<std::optional<size_t>> shares(size_t input) const;

 private:
  bool matches(size_t input, const Value* output) const;
  // The elements of the input that state i starts with.
  const std::vector<ElementOrigins::Origin>& starts(size_t i) const;

  const Graph& graph_;
  const std::vector<LoopState>& states_;
  ElementOrigins origins_;
  std::vector<std::optional<size_t>> inputs_;
};

}  // namespace refrain::passes::internal
