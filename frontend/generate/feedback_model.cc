// Decoders that feed their choice back, as step models.
#include <algorithm>

#include "frontend/driver/executable.h"
#include "frontend/driver/model.h"
#include "frontend/generate/extract.h"
#include "frontend/generate/forms.h"
#include "ir/builder.h"
#include "ir/clone.h"
#include "ir/control.h"
#include "ir/error.h"

namespace refrain::generate {
namespace {

// A whole number that is constant.
std::optional<int64_t> constant_integer(const Value* value) {
  const TensorPtr tensor = value ? constant_tensor(value) : nullptr;
  if (!tensor || tensor->size() != 1 || !is_integer(tensor->type())) return std::nullopt;
  return tensor->view().as_ints()[0];
}

// A scan's or loop's slots that matter here. Operand i of `invariants` and `states` stands for
// argument i.
struct LoopSlots {
  const Node* node = nullptr;
  std::vector<const Value*> invariants, states;  // arguments of the body
  std::vector<const Value*> invariant_operands, initial, next;
  std::optional<int64_t> iterations;  // at most, where that is constant

  explicit LoopSlots(const Node& n) : node(&n) {
    const auto fill = [&](const auto& view) {
      for (size_t i = 0; i < view.invariants(); ++i) {
        invariants.push_back(view.invariant_argument(i));
        invariant_operands.push_back(n.operand(view.invariant_operand(i)));
      }
      for (size_t i = 0; i < view.states(); ++i) {
        states.push_back(view.state_argument(i));
        initial.push_back(n.operand(view.state_operand(i)));
        next.push_back(view.next_state(i));
      }
    };
    if (n.op() == Op::scan) {
      const ScanView view(n);
      fill(view);
      iterations = constant_integer(view.trip_count());
    } else {
      const LoopView view(n);
      fill(view);
      iterations = constant_integer(view.trip_count());
    }
  }
};

bool moves_one_element(const Node& node) {
  switch (node.op()) {
    case Op::cast:
    case Op::reshape:
    case Op::squeeze:
    case Op::unsqueeze:
    case Op::transpose:
    case Op::expand:
      return true;
    default:
      return false;
  }
}

// The arg_max that decides a symbol, itself, moved to another shape or type, or unless the sequence
// has ended; null if none does.
const Node* choice_of(const Value* value) {
  for (const Node* node = value->node(); node; node = value->node()) {
    if (node->op() == Op::arg_max) return node;
    if (node->op() == Op::where) {
      if (const Node* choice = choice_of(node->operand(2))) return choice;
      value = node->operand(1);
    } else if (moves_one_element(*node)) {
      value = node->operand(0);
    } else {
      break;
    }
  }
  return nullptr;
}

// A decoder found in a model.
struct Decoder {
  const Node* loop = nullptr;
  const Value* symbol = nullptr;                             // argument of the body
  const Value* first_symbol = nullptr;                       // operand of the loop
  const Value* scores = nullptr;                             // in the body
  std::vector<const Value*> invariants, invariant_operands;  // that the scores need
  std::vector<const Value*> states, initial, next;
  std::optional<size_t> end;       // symbol
  std::optional<int64_t> longest;  // iterations
};

// The symbol that takes the place of the choice once the sequence has ended.
std::optional<size_t> end_of(const Value* next) {
  for (const Node* node = next->node(); node; node = next->node()) {
    if (node->op() == Op::where) {
      const std::optional<int64_t> symbol = constant_integer(node->operand(1));
      if (!choice_of(node->operand(2)) || !symbol || *symbol < 0) return std::nullopt;
      return static_cast<size_t>(*symbol);
    }
    if (!moves_one_element(*node)) break;
    next = node->operand(0);
  }
  return std::nullopt;
}

// The parts of the body that the scores of all steps need, the choice left out.
bool find_needed(const LoopSlots& slots, const Node* choice, Decoder& decoder, std::string& why) {
  std::vector<const Value*> wanted = {decoder.scores};
  std::vector<bool> needed(slots.states.size());
  for (bool grew = true; grew;) {
    grew = false;
    const Sources sources = sources_of(wanted);
    if (sources.nodes.contains(choice)) {
      why = "a state other than the symbol depends on the choice";
      return false;
    }
    for (size_t i = 0; i < slots.states.size(); ++i) {
      if (needed[i] || slots.states[i] == decoder.symbol ||
          !sources.values.contains(slots.states[i])) {
        continue;
      }
      needed[i] = grew = true;
      wanted.push_back(slots.next[i]);
    }
  }
  const Sources sources = sources_of(wanted);
  for (size_t i = 0; i < slots.invariants.size(); ++i) {
    if (!sources.values.contains(slots.invariants[i])) continue;
    decoder.invariants.push_back(slots.invariants[i]);
    decoder.invariant_operands.push_back(slots.invariant_operands[i]);
  }
  for (size_t i = 0; i < slots.states.size(); ++i) {
    if (!needed[i]) continue;
    decoder.states.push_back(slots.states[i]);
    decoder.initial.push_back(slots.initial[i]);
    decoder.next.push_back(slots.next[i]);
  }
  const size_t symbol = sources.values.contains(decoder.symbol) ? 1 : 0;
  if (sources.values.size() != decoder.invariants.size() + decoder.states.size() + symbol) {
    why = "its scores depend on the number of the step, or on a slice of an input";
    return false;
  }
  return true;
}

bool find_decoder(const Graph& graph, Decoder& decoder, std::string& why) {
  why = "no loop has a state that is the arg_max of scores";
  for (const Node* node = graph.body().first(); node; node = node->next()) {
    if (node->op() != Op::scan && node->op() != Op::loop) continue;
    const LoopSlots slots(*node);
    for (size_t i = 0; i < slots.states.size(); ++i) {
      if (!is_integer(slots.states[i]->type().element)) continue;
      const Node* choice = choice_of(slots.next[i]);
      if (!choice) continue;
      decoder = {.loop = node,
                 .symbol = slots.states[i],
                 .first_symbol = slots.initial[i],
                 .scores = choice->operand(0),
                 .invariants = {},
                 .invariant_operands = {},
                 .states = {},
                 .initial = {},
                 .next = {},
                 .end = end_of(slots.next[i]),
                 .longest = slots.iterations};
      if (find_needed(slots, choice, decoder, why)) return true;
    }
  }
  return false;
}

class FeedbackModel final : public StepModel {
 public:
  FeedbackModel(const Graph& graph, const Decoder& decoder, const StepModelOptions& options)
      : states_(decoder.states.size()), end_(decoder.end), longest_(decoder.longest) {
    std::vector<RuntimeValue> begun = run_before(graph, decoder, options);
    first_symbol_ = std::move(begun.back());
    begun.pop_back();
    start_.assign(begun.end() - static_cast<ptrdiff_t>(states_), begun.end());
    begun.resize(begun.size() - states_);

    const Tensor& symbol = *first_symbol_.tensor;
    if (symbol.size() != 1) {
      throw Error("the decoder makes more than one sequence at a time", "inputs of batch size 1",
                  "symbols of shape " + to_string(Shape::of_extents(symbol.extents())));
    }
    // What the encoder gave is constant from here on.
    std::unordered_map<const Value*, TensorPtr> constants;
    for (size_t i = 0; i < begun.size(); ++i) constants[decoder.invariants[i]] = begun[i].tensor;
    std::vector<const Value*> inputs = decoder.states, outputs = decoder.next;
    inputs.push_back(decoder.symbol);
    outputs.push_back(decoder.scores);
    std::unique_ptr<Graph> step = extract(inputs, outputs, constants);
    for (size_t i = 0; i <= states_; ++i) {
      const RuntimeValue& value = i < states_ ? start_[i] : first_symbol_;
      step->input(i)->set_type(
          ValueType::tensor(value.tensor->type(), Shape::of_extents(value.tensor->extents())));
    }
    executable_ = std::make_unique<Executable>(std::move(step), options.executable);
    // The number of symbols is known once there are scores.
    State state = start();
    symbols_ = step_any(state, *first_symbol()).size();
  }

