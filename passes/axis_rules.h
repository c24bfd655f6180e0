// Internal to `passes`: where an axis goes.
//
// Something runs along an axis of a graph's inputs: time, or the rows of a batch. Most ops treat
// each index along it by itself, so that the axis is found again in their results. These rules say
// where, op by op; they are what proves that steps, or rows, don't depend on each other.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"

namespace refrain::passes::internal {

// What a value has of the followed axis.
struct AxisTrace {
  enum class Kind : uint8_t {
    none,   // nothing: it is the same for every index
    axis,   // the axis itself
    extent  // integers that tell the axis's extent
  };
  Kind kind = Kind::none;
  size_t axis = 0;  // from the front; only if kind is `axis`

  static AxisTrace along(size_t axis) { return {Kind::axis, axis}; }
  static AxisTrace of_extent() { return {Kind::extent, 0}; }
  bool has_axis() const { return kind == Kind::axis; }
  bool is_extent() const { return kind == Kind::extent; }
  friend bool operator==(const AxisTrace&, const AxisTrace&) = default;
};

// What is followed.
struct FollowedAxis {
  Dim symbol;          // the axis's extent; unknown if it has no name
  std::string things;  // what lies along the axis, for messages: "steps", "rows"
};

struct AxisResults {
  bool along = false;              // the op works along the axis itself; nothing is told of results
  std::vector<AxisTrace> results;  // one a result
};

// From the operands' traces (one an operand, `none` for absent ones) to the results'. Types must be
// known as far as ranks go. Throws Error, without a place, if the op mixes what lies along the
// axis, or is not known not to. Not for nodes with regions.
AxisResults trace_results(const Node& node, std::span<const AxisTrace> operands,
                          const FollowedAxis& followed);

// Follows an axis through regions, loops and branches included.
class AxisFlow {
 public:
  explicit AxisFlow(FollowedAxis followed) : followed_(std::move(followed)) {}

  // Of arguments and of results that are known beforehand.
  void set(const Value* value, AxisTrace trace) { traces_[value] = trace; }
  AxisTrace operator[](const Value* value) const;

  // Follows it through a node, from what is known of its operands; throws Error, with the place, if
  // what lies along the axis is not treated one by one.
  void follow(const Node& node);
  // ... through all nodes of a region but its yield.
  void follow(const Region& region);

  const std::unordered_map<const Value*, AxisTrace>& traces() const { return traces_; }

 private:
  void follow_scan(const Node& node);
  void follow_loop(const Node& node);
  void follow_branch(const Node& node);
  // States' traces from their initial values', which the body must keep.
  template <typename View>
  void follow_states(const View& view, const Node& node);
  AxisTrace same(AxisTrace a, AxisTrace b, const char* what) const;

  FollowedAxis followed_;
  std::unordered_map<const Value*, AxisTrace> traces_;
};

}  // namespace refrain::passes::internal
