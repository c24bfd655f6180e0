// Internal to `passes`: one axis through a reshape.
#pragma once

#include <cstddef>
#include <optional>

#include "ir/graph.h"

namespace refrain::passes::internal {

// Where axis `axis` of a reshape's operand is in its result, if the result has an axis of the same
// extent with as many elements before and behind it; none if it has not, or it is not known. Of
// several such axes (among extents of 1) the last.
std::optional<size_t> reshaped_axis(const Node& reshape, size_t axis);

}  // namespace refrain::passes::internal
