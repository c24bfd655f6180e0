// Models in the description language, drawn at random: cells that nobody would think of.
#pragma once

#include <string>

#include "support/random.h"

namespace refrain::testing {

// A description that loads, of one or two scans with cells of their own, what stands before them
// and what follows; parameters are drawn by the file's own seed. Its functions are continuous in
// their inputs and its states bounded, so that roundings stay roundings.
std::string random_equations(Random& random);

}  // namespace refrain::testing
