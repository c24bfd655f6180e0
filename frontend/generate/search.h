// Sequences of symbols from a model that scores the next one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "frontend/generate/step_model.h"

namespace refrain::generate {

struct SearchOptions {
  int64_t length = 200;              // most symbols, the end not counted
  std::optional<size_t> until = {};  // the symbol that ends a sequence; it isn't part of the result
  double temperature = 0;            // of sample(); 0 is greedy
  uint64_t seed = 0;
};

struct Sequence {
  std::vector<size_t> symbols;  // what came after the prompt
  double log_probability = 0;   // of them given the prompt, the end included
  bool ended = false;           // by `until`
};

// Feeds the prompt (at least one symbol), then symbol after symbol. `on_symbol` hears of each as it
// is chosen, and stops the rest by returning false; it may be empty. Throws Error.
Sequence generate(StepModel& model, std::span<const size_t> prompt, const SearchOptions& options,
                  const std::function<bool(size_t)>& on_symbol = {});

// The `width` most likely sequences that beam search finds, the likeliest first: at each step the
// `width` likeliest extensions of the unfinished sequences are kept (ties: the earlier sequence,
// then the lower symbol), finished ones are set aside, and the search ends when no unfinished one
// can become better than the `width` best finished ones. Sequences are compared by
// log_probability / n^length_penalty, n their symbols with the end: 0 prefers short ones, as
// probability does, 1 compares the mean. `temperature` and `seed` mean nothing here. Width 1 gives
// what generate() gives with temperature 0.
std::vector<Sequence> beam_search(StepModel& model, std::span<const size_t> prompt,
                                  const SearchOptions& options, size_t width,
                                  double length_penalty = 0);

}  // namespace refrain::generate
