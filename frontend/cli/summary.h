// What a person wants to know of a graph first.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"
#include "passes/pass.h"

namespace refrain::cli {

// Inputs, outputs, nodes by op and bytes of constants; a line each, aligned, for the terminal.
std::string summary(const Graph& graph);

// What passes noted, a line each that begins with `prefix`: what was rolled, what was not and why.
std::string notes(const std::vector<passes::PassReport>& reports, const std::string& prefix);

// The inputs in one line: `NAME: TYPE, NAME: TYPE`.
std::string input_list(const Graph& graph);

}  // namespace refrain::cli
