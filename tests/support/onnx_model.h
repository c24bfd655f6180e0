// Makes small ONNX models for tests.
//
// Messages are filled in here field by field, not by the frontend's converters, which are under
// test.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <variant>
#include <vector>

#include "frontend/onnx/proto.h"
#include "ir/shape.h"
#include "ir/tensor.h"

namespace refrain::testing {

using Ints = std::vector<int64_t>;
using Floats = std::vector<double>;
using Strings = std::vector<std::string>;

// An attribute of a node; the alternative decides the ONNX attribute type.
struct OnnxAttribute {
  std::string name;
  std::variant<int64_t, double, std::string, Ints, Floats, Strings, TensorPtr, onnx::GraphProto>
      value;

  OnnxAttribute(std::string n, int v) : name(std::move(n)), value(int64_t{v}) {}
  OnnxAttribute(std::string n, int64_t v) : name(std::move(n)), value(v) {}
  OnnxAttribute(std::string n, double v) : name(std::move(n)), value(v) {}
  OnnxAttribute(std::string n, const char* v) : name(std::move(n)), value(std::string(v)) {}
  OnnxAttribute(std::string n, Ints v) : name(std::move(n)), value(std::move(v)) {}
  OnnxAttribute(std::string n, Floats v) : name(std::move(n)), value(std::move(v)) {}
  OnnxAttribute(std::string n, Strings v) : name(std::move(n)), value(std::move(v)) {}
  OnnxAttribute(std::string n, Tensor v)
      : name(std::move(n)), value(std::make_shared<const Tensor>(std::move(v))) {}
  OnnxAttribute(std::string n, onnx::GraphProto v) : name(std::move(n)), value(std::move(v)) {}
};

onnx::TensorProto onnx_tensor(const Tensor& tensor, const std::string& name);
// An unknown dimension has neither value nor name; an unranked tensor has no shape at all.
onnx::TypeProto onnx_type(const ValueType& type);

// Fills in one graph: the model's own, or a subgraph that is given to a node as an attribute.
class OnnxGraph {
 public:
  explicit OnnxGraph(onnx::GraphProto& proto) : proto_(&proto) {}

  OnnxGraph& input(const std::string& name, const ValueType& type);
  OnnxGraph& initializer(const std::string& name, const Tensor& tensor);
  // Empty names stand for absent inputs and outputs. The node is called like its first output.
  OnnxGraph& node(const std::string& op, const Strings& inputs, const Strings& outputs,
                  const std::vector<OnnxAttribute>& attributes = {},
                  const std::string& domain = {});
  // Without a type, only the name is declared.
  OnnxGraph& output(const std::string& name);
  OnnxGraph& output(const std::string& name, const ValueType& type);

  onnx::GraphProto& proto() const { return *proto_; }

 private:
  onnx::GraphProto* proto_;
};

// A model that imports one opset of the default domain.
class OnnxModel {
 public:
  explicit OnnxModel(int opset, int ir_version = 8);

  OnnxGraph graph() { return OnnxGraph(*proto_.mutable_graph()); }
  onnx::ModelProto& proto() { return proto_; }
  std::string bytes() const { return proto_.SerializeAsString(); }

 private:
  onnx::ModelProto proto_;
};

}  // namespace refrain::testing
