// Cells, and what is built of them, to scans.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "frontend/equations/evaluator.h"
#include "frontend/equations/infer.h"

namespace refrain::equations {

// Cells by name: those of the text so far, in front of the built-in ones.
class Cells {
 public:
  // Throws Failure if the name is taken.
  void add(const Cell& cell);
  // Throws Failure, at the place of the name, if there is none.
  const Cell& find(const Name& name) const;
  bool contains(const std::string& name) const;
  // Built-in cells stand in another text, which messages cannot show.
  bool built_in(const Cell& cell) const;

 private:
  std::map<std::string, const Cell*> cells_;
};

struct ScanInputs {
  std::vector<Tensored> scanned;  // each with a time axis
  std::vector<Tensored> initial;  // of all states of the machine; empty: zero
  std::vector<Range> initial_ranges;
  std::vector<Tensored> given;
  std::optional<Tensored> lengths;
  bool reverse = false;
  std::string prefix;  // of parameters
};

struct ScanResults {
  std::vector<Tensored> outputs, finals;
  std::vector<Value*> feedback;  // final states of a decoder's choice
};

// Runs a machine. `evaluator` is the region's that the scan is put into. Throws Failure at the
// machine's place or in the cell; what is wrong in several equations of a cell goes to the
// context, and Poisoned is thrown.
ScanResults run_machine(Evaluator& evaluator, const Cells& cells, const Machine& machine,
                        const ScanInputs& inputs);

// The cell at the machine's core, and the number of states of the whole machine.
const Cell& core(const Cells& cells, const Machine& machine);

}  // namespace refrain::equations
