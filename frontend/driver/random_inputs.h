// Inputs for timing and trying out a model that nobody gave any for.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "ir/runtime_value.h"

namespace refrain {

// What the symbols of a graph's inputs stand for. (Ordered, so that what is printed is, too.)
class SymbolBinding {
 public:
  // An input of type `type` has these extents. Throws Error if they don't fit the type or what is
  // bound.
  void bind(const ValueType& type, const std::vector<int64_t>& extents, const std::string& input);
  // The same for a value; one that is not a tensor binds nothing.
  void bind(const ValueType& type, const RuntimeValue& value, const std::string& input);
  void bind(const std::string& symbol, int64_t extent) { extents_[symbol] = extent; }
  // Binds every symbol of an input that is not bound yet: time (passes::time_symbols) to
  // kDefaultTime, others to 1. Returns what it bound.
  std::map<std::string, int64_t> bind_defaults(const Graph& graph);

  static constexpr int64_t kDefaultTime = 100;

  const std::map<std::string, int64_t>& extents() const { return extents_; }
  // The extents of a shape; unknown dimensions are 1. Throws Error for an unranked shape or a
  // symbol that is not bound.
  std::vector<int64_t> resolve(const Shape& shape) const;

 private:
  std::map<std::string, int64_t> extents_;
};

// A random value for an input: floats uniform in [-1, 1), booleans a fair coin, integers small
// enough for what uses them: lengths of sequences between 1 and their time, indices below the
// extent that they index, otherwise 0 or 1. The budget is charged with it. Throws Error for an
// input that is neither a tensor nor optional, or past the budget.
RuntimeValue random_value(const Graph& graph, size_t input, const SymbolBinding& symbols,
                          std::mt19937_64& engine, const std::shared_ptr<MemoryBudget>& budget);

}  // namespace refrain
