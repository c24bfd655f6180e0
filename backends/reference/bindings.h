// What a run's inputs tell: the extents that symbols stand for.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "ir/graph.h"
#include "ir/runtime_value.h"

namespace refrain::reference {

// Extents of the symbols of one run.
class Bindings {
 public:
  // The extent of a constant or of a bound symbol; none for an unbound symbol or `?`.
  std::optional<int64_t> extent(Dim dim) const;

  // Checks an input against its declared type (kind, element type, rank, constant extents) and
  // binds the symbols of the type. Throws Error that names the input.
  void bind(const std::string& input, const ValueType& type, const RuntimeValue& value);

 private:
  struct Binding {
    int64_t extent;
    std::string input;  // that bound it first
  };
  void bind_tensor(const std::string& input, const ValueType& type, const Tensor& tensor);

  std::unordered_map<const std::string*, Binding>
      symbols_;  // names are interned: the address is the identity
};

// Checks the inputs' number and each of them, and binds all symbols.
Bindings bind_inputs(const Graph& graph, std::span<const RuntimeValue> inputs);

}  // namespace refrain::reference
