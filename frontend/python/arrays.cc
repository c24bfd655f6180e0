#include "frontend/python/arrays.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "frontend/python/dlpack.h"

namespace refrain::python {
namespace {

constexpr int kAligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;

// numpy's letter of the kind, and bytes, of each type.
struct NumpyType {
  DataType type;
  char kind;
  int size;
  const char* name;
};
constexpr std::array kTypes = {
    NumpyType{DataType::f32, 'f', 4, "float32"}, NumpyType{DataType::f64, 'f', 8, "float64"},
    NumpyType{DataType::f16, 'f', 2, "float16"}, NumpyType{DataType::i8, 'i', 1, "int8"},
    NumpyType{DataType::i16, 'i', 2, "int16"},   NumpyType{DataType::i32, 'i', 4, "int32"},
    NumpyType{DataType::i64, 'i', 8, "int64"},   NumpyType{DataType::u8, 'u', 1, "uint8"},
    NumpyType{DataType::u16, 'u', 2, "uint16"},  NumpyType{DataType::u32, 'u', 4, "uint32"},
    NumpyType{DataType::u64, 'u', 8, "uint64"},  NumpyType{DataType::boolean, 'b', 1, "bool"},
    NumpyType{DataType::bf16, 'u', 2, "uint16"},
};

std::string text(py::handle object) { return py::cast<std::string>(py::str(object)); }

DataType type_of(const py::dtype& dtype, DataType expected, std::string_view what) {
  for (const NumpyType& type : kTypes) {
    if (type.kind != dtype.kind() || type.size != dtype.itemsize()) continue;
    return type.type == DataType::u16 && expected == DataType::bf16 ? expected : type.type;
  }
  throw Error(std::string(what) + " has elements of a type that tensors don't have",
              name_of(expected), text(dtype));
}

bool laid_out(const py::array& array) {
  return (array.flags() & py::array::c_style) && (array.flags() & kAligned) &&
         py::cast<bool>(array.dtype().attr("isnative"));
}

py::array as_array(py::handle value, DataType expected, std::string_view what, Access access) {
  if (py::isinstance<py::array>(value)) return py::reinterpret_borrow<py::array>(value);
  if (py::hasattr(value, "__dlpack__") && py::hasattr(value, "__dlpack_device__"))
    return from_dlpack(value, what);
  const py::module_ numpy = py::module_::import("numpy");
  if (PyObject_CheckBuffer(value.ptr()))
    return numpy.attr("asarray")(py::memoryview(py::reinterpret_borrow<py::object>(value)));
  if (access == Access::share)
    throw Error(std::string(what) + " has no memory to share", "an array",
                text(py::type::handle_of(value).attr("__name__")));
  return numpy.attr("asarray")(value, dtype_of(expected));
}

}  // namespace

py::dtype dtype_of(DataType type) {
  for (const NumpyType& each : kTypes)
    if (each.type == type) return py::dtype(each.name);
  throw Error("unknown element type");
}

Borrowed borrow(py::handle value, DataType expected, std::string_view what, Access access) {
  py::array array = as_array(value, expected, what, access);
  const DataType type = type_of(array.dtype(), expected, what);
  if (!laid_out(array)) {
    if (access == Access::share)
      throw Error(std::string(what) + " can't be shared", "dense rows, aligned, native byte order",
                  "strides " + text(array.attr("strides")) + ", " + text(array.dtype()));
    array = py::module_::import("numpy").attr("array")(
        array, array.dtype().attr("newbyteorder")("="), py::arg("order") = "C");
  }
  const std::vector<int64_t> extents(array.shape(), array.shape() + array.ndim());
  const ConstView view(type, Extents(extents), array.data());
  const bool writable = array.writeable();
  return {std::move(array), view, writable};
}

py::array to_numpy(const ConstView& view, std::shared_ptr<const void> holder) {
  auto held = std::make_unique<std::shared_ptr<const void>>(std::move(holder));
  const py::capsule base(
      held.get(), [](void* kept) { delete static_cast<std::shared_ptr<const void>*>(kept); });
  held.release();  // now the capsule's
  return py::array(dtype_of(view.type()),
                   std::vector<py::ssize_t>(view.extents().begin(), view.extents().end()),
                   view.raw(), base);
}

py::array to_numpy(Array&& array) {
  const auto held = std::make_shared<Array>(std::move(array));
  return to_numpy(held->view(), held);
}

py::dict to_numpy(Outputs&& outputs) {
  py::dict result;
  for (auto& [name, array] : outputs) result[py::str(name)] = to_numpy(std::move(array));
  return result;
}

}  // namespace refrain::python
