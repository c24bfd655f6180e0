// What a person wants to know of a graph first.
#pragma once

#include <string>

#include "ir/graph.h"

namespace refrain::cli {

// Inputs, outputs, nodes by op and bytes of constants; a line each, aligned, for the terminal.
std::string summary(const Graph& graph);

// The inputs in one line: `NAME: TYPE, NAME: TYPE`.
std::string input_list(const Graph& graph);

}  // namespace refrain::cli
