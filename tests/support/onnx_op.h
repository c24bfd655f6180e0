// Imports and runs one ONNX node in every form that its inputs can be declared in.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/tensor.h"
#include "support/onnx_model.h"

namespace refrain::testing {

class OnnxOp {
 public:
  OnnxOp(int opset, std::string op, std::vector<OnnxAttribute> attributes = {})
      : opset_(opset), op_(std::move(op)), attributes_(std::move(attributes)) {}

  OnnxOp& data(Tensor tensor) { return add(Kind::data, std::move(tensor)); }  // a graph input
  OnnxOp& constant(Tensor tensor) {
    return add(Kind::constant, std::move(tensor));
  }  // an initializer
  OnnxOp& either(Tensor tensor) {
    return add(Kind::either, std::move(tensor));
  }  // once this, once that
  OnnxOp& absent();
  // The node needs no rank: data may be declared without a shape.
  OnnxOp& any_rank();
  // Data is declared with its exact shape only.
  OnnxOp& only_static();

  // The node's outputs. It is imported and run with data declared by extents, by symbols, by
  // unknown dimensions and perhaps without shape, each with the inputs that may be constant as
  // constants and as graph inputs. Fails the test where two of these forms differ or one throws.
  std::vector<TensorPtr> run(size_t outputs = 1) const;

  // The message of the Error that importing throws, or else running, with the data's exact shapes;
  // empty, and the test fails, if neither throws.
  std::string error(size_t outputs = 1) const;

  // The imported graph, data declared with symbols: of input i, axis k, the symbol is d<i>_<k>.
  std::unique_ptr<Graph> imported(size_t outputs = 1) const;

 private:
  enum class Kind { data, constant, either, absent };
  enum class Declared { extents, symbols, unknown, unranked };
  struct Input {
    Kind kind;
    TensorPtr tensor;
  };

  OnnxOp& add(Kind kind, Tensor tensor);
  bool is_constant(const Input& input, bool constants) const;
  std::unique_ptr<Graph> import(Declared declared, bool constants, size_t outputs) const;
  std::vector<TensorPtr> run(Declared declared, bool constants, size_t outputs) const;

  int opset_;
  std::string op_;
  std::vector<OnnxAttribute> attributes_;
  std::vector<Input> inputs_;
  bool any_rank_ = false, only_static_ = false;
};

// Short forms of tensors.
template <typename T>
Tensor tensor(std::vector<int64_t> extents, std::initializer_list<T> values) {
  return Tensor::of<T>(std::move(extents), std::span<const T>(values.begin(), values.size()));
}
inline Tensor f32(std::vector<int64_t> extents, std::initializer_list<float> values) {
  return tensor<float>(std::move(extents), values);
}
inline Tensor i64(std::vector<int64_t> extents, std::initializer_list<int64_t> values) {
  return tensor<int64_t>(std::move(extents), values);
}
inline Tensor booleans(std::vector<int64_t> extents, std::initializer_list<bool> values) {
  return tensor<bool>(std::move(extents), values);
}
// 0, 1, 2, ...
Tensor iota(ElementType type, std::vector<int64_t> extents);
// `tensor` converted element by element.
Tensor converted(const Tensor& tensor, ElementType type);

}  // namespace refrain::testing
