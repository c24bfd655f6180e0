#include "frontend/onnx/tensor_proto.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>

#include "frontend/onnx/node_import.h"

namespace refrain::onnx_import {
namespace {

namespace fs = std::filesystem;
using onnx::TensorProto;

constexpr std::pair<ElementType, int> kElementTypes[] = {
    {ElementType::f32, TensorProto::FLOAT},     {ElementType::f64, TensorProto::DOUBLE},
    {ElementType::bf16, TensorProto::BFLOAT16}, {ElementType::f16, TensorProto::FLOAT16},
    {ElementType::i8, TensorProto::INT8},       {ElementType::i16, TensorProto::INT16},
    {ElementType::i32, TensorProto::INT32},     {ElementType::i64, TensorProto::INT64},
    {ElementType::u8, TensorProto::UINT8},      {ElementType::u16, TensorProto::UINT16},
    {ElementType::u32, TensorProto::UINT32},    {ElementType::u64, TensorProto::UINT64},
    {ElementType::boolean, TensorProto::BOOL}};

std::string bytes_text(int64_t bytes) { return std::to_string(bytes) + " bytes"; }

int64_t parse_number(const std::string& key, const std::string& text) {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < 0) {
    throw Error("wrong " + key + " of external data", "a number of bytes", "\"" + text + "\"");
  }
  return value;
}

// Whether `path`, both free of links and dots, lies below `folder`.
bool is_inside(const fs::path& path, const fs::path& folder) {
  const auto [end_of_folder, rest] =
      std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return end_of_folder == folder.end() && rest != path.end();
}

void read_external(const TensorProto& proto, const TensorSource& source, Tensor& tensor) {
  if (source.folder.empty()) {
    throw Error("external data is not allowed here",
                "a model in a file, with its data in the same folder", "external data");
  }
  std::string location;
  int64_t offset = 0, length = tensor.bytes();
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = parse_number("offset", entry.value());
    if (entry.key() == "length") length = parse_number("length", entry.value());
  }
  if (length != tensor.bytes()) {
    throw Error("wrong length of external data", bytes_text(tensor.bytes()), bytes_text(length));
  }
  std::error_code error;
  const fs::path folder = fs::canonical(source.folder, error);
  const fs::path relative(location);
  const fs::path path = error ? fs::path() : fs::weakly_canonical(folder / relative, error);
  if (location.empty() || location.find('\0') != std::string::npos || relative.is_absolute() ||
      error || !is_inside(path, folder)) {
    throw Error("external data lies outside the model's folder",
                "a file below " + source.folder.string(), "\"" + location + "\"");
  }
  if (!fs::is_regular_file(path, error)) {
    throw Error("no such file of external data", "a file", "\"" + location + "\"");
  }
  const auto size = static_cast<int64_t>(fs::file_size(path, error));
  if (error || offset > size || length > size - offset) {
    throw Error("external data goes past the end of its file",
                "at most " + bytes_text(error ? 0 : size) + " in \"" + location + "\"",
                bytes_text(length) + " at offset " + std::to_string(offset));
  }
  std::ifstream file(path, std::ios::binary);
  file.seekg(offset);
  file.read(static_cast<char*>(tensor.raw()), length);
  if (!file || file.gcount() != length)
    throw Error("can't read external data", {}, "\"" + location + "\"");
}

template <typename Values>
void require_values(const Values& values, const Tensor& tensor) {
  if (static_cast<int64_t>(values.size()) != tensor.size()) {
    throw Error("wrong number of elements in a tensor's data", std::to_string(tensor.size()),
                std::to_string(values.size()));
  }
}

template <typename T, typename Values>
void copy_values(const Values& values, Tensor& tensor) {
  require_values(values, tensor);
  std::transform(values.begin(), values.end(), tensor.data<T>().begin(),
                 [](auto value) { return static_cast<T>(value); });
}

// Types of 16 bits and less, and their bit patterns, are kept in int32_data.
template <typename T>
void copy_typed(const TensorProto& proto, Tensor& tensor) {
  if constexpr (std::is_same_v<T, float>) {
    copy_values<T>(proto.float_data(), tensor);
  } else if constexpr (std::is_same_v<T, double>) {
    copy_values<T>(proto.double_data(), tensor);
  } else if constexpr (std::is_same_v<T, int64_t>) {
    copy_values<T>(proto.int64_data(), tensor);
  } else if constexpr (std::is_same_v<T, uint64_t> || std::is_same_v<T, uint32_t>) {
    copy_values<T>(proto.uint64_data(), tensor);
  } else if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
    require_values(proto.int32_data(), tensor);
    std::transform(proto.int32_data().begin(), proto.int32_data().end(), tensor.data<T>().begin(),
                   [](int32_t value) {
                     T element;
                     element.bits = static_cast<uint16_t>(value);
                     return element;
                   });
  } else {
    copy_values<T>(proto.int32_data(), tensor);
  }
}

