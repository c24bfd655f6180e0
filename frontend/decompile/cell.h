// Internal to frontend/decompile: a scan's body as a cell.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "frontend/decompile/decoder.h"
#include "frontend/decompile/symbolic.h"
#include "frontend/decompile/writer.h"
#include "ir/control.h"

namespace refrain::decompile {

struct Cell {
  std::string name;
  std::string text;                  // the definition
  std::vector<std::string> inner;    // those of scans inside, which the text only mentions
  std::vector<Expr> scanned, given;  // variables of the model around it
  std::vector<size_t> states;        // scan's states with the part, in the cell's order:
  std::vector<size_t> state_parts;   //   first the one that is put out, if one is
  std::vector<size_t> outputs;       // the scan's stacked results (their parts in order); of a
                                     // decoder first the scores, for which the tokens come out
  std::vector<std::vector<Axis>> state_axes, stacked_axes;  // by the scan's state and result
  std::vector<NamedTensor> weights;                         // by their names in the file
  std::optional<Decoder> decoder;  // if it is one; its token is what the cell scans
  bool complete = true;
};

// `outer` are the values of the scan's operands. What is shared in them has its name already.
Cell make_cell(const Node& node, const Evaluation& outer, Parts& parts, Names& cell_names);

// A comment that stands for a node that the language has no words for.
std::string comment_of(const Node& node);

// The nodes' results of which several others read, parts of them aside, get equations of their own.
void mark_shared(const Node& node, const Evaluation& evaluation, bool activations);

}  // namespace refrain::decompile
