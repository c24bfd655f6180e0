// Bounds of a slice, shared by shape inference and kernels.
#pragma once

#include <cstdint>

namespace refrain {

// A slice of an axis with everything resolved: elements begin, begin + step, ..., `count` of them.
struct SliceBounds {
  int64_t begin = 0;
  int64_t step = 1;
  int64_t count = 0;
};

// Clamps begin:end:step to an axis of the given extent by the rules of ONNX's Slice (numpy's, with
// any int64 as a bound). `step` must not be 0.
SliceBounds clamp_slice(int64_t extent, int64_t begin, int64_t end, int64_t step);

}  // namespace refrain
