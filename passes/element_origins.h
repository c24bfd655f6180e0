// Internal to `passes`: where elements that are only moved come from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"

namespace refrain::passes::internal {

// Follows tensors through ops that move elements (reshapes, transposes, slices, splits, gathers,
// concats, additions of 0, branches both of whose ways move alike), element by element, with small
// numbers in the place of symbols. Two paths that agree for these agree for all: each op's doing is
// the same for any extent.
class ElementOrigins {
 public:
  struct Origin {
    const Value* source;
    int64_t index;  // among the source's elements, row-major
    friend bool operator==(const Origin&, const Origin&) = default;
  };
  struct Elements {
    std::optional<std::vector<int64_t>> extents;  // none: only the order is known
    std::vector<Origin> origins;
  };

  explicit ElementOrigins(const Graph& graph);

  // Makes a value a source, of `count` elements where its type doesn't tell. Does nothing if there
  // would be too many to follow, or their number is not known.
  void add_source(const Value* value, std::optional<int64_t> count = std::nullopt);
  // What a node makes of elements that are known.
  void follow(const Node& node);

  // Null if it is not known where the elements come from.
  const Elements* find(const Value* value) const;

 private:
  std::optional<std::vector<int64_t>> extents_of(const ValueType& type) const;
  void put(const Value* value, Elements elements);
  void follow_branch(const Node& node);
  std::optional<Elements> moved(const Node& node, size_t result) const;
  // Elements at coordinates along one axis.
  std::optional<Elements> picked(const Elements& from, size_t axis,
                                 const std::vector<int64_t>& coordinates, bool keeps_axis) const;
  std::optional<Elements> concatenated(const Node& node) const;

  std::unordered_map<std::string, int64_t> symbols_;
  std::unordered_map<const Value*, Elements> elements_;
  int64_t budget_;
};

}  // namespace refrain::passes::internal
