#include <unordered_map>

#include "frontend/onnx/node_import.h"

namespace refrain::onnx_import {

const OpEntry* find_op(std::string_view op, int opset) {
  using Table = std::unordered_map<std::string_view, std::vector<OpEntry>>;
  static const Table* const table = [] {
    auto* result = new Table;
    for (auto family : {
#if __has_include("frontend/onnx/ops_elementwise.cc")
           elementwise_ops,
#endif
#if __has_include("frontend/onnx/ops_reduction.cc")
               reduction_ops,
#endif
#if __has_include("frontend/onnx/ops_shape.cc")
               shape_ops,
#endif
#if __has_include("frontend/onnx/ops_indexing.cc")
               indexing_ops,
#endif
#if __has_include("frontend/onnx/ops_network.cc")
               network_ops,
#endif
               normalization_ops,
#if __has_include("frontend/onnx/ops_recurrent.cc")
               recurrent_ops,
#endif
               sequence_ops, control_ops
         }) {
      for (const OpEntry& entry : family()) (*result)[entry.op].push_back(entry);
    }
    return result;
  }();
  const auto it = table->find(op);
  if (it == table->end()) return nullptr;
  for (const OpEntry& entry : it->second) {
    if (entry.since <= opset && opset <= entry.until) return &entry;
  }
  return nullptr;
}

}  // namespace refrain::onnx_import
