// Hashes of what has several parts.
#pragma once

#include <cstddef>

namespace refrain {

// The hash of the parts so far and one more; their order counts (Boost's hash_combine).
inline size_t hash_combine(size_t seed, size_t value) {
  return seed ^ (value + 0x9e3779b97f4a7c15ull + (seed << 6) + (seed >> 2));
}

}  // namespace refrain