  size_t symbols() const override { return symbols_; }
  State start() override { return start_; }
  std::optional<size_t> first_symbol() const override {
    const int64_t symbol = first_symbol_.tensor->view().as_ints()[0];
    return symbol < 0 ? 0 : static_cast<size_t>(symbol);
  }
  std::optional<size_t> end_symbol() const override { return end_; }
  std::optional<int64_t> longest() const override { return longest_; }
  std::vector<double> step(State& state, size_t symbol) override { return step_any(state, symbol); }

 private:
  // Invariants, initial states and first symbol of the loop.
  static std::vector<RuntimeValue> run_before(const Graph& graph, const Decoder& decoder,
                                              const StepModelOptions& options) {
    std::vector<const Value*> outputs = decoder.invariant_operands;
    outputs.insert(outputs.end(), decoder.initial.begin(), decoder.initial.end());
    outputs.push_back(decoder.first_symbol);
    const Sources sources = sources_of(outputs);
    std::vector<const Value*> inputs;
    std::vector<RuntimeValue> values;
    std::string missing;
    for (size_t i = 0; i < graph.input_count(); ++i) {
      if (!sources.values.contains(graph.input(i))) continue;
      inputs.push_back(graph.input(i));
      if (const RuntimeValue* given = given_input(options, graph.input(i)->name())) {
        values.push_back(*given);
      } else {
        missing += (missing.empty() ? "" : ", ") + graph.input(i)->name() + ": " +
                   to_string(graph.input(i)->type());
      }
    }
    if (!missing.empty()) throw Error("inputs that the decoder needs are missing: " + missing);
    std::vector<RuntimeValue> results =
        Executable(extract(inputs, outputs), options.executable).run(values);
    for (const RuntimeValue& result : results) {
      if (!result.tensor) throw Error("a decoder's states must be tensors");
    }
    return results;
  }

  std::vector<double> step_any(State& state, size_t symbol) {
    std::vector<RuntimeValue> inputs = state;
    inputs.push_back(
        symbol_tensor(first_symbol_.tensor->type(), first_symbol_.tensor->extents(), symbol));
    std::vector<RuntimeValue> outputs = executable_->run(inputs);
    std::vector<double> scores = scores_.read(outputs.back());
    outputs.pop_back();
    state = std::move(outputs);
    return scores;
  }

  size_t states_, symbols_ = 0;
  std::optional<size_t> end_;
  std::optional<int64_t> longest_;
  State start_;
  RuntimeValue first_symbol_;
  std::unique_ptr<Executable> executable_;
  ScoreReader scores_;
};

}  // namespace

std::unique_ptr<StepModel> make_feedback_model(const Graph& model, const StepModelOptions& options,
                                               std::string& why) {
  std::unique_ptr<Graph> graph = clone_graph(model);
  // Unrolled decoders are loops after it.
  optimize(*graph, options.executable.limits);
  Decoder decoder;
  if (!find_decoder(*graph, decoder, why)) return nullptr;
  return std::make_unique<FeedbackModel>(*graph, decoder, options);
}

}  // namespace refrain::generate
