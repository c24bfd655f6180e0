// Internal to frontend/decompile: the equations of a cell, in an order in which they can be read.
#pragma once

#include <string>
#include <vector>

#include "frontend/decompile/expression.h"
#include "frontend/decompile/roles.h"
#include "frontend/decompile/writer.h"

namespace refrain::decompile {

// One line of a cell.
struct Equation {
  Expr e;
  std::string name;  // what it assigns to; empty: an output that has its name from elsewhere
  bool output = false;
};

// The equations that compute `next`, what becomes of the `states` (variables), and `outputs`, each
// after those that it reads; what is shared gets an equation, and from then on has its name. A
// state is assigned to where its next value is computed, unless something behind that reads the old
// value: then at the end, from a name with a prime. An output that is the first state's next value
// and the only one is not written.
std::vector<Equation> order_equations(const std::vector<Expr>& states,
                                      const std::vector<Expr>& next,
                                      const std::vector<Expr>& outputs, const Roles& roles,
                                      Names& names);

}  // namespace refrain::decompile
