// Internal to the reference kernels: which type they compute in.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "ir/element_type.h"
#include "ir/error.h"

namespace refrain::reference {

// The type in which sums and products of T are formed: T's own precision, float for the halves, and
// an unsigned type for integers, which wraps around where a signed one would be undefined.
template <typename T>
using Accumulator =
    std::conditional_t<std::is_floating_point_v<T>, T,
                       std::conditional_t<!std::is_integral_v<T>, float,
                                          std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>>>;

// The type in which T is compared: as it is, the halves as float.
template <typename T>
using Comparable = std::conditional_t<std::is_arithmetic_v<T>, T, float>;

template <typename T>
bool is_nan(T x) {
  if constexpr (std::is_floating_point_v<T>) {
    return std::isnan(x);
  } else {
    return false;
  }
}

// The larger (smaller) of the two; NaN if one is.
template <typename T>
T max_of(T a, T b) {
  return b > a || is_nan(b) ? b : a;
}
template <typename T>
T min_of(T a, T b) {
  return b < a || is_nan(b) ? b : a;
}

// Least and greatest value: the infinities where there are any.
template <typename T>
constexpr T lowest_of() {
  using Limits = std::numeric_limits<T>;
  return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
}
template <typename T>
constexpr T highest_of() {
  using Limits = std::numeric_limits<T>;
  return Limits::has_infinity ? Limits::infinity() : Limits::max();
}

// Calls f(std::type_identity<T>{}) for a number type; throws Error for booleans.
template <typename F>
void visit_number(ElementType type, F&& f) {
  visit(type, [&]<typename T>(std::type_identity<T> t) {
    if constexpr (std::is_same_v<T, bool>) {
      throw Error("wrong operand type", "a tensor of numbers", "bool");
    } else {
      f(t);
    }
  });
}

// Calls f(std::type_identity<T>{}) for a floating-point type; throws Error for others.
template <typename F>
void visit_float(ElementType type, F&& f) {
  visit(type, [&]<typename T>(std::type_identity<T> t) {
    if constexpr (std::is_integral_v<T>) {
      throw Error("wrong operand type", "a floating-point tensor", std::string(name(type)));
    } else {
      f(t);
    }
  });
}

// Elements as Acc: the elements themselves if they are of that type, otherwise a converted copy.
template <typename Acc, typename T>
class Widened {
 public:
  explicit Widened(std::span<const T> elements) {
    if constexpr (std::is_same_v<Acc, T>) {
      data_ = elements.data();
    } else {
      copy_.reserve(elements.size());
      for (T x : elements) copy_.push_back(static_cast<Acc>(x));
      data_ = copy_.data();
    }
  }
  Widened(const Widened&) = delete;
  Widened& operator=(const Widened&) = delete;

  const Acc* data() const { return data_; }

 private:
  std::vector<Acc> copy_;
  const Acc* data_ = nullptr;
};

// Runs compute(Acc* values) on zeros, one for each of `elements`, and stores what it leaves there.
template <typename Acc, typename T, typename Compute>
void accumulate_into(std::span<T> elements, Compute&& compute) {
  if constexpr (std::is_same_v<Acc, T>) {
    std::fill(elements.begin(), elements.end(), T{});
    compute(elements.data());
  } else {
    std::vector<Acc> values(elements.size());
    compute(values.data());
    for (size_t i = 0; i < values.size(); ++i) elements[i] = static_cast<T>(values[i]);
  }
}

}  // namespace refrain::reference
