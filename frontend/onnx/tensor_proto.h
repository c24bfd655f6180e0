// ONNX's tensors, sequences, optionals and types from and to ours.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "frontend/onnx/proto.h"
#include "ir/runtime_value.h"
#include "ir/shape.h"
#include "ir/tensor.h"

namespace refrain::onnx_import {

// Where a model's tensors may come from and how large they may be together.
struct TensorSource {
  // The model's own folder, for external data; empty: external data is refused.
  std::filesystem::path folder;
  // Charged with every tensor that is made; may be null.
  std::shared_ptr<MemoryBudget> budget;
};

// Throws UnsupportedNode (node_import.h) for an element type that Refrain has not (strings, complex
// numbers); Error for what is no type at all.
ElementType element_type_from_onnx(int data_type);
int element_type_to_onnx(ElementType type);

// Checks that the data's size is what the dimensions say before it allocates. External data must
// lie, symbolic links resolved, in the source's folder or below, inside of its file. Throws
// UnsupportedNode for unsupported element types, otherwise Error, which names the tensor.
Tensor tensor_from_proto(const onnx::TensorProto& proto, const TensorSource& source = {});
Tensor tensor_from_proto(const onnx::SparseTensorProto& proto, const TensorSource& source = {});
onnx::TensorProto tensor_to_proto(const Tensor& tensor, const std::string& name);

// The type of a value; a dimension without value and name is unknown, a type without shape
// unranked. Throws UnsupportedNode for maps, sparse tensors, and sequences of anything but tensors.
ValueType value_type_from_proto(const onnx::TypeProto& proto);

// A value in the form of ONNX's test data: a serialised TensorProto, SequenceProto or
// OptionalProto, as `type` says. Throws Error,
// also for what is unsupported.
RuntimeValue read_value(std::string_view bytes, const ValueType& type,
                        const TensorSource& source = {});
std::string write_value(const RuntimeValue& value, const ValueType& type, const std::string& name);

}  // namespace refrain::onnx_import
