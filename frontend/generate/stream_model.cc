// Models that score the next symbol at every step, as step models.
#include <algorithm>

#include "frontend/driver/executable.h"
#include "frontend/driver/model.h"
#include "frontend/driver/random_inputs.h"
#include "frontend/generate/forms.h"
#include "ir/clone.h"
#include "ir/error.h"
#include "passes/stream.h"

namespace refrain::generate {
namespace {

using passes::StreamForm;

std::string text_of(const Value& input) { return input.name() + ": " + to_string(input.type()); }

// The input that takes symbols: the one that is called so, or the only one of whole numbers along
// time, or the only one along time at all.
std::optional<size_t> find_symbols(const Graph& model, const StreamForm& form,
                                   const StepModelOptions& options) {
  std::vector<size_t> integers, all;
  for (size_t i = 0; i < model.input_count(); ++i) {
    const std::string& name = model.input(i)->name();
    if (!options.symbols.empty()) {
      if (name == options.symbols) return i;
      continue;
    }
    // Without a time axis one run is one step, and what is no state may change with it.
    const bool state = std::any_of(form.states.begin(), form.states.end(),
                                   [&](const auto& s) { return s.input == i; });
    if (state || (form.time && !form.inputs[i].time_axis) || given_input(options, name)) continue;
    all.push_back(i);
    if (is_integer(model.input(i)->type().element)) integers.push_back(i);
  }
  if (integers.size() == 1) return integers[0];
  if (integers.empty() && all.size() == 1) return all[0];
  return std::nullopt;
}

// The output of scores: the one that is called so, or the only one of floats along time that is no
// state's.
std::optional<size_t> find_scores(const Graph& model, const StreamForm& form,
                                  const StepModelOptions& options) {
  std::vector<size_t> found;
  for (size_t i = 0; i < model.output_count(); ++i) {
    if (!options.scores.empty()) {
      if (model.output_names()[i] == options.scores) return i;
      continue;
    }
    const bool state = std::any_of(form.states.begin(), form.states.end(),
                                   [&](const auto& s) { return s.output == i; });
    if (!state && is_float(model.output(i)->type().element) &&
        (!form.time || form.outputs[i].time_axis)) {
      found.push_back(i);
    }
  }
  if (found.size() == 1) return found[0];
  return std::nullopt;
}

class StreamModel final : public StepModel {
 public:
  StreamModel(StreamForm form, size_t symbol_input, size_t score_output,
              const StepModelOptions& options)
      : symbol_input_(symbol_input), score_output_(score_output) {
    Graph& graph = *form.graph;
    SymbolBinding symbols;
    if (form.time) symbols.bind(form.time->name(), 1);
    if (form.batch) symbols.bind(form.batch->name(), 1);
    inputs_.resize(graph.input_count());
    for (size_t i = 0; i < graph.input_count(); ++i) {
      const RuntimeValue* given = given_input(options, graph.input(i)->name());
      if (!given) continue;
      inputs_[i] = *given;
      symbols.bind(graph.input(i)->type(), *given, graph.input(i)->name());
    }
    symbols.bind_defaults(graph);
    for (const passes::StreamState& state : form.states) {
      states_.push_back({state.input, state.output});
      if (inputs_[state.input].tensor) continue;
      const ValueType& type = graph.input(state.input)->type();
      inputs_[state.input] = started(type, symbols.resolve(type.shape), state.initial);
    }
    for (size_t i = 0; i < graph.input_count(); ++i) {
      if (i == symbol_input || inputs_[i].tensor) continue;
      throw Error("an input of the model has no value", "--input or --state for it",
                  text_of(*graph.input(i)));
    }
    const ValueType& type = graph.input(symbol_input)->type();
    symbol_type_ = type.element;
    symbol_extents_ = symbols.resolve(type.shape);
    for (size_t i = 0; i < graph.input_count(); ++i) {
      graph.input(i)->set_type(ValueType::tensor(
          graph.input(i)->type().element,
          Shape::of_extents(i == symbol_input ? symbol_extents_ : inputs_[i].tensor->extents())));
    }
    executable_ = std::make_unique<Executable>(std::move(form.graph), options.executable);
    State state = start();
    symbols_ = run(state, 0).size();
    if (!is_integer(symbol_type_) &&
        element_count(symbol_extents_) != static_cast<int64_t>(symbols_)) {
      throw Error("the model takes and scores different numbers of symbols",
                  std::to_string(symbols_) + " elements of its input at each step",
                  std::to_string(element_count(symbol_extents_)));
    }
  }

