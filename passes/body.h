// Internal to `passes`: the body of a scan or loop, for passes that tell what depends on its states
// from what does not.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/builder.h"
#include "ir/clone.h"
#include "ir/graph.h"

namespace refrain::passes::internal {

// What a value in a body may change with, from one iteration to the next.
enum class Dependence : uint8_t {
  none,       // constants, invariants, and what is computed from them
  iteration,  // also scanned slices and a loop's iteration, but no state
  state,
};

// One body while a pass rewrites it. Nodes that go are retired, not erased, until finish(), so that
// no address is used twice; values that the body needs from before the loop wait for their slots
// until then too, so that the node is made anew at most once.
class Body {
 public:
  explicit Body(Node& node);  // a scan or a loop
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;

  Region& region() const { return node_->region(); }
  Dependence dependence(const Value* value) { return facts(value).dependence; }
  // True if the value is the same in every iteration, its extents are known, and computing it
  // before the loop can't fail where a loop without iterations would not have computed it.
  bool movable(const Value* value) { return facts(value).movable; }

  // The movable value, computed before the loop.
  Value* outside(Value* value);
  // Makes nodes right before the loop.
  Builder before() const { return Builder(*node_->parent(), node_); }
  // The argument of the body for a value from before the loop: an invariant.
  Value* inside(Value* outside);

  // Makes `with` take `old`'s place, name, and what `old`'s type says beyond `with`'s own.
  void replace(Value* old, Value* with);
  // Takes a node whose results are unused out of use.
  void retire(Node* node);
  bool retired(const Node* node) const { return retired_set_.contains(node); }

  // Erases what was retired and gives the node its new invariants. The Body is of no use after it.
  void finish();

 private:
  struct Facts {
    Dependence dependence = Dependence::none;
    bool movable = false;
  };
  Facts facts(const Value* value);
  void rebuild();

  Node* node_;
  std::unordered_map<const Value*, Facts> facts_;
  ValueMap outside_;                                 // from values of the body
  std::unordered_map<const Value*, Value*> inside_;  // from values before the loop
  std::unique_ptr<Region> staged_;                   // its arguments stand for the new invariants
  std::vector<Value*> staged_operands_;
  std::vector<Node*> retired_;
  std::unordered_set<const Node*> retired_set_;
};

// Calls `rewrite` on the body of every scan and loop of a region, inner ones first, and finishes
// it. Returns whether any call returned true.
bool for_each_body(Region& region, const std::function<bool(Body&)>& rewrite);

// A part of a value along one axis.
struct Cut {
  Value* whole = nullptr;
  int64_t begin = 0, end = 0;
};

// The value as a part of another along `axis` (counted from the front): if a slice along that axis
// alone, by steps of 1 with constant bounds, or a split made it, and the extents are known.
std::optional<Cut> cut_along(const Value* value, size_t axis);

// The parts, of equal rank and known extents, side by side along `axis` (counted from the front).
// Parts of one value that are neighbours there in this order are not cut and put together again.
Value* side_by_side(Builder builder, std::vector<Value*> parts, size_t axis);

}  // namespace refrain::passes::internal
