// Internal to `passes`: what the values of a loop's body depend on, and computing them outside.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "ir/builder.h"
#include "ir/clone.h"
#include "ir/graph.h"
#include "passes/lift.h"

namespace refrain::passes::internal {

// What a value of a body is computed from.
enum class Dependence : uint8_t {
  constant,  // constants only
  fixed,     // invariants, extents: the same in every step
  forward,   // slices of forward scanned operands too, by ops that can be lifted
  backward,  // the same, of backward ones
  varying,   // anything else: states, the iteration, slices of both directions, outer products
};

inline bool is_lifted(Dependence d) {
  return d == Dependence::forward || d == Dependence::backward;
}
inline bool is_fixed(Dependence d) { return d == Dependence::constant || d == Dependence::fixed; }

// Reads the body of a scan or loop and makes values of it again outside: fixed ones as they are,
// others lifted (passes/lift.h). The node and its body must not change meanwhile. Building and
// emitting cost O(nodes of the body), nested regions not counted.
class BodyLifter {
 public:
  BodyLifter(Node& control, const BoundSymbols& symbols);

  // Nodes that may fail count as varying where they might not have run at all.
  Dependence dependence(const Value* value) const { return dependence_.at(value); }
  Dependence dependence(const Node& node) const {
    return node.result_count() > 0 ? dependence(node.result()) : Dependence::varying;
  }
  const LiftedAxis& axis() const { return axis_; }
  // Whether all by which states depend on states is element-wise, a view, a sum over an axis or a
  // product that changes with time from both sides: a loop over such a body keeps its values in
  // registers.
  bool elementwise() const { return elementwise_; }
  // Whether the node can be made outside if its varying operands can.
  bool can_lift(const Node& node) const;

  // What follows goes before this node, which is in the region of the scan or loop.
  void begin(Node* before);
  // Makes a node of the body again. Its operands must be arguments that are no states, or have been
  // emitted or stacked before.
  void emit(const Node& node);
  // A varying value is there in lifted form.
  void set_lifted(const Value* value, Value* lifted) { outside_[value] = lifted; }
  Value* outside(const Value* value);
  // Takes back all that was emitted.
  void undo();
  // Erases what was emitted and not used: constants that the lifted ops have in another form.
  // `before` is the node before which it was emitted, or what took its place. Nothing follows.
  void finish(Node* before);

 private:
  Dependence classify(const Node& node) const;
  bool find_elementwise() const;
  // Whether a node makes more out of several slices than they are, like an outer product, or much
  // more out of one by broadcasting, which over all steps at once would take memory that nobody
  // asked for. For an element-wise body, more at all is much.
  bool expands(const Node& node) const;
  std::vector<bool> lifted_operands(const Node& node) const;

  Node& control_;
  LiftedAxis axis_;
  bool runs_ = false;  // at least once, for certain
  bool elementwise_ = false;
  std::unordered_map<const Value*, Dependence> dependence_;
  ValueMap outside_;
  Node *before_ = nullptr, *last_kept_ = nullptr;
};

}  // namespace refrain::passes::internal
