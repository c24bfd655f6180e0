#include "frontend/python/dlpack.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "refrain/refrain.h"

namespace refrain::python {
namespace {

namespace py = pybind11;

// The structs of DLPack's protocol, version 0.
struct DlDevice {
  int32_t type;
  int32_t id;
};
struct DlType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};
struct DlTensor {
  void* data;
  DlDevice device;
  int32_t rank;
  DlType type;
  int64_t* shape;
  int64_t* strides;  // in elements; null: dense
  uint64_t byte_offset;
};
struct DlManagedTensor {
  DlTensor tensor;
  void* context;
  void (*deleter)(DlManagedTensor*);
};

constexpr int32_t kCpu = 1;
constexpr int32_t kMaxRank = 32;  // of numpy's arrays

void release(DlManagedTensor* managed) {
  if (managed && managed->deleter) managed->deleter(managed);
}

std::string numpy_type(const DlType& type) {
  const std::string bits = std::to_string(type.bits);
  if (type.lanes == 1 && type.bits % 8 == 0) {
    switch (type.code) {
      case 0:
        return "int" + bits;
      case 1:
        return "uint" + bits;
      case 2:
        return "float" + bits;
      case 4:
        if (type.bits == 16) return "uint16";
        break;
      case 6:
        if (type.bits == 8) return "bool";
        break;
    }
  }
  throw Error("a DLPack tensor has elements of a type that tensors don't have", "",
              "type code " + std::to_string(type.code) + " of " + bits + " bits, " +
                  std::to_string(type.lanes) + " lanes");
}

}  // namespace

py::array from_dlpack(py::handle object, std::string_view what) {
  const auto device = py::cast<std::pair<int64_t, int64_t>>(object.attr("__dlpack_device__")());
  if (device.first != kCpu)
    throw Error(std::string(what) + " is in the memory of another device", "the CPU's",
                "DLPack device " + std::to_string(device.first));
  const py::capsule capsule = object.attr("__dlpack__")();
  if (!capsule.name() || std::string_view(capsule.name()) != "dltensor")
    throw Error(std::string(what) + " has no DLPack tensor", "a capsule \"dltensor\"",
                capsule.name() ? capsule.name() : "a capsule without a name");
  // From here on the tensor is ours; its producer's capsule must not delete it.
  std::unique_ptr<DlManagedTensor, void (*)(DlManagedTensor*)> managed(
      capsule.get_pointer<DlManagedTensor>(), release);
  if (PyCapsule_SetName(capsule.ptr(), "used_dltensor") != 0) throw py::error_already_set();

  const DlTensor& tensor = managed->tensor;
  if (tensor.rank < 0 || tensor.rank > kMaxRank || tensor.device.type != kCpu)
    throw Error(std::string(what) + " has a DLPack tensor that can't be read");
  const py::dtype type(numpy_type(tensor.type));
  std::vector<py::ssize_t> shape(tensor.shape, tensor.shape + tensor.rank);
  std::vector<py::ssize_t> strides;
  if (tensor.strides)
    for (int32_t i = 0; i < tensor.rank; ++i)
      strides.push_back(tensor.strides[i] * static_cast<py::ssize_t>(type.itemsize()));
  const char* data = static_cast<const char*>(tensor.data) + tensor.byte_offset;
  const py::capsule owner(managed.get(),
                          [](void* held) { release(static_cast<DlManagedTensor*>(held)); });
  managed.release();  // now the new capsule's
  return py::array(type, std::move(shape), std::move(strides), data, owner);
}

}  // namespace refrain::python
