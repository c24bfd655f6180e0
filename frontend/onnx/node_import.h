// What an op's importer sees of the ONNX node that it imports. Who needs the messages themselves
// includes frontend/onnx/proto.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/builder.h"
#include "ir/graph.h"

namespace onnx {
class AttributeProto;
class GraphProto;
class NodeProto;
}  // namespace onnx

namespace refrain::onnx_import {

class GraphImporter;  // graph_import.h

// Reading an attribute marks it as understood; when the op's importer returns and an attribute of
// the node was not read, the node is unsupported. So is a node for which unsupported() was called:
// importing goes on, to find all that is not supported, and fails at the end.
class NodeImport {
 public:
  NodeImport(const onnx::NodeProto& proto, int opset, std::vector<Value*> inputs, Builder& builder,
             GraphImporter& graph);

  const onnx::NodeProto& proto() const { return proto_; }
  int opset() const { return opset_; }  // version of the node's domain that the model imports
  Builder& builder() const { return builder_; }
  GraphImporter& graph() const { return graph_; }  // the graph that the node is in, for control ops

  size_t input_count() const { return inputs_.size(); }  // as written; some may be absent
  bool has_input(size_t i) const { return i < inputs_.size() && inputs_[i]; }
  Value* input(size_t i) const;  // throws Error if absent
  Value* optional_input(size_t i) const { return has_input(i) ? inputs_[i] : nullptr; }
  const std::vector<Value*>& inputs() const { return inputs_; }
  // The input's elements if it is a constant.
  std::optional<std::vector<int64_t>> constant_ints(size_t i) const;
  // Rank of an input; throws Error if it isn't known.
  size_t rank(size_t i) const;

  size_t output_count() const;              // as written
  bool wants_output(size_t i) const;        // written with a name
  void set_output(size_t i, Value* value);  // also names the value if it has no name
  void set_outputs(const Node& node);       // result i becomes output i

  bool has_attribute(std::string_view name) const;  // does not count as reading
  int64_t integer(std::string_view name, int64_t default_value);
  int64_t integer(std::string_view name);  // required
  bool flag(std::string_view name, bool default_value);
  double real(std::string_view name, double default_value);
  std::string string(std::string_view name, std::string_view default_value);
  std::string string(std::string_view name);
  std::optional<std::vector<int64_t>> integers(std::string_view name);
  std::optional<std::vector<double>> reals(std::string_view name);
  std::optional<std::vector<std::string>> strings(std::string_view name);
  TensorPtr tensor(std::string_view name);  // dense or sparse; null if the node has none
  std::optional<ValueType> type(std::string_view name);
  const onnx::GraphProto& subgraph(std::string_view name);
  // Reads an attribute that changes nothing for inference.
  void ignore(std::string_view name);

  // Reports `what` ("mode = cubic") as unsupported and ends this node's import.
  [[noreturn]] void unsupported(const std::string& what) const;

  // Results, and attributes that nobody read; for the graph importer.
  const std::vector<Value*>& outputs() const { return outputs_; }
  std::vector<std::string> unread_attributes() const;

 private:
  const onnx::AttributeProto* find(std::string_view name, int type);
  const onnx::AttributeProto& require(std::string_view name, int type);

  const onnx::NodeProto& proto_;
  int opset_;
  std::vector<Value*> inputs_, outputs_;
  Builder& builder_;
  GraphImporter& graph_;
  std::unordered_map<std::string_view, const onnx::AttributeProto*> attributes_;
  std::unordered_set<std::string_view> read_;
};

// Thrown by NodeImport::unsupported; caught by the graph importer.
struct UnsupportedNode {
  std::string what;
};

using OpImporter = void (*)(NodeImport& node);

struct OpEntry {
  std::string_view op;  // ONNX op_type, domain ai.onnx
  OpImporter import;
  int since = 1;          // first opset in which this importer's reading of the op is right
  int until = 1'000'000;  // last one
};

// Importers by family; one table is made of them.
std::vector<OpEntry> elementwise_ops();  // ops_elementwise.cc
std::vector<OpEntry> reduction_ops();    // ops_reduction.cc: reductions, arg, softmax, TopK, CumSum
std::vector<OpEntry> shape_ops();        // ops_shape.cc: Constant, Reshape, Concat, ...
std::vector<OpEntry> indexing_ops();     // ops_indexing.cc: Slice, Gather, Pad, ...
std::vector<OpEntry> network_ops();      // ops_network.cc: MatMul, Gemm, Conv, pooling, Dropout
std::vector<OpEntry> quantized_ops();    // ops_quantized.cc: QuantizeLinear, QLinearMatMul, ...
std::vector<OpEntry> normalization_ops();  // ops_normalization.cc: BatchNormalization, ...
std::vector<OpEntry> recurrent_ops();      // ops_recurrent.cc: RNN, LSTM, GRU
std::vector<OpEntry> sequence_ops();       // ops_sequence.cc: sequences and optionals
std::vector<OpEntry> control_ops();        // ops_control.cc: If, Loop, Scan

// The importer of an op of the default domain; null if there is none for that opset. Opsets before
// 7 are read as opset 7 where that changed nothing of the op.
const OpEntry* find_op(std::string_view op, int opset);
// Whether there is an importer of the op for any opset.
bool knows_op(std::string_view op);

}  // namespace refrain::onnx_import
