#include "passes/stream.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>

#include "ir/builder.h"
#include "ir/clone.h"
#include "ir/control.h"
#include "ir/error.h"
#include "ir/verify.h"
#include "passes/passes.h"
#include "passes/specialize.h"
#include "passes/stream_batch.h"
#include "passes/stream_initial.h"
#include "passes/stream_states.h"
#include "passes/stream_time.h"
#include "passes/time_symbols.h"

namespace refrain::passes {
namespace {

using internal::CarriedState;
using internal::HiddenState;
using internal::InitialValue;
using internal::LoopState;
using internal::StatePairs;
using internal::TimeStream;

// Most dimensions that are tried as time one by one.
constexpr size_t kMostSymbols = 16;

struct Pair {
  size_t input, output;
};

size_t find_name(const std::vector<std::string>& names, const std::string& name, const char* what) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<size_t>(found - names.begin());
  std::string all;
  for (const std::string& one : names) all += (all.empty() ? "" : ", ") + one;
  throw Error(std::string("no such ") + what, "one of " + all, name);
}

// The caller's pairs.
std::vector<Pair> declared_pairs(const Graph& graph, const StreamOptions& options) {
  std::vector<std::string> inputs;
  for (size_t i = 0; i < graph.input_count(); ++i) inputs.push_back(graph.input(i)->name());
  std::vector<Pair> pairs;
  for (const auto& [input, output] : options.states) {
    const Pair pair{find_name(inputs, input, "input to be a state"),
                    find_name(graph.output_names(), output, "output to be a state")};
    for (const Pair& other : pairs) {
      if (other.input == pair.input || other.output == pair.output)
        throw Error("an input or output is two states", "distinct ones", input + " and " + output);
    }
    const ValueType &from = graph.output(pair.output)->type(),
                    &to = graph.input(pair.input)->type();
    bool same = from.element == to.element && from.kind == to.kind && from.optional == to.optional;
    try {
      meet(from.shape, to.shape);
    } catch (const Error&) {
      same = false;
    }
    if (!same)
      throw Error("state " + input + " and what it becomes, " + output + ", differ in type",
                  to_string(to), to_string(from));
    pairs.push_back(pair);
  }
  return pairs;
}

// Everything that depends on the inputs of these pairs.
std::unordered_set<const Value*> dependent_on(const Graph& graph, const std::vector<Pair>& pairs) {
  std::unordered_set<const Value*> values;
  for (const Pair& pair : pairs) values.insert(graph.input(pair.input));
  for (const Node* node = graph.body().first(); node; node = node->next()) {
    const std::vector<Value*> operands = node->operands();
    const bool any = std::any_of(operands.begin(), operands.end(),
                                 [&](const Value* operand) { return values.contains(operand); });
    for (size_t i = 0; any && i < node->result_count(); ++i) values.insert(node->result(i));
  }
  return values;
}

// Gives the states of scans over time their inputs and outputs.
class StateWiring {
 public:
  StateWiring(Graph& graph, TimeStream& stream, const StreamOptions& options)
      : graph_(graph), stream_(stream), names_(graph.output_names()), yield_(graph.body().yield()) {
    for (size_t i = 0; i < graph.output_count(); ++i) outputs_.push_back(graph.output(i));
    const std::vector<Pair> declared = declared_pairs(graph, options);
    for (const Pair& pair : declared) {
      const Value* input = graph.input(pair.input);
      if (stream.time_axis(input))
        throw Error("state " + input->name() + " has a time axis", "the same value for every step",
                    to_string(input->type()));
      add(pair, input->name());
    }
    declared_ = dependent_on(graph, declared);
  }

