// Graphs as models in the description language (docs/language.md).
#pragma once

#include <string>
#include <vector>

#include "frontend/weights/weight_file.h"
#include "ir/graph.h"

namespace refrain::decompile {

// An input or an output of the text: all of one of the model's, or a piece of it.
struct Piece {
  std::string name;            // in the text
  size_t of = 0;               // which of the model's
  std::vector<int64_t> index;  // for each axis of the model's: the place along it; -1: all of it
  std::vector<size_t> order;   // the axes that are there as a whole, in the order of the text's
};

struct Decompiled {
  std::string text;
  // The parameters by the names that the text gives them in its file of weights.
  std::vector<NamedTensor> weights;
  // False if the text has comments where the language has no words for a node: it then does not
  // stand for the whole model, and does not parse.
  bool complete = true;
  // The cells of all scans, in their order, as the text has them.
  std::vector<std::string> cells;
  std::vector<Piece> inputs, outputs;
};

// An optimized graph (default_pipeline) with every scan printed back as a cell: what was computed
// before the loop from each step's input goes back into the cell, products that were fused are
// taken apart, one equation a gate. Gates of cells that are LSTMs, GRUs and the like have the usual
// names. Scans inside of branches and loops are there too, under a comment that says where they
// stand. Values of a model with an axis that the language lacks (`h: f32[2, B, 64]` of two layers)
// become several (`h_0`, `h_1`), with a comment. `weights_file` stands in the text.
Decompiled decompile(const Graph& graph, const std::string& weights_file);

}  // namespace refrain::decompile
