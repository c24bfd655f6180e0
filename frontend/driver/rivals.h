// What `refrain bench` times a model against.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "backends/reference/executor.h"
#include "ir/graph.h"
#include "ir/runtime_value.h"

namespace refrain {

// A program that does the model's work once, prepared for one set of inputs.
struct Rival {
  std::string name;     // as --against has it
  std::string version;  // of the library; may be empty
  // Not thread-safe; keeps alive whatever it needs. Empty if the model has no such rival.
  std::function<void()> run;
  std::string why;  // there is none
};

struct RivalOptions {
  int threads = 1;
  reference::Limits limits;
};

// The model unrolled, one op at a time (driver/baseline.h). Throws Error if the file can't be read.
Rival naive_rival(const std::string& model, std::span<const RuntimeValue> inputs,
                  const RivalOptions& options);

// oneDNN's own recurrent primitive, for a model that is one such layer (driver/onednn_layer.h).
// Throws Error if the file can't be read.
Rival onednn_rival(const std::string& model, std::span<const RuntimeValue> inputs,
                   const RivalOptions& options);

// ONNX Runtime (driver/onnxruntime.h) with the library at this path. `graph` has the model's
// inputs. Throws Error if there is no such library, or it can't run the model.
Rival onnxruntime_rival(const std::string& library, const std::string& model, const Graph& graph,
                        std::span<const RuntimeValue> inputs, const RivalOptions& options);

}  // namespace refrain
