// Models described by equations, loaded from strings. Only for tests that link the frontend.
#pragma once

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "backends/reference/executor.h"
#include "frontend/equations/load.h"
#include "frontend/weights/weight_file.h"
#include "support/process.h"

namespace refrain::testing {

using NamedTensors = std::vector<NamedTensor>;

inline NamedTensor named(const std::string& name, Tensor tensor) {
  return {name, std::make_shared<const Tensor>(std::move(tensor))};
}

// Loads a text whose weights, if any, are called "w.safetensors".
inline std::unique_ptr<Graph> load_equations(const std::string& text,
                                             const NamedTensors& weights = {}) {
  TemporaryFolder folder;
  std::ofstream(folder / "w.safetensors", std::ios::binary) << safetensors_encode(weights);
  return equations::load("test.rfn", text, {.folder = folder.path()});
}

// The message for a bad text.
inline std::string equations_error(const std::string& text, const NamedTensors& weights = {}) {
  try {
    load_equations(text, weights);
  } catch (const equations::TextError& error) {
    return error.what();
  }
  return "no error";
}

inline std::vector<RuntimeValue> run_equations(const std::string& text,
                                               const std::vector<Tensor>& inputs,
                                               const NamedTensors& weights = {}) {
  const std::unique_ptr<Graph> graph = load_equations(text, weights);
  std::vector<RuntimeValue> values;
  for (const Tensor& input : inputs) values.emplace_back(input.clone());
  return reference::run(*graph, values);
}

}  // namespace refrain::testing
