// From tokens to the tree.
#pragma once

#include "frontend/equations/lexer.h"
#include "frontend/equations/syntax.h"

namespace refrain::equations {

// Adds what is wrong to `problems`, at most one a statement; statements that are wrong are left
// out. A text whose tokens are wrong is not parsed.
Program parse(const Source& source, std::vector<Problem>& problems);

}  // namespace refrain::equations
