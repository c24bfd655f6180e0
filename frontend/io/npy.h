// NumPy's .npy files.
//
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1 to 3.
#pragma once

#include <string>
#include <string_view>

#include "ir/tensor.h"

namespace refrain {

// The array in the bytes of a file: bool, integers, and floats of 2, 4 and 8 bytes, of either byte
// order, in C or Fortran order. Throws Error if it isn't one, or data is missing or left over.
Tensor npy_decode(std::string_view bytes);

// The bytes of a file of version 1.0, C order, little endian. NumPy has no bfloat16: bf16 is
// written as float32, which holds every one of its values.
std::string npy_encode(const Tensor& tensor);

}  // namespace refrain
