// Decoders: cells whose output chooses the token that they read next.
#pragma once

#include "frontend/equations/scan.h"

namespace refrain::equations {

// What turns a cell's scores into its next token, in the body of the cell's loop. It may keep
// states of its own there; the first one is the token.
class Feedback {
 public:
  struct State {
    std::string name;
    Value* initial;  // in the region of the loop
    ValueType type;  // in the body
  };
  struct Next {
    std::vector<Value*> states;   // one a state
    std::vector<Value*> stacked;  // what the loop puts out instead of the scores
    bool tokens = false;          // whether that is the token of each sequence
  };

  virtual ~Feedback() = default;
  virtual std::vector<State> states() const = 0;
  // `states` as the body sees them; scores [batch, tokens].
  virtual Next next(Algebra& body, const std::vector<Value*>& states, const Tensored& scores,
                    Range range) = 0;
  // Whether it puts the batch into another order, whose extent is then known only if it is
  // constant.
  virtual bool reorders() const { return false; }
  // A state of the cell after the choice, [batch, features].
  virtual Value* reorder(Algebra&, Value* state) const { return state; }

  int64_t length = 0;
  // A value with the batch axis of the loop's states, if they have one.
  Tensored like;
};

// Runs a decoder in the evaluator's region: its tokens, then other outputs and final states; of
// beam search the best sequence's tokens and its log-probability.
std::vector<Tensored> run_decode(Evaluator& evaluator, const Cells& cells, const Decode& decode,
                                 ScanInputs inputs);

}  // namespace refrain::equations
