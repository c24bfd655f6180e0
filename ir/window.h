// Geometry of convolution and pooling windows, shared by shape inference and kernels.
//
// Formulas: ONNX operator specification, Conv, ConvTranspose, MaxPool, AveragePool.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/graph.h"

namespace refrain {

// The attributes of a windowed op, one entry a spatial axis, defaults filled in and checked
// (strides and dilations in 1..2^31-1, paddings in 0..2^31-1).
struct WindowAttributes {
  std::vector<int64_t> strides, dilations, pad_begin, pad_end;
  enum class AutoPad { none, same_upper, same_lower } auto_pad = AutoPad::none;
  bool ceil_mode = false;
};

// Reads them from a node; throws Error where they are malformed or not for `spatial` axes.
WindowAttributes window_attributes(const Node& node, size_t spatial);

// One spatial axis with everything resolved.
struct WindowAxis {
  int64_t output = 0;     // extent of the result
  int64_t pad_begin = 0;  // padding before the first element (of the result for a transposed one)
};

// Output extent and leading padding of axis `i` for an input extent and a kernel extent (>= 1).
// Throws Error if the dilated kernel does not fit the padded input, or an extent overflows.
WindowAxis window_axis(const WindowAttributes& attributes, size_t i, int64_t input, int64_t kernel);
// The same for a transposed convolution; `output_padding` is added at the end; `output_shape`, if
// not negative, is the wanted extent, which the paddings are made for.
WindowAxis transposed_window_axis(const WindowAttributes& attributes, size_t i, int64_t input,
                                  int64_t kernel, int64_t output_padding, int64_t output_shape);

}  // namespace refrain
