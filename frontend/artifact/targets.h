// SIMD targets by name, as far as packed weights depend on them: by the size of their vectors.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace refrain::artifact {

struct Target {
  std::string name;
  uint32_t lanes;  // f32 elements of a vector
};

// What this process's kernels run on.
Target native_target();

// A list of names with commas between them: `native`, `all`, sse4, neon, avx2, avx3. Targets whose
// vectors are of one size share their packed weights. Throws Error for other names.
std::vector<Target> parse_targets(std::string_view list);

}  // namespace refrain::artifact
