#include "backends/reference/bindings.h"

#include "ir/error.h"

namespace refrain::reference {
namespace {

std::string describe(const RuntimeValue& value) {
  if (value.sequence) return "a sequence";
  if (!value.tensor) return "nothing";
  return to_string(
      ValueType::tensor(value.tensor->type(), Shape::of_extents(value.tensor->extents())));
}

}  // namespace

std::optional<int64_t> Bindings::extent(Dim dim) const {
  if (dim.is_constant()) return dim.extent();
  if (dim.is_unknown()) return std::nullopt;
  const auto it = symbols_.find(&dim.name());
  if (it == symbols_.end()) return std::nullopt;
  return it->second.extent;
}

void Bindings::bind(const std::string& input, const ValueType& type, const RuntimeValue& value) {
  if (value.empty() && type.optional) return;
  const bool wants_sequence = type.kind == ValueType::Kind::sequence;
  if (value.empty() || (wants_sequence ? !value.sequence : !value.tensor)) {
    throw Error("wrong kind of value for input \"" + input + "\"", to_string(type),
                describe(value));
  }
  if (!wants_sequence) {
    bind_tensor(input, type, *value.tensor);
    return;
  }
  for (const TensorPtr& tensor : *value.sequence) {
    if (!tensor) throw Error("a tensor of the sequence of input \"" + input + "\" is absent");
    bind_tensor(input, type, *tensor);
  }
}

void Bindings::bind_tensor(const std::string& input, const ValueType& type, const Tensor& tensor) {
  const auto found = [&] {
    return to_string(ValueType::tensor(tensor.type(), Shape::of_extents(tensor.extents())));
  };
  if (tensor.type() != type.element) {
    throw Error("wrong element type of input \"" + input + "\"", to_string(type), found());
  }
  if (tensor.rank() > static_cast<size_t>(kMaxRank)) {
    throw Error("rank of input \"" + input + "\" is too large", std::to_string(kMaxRank),
                std::to_string(tensor.rank()));
  }
  if (!type.shape.ranked()) return;
  if (tensor.rank() != type.shape.rank()) {
    throw Error("wrong rank of input \"" + input + "\"", to_string(type), found());
  }
  for (size_t i = 0; i < tensor.rank(); ++i) {
    const Dim dim = type.shape[i];
    const int64_t extent = tensor.extents()[i];
    if (dim.is_constant() && dim.extent() != extent) {
      throw Error("wrong extent of input \"" + input + "\" at axis " + std::to_string(i),
                  to_string(type), found());
    }
    if (!dim.is_symbol()) continue;
    const auto [it, fresh] = symbols_.try_emplace(&dim.name(), Binding{extent, input});
    if (!fresh && it->second.extent != extent) {
      throw Error("input \"" + input + "\" disagrees on dimension " + to_string(dim),
                  std::to_string(it->second.extent) + " as in input \"" + it->second.input + "\"",
                  std::to_string(extent) + " at axis " + std::to_string(i));
    }
  }
}

Bindings bind_inputs(const Graph& graph, std::span<const RuntimeValue> inputs) {
  if (inputs.size() != graph.input_count()) {
    throw Error("wrong number of inputs", std::to_string(graph.input_count()),
                std::to_string(inputs.size()));
  }
  Bindings bindings;
  for (size_t i = 0; i < inputs.size(); ++i) {
    bindings.bind(graph.input(i)->name(), graph.input(i)->type(), inputs[i]);
  }
  return bindings;
}

}  // namespace refrain::reference