  size_t symbols() const override { return symbols_; }

  State start() override {
    State state;
    for (const auto& [input, output] : states_) state.push_back(inputs_[input]);
    return state;
  }

  std::vector<double> step(State& state, size_t symbol) override { return run(state, symbol); }

 private:
  struct Slot {
    size_t input, output;
  };

  static RuntimeValue started(const ValueType& type, const std::vector<int64_t>& extents,
                              const TensorPtr& initial) {
    Tensor tensor(type.element, extents);
    if (!initial) return tensor;
    // Broadcast: an axis of extent 1, or one that the initial value lacks, repeats.
    const auto size = size_of(type.element);
    const size_t lacking = extents.size() - initial->rank();
    for (int64_t n = 0; n < tensor.size(); ++n) {
      int64_t rest = n, from = 0, stride = 1;
      for (size_t axis = extents.size(); axis-- > lacking;) {
        const int64_t extent = initial->extents()[axis - lacking];
        if (extent != 1) from += rest % extents[axis] * stride;
        stride *= extent;
        rest /= extents[axis];
      }
      std::copy_n(static_cast<const char*>(initial->raw()) + static_cast<size_t>(from) * size, size,
                  static_cast<char*>(tensor.raw()) + static_cast<size_t>(n) * size);
    }
    return tensor;
  }

  RuntimeValue symbol_value(size_t symbol) const {
    if (is_integer(symbol_type_)) {
      if (element_count(symbol_extents_) != 1) {
        throw Error("the model takes more than one symbol a step", "1",
                    to_string(Shape::of_extents(symbol_extents_)));
      }
      return symbol_tensor(symbol_type_, symbol_extents_, symbol);
    }
    Tensor one_hot(symbol_type_, symbol_extents_);
    if (static_cast<int64_t>(symbol) < one_hot.size()) {
      visit(symbol_type_, [&]<typename T>(std::type_identity<T>) {
        one_hot.data<T>()[symbol] = static_cast<T>(1.0f);
      });
    }
    return one_hot;
  }

  std::vector<double> run(State& state, size_t symbol) {
    std::vector<RuntimeValue> inputs = inputs_;
    inputs[symbol_input_] = symbol_value(symbol);
    for (size_t i = 0; i < states_.size(); ++i) inputs[states_[i].input] = std::move(state[i]);
    const std::vector<RuntimeValue> outputs = executable_->run(inputs);
    for (size_t i = 0; i < states_.size(); ++i) state[i] = outputs[states_[i].output];
    return scores_.read(outputs[score_output_]);
  }

  size_t symbol_input_, score_output_, symbols_ = 0;
  std::vector<RuntimeValue> inputs_;  // states as they start
  std::vector<Slot> states_;
  ElementType symbol_type_ = ElementType::i64;
  std::vector<int64_t> symbol_extents_;
  std::unique_ptr<Executable> executable_;
  ScoreReader scores_;
};

}  // namespace

std::unique_ptr<StepModel> make_stream_model(const Graph& model, const StepModelOptions& options,
                                             std::string& why) {
  std::unique_ptr<Graph> graph = clone_graph(model);
  optimize(*graph, options.executable.limits);
  StreamForm form;
  try {
    form = passes::make_stream(*graph, {.states = options.states});
  } catch (const Error& error) {
    why = error.what();
    return nullptr;
  }
  const std::optional<size_t> symbols = find_symbols(*graph, form, options);
  if (!symbols) {
    why = "no input that is clearly the symbols";
    return nullptr;
  }
  const std::optional<size_t> scores = find_scores(*graph, form, options);
  if (!scores) {
    why = "no output that is clearly the scores";
    return nullptr;
  }
  return std::make_unique<StreamModel>(std::move(form), *symbols, *scores, options);
}

}  // namespace refrain::generate
