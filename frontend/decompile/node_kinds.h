// Internal to frontend/decompile: nodes that need no equations.
#pragma once

#include "ir/graph.h"

namespace refrain::decompile {

// Whether all elements are zero, however it is made.
bool is_zero(const Value* value);
// What is used for nothing but initial states, all zero.
bool zero_only(const Node& node);
// Whether nothing reads it but scans that find their length in their sequences too.
bool only_counts(const Node& node);
// Whether there is a scan in it, or in a region inside.
bool has_scan(const Region& region);

}  // namespace refrain::decompile
