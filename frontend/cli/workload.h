// Inputs that nobody gave, for the subcommands that need shapes.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "frontend/driver/random_inputs.h"
#include "ir/graph.h"
#include "ir/runtime_value.h"

namespace refrain::cli {

// A graph's symbols bound, and random inputs of the shapes that follow.
struct Workload {
  SymbolBinding symbols;
  std::map<std::string, int64_t> defaults;  // that nobody asked for
  std::vector<RuntimeValue> inputs;
};

// Binds what `shapes` (each NAME=DxDxD) say; with `step` time is 1; the rest is as
// SymbolBinding::bind_defaults has it. Dimensions that have no name can't be bound through symbols:
// they become constants of the inputs' types. The inputs take at most `max_bytes`. Throws Error for
// malformed shapes and those that don't fit.
Workload make_workload(Graph& graph, const std::vector<std::string>& shapes, int64_t max_bytes,
                       bool step = false);

// The inputs with their types, one a line.
// Gives the graph's symbols the extents that `shapes` say; others stay. Throws Error as
// make_workload does.
void fix_shapes(Graph& graph, const std::vector<std::string>& shapes);

std::string shape_list(const Graph& graph, const Workload& work);

// Binds what one NAME=DxDxD says; dimensions of the input that have no name are set. Throws Error
// if there is no such input or the extents don't fit.
void bind_shape(Graph& graph, const std::string& shape, SymbolBinding& symbols);

// --shape NAME=DxDxD.
CLI::Option* add_shape_option(CLI::App& command, std::vector<std::string>& shapes);

}  // namespace refrain::cli