  void run(size_t model_inputs) {
    std::vector<CarriedState> carried;
    std::vector<LoopState> states;
    for (const CarriedState& state : stream_.carried()) {
      if (declared_.contains(state.scan->operand(state.operand))) continue;
      carried.push_back(state);
      states.push_back({state.scan, state.operand, state.final});
    }
    std::vector<size_t> inputs;
    for (size_t i = 0; i < model_inputs; ++i) {
      if (!stream_.time_axis(graph_.input(i)) && !declared_.contains(graph_.input(i)))
        inputs.push_back(i);
    }
    const StatePairs pairs(graph_, inputs, states);
    wire_inputs(pairs, carried);
    for (size_t i = 0; i < carried.size(); ++i) {
      if (!pairs.input_of(i)) hide(carried[i], pairs.output_like(i));
    }
    for (const HiddenState& state : stream_.hidden())
      add_output(state.input->index(), state.name, state.next, state.initial);
    graph_.set_outputs(outputs_, names_);
  }

  std::vector<StreamState> take_states() { return std::move(states_); }

 private:
  void add(const Pair& pair, const std::string& name, TensorPtr initial = nullptr) {
    states_.push_back({name, pair.input, pair.output, std::move(initial)});
  }
  void add_output(size_t input, const std::string& name, Value* next, TensorPtr initial) {
    add({input, outputs_.size()}, name, std::move(initial));
    outputs_.push_back(next);
    names_.push_back(stream_.unique_name(name + ".next"));
  }

  // States that are inputs of the model already.
  void wire_inputs(const StatePairs& pairs, const std::vector<CarriedState>& carried) {
    std::set<size_t> wired;
    for (size_t i = 0; i < carried.size(); ++i) {
      const std::optional<size_t> input = pairs.input_of(i);
      if (!input || !wired.insert(*input).second) continue;
      const std::string& name = graph_.input(*input)->name();
      const StatePairs::Read read = pairs.read_by_others(*input);
      if (read == StatePairs::Read::states)
        fail(carried[i], "it starts with input " + name + ", which others read too");
      const std::optional<size_t> output = pairs.output_of(*input);
      if (output && !is_taken(*output) && read == StatePairs::Read::nothing) {
        add({*input, *output}, name);
        continue;
      }
      const auto shares = pairs.shares(*input);
      if (shares.empty())
        fail(carried[i], "it starts with input " + name + ", in a form that is no output's");
      add_output(*input, name, joined(graph_.input(*input), shares, carried), nullptr);
    }
  }

  // Final states in the form of the input that they start with; what else it holds stays.
  Value* joined(Value* input, const std::vector<std::optional<size_t>>& shares,
                const std::vector<CarriedState>& carried) {
    Builder builder(graph_.body(), yield_);
    std::vector<Dim> dims = input->type().shape.dims();
    const auto count = static_cast<int64_t>(shares.size());
    const int64_t share = count > 1 ? dims[0].extent() / count : 0;
    if (count > 1) dims[0] = share;
    std::vector<Value*> parts;
    for (int64_t i = 0; i < count; ++i) {
      const std::optional<size_t> state = shares[static_cast<size_t>(i)];
      Value* part =
          state ? carried[*state].final : builder.slice(input, 0, i * share, (i + 1) * share);
      if (part->type().shape != Shape(dims)) {
        const Node* target = builder.create(Op::dims, {}, {{AttributeName::dims, dims}});
        part = builder.op(Op::reshape, {part, target->result()});
      }
      parts.push_back(part);
    }
    if (parts.size() == 1) return parts[0];
    return builder.create(Op::concat, parts, {{AttributeName::axis, int64_t{0}}})->result();
  }

  // A state that the model starts by itself. An output that is its final value in another form
  // (`like`) serves for the next block, too.
  void hide(const CarriedState& state, std::optional<size_t> like) {
    const Value* initial = state.scan->operand(state.operand);
    const std::optional<InitialValue> value = internal::initial_value(initial);
    if (!value) fail(state, "what it starts with is computed");
    const ValueType own = initial->type();
    if (!is_known(own.shape)) fail(state, "its extents are not known");
    const std::string name = stream_.unique_name(state.name);
    const bool one_form =
        like && !is_taken(*like) && is_known(outputs_[*like]->type().shape) &&
        (!value->tensor || value->tensor->rank() == 0 || outputs_[*like]->type() == own);
    if (!one_form) {
      Value* input = graph_.add_input(own, name);
      state.scan->set_operand(state.operand, input);
      return add_output(input->index(), name, state.final, value->tensor);
    }
    Value* input = graph_.add_input(outputs_[*like]->type(), name);
    Value* start = input;
    if (input->type() != own) {
      Builder builder(graph_.body(), state.scan);
      const Node* target = builder.create(Op::dims, {}, {{AttributeName::dims, own.shape.dims()}});
      start = builder.op(Op::reshape, {input, target->result()});
    }
    state.scan->set_operand(state.operand, start);
    add({input->index(), *like}, name, value->tensor);
  }

