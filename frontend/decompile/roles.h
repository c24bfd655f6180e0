// Internal to frontend/decompile: the usual names of gates.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "frontend/decompile/expression.h"

namespace refrain::decompile {

struct Roles {
  std::map<const Expression*, std::string> gates;  // i, f, g, o; r, z, n; ...
  std::string cell;                                // lstm, gru, mgu, gated, rnn or recurrent
};

// Looks for the shapes c' = f*c + i*g, h' = o*tanh(c') of an LSTM, and h' = (1 - z)*n + z*h of a
// GRU (either way round) with r inside n. `states` are the variables, `next` what becomes of them.
Roles find_roles(const std::vector<Expr>& states, std::vector<Expr> next);

}  // namespace refrain::decompile
