// Internal to frontend/decompile: nodes that need no equations.
#pragma once

#include <optional>

#include "ir/graph.h"

namespace refrain::decompile {

// The number that all elements are, however they are made.
std::optional<double> uniform(const Value* value);
bool is_zero(const Value* value);
bool all_uniform(const Node& node);
// Whether nothing reads it but scans that find their length in their sequences too.
bool only_counts(const Node& node);
// Whether all that reads it is a sequence of one and the same scan, or an equation of its steps.
bool reads_for_one_scan(const Node& node);
// What becomes of a value whose axes are only put into another order.
const Value* moved(const Value* value);
// Whether there is a scan in it, or in a region inside.
bool has_scan(const Region& region);

}  // namespace refrain::decompile
