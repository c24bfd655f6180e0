#include "passes/stream_initial.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "ir/builder.h"

namespace refrain::passes::internal {
namespace {

// Deepest chain of ops that move elements.
constexpr int kMaxDepth = 64;

bool all_zero(const Tensor& tensor) {
  const auto* bytes = static_cast<const unsigned char*>(tensor.raw());
  return std::all_of(bytes, bytes + tensor.bytes(), [](unsigned char byte) { return byte == 0; });
}

// The element that all elements are, as a scalar; null if they differ or there are none.
TensorPtr uniform(const TensorPtr& tensor) {
  if (!tensor || tensor->size() == 0) return nullptr;
  const auto* bytes = static_cast<const unsigned char*>(tensor->raw());
  const size_t size = size_of(tensor->type());
  for (int64_t i = 1; i < tensor->size(); ++i) {
    if (std::memcmp(bytes, bytes + static_cast<size_t>(i) * size, size) != 0) return nullptr;
  }
  Tensor scalar(tensor->type(), {});
  std::memcpy(scalar.raw(), bytes, size);
  return std::make_shared<const Tensor>(std::move(scalar));
}

std::optional<InitialValue> of_tensor(TensorPtr tensor) {
  if (all_zero(*tensor)) return InitialValue{};
  if (TensorPtr scalar = uniform(tensor)) tensor = std::move(scalar);
  return InitialValue{std::move(tensor)};
}

// The same elements, or some of them, in another order: so all alike still.
std::optional<InitialValue> moved(std::optional<InitialValue> value) {
  if (value && value->tensor && value->tensor->rank() > 0) return std::nullopt;
  return value;
}

std::optional<InitialValue> initial_value(const Value* value, int depth) {
  const Node* node = value->node();
  if (!node || depth > kMaxDepth) return std::nullopt;
  switch (node->op()) {
    case Op::constant:
      return of_tensor(node->attribute<TensorPtr>(AttributeName::value));
    case Op::fill:
      return moved(of_tensor(uniform(node->attribute<TensorPtr>(AttributeName::value))));
    case Op::expand:
      return initial_value(node->operand(0), depth + 1);
    case Op::cast: {
      const auto from = initial_value(node->operand(0), depth + 1);
      return from && !from->tensor ? from : std::nullopt;
    }
    case Op::mul: {  // an integer by zero; floats may be NaN
      if (!is_integer(value->type().element)) return std::nullopt;
      for (size_t i = 0; i < 2; ++i) {
        const auto factor = initial_value(node->operand(i), depth + 1);
        if (factor && !factor->tensor) return factor;
      }
      return std::nullopt;
    }
    case Op::squeeze:
    case Op::unsqueeze:
    case Op::reshape:
    case Op::transpose:
    case Op::slice:
    case Op::split:
    case Op::gather:
    case Op::tile:
      return moved(initial_value(node->operand(0), depth + 1));
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<InitialValue> initial_value(const Value* value) { return initial_value(value, 0); }

TensorPtr one_element(ElementType type, double value) {
  if (value == 0) return nullptr;
  return std::make_shared<const Tensor>(Tensor::scalar(type, value));
}

}  // namespace refrain::passes::internal
