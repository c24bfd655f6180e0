#include "frontend/io/value_file.h"

#include <memory>

#include "frontend/io/file.h"
#include "frontend/io/npy.h"
#include "frontend/onnx/tensor_proto.h"
#include "ir/error.h"

namespace refrain {
namespace {

// Bits of bfloat16 that were stored as u16 become what they are.
RuntimeValue restored(RuntimeValue value, const ValueType& type) {
  if (type.element != ElementType::bf16 || !value.tensor ||
      value.tensor->type() != ElementType::u16) {
    return value;
  }
  const std::span<const uint16_t> bits = value.tensor->data<uint16_t>();
  Tensor tensor(ElementType::bf16, value.tensor->extents());
  const std::span<BFloat16> elements = tensor.data<BFloat16>();
  for (size_t i = 0; i < bits.size(); ++i) elements[i].bits = bits[i];
  return tensor;
}

}  // namespace

ValueFormat value_format(const std::string& path) {
  if (path.ends_with(".npy")) return ValueFormat::npy;
  if (path.ends_with(".pb")) return ValueFormat::pb;
  throw Error("unknown kind of data file", ".npy or .pb", path);
}

RuntimeValue read_value(const std::string& path, const ValueType& type, int64_t max_bytes) {
  const ValueFormat format = value_format(path);
  const std::string bytes = read_file(path, max_bytes);
  try {
    if (format == ValueFormat::npy) return restored(npy_decode(bytes), type);
    onnx_import::TensorSource source;
    source.budget = std::make_shared<MemoryBudget>(max_bytes);
    return restored(onnx_import::read_value(bytes, type, source), type);
  } catch (Error& error) {
    error.in_file(path);
    throw;
  }
}

std::vector<std::string> write_value(const std::string& stem, const RuntimeValue& value,
                                     const ValueType& type, const std::string& name,
                                     ValueFormat format) {
  std::vector<std::string> paths;
  const auto write = [&](const std::string& path, const std::string& bytes) {
    write_file(path, bytes);
    paths.push_back(path);
  };
  if (format == ValueFormat::pb) {
    write(stem + ".pb", onnx_import::write_value(value, type, name));
  } else if (value.tensor) {
    write(stem + ".npy", npy_encode(*value.tensor));
  } else if (value.sequence) {
    for (size_t i = 0; i < value.sequence->size(); ++i) {
      write(stem + "." + std::to_string(i) + ".npy", npy_encode(*(*value.sequence)[i]));
    }
  }
  return paths;
}

std::string file_name_of(std::string_view name) {
  constexpr size_t kMost = 200;  // leaves room for what is added, in the 255 of most file systems
  std::string result(name.substr(0, kMost));
  for (char& c : result) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
    if (!plain) c = '_';
  }
  if (result.starts_with('.')) result[0] = '_';
  return result.empty() ? "output" : result;
}

}  // namespace refrain
