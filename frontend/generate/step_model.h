// What text is generated from: something with a state that scores the next symbol.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "frontend/driver/program.h"
#include "ir/graph.h"
#include "ir/runtime_value.h"

namespace refrain::generate {

class StepModel {
 public:
  // The model's memory of all symbols so far. Copies share the tensors, which nobody changes.
  using State = std::vector<RuntimeValue>;

  virtual ~StepModel() = default;
  // Number of symbols: those it takes and those it scores are the same.
  virtual size_t symbols() const = 0;
  // Before any symbol.
  virtual State start() = 0;
  // The symbol that a decoder feeds itself first; none: the caller must say.
  virtual std::optional<size_t> first_symbol() const { return std::nullopt; }
  // The symbol at which the model's own loop ends a sequence, and the most symbols that it makes,
  // the end among them; none: it says nothing of that.
  virtual std::optional<size_t> end_symbol() const { return std::nullopt; }
  virtual std::optional<int64_t> longest() const { return std::nullopt; }
  // Feeds `symbol` (less than symbols()): `state` becomes the state after it. Returns logarithms of
  // the probabilities of the next symbol, one a symbol. Throws Error.
  virtual std::vector<double> step(State& state, size_t symbol) = 0;
};

struct StepModelOptions {
  // Values of inputs by name: what a decoder attends to, the state that an encoder leaves, the
  // source sequence of a model with an encoder of its own.
  std::vector<std::pair<std::string, RuntimeValue>> inputs = {};
  // States that go out by one name and come in by another, as (input, output).
  std::vector<std::pair<std::string, std::string>> states = {};
  // The input and output of that meaning; empty: found.
  std::string symbols = {}, scores = {};
  ExecutableOptions executable = {};
};

// A step of a model with one of two forms.
//
// Feedback: the model has a loop, one of whose states is the arg_max of scores that the body
// computes: a decoder that feeds its most likely symbol back. What comes before the loop (an
// encoder) runs once, in start(); the body is the step, its arg_max left to the caller.
//
// Stream: an input of symbols along time (integers, or numbers with one element a symbol, which get
// a 1 at the symbol's place), an output of scores along time, and causal in between
// (passes/stream.h). Other inputs that run along time are not allowed; states start at `inputs`,
// at the stream form's initial values, or at zero.
//
// Throws Error if the model is neither, or an input is missing or doesn't fit.
std::unique_ptr<StepModel> make_step_model(const Graph& model, const StepModelOptions& options);

}  // namespace refrain::generate
