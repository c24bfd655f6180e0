#include "support/onnx_op.h"

#include "backends/reference/executor.h"
#include "frontend/onnx/import.h"
#include "support/compare.h"

namespace refrain::testing {

OnnxOp& OnnxOp::absent() {
  inputs_.push_back({Kind::absent, nullptr});
  return *this;
}

OnnxOp& OnnxOp::any_rank() {
  any_rank_ = true;
  return *this;
}

OnnxOp& OnnxOp::only_static() {
  only_static_ = true;
  return *this;
}

OnnxOp& OnnxOp::add(Kind kind, Tensor tensor) {
  inputs_.push_back({kind, std::make_shared<const Tensor>(std::move(tensor))});
  return *this;
}

bool OnnxOp::is_constant(const Input& input, bool constants) const {
  return input.kind == Kind::constant || (input.kind == Kind::either && constants);
}

std::unique_ptr<Graph> OnnxOp::import(Declared declared, bool constants, size_t outputs) const {
  OnnxModel model(opset_);
  OnnxGraph graph = model.graph();
  Strings names, results;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Input& input = inputs_[i];
    if (input.kind == Kind::absent) {
      names.emplace_back();
      continue;
    }
    names.push_back("x" + std::to_string(i));
    if (is_constant(input, constants)) {
      graph.initializer(names.back(), *input.tensor);
      continue;
    }
    Shape shape = Shape::of_extents(input.tensor->extents());
    if (declared == Declared::unranked) shape = Shape::unranked();
    for (size_t k = 0; shape.ranked() && k < shape.rank(); ++k) {
      if (declared == Declared::symbols) {
        shape[k] = Dim::symbol("d" + std::to_string(i) + "_" + std::to_string(k));
      } else if (declared == Declared::unknown) {
        shape[k] = Dim::unknown();
      }
    }
    graph.input(names.back(), ValueType::tensor(input.tensor->type(), shape));
  }
  for (size_t i = 0; i < outputs; ++i) results.push_back("y" + std::to_string(i));
  graph.node(op_, names, results, attributes_);
  for (const std::string& name : results) graph.output(name);
  return onnx_import::import_bytes(model.bytes(), "test").graph;
}

std::vector<TensorPtr> OnnxOp::run(Declared declared, bool constants, size_t outputs) const {
  const auto graph = import(declared, constants, outputs);
  std::vector<RuntimeValue> values;
  for (const Input& input : inputs_) {
    if (input.kind != Kind::absent && !is_constant(input, constants))
      values.emplace_back(input.tensor);
  }
  std::vector<TensorPtr> results;
  for (const RuntimeValue& value : reference::run(*graph, values)) results.push_back(value.tensor);
  return results;
}

std::vector<TensorPtr> OnnxOp::run(size_t outputs) const {
  std::vector<Declared> forms = {Declared::extents};
  if (!only_static_) forms.insert(forms.end(), {Declared::symbols, Declared::unknown});
  if (any_rank_) forms.push_back(Declared::unranked);
  std::vector<TensorPtr> first;
  for (const Declared form : forms) {
    for (const bool constants : {true, false}) {
      SCOPED_TRACE(op_ + " in form " + std::to_string(static_cast<int>(form)) +
                   (constants ? " with constants" : " without constants"));
      std::vector<TensorPtr> results;
      try {
        results = run(form, constants, outputs);
      } catch (const Error& error) {
        ADD_FAILURE() << error.what();
        continue;
      }
      if (first.empty()) first = results;
      for (size_t i = 0; i < outputs; ++i) EXPECT_TRUE(equal(*results[i], *first[i]));
    }
  }
  if (first.empty()) throw Error("no form of " + op_ + " ran");
  return first;
}

std::string OnnxOp::error(size_t outputs) const {
  try {
    run(Declared::extents, true, outputs);
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << op_ << " did not throw";
  return {};
}

std::unique_ptr<Graph> OnnxOp::imported(size_t outputs) const {
  return import(Declared::symbols, true, outputs);
}

Tensor iota(ElementType type, std::vector<int64_t> extents) {
  Tensor result(ElementType::f64, std::move(extents));
  double next = 0;
  for (double& x : result.data<double>()) x = next++;
  return converted(result, type);
}

Tensor converted(const Tensor& tensor, ElementType type) {
  Tensor result(type, tensor.extents());
  const std::vector<double> values = tensor.view().as_doubles();
  visit(type, [&]<typename T>(std::type_identity<T>) {
    const auto data = result.data<T>();
    for (size_t i = 0; i < values.size(); ++i) {
      if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
        data[i] = T(static_cast<float>(values[i]));
      } else {
        data[i] = static_cast<T>(values[i]);
      }
    }
  });
  return result;
}

}  // namespace refrain::testing
