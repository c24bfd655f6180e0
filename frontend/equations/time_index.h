// Internal to frontend/equations: indices of time as lectures write them, h_t = f(x_t, h_{t-1}).
#pragma once

#include <string>

#include "frontend/equations/syntax.h"

namespace refrain::equations {

// What the old value of a state is called in all of a cell.
inline std::string name_before(const std::string& state) { return state + "_{t-1}"; }

// Gives the names of a cell that have an index of time those that they stand for: `x_t` of an input
// the input's, `h_t` of a state the state's, behind its equation, `h_{t-1}` its name_before().
// Names that end in `_t` and are no such thing stay. Throws Failure.
void resolve_time_indices(Cell& cell);

}  // namespace refrain::equations
