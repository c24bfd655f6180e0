// ONNX Runtime as a rival for timing, through its C API, loaded when it is asked for.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/runtime_value.h"
#include "ir/tensor.h"

namespace refrain {

// A session of ONNX Runtime's CPU provider for one model and one set of inputs: all graph
// optimisations, inputs and outputs in place, so that run() is nothing but the session's Run. Not
// thread-safe.
class OnnxRuntimeSession {
 public:
  // `library` is the path of libonnxruntime, 1.10 or newer; empty: that in the environment variable
  // REFRAIN_ONNXRUNTIME. `inputs` belong to the inputs of `graph` (names), the model imported. Runs
  // the model once. Throws Error if the library can't be loaded or lacks the API, with ONNX
  // Runtime's message where it refuses the model, for a file that is no .onnx file, and for inputs
  // that are no tensors.
  OnnxRuntimeSession(const std::string& library, const std::string& model, const Graph& graph,
                     std::span<const RuntimeValue> inputs, int threads);
  ~OnnxRuntimeSession();
  OnnxRuntimeSession(const OnnxRuntimeSession&) = delete;
  OnnxRuntimeSession& operator=(const OnnxRuntimeSession&) = delete;

  void run();
  const std::string& version() const;
  // Output `name` of the last run, whose type and extents the caller knows. Throws Error if there
  // is no such output or its size is another.
  Tensor output(const std::string& name, ElementType type, std::vector<int64_t> extents) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace refrain
