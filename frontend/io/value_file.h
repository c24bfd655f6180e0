// Values of a model's inputs and outputs in files: .npy (NumPy) and .pb (ONNX).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/runtime_value.h"
#include "ir/shape.h"

namespace refrain {

enum class ValueFormat { npy, pb };

// By the extension, .npy or .pb. Throws Error for any other.
ValueFormat value_format(const std::string& path);

// Reads a value for a place of type `type`. A .npy file holds one tensor. A .pb file holds a
// TensorProto, or for a type that is a sequence or optional a SequenceProto or OptionalProto.
// Where the type's elements are bf16, either may hold their bits as u16, as ONNX's own test data
// does. Whether the value fits the type's element type and shape is checked where it is used.
// Throws Error with the file.
RuntimeValue read_value(const std::string& path, const ValueType& type, int64_t max_bytes);

// Writes a value of type `type` under the name `name` to `stem` with the format's extension, and
// returns the files' paths. As .npy a sequence becomes one file an element, STEM.0.npy and so on,
// and an empty optional none. A .pb keeps `name` inside. Throws Error with the file.
std::vector<std::string> write_value(const std::string& stem, const RuntimeValue& value,
                                     const ValueType& type, const std::string& name,
                                     ValueFormat format);

// A file name made of a value's name: letters, digits, `-`, `_` and `.` stay, any other byte
// becomes `_`, and so does a leading `.`; at most 200 bytes; empty becomes `output`.
std::string file_name_of(std::string_view name);

}  // namespace refrain
