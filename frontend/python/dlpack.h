// Tensors of other libraries by the DLPack protocol.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string_view>

namespace refrain::python {

// A numpy array over the memory of an object that has __dlpack__ and __dlpack_device__; the array
// keeps it. bfloat16 becomes uint16, its bits. (numpy.from_dlpack knows no bfloat16 and makes
// arrays that can't be written.) Throws Error for memory of other devices, or what the object's own
// __dlpack__ raises.
pybind11::array from_dlpack(pybind11::handle object, std::string_view what);

}  // namespace refrain::python
