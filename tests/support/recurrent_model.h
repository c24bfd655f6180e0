// ONNX models of one recurrent layer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "frontend/onnx/proto.h"
#include "ir/graph.h"
#include "ir/runtime_value.h"
#include "support/random.h"
#include "support/recurrent_oracle.h"

namespace refrain::testing {

// An extent, or a symbol; the empty symbol is an unknown extent.
using Extent = std::variant<int64_t, std::string>;

// A model of one node, whose inputs are graph inputs or initializers; and the graph inputs'
// tensors.
struct RecurrentModel {
  onnx::ModelProto proto;
  std::vector<Tensor> inputs;

  explicit RecurrentModel(const std::string& op, int opset = 14);

  onnx::NodeProto& node() { return *proto.mutable_graph()->mutable_node(0); }
  onnx::AttributeProto& attribute(const std::string& name);  // must be there

  // The node's next input: none, an initializer, or a graph input declared with `extents`, which
  // may say less than the tensor does; without any it is of unknown rank.
  void absent() { node().add_input(""); }
  void constant(const std::string& name, const Tensor& tensor);
  void input(const std::string& name, Tensor tensor,
             const std::optional<std::vector<Extent>>& extents);
  // The node's next output, which is one of the graph too; empty: nobody wants it.
  void output(const std::string& name);

  // Adds an attribute.
  void set(const std::string& name, int64_t value);
  void set(const std::string& name, float value);
  void set(const std::string& name, const std::string& value);
  void set(const std::string& name, const std::vector<std::string>& values);
  void set(const std::string& name, const std::vector<float>& values);

  std::unique_ptr<Graph> import() const;
  std::unique_ptr<Graph> import_optimized() const;  // import(), then the default pipeline
  std::vector<RuntimeValue> run(const Graph& graph) const;
};

// Elements converted to a type.
Tensor tensor_of(ElementType type, std::vector<int64_t> extents, const std::vector<double>& values);

// How a layer is written as a model; what the file does not say, the graph has to find out.
struct Spelling {
  int opset = 14;
  ElementType element = ElementType::f64;
  bool constant_weights = true;
  enum class Shapes { constant, symbols, unknown_extents, unknown_rank } shapes = Shapes::constant;
  bool hidden_size = true;
  bool want_y = true, want_h = true, want_c = true;
};

RecurrentModel write(const RecurrentLayer& layer, const Spelling& spelling);

// Uniform in [-scale, scale), exact in float32, so that files and oracle hold the same numbers
// whatever their type.
std::vector<double> random_reals(Random& random, int64_t count, double scale = 1);

// A layer of D directions with default activations, random x, W and R, and nothing else.
RecurrentLayer plain_layer(const std::string& op, Random& random, int64_t T, int64_t N, int64_t I,
                           int64_t H, int64_t D = 1);

}  // namespace refrain::testing
