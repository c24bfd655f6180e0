// Internal to `passes`: what states start with.
#pragma once

#include <optional>

#include "ir/graph.h"

namespace refrain::passes::internal {

// A value that depends on constants and extents only.
struct InitialValue {
  TensorPtr tensor;  // that broadcasts to the value; null: zeros
};

// None if the value is computed otherwise than by moving, repeating or filling.
std::optional<InitialValue> initial_value(const Value* value);

// One element of a type: null for 0.
TensorPtr one_element(ElementType type, double value);

}  // namespace refrain::passes::internal
