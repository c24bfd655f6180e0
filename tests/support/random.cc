#include "support/random.h"

namespace refrain::testing {

// The standard's distributions differ between libraries; these do not.
double Random::uniform(double low, double high) {
  return low + (high - low) * (static_cast<double>(engine_() >> 11) * 0x1p-53);
}

int64_t Random::integer(int64_t low, int64_t high) {
  return low + static_cast<int64_t>(engine_() % (static_cast<uint64_t>(high - low) + 1));
}

Tensor Random::tensor(ElementType type, std::vector<int64_t> extents, double low, double high) {
  Tensor result(type, std::move(extents));
  visit(type, [&]<typename T>(std::type_identity<T>) {
    for (T& element : result.data<T>()) {
      if constexpr (std::is_same_v<T, bool>) {
        element = (engine_() & 1) != 0;
      } else {
        const double value = uniform(low, high);
        if constexpr (std::is_arithmetic_v<T>) {
          element = static_cast<T>(value);
        } else {
          element = T(static_cast<float>(value));
        }
      }
    }
  });
  return result;
}

}  // namespace refrain::testing
