// One cell with its sizes, parameters and body: a scan, or a decoder's loop.
#pragma once

#include "frontend/equations/decode.h"
#include "frontend/equations/scan.h"

namespace refrain::equations {

// Where a cell is used.
struct CellUse {
  const Cell& cell;
  bool built_in = false;       // it sees none of the text's constants
  Range range;                 // of the use
  std::vector<int64_t> sizes;  // given there; fewer than the cell has: open
  std::string prefix;          // of parameters
  std::string layer;           // "", "_l0", "_l1_l0"
  bool backward = false;       // in a bidirectional machine, the way back
  bool numbered = false;       // in a stack or a bidirectional machine

  // What names of parameters end in.
  std::string suffix() const;
};

// With `feedback` the cell reads a token instead of what is scanned, the one that its first output
// chooses. An output with a time axis of its own gets it as its first axis of features.
ScanResults run_cell(Evaluator& evaluator, const CellUse& use, const ScanInputs& inputs,
                     Feedback* feedback = nullptr);

}  // namespace refrain::equations
