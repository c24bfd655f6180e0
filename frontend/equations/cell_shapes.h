// The shapes of a cell's parameters and states where it is used, and what its parameters are
// called.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "frontend/equations/cell.h"

namespace refrain::equations {

// The shapes of a cell's parameters and states at one use.
struct CellShapes {
  std::map<std::string, std::vector<int64_t>> parameters;
  std::vector<std::vector<int64_t>> states;
  std::map<std::string, double> sizes;
};

// A parameter with a name of its own in the file, or a part of a tensor there.
struct Declared {
  const ParameterSyntax* syntax;
  size_t part;
};

// By name. Throws Failure if a name is declared twice.
std::map<std::string, Declared> declarations(const Cell& cell);

// A request for a parameter of the cell, without its shape.
ParameterRequest request_of(const CellUse& use, const std::map<std::string, Declared>& declared,
                            const std::string& name);

// What one use of a cell is made of.
struct CellUseContext {
  Context& context;
  const CellUse& use;
  const ScanInputs& inputs;
  bool reads_tokens;  // instead of what is scanned
  const std::map<std::string, Declared>& declared;
  const std::set<std::string>& targets;             // of all equations
  const std::map<std::string, Operand>& constants;  // that the cell sees
  const Evaluator& outer;
};

// Throws Failure, or Poisoned with everything that is open in the context.
CellShapes infer_shapes(const CellUseContext& in);

}  // namespace refrain::equations
