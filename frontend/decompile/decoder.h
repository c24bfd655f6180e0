// Internal to frontend/decompile: loops that feed back the token that they choose.
#pragma once

#include <cstdint>
#include <optional>
#include <set>

#include "ir/graph.h"

namespace refrain::decompile {

// A scan over no sequence with a state that is the best token of the step before, argmax(scores),
// until an end token if there is one: the language's `decode`.
struct Decoder {
  size_t token = 0;               // which state
  std::optional<size_t> done;     // the state that tells which sequences have ended
  int64_t until = 0;              // the end token; with `done`
  const Value* scores = nullptr;  // in the body
  const Value* chosen = nullptr;  // in the body, the next token
  std::optional<size_t> stacked;  // the result that holds all tokens
  std::optional<int64_t> length;  // if it is a constant
  std::set<const Node*> choice;   // the nodes between the scores and the token
};

std::optional<Decoder> find_decoder(const Node& scan);

}  // namespace refrain::decompile
