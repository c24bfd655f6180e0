// Internal to frontend/generate: the two forms of a step model.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frontend/generate/sampling.h"
#include "frontend/generate/step_model.h"

namespace refrain::generate {

// Each returns null, and why in `why`, if the model doesn't have the form. Throws Error if it has,
// but inputs are missing or don't fit.
std::unique_ptr<StepModel> make_feedback_model(const Graph& model, const StepModelOptions& options,
                                               std::string& why);
std::unique_ptr<StepModel> make_stream_model(const Graph& model, const StepModelOptions& options,
                                             std::string& why);

// The value that options give an input; null if they give none.
const RuntimeValue* given_input(const StepModelOptions& options, const std::string& name);
// Throws Error if options give one that is no input of the model.
void check_input_names(const Graph& model, const StepModelOptions& options);

// A tensor of one integer element.
TensorPtr symbol_tensor(ElementType type, const std::vector<int64_t>& extents, size_t symbol);

// Turns a model's scores into logarithms of probabilities; what kind they are is decided by the
// first.
class ScoreReader {
 public:
  std::vector<double> read(const RuntimeValue& scores);

 private:
  std::optional<ScoreKind> kind_;
};

}  // namespace refrain::generate
