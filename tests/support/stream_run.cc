#include "support/stream_run.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>

#include "backends/reference/executor.h"

namespace refrain::testing {
namespace {

int64_t product(const std::vector<int64_t>& extents, size_t begin, size_t end) {
  int64_t result = 1;
  for (size_t i = begin; i < end; ++i) result *= extents[i];
  return result;
}

// A state's first value: zeros, or a tensor repeated.
TensorPtr initial(const ValueType& type, const TensorPtr& from,
                  const std::map<std::string, int64_t>& symbols) {
  std::vector<int64_t> extents;
  for (const Dim dim : type.shape.dims())
    extents.push_back(dim.is_constant() ? dim.extent() : symbols.at(dim.name()));
  Tensor tensor(type.element, extents);
  if (!from) return std::make_shared<const Tensor>(std::move(tensor));
  const size_t size = size_of(type.element), lacks = extents.size() - from->rank();
  for (int64_t n = 0; n < tensor.size(); ++n) {
    int64_t rest = n, at = 0, stride = 1;
    for (size_t i = extents.size(); i-- > lacks;) {
      const int64_t own = from->extents()[i - lacks];
      at += (own == 1 ? 0 : rest % extents[i]) * stride;
      stride *= own;
      rest /= extents[i];
    }
    std::memcpy(static_cast<char*>(tensor.raw()) + static_cast<size_t>(n) * size,
                static_cast<const char*>(from->raw()) + static_cast<size_t>(at) * size, size);
  }
  return std::make_shared<const Tensor>(std::move(tensor));
}

}  // namespace

Tensor cut(const Tensor& tensor, size_t axis, int64_t begin, int64_t end) {
  std::vector<int64_t> extents = tensor.extents();
  const int64_t outer = product(extents, 0, axis);
  const auto inner =
      static_cast<size_t>(product(extents, axis + 1, extents.size())) * size_of(tensor.type());
  const int64_t whole = extents[axis];
  extents[axis] = end - begin;
  Tensor part(tensor.type(), extents);
  for (int64_t o = 0; o < outer; ++o) {
    std::memcpy(
        static_cast<char*>(part.raw()) + static_cast<size_t>(o * (end - begin)) * inner,
        static_cast<const char*>(tensor.raw()) + static_cast<size_t>(o * whole + begin) * inner,
        static_cast<size_t>(end - begin) * inner);
  }
  return part;
}

Tensor join(const std::vector<TensorPtr>& parts, size_t axis) {
  std::vector<int64_t> extents = parts.at(0)->extents();
  extents[axis] = 0;
  for (const TensorPtr& part : parts) extents[axis] += part->extents()[axis];
  Tensor whole(parts[0]->type(), extents);
  const int64_t outer = product(extents, 0, axis);
  const auto inner =
      static_cast<size_t>(product(extents, axis + 1, extents.size())) * size_of(whole.type());
  auto* to = static_cast<char*>(whole.raw());
  for (int64_t o = 0; o < outer; ++o) {
    for (const TensorPtr& part : parts) {
      const size_t bytes = static_cast<size_t>(part->extents()[axis]) * inner;
      std::memcpy(to, static_cast<const char*>(part->raw()) + static_cast<size_t>(o) * bytes,
                  bytes);
      to += bytes;
    }
  }
  return whole;
}

std::vector<TensorPtr> run_block(const passes::StreamForm& form,
                                 const std::vector<RuntimeValue>& inputs, size_t outputs,
                                 std::map<std::string, TensorPtr>& states) {
  const Graph& graph = *form.graph;
  std::map<std::string, int64_t> symbols;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Shape& shape = graph.input(i)->type().shape;
    for (size_t axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis].is_symbol()) symbols[shape[axis].name()] = inputs[i].tensor->extents()[axis];
    }
  }
  std::vector<RuntimeValue> now = inputs;
  now.resize(graph.input_count());
  for (const passes::StreamState& state : form.states) {
    const auto carried = states.find(state.name);
    if (carried != states.end()) {
      now[state.input] = carried->second;
    } else if (state.input >= inputs.size()) {
      now[state.input] = initial(graph.input(state.input)->type(), state.initial, symbols);
    }
  }
  const std::vector<RuntimeValue> results = reference::run(graph, now);
  for (const passes::StreamState& state : form.states)
    states[state.name] = results[state.output].tensor;
  std::vector<TensorPtr> tensors;
  for (size_t i = 0; i < outputs; ++i) tensors.push_back(results[i].tensor);
  return tensors;
}

std::vector<TensorPtr> run_in_blocks(const passes::StreamForm& form,
                                     const std::vector<RuntimeValue>& inputs, size_t outputs,
                                     int64_t block, int64_t look_ahead) {
  int64_t steps = 1;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (form.inputs[i].time_axis) steps = inputs[i].tensor->extents()[*form.inputs[i].time_axis];
  }
  std::map<std::string, TensorPtr> states;
  std::vector<std::vector<TensorPtr>> parts(outputs);
  for (int64_t begin = 0; begin + look_ahead < steps; begin += block) {
    std::vector<RuntimeValue> now = inputs;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (form.inputs[i].time_axis)
        now[i] = cut(*inputs[i].tensor, *form.inputs[i].time_axis, begin,
                     std::min(begin + block + look_ahead, steps));
    }
    const std::vector<TensorPtr> results = run_block(form, now, outputs, states);
    for (size_t i = 0; i < outputs; ++i) parts[i].push_back(results[i]);
  }
  std::vector<TensorPtr> joined;
  for (size_t i = 0; i < outputs; ++i) {
    joined.push_back(form.outputs[i].time_axis ? std::make_shared<const Tensor>(
                                                     join(parts[i], *form.outputs[i].time_axis))
                                               : parts[i].back());
  }
  return joined;
}

}  // namespace refrain::testing