// Fields that hold a tensor's elements.
std::vector<int64_t> typed_data_sizes(const TensorProto& proto) {
  return {proto.float_data_size(), proto.int32_data_size(),  proto.string_data_size(),
          proto.int64_data_size(), proto.double_data_size(), proto.uint64_data_size()};
}

// How many elements the file holds for the tensor; the check comes before anything is allocated.
void check_data(const TensorProto& proto, ElementType type, std::span<const int64_t> extents) {
  const int64_t elements = element_count(extents);
  const int64_t bytes = byte_count(type, extents);
  const bool external = proto.data_location() == TensorProto::EXTERNAL;
  int fields = proto.has_raw_data() && !proto.raw_data().empty();
  int64_t found = 0;
  for (int64_t size : typed_data_sizes(proto)) {
    fields += size > 0;
    found = std::max(found, size);
  }
  if (fields + external > 1)
    throw Error("a tensor has its data twice", "one field with data", "several");
  if (external) return;
  if (proto.has_raw_data() && found == 0) {
    if (static_cast<int64_t>(proto.raw_data().size()) != bytes) {
      throw Error("wrong size of a tensor's data", bytes_text(bytes),
                  bytes_text(static_cast<int64_t>(proto.raw_data().size())));
    }
  } else if (found != elements) {
    throw Error("wrong number of elements in a tensor's data", std::to_string(elements),
                std::to_string(found));
  }
}

std::vector<int64_t> extents_of(const google::protobuf::RepeatedField<int64_t>& dims) {
  if (dims.size() > kMaxRank) {
    throw Error("rank too large", "at most " + std::to_string(kMaxRank),
                std::to_string(dims.size()));
  }
  return {dims.begin(), dims.end()};
}

Tensor convert(const TensorProto& proto, const TensorSource& source) {
  const ElementType type = element_type_from_onnx(proto.data_type());
  if (proto.has_segment()) throw UnsupportedNode{"tensor in segments"};
  std::vector<int64_t> extents = extents_of(proto.dims());
  check_data(proto, type, extents);
  Tensor tensor(type, std::move(extents), source.budget);
  const bool external = proto.data_location() == TensorProto::EXTERNAL;
  if (external) {
    read_external(proto, source, tensor);
  } else if (proto.has_raw_data() && !proto.raw_data().empty()) {
    std::memcpy(tensor.raw(), proto.raw_data().data(), static_cast<size_t>(tensor.bytes()));
  } else if (tensor.size() > 0) {
    visit(type, [&]<typename T>(std::type_identity<T>) { copy_typed<T>(proto, tensor); });
  }
  if (type == ElementType::boolean) {
    // A bool that is neither 0 nor 1 has no defined behaviour.
    auto* bytes = static_cast<unsigned char*>(tensor.raw());
    std::for_each(bytes, bytes + tensor.bytes(), [](unsigned char& byte) { byte = byte != 0; });
  }
  return tensor;
}

Tensor convert(const onnx::SparseTensorProto& proto, const TensorSource& source) {
  const Tensor values = convert(proto.values(), source);
  const Tensor indices = convert(proto.indices(), source);
  Tensor dense(values.type(), extents_of(proto.dims()), source.budget);
  const auto rank = static_cast<int64_t>(dense.rank());
  const bool linear = indices.rank() == 1;
  if (values.rank() != 1 || (!linear && (indices.rank() != 2 || indices.extents()[1] != rank)) ||
      indices.extents()[0] != values.size()) {
    throw Error("values and indices of a sparse tensor don't fit",
                "values [N] and indices [N] or [N, " + std::to_string(rank) + "]");
  }
  const auto coordinates = indices.data<int64_t>();
  const size_t size = size_of(dense.type());
  for (int64_t i = 0; i < values.size(); ++i) {
    int64_t at = 0;
    if (linear) {
      at = coordinates[static_cast<size_t>(i)];
    } else {
      for (int64_t axis = 0; axis < rank; ++axis) {
        const int64_t extent = dense.extents()[static_cast<size_t>(axis)];
        const int64_t index = coordinates[static_cast<size_t>(i * rank + axis)];
        if (index < 0 || index >= extent) {
          throw Error("index of a sparse tensor out of range",
                      "less than " + std::to_string(extent), std::to_string(index));
        }
        at = at * extent + index;
      }
    }
    if (at < 0 || at >= dense.size()) {
      throw Error("index of a sparse tensor out of range",
                  "less than " + std::to_string(dense.size()), std::to_string(at));
    }
    std::memcpy(static_cast<char*>(dense.raw()) + static_cast<size_t>(at) * size,
                static_cast<const char*>(values.raw()) + static_cast<size_t>(i) * size, size);
  }
  return dense;
}

