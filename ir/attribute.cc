#include "ir/attribute.h"

#include <functional>
#include <optional>

#include "ir/hash.h"

namespace refrain {
namespace {

constexpr std::string_view kNames[] = {
#define X(name) #name,
    REFRAIN_ATTRIBUTES(X)
#undef X
};

constexpr std::string_view kTypeNames[] = {"boolean",  "integer",    "real",         "string",
                                           "integers", "dimensions", "element type", "tensor"};

size_t hash_bytes(const void* data, size_t size) {
  return std::hash<std::string_view>{}({static_cast<const char*>(data), size});
}

}  // namespace

std::string_view name(AttributeName attribute) { return kNames[static_cast<size_t>(attribute)]; }

std::optional<AttributeName> attribute_from_name(std::string_view name) {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] == name) return static_cast<AttributeName>(i);
  }
  return std::nullopt;
}

std::string_view name(AttributeType type) { return kTypeNames[static_cast<size_t>(type)]; }

bool operator==(const Attribute& a, const Attribute& b) {
  if (a.name != b.name || a.value.index() != b.value.index()) return false;
  if (const auto* tensor = std::get_if<TensorPtr>(&a.value)) {
    const TensorPtr& other = std::get<TensorPtr>(b.value);
    return *tensor == other || identical(**tensor, *other);
  }
  return a.value == b.value;
}

size_t hash(const Attribute& attribute) {
  const size_t seed = hash_combine(static_cast<size_t>(attribute.name), attribute.value.index());
  return hash_combine(seed, std::visit(
                                [](const auto& value) -> size_t {
                                  using T = std::decay_t<decltype(value)>;
                                  if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
                                    return hash_bytes(value.data(), value.size() * sizeof(int64_t));
                                  } else if constexpr (std::is_same_v<T, std::vector<Dim>>) {
                                    return hash_bytes(value.data(), value.size() * sizeof(Dim));
                                  } else if constexpr (std::is_same_v<T, TensorPtr>) {
                                    // A prefix suffices: equality looks at all of it.
                                    const auto bytes = static_cast<size_t>(value->bytes());
                                    return hash_combine(
                                        bytes,
                                        hash_bytes(value->raw(), std::min<size_t>(bytes, 4096)));
                                  } else {
                                    return std::hash<T>{}(value);
                                  }
                                },
                                attribute.value));
}

}  // namespace refrain
