// Internal to simplify_shapes: what is known of the elements of a shape, and arithmetic on it.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/graph.h"
#include "ir/op.h"
#include "ir/tensor.h"

namespace refrain::passes {

// What is known of one element of an integer or bool value: a number, the extent that a symbol
// stands for, the extent of an axis that has no name, or nothing.
struct Element {
  enum class Kind : uint8_t { unknown, number, symbol, extent } kind = Kind::unknown;
  int64_t number = 0;  // the number, or the axis whose extent it is
  Dim symbol;
  const Value* of = nullptr;  // the tensor whose extent it is

  static Element of_number(int64_t value) { return {Kind::number, value, {}, nullptr}; }
  static Element of_dim(Dim dim) {
    if (dim.is_constant()) return of_number(dim.extent());
    return dim.is_symbol() ? Element{Kind::symbol, 0, dim, nullptr} : Element{};
  }
  bool is_number() const { return kind == Kind::number; }
  bool is(int64_t value) const { return is_number() && number == value; }
  // An extent, so not negative.
  bool is_extent() const {
    return kind == Kind::symbol || kind == Kind::extent || (is_number() && number >= 0);
  }
  friend bool operator==(const Element&, const Element&) = default;
};

using Elements = std::vector<Element>;

bool provably_equal(const Element& a, const Element& b);

// What is known of a result; nothing where an operation overflows or is not followed.
Element arithmetic(Op op, const Element& a, const Element& b);
Element comparison(Op op, const Element& a, const Element& b);
Element logic(Op op, const Element& a, const Element& b);

// Whether elements of a type are followed.
bool followed(ElementType type);

// All elements are numbers; `type` is static.
Tensor tensor_of(const ValueType& type, const Elements& elements);

}  // namespace refrain::passes
