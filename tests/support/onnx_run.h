// Imports and runs models that tests make.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/reference/executor.h"
#include "frontend/onnx/import.h"
#include "support/onnx_model.h"

namespace refrain::testing {

inline ValueType f32_type(Shape shape) {
  return ValueType::tensor(ElementType::f32, std::move(shape));
}

inline std::unique_ptr<Graph> import_model(OnnxModel& model) {
  return std::move(onnx_import::import_bytes(model.bytes(), "model.onnx").graph);
}

inline std::string error_of(OnnxModel& model) {
  try {
    import_model(model);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

template <typename... Tensors>
std::vector<RuntimeValue> run(const Graph& graph, Tensors... inputs) {
  std::vector<RuntimeValue> values;
  (values.emplace_back(std::move(inputs)), ...);
  return reference::run(graph, values);
}

}  // namespace refrain::testing
