// Internal to executables: nodes that only move elements.
#pragma once

#include "backends/executable/lowering.h"

namespace refrain::executable {

// Lowers a node whose result is a view of its operand, or boxes of it copied by strides; false if
// it is no such node. Its operands have places.
bool lower_as_copy(Lowering& lowering, const Node& node, Steps& steps);

}  // namespace refrain::executable
