// Internal to `passes`: single elements of tensors along an axis, however they were cut.
#pragma once

#include <cstdint>
#include <optional>

#include "ir/builder.h"
#include "ir/graph.h"

namespace refrain::passes::internal {

// whole[..., index, ...] along `axis` (counted from the front). The element lacks the axis, or has
// it with an extent of 1.
struct Element {
  Value* whole = nullptr;
  size_t axis = 0;
  int64_t index = 0;  // at least 0
  bool keeps_axis = false;

  friend bool operator==(const Element&, const Element&) = default;
};

// The element that a value is: if a gather by one constant index, a slice of extent 1 with constant
// bounds, or a split into extents of 1 made it. Elements of parts that constant slices or gathers
// cut along the same axis are elements of the whole.
std::optional<Element> element_of(const Value* value);

// The elements of an integer constant of rank 0 or 1; none for another value, or no value. Elements
// of u64 are not read, as they may be more than int64_t holds.
std::optional<std::vector<int64_t>> constant_ints(const Value* value);

// The element of an integer or bool constant that has one, whatever its rank; otherwise as above.
std::optional<int64_t> constant_int(const Value* value);

// What a `slice` node, of an operand of known rank, cuts: if along one axis (counted from the
// front) with constant bounds.
struct ConstantSlice {
  size_t axis;
  int64_t begin, end, step;
};
std::optional<ConstantSlice> constant_slice(const Node& node);

}  // namespace refrain::passes::internal
