// Python's arrays as views, and results as numpy's arrays.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <string_view>

#include "refrain/refrain.h"

namespace refrain::python {

namespace py = pybind11;

// Elements of a Python object: `view` is good as long as `owner` is held.
struct Borrowed {
  py::object owner;
  ConstView view;
  bool writable = false;
};

// How an object becomes a view. `share`: the very memory or an error; `copy`: a copy where the
// layout or the byte order is not the library's, and lists and numbers are converted to the type
// that is expected.
enum class Access { share, copy };

// The elements of a numpy array, of anything that has __dlpack__ (in the memory of the CPU) or the
// buffer protocol, or of nested lists of numbers. The type stays what it is, save that 16-bit
// integers stand for bfloat16, which numpy doesn't have. `what` names the value in errors. Throws
// Error.
Borrowed borrow(py::handle value, DataType expected, std::string_view what, Access access);

// numpy's name of a type; bfloat16 is uint16, its bits.
py::dtype dtype_of(DataType type);

// The same memory, without a copy; `holder` is what keeps it.
py::array to_numpy(const ConstView& view, std::shared_ptr<const void> holder);
py::array to_numpy(Array&& array);
py::dict to_numpy(Outputs&& outputs);

}  // namespace refrain::python
