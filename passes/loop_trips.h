// Internal to `passes`: how often a loop runs.
#pragma once

#include <optional>

#include "ir/builder.h"
#include "ir/control.h"
#include "passes/affine.h"

namespace refrain::passes::internal {

// The number of a loop's iterations, told before it starts: the trip count alone, or the first
// iteration after which a comparison of the iteration with something fixed ends it.
struct Trips {
  // The number where it is above 0 (where it is not, this may be negative); none where it takes a
  // computation.
  std::optional<Affine> number;
  Value* gate = nullptr;  // a scalar condition: if false the loop does not run; null: true
  Affine most;            // the trip count
  bool bounded = true;    // whether `most` counts; false: the loop ends by its condition alone
  std::optional<Affine> until;  // ends after the first iteration i for which not i < until
};

// None if the number depends on what the body computes, or is absurd (a loop that is to run into a
// limit does not become anything that has none).
std::optional<Trips> trips_of(const LoopView& loop, const AffineReader& reader);

// Makes the number: a scalar, 0 or more.
Value* make_trips(Builder& builder, const Trips& trips);

}  // namespace refrain::passes::internal
