// Internal to `passes`: types that get more specific.
//
// The verifier wants every result's type to refine what its schema infers. Whatever makes an
// operand more specific (a constant where there was none, a symbol where there was `?`) therefore
// obliges the pass to bring the users' types up to date; these functions do that.
#pragma once

#include "ir/graph.h"

namespace refrain::passes::internal {

// `known`, with what it leaves open taken from `fallback`. Where the two contradict each other,
// `known` wins; `known` alone if they differ in element type, kind or rank.
ValueType more_specific(const ValueType& known, const ValueType& fallback);

// Refines the types of a node's results and of everything in its regions, from its operands. State
// arguments become as specific as the initial states allow, by a fixpoint over the body. A region
// whose types would contradict each other (a branch that is never taken) keeps the types that it
// has. Returns whether any type changed. Throws Error, with the node's name, where the node does
// not fit its operands.
bool refine_types(Node& node);
// All nodes of a graph, in order. O(nodes), apart from loops whose state types don't settle at
// once.
bool refine_types(Graph& graph);

// Lets `with` take the place of `old` for all users, if its type is as specific as `old`'s or may
// be made so; returns whether it did. Users' types are left to refine_types. Inside a nested
// region, which may never run, a value that a user's other operands contradict is not let in: that
// user's error is its own affair.
bool replace_value(Value* old, Value* with);

// Calls f on every argument and result of a region and of all that is nested in it, in order.
template <typename F>
void for_each_value(Region& region, const F& f) {
  for (size_t i = 0; i < region.argument_count(); ++i) f(region.argument(i));
  for (Node* node = region.first(); node; node = node->next()) {
    for (size_t i = 0; i < node->result_count(); ++i) f(node->result(i));
    for (size_t i = 0; i < node->region_count(); ++i) for_each_value(node->region(i), f);
  }
}

// Types of a region's arguments and of all results in it, nested regions included, in order.
std::vector<ValueType> save_types(Region& region);
void restore_types(Region& region, const std::vector<ValueType>& types);

}  // namespace refrain::passes::internal