  static bool is_known(const Shape& shape) {
    const std::vector<Dim>& dims = shape.dims();
    return shape.ranked() &&
           std::none_of(dims.begin(), dims.end(), [](Dim dim) { return dim.is_unknown(); });
  }
  bool is_taken(size_t output) const {
    return std::any_of(states_.begin(), states_.end(),
                       [&](const StreamState& state) { return state.output == output; });
  }

  [[noreturn]] static void fail(const CarriedState& state, const std::string& why) {
    Error error("state " + state.name + " can't go on from block to block: " + why);
    error.at_node(state.scan->display_name(), std::string(name(state.scan->op())));
    throw error;
  }

  Graph& graph_;
  TimeStream& stream_;
  std::vector<Value*> outputs_;
  std::vector<std::string> names_;
  Node* yield_;
  std::unordered_set<const Value*> declared_;
  std::vector<StreamState> states_;
};

// The stream of a model whose steps lie along the dimensions of these names. Without loops it is by
// windows that an axis is known to be time: sums over images have no steps.
StreamForm over_time(const Graph& model, const std::set<std::string>& symbols,
                     const StreamOptions& options, bool by_windows = false) {
  StreamForm form;
  form.graph = clone_graph(model);
  const Dim time = Dim::symbol(*symbols.begin());
  if (symbols.size() > 1) {
    std::map<std::string, Dim> renamed;
    for (const std::string& symbol : symbols) renamed.emplace(symbol, time);
    rename_symbols(*form.graph, renamed);
  }
  form.time = time;
  const size_t inputs = model.input_count();
  TimeStream stream(*form.graph, time, options.block > 0, options.look_ahead);
  stream.run();
  if (by_windows && !stream.has_windows()) throw Error("nothing goes along it step by step");
  StateWiring wiring(*form.graph, stream, options);
  wiring.run(inputs);
  form.states = wiring.take_states();
  for (size_t i = 0; i < form.graph->input_count(); ++i)
    form.inputs.push_back({stream.time_axis(form.graph->input(i)), {}});
  for (size_t i = 0; i < form.graph->output_count(); ++i)
    form.outputs.push_back({stream.time_axis(form.graph->output(i)), {}});
  return form;
}

// Over all of them at once, or, where that can't be, over one of them, the others being extents of
// something that is the same for every step.
StreamForm over_any(const Graph& model, const std::set<std::string>& symbols,
                    const StreamOptions& options) {
  std::optional<Error> refused;
  try {
    return over_time(model, symbols, options);
  } catch (const Error& error) {
    refused = error;
  }
  for (const std::string& symbol : symbols) {
    if (symbols.size() == 1 || symbols.size() > kMostSymbols) break;
    try {
      return over_time(model, {symbol}, options);
    } catch (const Error&) {
    }
  }
  throw *refused;
}

bool runs_backward(const Graph& graph) {
  for (const Node* node = graph.body().first(); node; node = node->next()) {
    if (node->op() != Op::scan) continue;
    const ScanView scan(*node);
    for (size_t i = 0; i < scan.scanned(); ++i) {
      if (scan.scan_slot(i).reverse) return true;
    }
    for (size_t i = 0; i < scan.stacked(); ++i) {
      if (scan.stack_slot(i).reverse) return true;
    }
  }
  return false;
}

// The stream of a model that keeps its own states between runs; null if there are none.
std::optional<StreamForm> run_by_run(const Graph& model, const StreamOptions& options) {
  StreamForm form;
  for (const Pair& pair : declared_pairs(model, options))
    form.states.push_back({model.input(pair.input)->name(), pair.input, pair.output, nullptr});
  std::vector<LoopState> states;
  for (const Node* node = model.body().first(); node && !runs_backward(model);
       node = node->next()) {
    if (node->op() == Op::scan) {
      const ScanView scan(*node);
      for (size_t i = 0; i < scan.states(); ++i)
        states.push_back({node, scan.state_operand(i), scan.final_state(i)});
    } else if (node->op() == Op::loop) {
      const LoopView loop(*node);
      for (size_t i = 0; i < loop.states(); ++i)
        states.push_back({node, loop.state_operand(i), node->result(i)});
    }
  }
  std::vector<size_t> inputs(model.input_count());
  for (size_t i = 0; i < inputs.size(); ++i) inputs[i] = i;
  const StatePairs pairs(model, inputs, states);
  std::set<size_t> seen;
  for (size_t i = 0; i < states.size(); ++i) {
    const std::optional<size_t> input = pairs.input_of(i);
    if (!input || !seen.insert(*input).second) continue;
    const std::optional<size_t> output = pairs.output_of(*input);
    const bool taken = std::any_of(form.states.begin(), form.states.end(), [&](const auto& state) {
      return state.input == *input || state.output == output;
    });
    if (output && !taken)
      form.states.push_back({model.input(*input)->name(), *input, *output, nullptr});
  }
  if (form.states.empty()) return std::nullopt;
  form.graph = clone_graph(model);
  form.inputs.resize(model.input_count());
  form.outputs.resize(model.output_count());
  return form;
}

void check(const StreamOptions& options) {
  if (options.block < 0 || options.look_ahead < 0)
    throw Error("negative number of steps of a block or its look-ahead", "0 or more",
                std::to_string(std::min(options.block, options.look_ahead)));
  if (options.look_ahead > 0 && options.block == 0)
    throw Error("a look-ahead goes with blocks", "a block of 1 step or more", "0");
}

StreamForm stream_of(const Graph& model, const StreamOptions& options) {
  const std::set<std::string> scanned = scanned_symbols(model);
  if (!scanned.empty()) return over_any(model, scanned, options);
  std::string why;
  std::vector<std::string> notes;
  PassContext context;
  context.notes = &notes;
  const std::unique_ptr<Graph> freed = clone_graph(model);
  if (free_time(*freed, context)) return over_any(*freed, time_symbols(*freed), options);
  for (const std::string& note : notes) why += (why.empty() ? "" : "; ") + note;
  // The steps' number is computed, or there are no loops and so no steps but those of windows.
  std::set<std::string> symbols = time_symbols(model);
  const bool no_loops = symbols.empty();
  if (no_loops) {
    for (size_t i = 0; i < model.input_count(); ++i) {
      for (const Dim dim : model.input(i)->type().shape.dims()) {
        if (dim.is_symbol()) symbols.insert(dim.name());
      }
    }
  }
  std::optional<Error> refused;
  for (const std::string& symbol : symbols) {
    if (symbols.size() > kMostSymbols) break;
    try {
      StreamForm form = over_time(model, {symbol}, options, no_loops);
      if (form.states.size() > options.states.size()) return form;
    } catch (const Error& error) {
      refused = error;
      why += (why.empty() ? "" : "; ") + symbol + ": " + error.what();
    }
  }
  if (auto form = run_by_run(model, options)) return std::move(*form);
  const bool reads_ahead =
      refused && (refused->op() == name(Op::conv) || refused->op() == name(Op::max_pool) ||
                  refused->op() == name(Op::average_pool));
  if (symbols.size() == 1 && reads_ahead) throw *refused;
  throw Error("the model has neither a time axis that it could go along step by step, nor states",
              "a loop over an axis of an input, or an input that a loop starts with and an output "
              "that it ends as",
              why.empty() ? "neither" : why);
}

}  // namespace

StreamForm make_stream(const Graph& model, const StreamOptions& options) {
  check(options);
  StreamForm form = stream_of(model, options);
  internal::find_batch(form);
  dce(*form.graph, {});
  verify(*form.graph);
  return form;
}

}  // namespace refrain::passes
