// What all graphs of one model share while it is imported.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "frontend/onnx/import.h"
#include "frontend/onnx/node_import.h"
#include "frontend/onnx/proto.h"
#include "frontend/onnx/tensor_proto.h"

namespace refrain::onnx_import {

// Versions by domain; the default domain is "".
using Opsets = std::unordered_map<std::string, int>;

// "ai.onnx" is another name of "".
std::string_view normal_domain(std::string_view domain);
// Throws Error for what is no version.
template <typename Imports>
Opsets read_opsets(const Imports& imports);

// `Op`, or `domain.Op` outside the default domain.
std::string op_label(const onnx::NodeProto& node);
// The importer of a node's op; null if there is none. Throws Error if the op is of the default
// domain and no version of that is imported.
const OpEntry* find_op(const onnx::NodeProto& node, const Opsets& opsets);
// How a node whose op has no importer is reported: by its op, and the opset if others have one.
std::string missing_op_label(const onnx::NodeProto& node, const Opsets& opsets);
// The node's name, or if it has none its first output's.
const std::string& node_label(const onnx::NodeProto& node);
// All sub-graphs of a node, in the order of its attributes.
std::vector<const onnx::GraphProto*> subgraphs(const onnx::NodeProto& node);

class ModelImport {
 public:
  // The model must outlive this.
  ModelImport(const onnx::ModelProto& proto, TensorSource source);

  const Opsets& opsets() const { return opsets_; }

  // Converted once: a loop's body may be imported several times, and its constants shared.
  TensorPtr tensor(const onnx::TensorProto& proto);
  TensorPtr tensor(const onnx::SparseTensorProto& proto);

  // Names that a graph uses but doesn't define, in order of first use.
  std::span<const std::string_view> free_names(const onnx::GraphProto& graph);

  // Counts one node (or input) of the file as unsupported, however often it is met.
  void report_unsupported(const void* what, std::string item);
  // The same for a node that can't be imported because its inputs couldn't, and for the nodes of
  // its sub-graphs: if no importer knows their ops.
  void check_supported(const onnx::NodeProto& node, const Opsets& opsets);
  void check_subgraphs(const onnx::NodeProto& node, const Opsets& opsets);
  // Throws UnsupportedError if anything was reported.
  void throw_if_unsupported() const;

  const onnx::FunctionProto* find_function(const onnx::NodeProto& call) const;
  // The function's nodes with the call's attributes in the places that refer to them; made once a
  // call.
  const onnx::GraphProto& instantiate(const onnx::FunctionProto& function,
                                      const onnx::NodeProto& call);
  // Throws Error if the function is being imported already; leave when done.
  void enter(const onnx::FunctionProto& function);
  void leave(const onnx::FunctionProto& function) { active_.erase(&function); }

  // Counts a node that is being imported. Throws Error when that happened too often for the model's
  // size.
  void count_node();
  // State types that the last import of a loop's or scan's body ended with. The next import of the
  // same node starts from them: its outside only grows more general, so each step towards the fixed
  // point is made once, not once for every iteration of every loop around it.
  std::vector<ValueType>& state_types(const onnx::NodeProto& node) { return state_types_[&node]; }

 private:
  TensorSource source_;
  Opsets opsets_;
  std::map<std::pair<std::string_view, std::string_view>, const onnx::FunctionProto*> functions_;
  std::unordered_map<const void*, TensorPtr> tensors_;
  std::unordered_map<const onnx::GraphProto*, std::vector<std::string_view>> free_names_;
  std::unordered_map<const void*, std::string> unsupported_;
  std::unordered_map<const onnx::NodeProto*, std::unique_ptr<onnx::GraphProto>> instances_;
  std::unordered_set<const onnx::FunctionProto*> active_;
  std::unordered_map<const onnx::NodeProto*, std::vector<ValueType>> state_types_;
  int64_t nodes_ = 0;  // of the file
  int64_t inlined_nodes_ = 0, inlined_bytes_ = 0, imported_ = 0;
};

template <typename Imports>
Opsets read_opsets(const Imports& imports) {
  Opsets opsets;
  for (const auto& import : imports) {
    const std::string domain(normal_domain(import.domain()));
    const int64_t version = import.version();
    if (version < 1 || version > 1'000'000) {
      throw Error("wrong opset of domain \"" + domain + "\"", "1 or newer",
                  std::to_string(version));
    }
    opsets[domain] = static_cast<int>(version);
  }
  return opsets;
}

}  // namespace refrain::onnx_import