template <typename Proto>
Tensor convert_named(const Proto& proto, const std::string& name, const TensorSource& source) {
  try {
    return convert(proto, source);
  } catch (Error& error) {
    throw Error("tensor \"" + name + "\": " + error.problem(), error.expected(), error.found());
  }
}

Shape shape_from_proto(const onnx::TypeProto::Tensor& proto) {
  if (!proto.has_shape()) return Shape::unranked();
  if (proto.shape().dim_size() > kMaxRank) {
    throw Error("rank too large", "at most " + std::to_string(kMaxRank),
                std::to_string(proto.shape().dim_size()));
  }
  std::vector<Dim> dims;
  for (const auto& dim : proto.shape().dim()) {
    if (dim.has_dim_value()) {
      dims.emplace_back(dim.dim_value());
    } else if (!dim.dim_param().empty()) {
      dims.push_back(Dim::symbol(dim.dim_param()));
    } else {
      dims.push_back(Dim::unknown());
    }
  }
  return Shape(std::move(dims));
}

template <typename Proto>
Proto parse_message(std::string_view bytes, const char* what) {
  Proto proto;
  if (bytes.size() > std::numeric_limits<int>::max() ||
      !proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    throw Error("malformed data", std::string("a serialised ") + what, "something else");
  }
  return proto;
}

RuntimeValue sequence_from_proto(const onnx::SequenceProto& proto, const TensorSource& source) {
  const bool tensors = proto.elem_type() == onnx::SequenceProto::TENSOR ||
                       proto.elem_type() == onnx::SequenceProto::UNDEFINED;
  if (!tensors || proto.sequence_values_size() > 0 || proto.map_values_size() > 0 ||
      proto.optional_values_size() > 0 || proto.sparse_tensor_values_size() > 0) {
    throw UnsupportedNode{"sequence of anything but tensors"};
  }
  Sequence sequence;
  for (const TensorProto& tensor : proto.tensor_values()) {
    sequence.push_back(std::make_shared<const Tensor>(tensor_from_proto(tensor, source)));
  }
  return sequence;
}

RuntimeValue optional_from_proto(const onnx::OptionalProto& proto, const TensorSource& source) {
  switch (proto.elem_type()) {
    case onnx::OptionalProto::UNDEFINED:
      return {};
    case onnx::OptionalProto::TENSOR:
      if (!proto.has_tensor_value()) return {};
      return tensor_from_proto(proto.tensor_value(), source);
    case onnx::OptionalProto::SEQUENCE:
      if (!proto.has_sequence_value()) return {};
      return sequence_from_proto(proto.sequence_value(), source);
    default:
      throw UnsupportedNode{"optional of anything but tensors and sequences"};
  }
}

onnx::SequenceProto sequence_to_proto(const Sequence& sequence, const std::string& name) {
  onnx::SequenceProto proto;
  proto.set_name(name);
  proto.set_elem_type(onnx::SequenceProto::TENSOR);
  for (const TensorPtr& tensor : sequence)
    *proto.add_tensor_values() = tensor_to_proto(*tensor, {});
  return proto;
}

}  // namespace

ElementType element_type_from_onnx(int data_type) {
  for (const auto& [type, number] : kElementTypes) {
    if (number == data_type) return type;
  }
  if (data_type == TensorProto::STRING) throw UnsupportedNode{"tensor of strings"};
  if (data_type == TensorProto::COMPLEX64 || data_type == TensorProto::COMPLEX128) {
    throw UnsupportedNode{"tensor of complex numbers"};
  }
  // 17 and up are the narrow types of later versions: float8, int4 and so on.
  if (data_type > TensorProto::BFLOAT16 && data_type < 64) {
    throw UnsupportedNode{"tensor of element type " + std::to_string(data_type)};
  }
  throw Error("wrong element type", "one of TensorProto.DataType", std::to_string(data_type));
}

