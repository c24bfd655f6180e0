#include "frontend/generate/step_model.h"

#include "frontend/generate/forms.h"
#include "ir/error.h"

namespace refrain::generate {

const RuntimeValue* given_input(const StepModelOptions& options, const std::string& name) {
  for (const auto& [given, value] : options.inputs) {
    if (given == name) return &value;
  }
  return nullptr;
}

void check_input_names(const Graph& model, const StepModelOptions& options) {
  std::string names;
  for (size_t i = 0; i < model.input_count(); ++i) {
    names += (i > 0 ? ", " : "") + model.input(i)->name();
  }
  const auto check = [&](const std::string& name) {
    for (size_t i = 0; i < model.input_count(); ++i) {
      if (model.input(i)->name() == name) return;
    }
    throw Error("the model has no such input", names, name);
  };
  for (const auto& [name, value] : options.inputs) check(name);
  for (const auto& [input, output] : options.states) check(input);
  if (!options.symbols.empty()) check(options.symbols);
}

TensorPtr symbol_tensor(ElementType type, const std::vector<int64_t>& extents, size_t symbol) {
  Tensor tensor(type, extents);
  visit(type, [&]<typename T>(std::type_identity<T>) {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      const T value = static_cast<T>(symbol);
      if (static_cast<size_t>(value) != symbol) {
        throw Error("a symbol does not fit the model's type of them",
                    std::string(refrain::name(type)), std::to_string(symbol));
      }
      tensor.data<T>()[0] = value;
    }
  });
  return std::make_shared<const Tensor>(std::move(tensor));
}

std::vector<double> ScoreReader::read(const RuntimeValue& scores) {
  const std::vector<double> values = scores.tensor->view().as_doubles();
  if (!kind_) kind_ = kind_of(values);
  return log_probabilities(values, *kind_);
}

std::unique_ptr<StepModel> make_step_model(const Graph& model, const StepModelOptions& options) {
  check_input_names(model, options);
  std::string no_feedback, no_stream;
  if (auto step = make_feedback_model(model, options, no_feedback)) return step;
  if (auto step = make_stream_model(model, options, no_stream)) return step;
  throw Error(
      "symbols cannot be generated from this model: it is no decoder that feeds its likeliest "
      "symbol "
      "back (" +
      no_feedback + "), and does not score the next symbol step by step (" + no_stream +
      "); one that samples or searches by itself is only to be run");
}

}  // namespace refrain::generate
