// Internal to the reference kernels: conversion between element types, defined for every value.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "ir/element_type.h"

namespace refrain::reference {

// To a half type, rounded once, to nearest even, from a type that float does not hold exactly.
// Rounding to odd first is innocuous: float has more than two bits more than either half has.
template <typename Half>
Half round_to_half(long double x) {  // holds f64, i64 and u64 exactly where it is extended or quad
  float rounded = static_cast<float>(x);
  if (!std::isnan(x) && !std::isinf(x) && static_cast<long double>(rounded) != x) {
    if ((std::bit_cast<uint32_t>(rounded) & 1u) == 0) {
      rounded = std::nextafter(rounded, static_cast<long double>(rounded) < x
                                            ? std::numeric_limits<float>::infinity()
                                            : -std::numeric_limits<float>::infinity());
    }
  }
  return Half(rounded);
}

// To booleans: whether it is not 0 (NaN is not). Floating point to integer: towards 0, the nearest
// bound where it does not fit, NaN to 0. Between integers: modulo 2^bits. To floating point:
// nearest even.
template <typename To, typename From>
To convert(From x) {
  if constexpr (!std::is_arithmetic_v<From>) {
    return convert<To>(static_cast<float>(x));
  } else if constexpr (std::is_same_v<To, bool>) {
    return x != From{0};
  } else if constexpr (!std::is_arithmetic_v<To>) {
    if constexpr (std::is_same_v<From, float>) {
      return To(x);
    } else {
      return round_to_half<To>(static_cast<long double>(x));
    }
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    using Limits = std::numeric_limits<To>;
    // 2^digits, exact in every floating-point type, is the first value too large.
    constexpr From kBeyond = static_cast<From>(Limits::max() / 2 + 1) * 2;
    if (std::isnan(x)) return 0;
    if (x >= kBeyond) return Limits::max();
    if (x <= static_cast<From>(Limits::min())) return Limits::min();
    return static_cast<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace refrain::reference