int element_type_to_onnx(ElementType type) {
  for (const auto& [candidate, number] : kElementTypes) {
    if (candidate == type) return number;
  }
  return TensorProto::UNDEFINED;
}

Tensor tensor_from_proto(const TensorProto& proto, const TensorSource& source) {
  return convert_named(proto, proto.name(), source);
}

Tensor tensor_from_proto(const onnx::SparseTensorProto& proto, const TensorSource& source) {
  return convert_named(proto, proto.values().name(), source);
}

TensorProto tensor_to_proto(const Tensor& tensor, const std::string& name) {
  TensorProto proto;
  proto.set_name(name);
  proto.set_data_type(element_type_to_onnx(tensor.type()));
  for (int64_t extent : tensor.extents()) proto.add_dims(extent);
  proto.set_raw_data(tensor.raw(), static_cast<size_t>(tensor.bytes()));
  return proto;
}

ValueType value_type_from_proto(const onnx::TypeProto& proto) {
  using onnx::TypeProto;
  switch (proto.value_case()) {
    case TypeProto::kTensorType:
      return ValueType::tensor(element_type_from_onnx(proto.tensor_type().elem_type()),
                               shape_from_proto(proto.tensor_type()));
    case TypeProto::kSequenceType: {
      const TypeProto& element = proto.sequence_type().elem_type();
      if (!element.has_tensor_type()) throw UnsupportedNode{"sequence of anything but tensors"};
      ValueType type = value_type_from_proto(element);
      // A sequence's tensors may differ in the extents that share a name here; such a name says
      // nothing.
      for (size_t i = 0; i < type.shape.rank(); ++i) {
        if (type.shape[i].is_symbol()) type.shape[i] = Dim::unknown();
      }
      return ValueType::sequence(type.element, type.shape);
    }
    case TypeProto::kOptionalType: {
      const TypeProto& element = proto.optional_type().elem_type();
      if (element.has_optional_type()) throw UnsupportedNode{"optional of an optional"};
      ValueType type = value_type_from_proto(element);
      type.optional = true;
      return type;
    }
    case TypeProto::kMapType:
      throw UnsupportedNode{"map"};
    case TypeProto::kSparseTensorType:
      throw UnsupportedNode{"sparse tensor"};
    default:
      throw Error("a value has no type", "a tensor, sequence or optional type", "none");
  }
}

RuntimeValue read_value(std::string_view bytes, const ValueType& type, const TensorSource& source) {
  try {
    if (type.optional) {
      return optional_from_proto(parse_message<onnx::OptionalProto>(bytes, "OptionalProto"),
                                 source);
    }
    if (type.kind == ValueType::Kind::sequence) {
      return sequence_from_proto(parse_message<onnx::SequenceProto>(bytes, "SequenceProto"),
                                 source);
    }
    return tensor_from_proto(parse_message<TensorProto>(bytes, "TensorProto"), source);
  } catch (const UnsupportedNode& unsupported) {
    throw Error("unsupported: " + unsupported.what);
  }
}

std::string write_value(const RuntimeValue& value, const ValueType& type, const std::string& name) {
  std::string bytes;
  bool written = false;
  if (type.optional) {
    onnx::OptionalProto proto;
    proto.set_name(name);
    if (value.tensor) {
      proto.set_elem_type(onnx::OptionalProto::TENSOR);
      *proto.mutable_tensor_value() = tensor_to_proto(*value.tensor, name);
    } else if (value.sequence) {
      proto.set_elem_type(onnx::OptionalProto::SEQUENCE);
      *proto.mutable_sequence_value() = sequence_to_proto(*value.sequence, name);
    }
    written = proto.SerializeToString(&bytes);
  } else if (value.sequence) {
    written = sequence_to_proto(*value.sequence, name).SerializeToString(&bytes);
  } else if (value.tensor) {
    written = tensor_to_proto(*value.tensor, name).SerializeToString(&bytes);
  }
  if (!written) throw Error("can't write a value", "at most 2 GiB", name);
  return bytes;
}

}  // namespace refrain::onnx_import
