#include "frontend/driver/compare.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <type_traits>
#include <vector>

#include "ir/shape.h"

namespace refrain {
namespace {

std::string type_text(const Tensor& tensor) {
  return to_string(ValueType::tensor(tensor.type(), Shape::of_extents(tensor.extents())));
}

std::string kind_text(const RuntimeValue& value) {
  if (value.tensor) return type_text(*value.tensor);
  if (value.sequence) return "a sequence of " + std::to_string(value.sequence->size());
  return "nothing";
}

// `[1, 0, 2]`: the element's place in a tensor of these extents.
std::string place_text(size_t index, const std::vector<int64_t>& extents) {
  std::vector<int64_t> place(extents.size());
  auto rest = static_cast<int64_t>(index);
  for (size_t i = extents.size(); i-- > 0;) {
    place[i] = rest % extents[i];
    rest /= extents[i];
  }
  return to_string(Shape::of_extents(place));
}

template <typename T>
std::string number_text(T value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if (value != value) {
    return "nan";  // to_chars would print a sign that says nothing
  } else {
    char buffer[64];
    const auto end = [&] {
      if constexpr (std::is_integral_v<T> || std::is_same_v<T, double>) {
        return std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
      } else {
        return std::to_chars(buffer, buffer + sizeof buffer, static_cast<float>(value)).ptr;
      }
    }();
    return {buffer, end};
  }
}

template <typename T>
double unit_in_last_place() {
  if constexpr (std::is_same_v<T, Float16>) return 0x1p-10;
  if constexpr (std::is_same_v<T, BFloat16>) return 0x1p-7;
  return 0;
}

template <typename T>
Comparison compare_elements(const Tensor& actual, const Tensor& expected,
                            const Tolerance& tolerance) {
  constexpr bool exact = std::is_integral_v<T>;
  const double relative = std::max(tolerance.relative, unit_in_last_place<T>());
  const std::span<const T> a = actual.data<T>(), e = expected.data<T>();
  Comparison result;
  size_t wrong = 0, worst = 0;
  double worst_excess = -1;  // error over what is allowed
  for (size_t i = 0; i < e.size(); ++i) {
    double excess = 0;
    if constexpr (exact) {
      if (a[i] == e[i]) continue;
      const auto error = std::abs(static_cast<double>(a[i]) - static_cast<double>(e[i]));
      result.max_abs = std::max(result.max_abs, error);
      excess = std::max(error, 1.0);
    } else {
      const auto x = static_cast<double>(a[i]), y = static_cast<double>(e[i]);
      if (x == y || (std::isnan(x) && std::isnan(y))) continue;
      const double error = std::abs(x - y);
      if (std::isfinite(error)) {
        result.max_abs = std::max(result.max_abs, error);
        if (std::abs(y) > tolerance.absolute)
          result.max_rel = std::max(result.max_rel, error / std::abs(y));
        const double allowed = tolerance.absolute + relative * std::abs(y);
        if (error <= allowed) continue;
        excess = error - allowed;
      } else {
        excess = HUGE_VAL;
      }
    }
    ++wrong;
    if (excess > worst_excess) {
      worst_excess = excess;
      worst = i;
    }
  }
  if (wrong > 0) {
    result.mismatch = std::to_string(wrong) + " of " + std::to_string(e.size()) + " elements of " +
                      type_text(expected) + " wrong, worst at " +
                      place_text(worst, expected.extents()) + ": expected " +
                      number_text<T>(e[worst]) + ", found " + number_text<T>(a[worst]);
  }
  return result;
}

Comparison compare_tensors(const Tensor& actual, const Tensor& expected,
                           const Tolerance& tolerance) {
  if (actual.type() != expected.type() || actual.extents() != expected.extents()) {
    Comparison result;
    result.mismatch = "expected " + type_text(expected) + ", found " + type_text(actual);
    return result;
  }
  return visit(expected.type(), [&]<typename T>(std::type_identity<T>) {
    return compare_elements<T>(actual, expected, tolerance);
  });
}

}  // namespace

void Comparison::merge(const Comparison& other) {
  max_abs = std::max(max_abs, other.max_abs);
  max_rel = std::max(max_rel, other.max_rel);
  if (mismatch.empty()) mismatch = other.mismatch;
}

Comparison compare(const RuntimeValue& actual, const RuntimeValue& expected,
                   const Tolerance& tolerance) {
  Comparison result;
  if (actual.tensor && expected.tensor) {
    return compare_tensors(*actual.tensor, *expected.tensor, tolerance);
  }
  if (actual.empty() && expected.empty()) return result;
  if (!actual.sequence || !expected.sequence ||
      actual.sequence->size() != expected.sequence->size()) {
    result.mismatch = "expected " + kind_text(expected) + ", found " + kind_text(actual);
    return result;
  }
  for (size_t i = 0; i < expected.sequence->size(); ++i) {
    Comparison element =
        compare_tensors(*(*actual.sequence)[i], *(*expected.sequence)[i], tolerance);
    if (!element.ok()) element.mismatch = "element " + std::to_string(i) + ": " + element.mismatch;
    result.merge(element);
  }
  return result;
}

}  // namespace refrain
