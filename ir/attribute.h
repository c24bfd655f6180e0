// Attributes of nodes: compile-time parameters, as against operands.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ir/element_type.h"
#include "ir/shape.h"
#include "ir/tensor.h"

namespace refrain {

// Every attribute name of every op. Names are shared between ops where the meaning is the same.
// clang-format off
#define REFRAIN_ATTRIBUTES(X) \
  X(allow_zero) X(alpha) X(approximate) X(auto_pad) X(axis) X(batch_axis) X(batch_dims) X(beta) \
  X(ceil_mode) X(count_include_pad) X(dilations) X(dims) X(element) X(end) X(equation) \
  X(exclusive) X(fmod) X(gamma) X(groups) X(invariants) X(keep_dims) X(kernel) X(largest) \
  X(lengths) X(mode) X(new_axis) X(noop_with_empty_axes) X(output_padding) X(output_shape) \
  X(pads) X(perm) X(reduction) X(reverse) X(scan_axes) X(scan_reverse) X(select_last) \
  X(sequence) X(sorted) X(stack_axes) X(stack_reverse) X(start) X(states) X(storage_order) \
  X(strides) X(to) X(trip_count) X(upper) X(value)
// clang-format on

enum class AttributeName : uint8_t {
#define X(name) name,
  REFRAIN_ATTRIBUTES(X)
#undef X
};

std::string_view name(AttributeName attribute);
std::optional<AttributeName> attribute_from_name(std::string_view name);

// The alternatives' order is the order of AttributeType.
using AttributeValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>,
                                    std::vector<Dim>, ElementType, TensorPtr>;

enum class AttributeType : uint8_t {
  boolean,
  integer,
  real,
  string,
  integers,
  dims,
  element,
  tensor
};

std::string_view name(AttributeType type);
inline AttributeType type_of(const AttributeValue& value) {
  return static_cast<AttributeType>(value.index());
}

struct Attribute {
  AttributeName name;
  AttributeValue value;
};

// Equality by content; tensors by identical().
bool operator==(const Attribute& a, const Attribute& b);
size_t hash(const Attribute& attribute);

}  // namespace refrain
