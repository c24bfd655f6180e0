// Initializers of the models that are timed.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "frontend/onnx/proto.h"

namespace refrain {

// Uniform in +-1/sqrt(H), as frameworks start layers, so that no gate saturates; always the same.
class RandomWeights {
 public:
  explicit RandomWeights(int64_t hidden) : bound_(1 / std::sqrt(static_cast<float>(hidden))) {}

  // As exporters write them, as raw bytes.
  void add(onnx::GraphProto& graph, const std::string& name, const std::vector<int64_t>& extents) {
    std::uniform_real_distribution<float> uniform(-bound_, bound_);
    onnx::TensorProto& tensor = *graph.add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    int64_t count = 1;
    for (int64_t extent : extents) {
      tensor.add_dims(extent);
      count *= extent;
    }
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = uniform(engine_);
    tensor.set_raw_data(values.data(), values.size() * sizeof(float));
  }

 private:
  float bound_;
  std::mt19937 engine_{1};
};

}  // namespace refrain
