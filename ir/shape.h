// Dimensions, shapes and value types.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/element_type.h"

namespace refrain {

// One extent of a shape: a constant, a named symbol (`T`, `B`), or unknown.
//
// Every occurrence of a symbol in one graph stands for the same extent; graph inputs bind it when
// the graph runs. An unknown dimension (`?`) claims nothing, not even to equal another unknown one.
// Symbol names are interned for the life of the process, so that a Dim is one word; thread-safe.
class Dim {
 public:
  Dim() : code_(kUnknown) {}
  Dim(int64_t extent);  // NOLINT: implicit on purpose; extent >= 0, otherwise throws Error
  static Dim unknown() { return Dim(); }
  static Dim symbol(std::string_view name);  // name must not be empty

  bool is_constant() const { return code_ >= 0; }
  bool is_symbol() const { return code_ < kUnknown; }
  bool is_unknown() const { return code_ == kUnknown; }

  int64_t extent() const { return code_; }  // only if is_constant()
  const std::string& name() const;          // only if is_symbol()

  // Structural identity: `?` == `?`. For "the same extent" see provably_equal.
  friend bool operator==(Dim a, Dim b) = default;

 private:
  static constexpr int64_t kUnknown = -1;
  int64_t code_;  // >= 0: extent; -1: unknown; <= -2: -2 - index of the symbol
};

bool provably_equal(Dim a, Dim b);      // both known, and the same constant or symbol
bool provably_different(Dim a, Dim b);  // two constants that differ
// What is known of a dimension that is either a or b (the results of an If): equal, or unknown.
Dim join(Dim a, Dim b);
// What is known of a dimension that is both a and b: the more specific of the two. Throws Error if
// they are provably different.
Dim meet(Dim a, Dim b);

// Largest rank of any tensor that Refrain accepts.
inline constexpr int64_t kMaxRank = 32;

// A list of dimensions, or "unranked" when not even their number is known.
class Shape {
 public:
  Shape() = default;  // rank 0, a scalar
  Shape(std::initializer_list<Dim> dims) : dims_(dims) {}
  explicit Shape(std::vector<Dim> dims) : dims_(std::move(dims)) {}
  static Shape unranked();
  static Shape of_extents(std::span<const int64_t> extents);
  static Shape unknown_of_rank(size_t rank) { return Shape(std::vector<Dim>(rank)); }

  bool ranked() const { return ranked_; }
  size_t rank() const { return dims_.size(); }  // only if ranked()
  Dim operator[](size_t i) const { return dims_[i]; }
  Dim& operator[](size_t i) { return dims_[i]; }
  const std::vector<Dim>& dims() const { return dims_; }

  // True if every dimension is a constant; then extents() gives them.
  bool is_static() const;
  std::vector<int64_t> extents() const;

  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::vector<Dim> dims_;
  bool ranked_ = true;
};

Shape join(const Shape& a, const Shape& b);
Shape meet(const Shape& a, const Shape& b);  // throws Error where they contradict each other
// The shape of an element-wise result by ONNX's (numpy's) multidirectional broadcasting; throws
// Error if two extents are provably incompatible. A symbol against another symbol gives unknown:
// either may be 1.
Shape broadcast(const Shape& a, const Shape& b);

// `axis` counted from the end if negative; throws Error unless it lies in -rank..rank-1.
size_t normalize_axis(int64_t axis, size_t rank);
// The type of an SSA value: a tensor, a sequence of tensors, or either of them or nothing
// (optional).
struct ValueType {
  enum class Kind : uint8_t { tensor, sequence };

  ElementType element = ElementType::f32;
  Shape shape;  // of the tensor, or what is known of all the sequence's tensors
  Kind kind = Kind::tensor;
  bool optional = false;

  static ValueType tensor(ElementType element, Shape shape) { return {element, std::move(shape)}; }
  static ValueType sequence(ElementType element, Shape shape) {
    return {element, std::move(shape), Kind::sequence};
  }
  bool is_tensor() const { return kind == Kind::tensor && !optional; }
  bool is_sequence() const { return kind == Kind::sequence && !optional; }

  friend bool operator==(const ValueType&, const ValueType&) = default;
};

// Least type that holds values of both; throws Error if element types or kinds differ.
ValueType join(const ValueType& a, const ValueType& b);
// True if every value of type `a` may be used where `b` is expected: same element type and kind, no
// dimension of `b` that `a` does not prove.
bool refines(const ValueType& a, const ValueType& b);

// `T`, `64`, `?`; `[T, 64]`, `[*]`; `f32[T, 64]`, `seq<f32[?]>`, `opt<f32[]>`.
std::string to_string(Dim dim);
std::string to_string(const Shape& shape);
std::string to_string(const ValueType& type);

}  // namespace refrain
