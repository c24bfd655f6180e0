// The table of all importers.
#include <algorithm>
#include <unordered_map>

#include "frontend/onnx/node_import.h"

namespace refrain::onnx_import {
namespace {

// The oldest opset that importers are written for.
constexpr int kOldestOpset = 7;

// Ops that opsets 2 to 7 changed, and where last. The others, and these from then on, mean in an
// older model what they mean in opset 7 (the versions of their schemas in ONNX's Changelog.md).
struct LastChange {
  std::string_view op;
  int opset;
};
constexpr LastChange kLastChanges[] = {
    {"Pad", 2},
    {"Split", 2},
    {"Concat", 4},
    {"Reshape", 5},
    {"Abs", 6},
    {"Cast", 6},
    {"Ceil", 6},
    {"Clip", 6},
    {"Elu", 6},
    {"Exp", 6},
    {"Floor", 6},
    {"HardSigmoid", 6},
    {"LeakyRelu", 6},
    {"InstanceNormalization", 6},
    {"Log", 6},
    {"Max", 6},
    {"Mean", 6},
    {"Min", 6},
    {"Neg", 6},
    {"Reciprocal", 6},
    {"Relu", 6},
    {"Selu", 6},
    {"Sigmoid", 6},
    {"Sqrt", 6},
    {"Sum", 6},
    {"Tanh", 6},
    {"Tile", 6},
    {"Acos", 7},
    {"Add", 7},
    {"And", 7},
    {"Asin", 7},
    {"Atan", 7},
    {"BatchNormalization", 7},
    {"Cos", 7},
    {"Div", 7},
    {"Dropout", 7},
    {"Equal", 7},
    {"GRU", 7},
    {"Gemm", 7},
    {"Greater", 7},
    {"LSTM", 7},
    {"Less", 7},
    {"Mul", 7},
    {"Or", 7},
    {"PRelu", 7},
    {"Pow", 7},
    {"RNN", 7},
    {"Sin", 7},
    {"Sub", 7},
    {"Tan", 7},
    {"Upsample", 7},
    {"Xor", 7},
    {"Multinomial", 7},
};

using Table = std::unordered_map<std::string_view, std::vector<OpEntry>>;

const Table& table() {
  static const Table* const result = [] {
    auto* made = new Table;
    for (auto family :
         {elementwise_ops, reduction_ops, shape_ops, indexing_ops, network_ops, quantized_ops,
          normalization_ops, recurrent_ops, sequence_ops, control_ops}) {
      for (const OpEntry& entry : family()) (*made)[entry.op].push_back(entry);
    }
    return made;
  }();
  return *result;
}

}  // namespace

const OpEntry* find_op(std::string_view op, int opset) {
  const auto it = table().find(op);
  if (it == table().end()) return nullptr;
  if (opset < kOldestOpset) {
    const auto* change = std::find_if(std::begin(kLastChanges), std::end(kLastChanges),
                                      [&](const LastChange& entry) { return entry.op == op; });
    if (change != std::end(kLastChanges) && opset < change->opset) return nullptr;
    opset = kOldestOpset;
  }
  for (const OpEntry& entry : it->second) {
    if (entry.since <= opset && opset <= entry.until) return &entry;
  }
  return nullptr;
}

bool knows_op(std::string_view op) { return table().contains(op); }

}  // namespace refrain::onnx_import
