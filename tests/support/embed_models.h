// Models and values for tests of the public API.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <span>
#include <string>
#include <vector>

#include "backends/reference/executor.h"
#include "refrain/refrain.h"
#include "support/random.h"
#include "support/recurrent_model.h"

namespace refrain::testing {

inline Model load_bytes(const std::string& bytes, const LoadOptions& options = {}) {
  return Model::from_memory(std::as_bytes(std::span(bytes)), options, "test");
}

// An LSTM over x[T, B, inputs] with y, hn and cn; with h0 and c0 as inputs, or zero.
inline RecurrentModel lstm_model(int64_t inputs, int64_t hidden, bool given_states = true,
                                 const std::string& direction = "forward", uint64_t seed = 1) {
  Random random(seed);
  const int64_t D = direction == "bidirectional" ? 2 : 1;
  RecurrentModel model("LSTM");
  const auto tensor = [&](std::vector<int64_t> extents, double scale) {
    return random.tensor(ElementType::f32, std::move(extents), -scale, scale);
  };
  model.input("x", tensor({1, 1, inputs}, 1), {{"T", "B", inputs}});
  model.constant("W", tensor({D, 4 * hidden, inputs}, 0.5));
  model.constant("R", tensor({D, 4 * hidden, hidden}, 0.5));
  model.constant("bias", tensor({D, 8 * hidden}, 0.5));
  model.absent();
  if (given_states) {
    model.input("h0", tensor({D, 1, hidden}, 1), {{D, "B", hidden}});
    model.input("c0", tensor({D, 1, hidden}, 1), {{D, "B", hidden}});
  }
  for (const char* output : {"y", "hn", "cn"}) model.output(output);
  model.set("hidden_size", hidden);
  model.set("direction", direction);
  return model;
}

inline Model load(const RecurrentModel& model, const LoadOptions& options = {}) {
  return load_bytes(model.proto.SerializeAsString(), options);
}

inline ConstView view_of(const Tensor& tensor) {
  return {static_cast<DataType>(tensor.type()), Extents(std::span<const int64_t>(tensor.extents())),
          tensor.raw()};
}

inline Tensor tensor_of(const ConstView& view) {
  Tensor tensor(static_cast<ElementType>(view.type()),
                {view.extents().begin(), view.extents().end()});
  std::memcpy(tensor.raw(), view.raw(), static_cast<size_t>(tensor.bytes()));
  return tensor;
}

// What the reference backend makes of a model, by the outputs' names.
inline std::map<std::string, Tensor> reference_run(const RecurrentModel& model,
                                                   const std::vector<const Tensor*>& inputs) {
  const auto graph = model.import();
  std::vector<RuntimeValue> values;
  for (const Tensor* input : inputs) values.emplace_back(input->clone());
  std::vector<RuntimeValue> outputs = reference::run(*graph, values);
  std::map<std::string, Tensor> named;
  for (size_t i = 0; i < outputs.size(); ++i) {
    named.emplace(graph->output_names()[i], outputs[i].tensor->clone());
  }
  return named;
}

// Step t of a tensor [T, ...].
inline Tensor step_of(const Tensor& sequence, int64_t t, int64_t count = 1) {
  std::vector<int64_t> extents = sequence.extents();
  const int64_t bytes = extents[0] > 0 ? sequence.bytes() / extents[0] : 0;
  extents[0] = count;
  Tensor step(sequence.type(), extents);
  std::memcpy(step.raw(), static_cast<const char*>(sequence.raw()) + t * bytes,
              static_cast<size_t>(count * bytes));
  return step;
}

// Position `at` of one axis, which stays with an extent of 1.
inline Tensor slice_of(const Tensor& tensor, size_t axis, int64_t at) {
  std::vector<int64_t> extents = tensor.extents();
  int64_t outer = 1, inner = static_cast<int64_t>(size_of(tensor.type()));
  for (size_t i = 0; i < extents.size(); ++i) {
    if (i < axis) outer *= extents[i];
    if (i > axis) inner *= extents[i];
  }
  const int64_t extent = std::exchange(extents[axis], 1);
  Tensor slice(tensor.type(), extents);
  for (int64_t o = 0; o < outer; ++o) {
    std::memcpy(static_cast<char*>(slice.raw()) + o * inner,
                static_cast<const char*>(tensor.raw()) + (o * extent + at) * inner,
                static_cast<size_t>(inner));
  }
  return slice;
}

// The message of the Error that f throws; empty if it throws none.
template <typename F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace refrain::testing
