// Internal to `passes`: ops over all steps of a scan at once.
//
// A lifted value is what a value of a scan's body is at every time index, stacked along a new axis
// 0: of a body's f32[B, 4] it is f32[T, B, 4]. An op is lifted by making it work on such values: it
// computes for all t what the body's node computes for one. Operands that are the same in every
// step (fixed) are not stacked; they go in as they are.
#pragma once

#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "ir/builder.h"
#include "ir/graph.h"

namespace refrain::passes::internal {

// Names of the symbols that a graph's inputs bind (interned, so that the address will do): those
// that a `dims` may use.
using BoundSymbols = std::unordered_set<const std::string*>;
BoundSymbols bound_symbols(const Graph& graph);

// What lifting needs to know of the scan.
struct LiftedAxis {
  Dim extent;  // the number of steps, as far as it is known
  const BoundSymbols* symbols = nullptr;
};

// Whether `lift` knows how to lift a body's node whose operands are lifted where `lifted` says so
// (at least one is). Asks of the operands' ranks and of constants that are nodes of the body.
bool can_lift(const Node& node, const std::vector<bool>& lifted, const LiftedAxis& axis);

// Makes the lifted form of a node for which can_lift is true; `operands` are the lifted and the
// fixed ones in the places of the node's own. Returns the lifted results, typed at least as
// specifically as the node's. Throws Error where the operands' types contradict each other, which
// can be if they are more specific than those of the body.
std::vector<Value*> lift(const Node& node, std::span<Value* const> operands,
                         const std::vector<bool>& lifted, const LiftedAxis& axis, Builder& builder);

// Whether a node without regions may throw for some values of operands whose shapes fit: an index
// out of range, an integer divided by 0, extents that are computed. Such a node must not run where
// it did not run before.
bool may_fail(const Node& node);

// x with axis `from` moved to place `to` (both from the front); x itself if they are equal.
Value* move_axis(Builder& builder, Value* x, size_t from, size_t to);

// Makes a result's type as specific as `other` where it leaves something open; an argument's stays.
void specify(Value& value, const ValueType& other);

// `type` with one more axis in front.
ValueType lifted_type(const ValueType& type, Dim extent);

}  // namespace refrain::passes::internal
