#include "frontend/equations/cell.h"

#include <algorithm>

#include "frontend/equations/cell_shapes.h"
#include "frontend/equations/time_index.h"
#include "ir/clone.h"
#include "ir/control.h"

namespace refrain::equations {
namespace {

using Kind = Expression::Kind;

constexpr size_t kMaxStates = 256;

std::set<std::string> targets_of(const Cell& cell) {
  std::set<std::string> targets;
  for (const Equation& equation : cell.equations) {
    for (const Name& target : equation.targets) targets.insert(target.text);
  }
  return targets;
}

class CellRun {
 public:
  CellRun(Evaluator& outer, const CellUse& use, const ScanInputs& inputs, Feedback* feedback)
      : outer_(outer),
        context_(outer.context()),
        use_(use),
        cell_(use.cell),
        inputs_(inputs),
        feedback_(feedback),
        declared_(declarations(use.cell)),
        targets_(targets_of(use.cell)) {
    if (!use.built_in) constants_ = context_.constants;
  }

  ScanResults run() {
    check();
    shapes_ = infer_shapes(
        {context_, use_, inputs_, feedback_ != nullptr, declared_, targets_, constants_, outer_});
    build_body();
    return add_scan();
  }

 private:
  // --- the body's region ---

  // Arguments come in the order in which the body asks for them; add_scan sorts them by role.
  class Body final : public Evaluator {
   public:
    Body(CellRun& run, Region& region) : Evaluator(run.context_, region), run_(run) {}

    Tensored run_value(const RightSide& scan) override { fail(scan.range, "a scan inside a cell"); }
    Value* weight(const Weight& weight, bool transposed) override {
      return run_.captured(run_.outer_.weight(weight, transposed), weight.name);
    }
    std::string function_prefix(const std::string& function) override {
      const int use = ++functions_[function];
      return joined(run_.use_.prefix, function) + (use > 1 ? "_" + std::to_string(use) : "");
    }
    std::string name_suffix() const override { return run_.use_.suffix(); }

    // Values by name; without one: poisoned.
    std::map<std::string, std::optional<Operand>> names;

   protected:
    Operand lookup(const std::string& name, Range range) override {
      if (const auto at = names.find(name); at != names.end()) {
        if (!at->second) throw Poisoned{};
        return *at->second;
      }
      if (const auto size = run_.shapes_.sizes.find(name); size != run_.shapes_.sizes.end()) {
        return size->second;
      }
      if (const auto constant = run_.constants_.find(name); constant != run_.constants_.end()) {
        return constant->second;
      }
      if (run_.targets_.contains(name)) {
        fail(range, "'" + name + "' is used before its equation",
             "if it is a state, name it in the cell's first line: " + name + "[...]");
      }
      const auto& known = function_names();
      if (std::find(known.begin(), known.end(), name) != known.end()) {
        fail(range, "the function '" + name + "' without arguments", "expected " + name + "(...)");
      }
      return run_.parameter(name, range);
    }

   private:
    CellRun& run_;
    std::map<std::string, int> functions_;
  };

  Value* captured(Value* outside, const std::string& name) {
    const auto [at, added] = captures_.emplace(outside, nullptr);
    if (added) {
      at->second = scratch_.add_argument(outside->type(), name);
      captured_.push_back(outside);
    }
    return at->second;
  }

  Operand parameter(const std::string& name, Range range) {
    const auto shape = shapes_.parameters.find(name);
    if (shape == shapes_.parameters.end()) {
      fail(range, "the shape of '" + name + "' is not known",
           "declare it: param " + name + ": f32[...]");
    }
    ParameterRequest request = request_of(use_, declared_, name);
    request.shape = shape->second;
    request.element = context_.real;
    request.use = range;
    return context_.parameters.get(request);
  }

  // --- checks ---

  void check() const {
    context_.charge(cell_.range.end - cell_.range.begin + text_size(), use_.range);
    if (cell_.states.size() > kMaxStates) {
      fail(cell_.range, "a cell of too many states", "expected at most 256");
    }
    std::set<std::string> names;
    const auto add = [&](const Name& name) {
      if (!names.insert(name.text).second) {
        fail(name.range, "'" + name.text + "' is in the cell's first line twice");
      }
    };
    for (const Name& name : cell_.inputs) add(name);
    for (const State& state : cell_.states) add(state.name);
    for (const Name& name : cell_.given) add(name);
    const auto count = [&](size_t expected, size_t found, const char* what) {
      if (expected == found) return;
      fail(use_.range, "cell '" + cell_.name.text + "' has " + std::to_string(expected) + " " +
                           what + ", and here are " + std::to_string(found));
    };
    count(cell_.inputs.size(), feedback_ ? 1 : inputs_.scanned.size(), "inputs");
    count(cell_.given.size(), inputs_.given.size(), "given values");
    if (!inputs_.initial.empty()) {
      count(cell_.states.size(), inputs_.initial.size(), "states");
    }
    if (cell_.equations.empty()) fail(cell_.range, "a cell without equations");
    for (const State& state : cell_.states) {
      if (!targets_.contains(state.name.text)) {
        fail(state.name.range,
             "no equation gives the next value of state '" + state.name.text + "'");
      }
    }
  }

  size_t text_size() const {
    return cell_.equations.empty() ? 0 : cell_.equations.back().range.end - cell_.range.begin;
  }

  // --- the body ---

  // The type of one step of a sequence, or of a state.
  ValueType step_type(const Tensored& x) const {
    std::vector<Dim> dims = x.value->type().shape.dims();
    if (x.time) dims.erase(dims.begin() + outer_.algebra().time_axis(x));
    return ValueType::tensor(x.element(), Shape(std::move(dims)));
  }

  void build_body() {
    for (const auto* list : {&inputs_.scanned, &inputs_.initial, &inputs_.given}) {
      for (const Tensored& x : *list) {
        if (x.batch && !like_.batch) like_ = x;
      }
    }
    if (feedback_ && !like_.batch) like_ = feedback_->like;
    Body body(*this, scratch_);
    const TensorPtr zero = std::make_shared<const Tensor>(Tensor::scalar(context_.real, 0));
    for (size_t i = 0; i < cell_.states.size(); ++i) {
      initial_.push_back(initial_state(i, zero));
      Value* const state =
          scratch_.add_argument(state_type(i, initial_[i]), cell_.states[i].name.text);
      body.names[cell_.states[i].name.text] = Tensored{state, false, like_.batch};
      body.names[name_before(cell_.states[i].name.text)] = Tensored{state, false, like_.batch};
      inner_like_ = {state, false, like_.batch};
    }
    if (feedback_) {
      for (const Feedback::State& state : feedback_->states()) {
        initial_.push_back({state.initial, false, like_.batch});
        chosen_.push_back(scratch_.add_argument(state.type, state.name));
      }
      const Tensored token{chosen_[0], false, like_.batch};
      body.names[cell_.inputs[0].text] = token;
      if (!inner_like_.batch) inner_like_ = token;
    }
    for (size_t i = 0; i < inputs_.scanned.size(); ++i) {
      const Tensored& x = inputs_.scanned[i];
      if (!x.time) fail(use_.range, "what is scanned has no time axis");
      Value* const slice = scratch_.add_argument(step_type(x), cell_.inputs[i].text);
      body.names[cell_.inputs[i].text] = Tensored{slice, false, x.batch};
      if (!inner_like_.batch) inner_like_ = {slice, false, x.batch};
    }
    for (size_t i = 0; i < cell_.given.size(); ++i) {
      const Tensored& x = inputs_.given[i];
      Value* const value = captured(x.value, cell_.given[i].text);
      body.names[cell_.given[i].text] = Tensored{value, x.time, x.batch};
    }
    bool failed = false;
    for (const Equation& equation : cell_.equations) {
      try {
        add_equation(body, equation);
      } catch (const Failure& failure) {
        context_.add(failure.problem);
        failed = true;
        poison(body, equation);
      } catch (const Poisoned&) {
        failed = true;
        poison(body, equation);
      }
    }
    if (failed) throw Poisoned{};
    add_results(body);
  }

  void add_results(Body& body) {
    body.builder().set_node_name({});
    Algebra& algebra = body.algebra();
    std::vector<Value*> results;
    for (const State& state : cell_.states) {
      results.push_back(std::get<Tensored>(*body.names.at(state.name.text)).value);
    }
    if (outputs_.empty()) {
      if (cell_.states.empty()) fail(cell_.range, "a cell without a state and without an `O:`");
      outputs_.push_back(std::get<Tensored>(*body.names.at(cell_.states[0].name.text)));
    }
    if (feedback_) choose(algebra, results);
    for (Tensored& output : outputs_) {
      if (output.time) {
        if (output.batch && !algebra.batch_first()) {
          std::vector<int64_t> perm = {1, 0};
          for (size_t i = 0; i < output.rank(); ++i) perm.push_back(static_cast<int64_t>(i) + 2);
          output.value = algebra.builder().transpose(output.value, std::move(perm));
        }
        output.time = false;
      }
      if (inner_like_.value) output = algebra.expanded(output, inner_like_);
      results.push_back(output.value);
    }
    body.builder().yield(results);
  }

  // Puts the choice in the place of the scores, and its states behind the cell's.
  void choose(Algebra& algebra, std::vector<Value*>& results) {
    const Tensored scores = outputs_[0];
    if (scores.rank() != 1 || scores.time || scores.element() != context_.real) {
      fail(use_.range, "the output of a decoder is " + describe_features(scores),
           "expected a score for each token");
    }
    const Feedback::Next next = feedback_->next(
        algebra, chosen_, inner_like_.batch ? algebra.expanded(scores, inner_like_) : scores,
        use_.range);
    for (Value*& state : results) state = feedback_->reorder(algebra, state);
    results.insert(results.end(), next.states.begin(), next.states.end());
    if (next.tokens) {
      outputs_[0] = {next.stacked[0], false, like_.batch};
      return;
    }
    outputs_.clear();
    for (Value* stacked : next.stacked) outputs_.push_back({stacked, false, true});
    stack_first_ = true;
  }

  Tensored initial_state(size_t i, const TensorPtr& zero) {
    Algebra& algebra = outer_.algebra();
    const std::vector<int64_t>& shape = shapes_.states[i];
    if (inputs_.initial.empty()) return algebra.filled(zero, like_, shape);
    Tensored x = inputs_.initial[i];
    const Range range = inputs_.initial_ranges[i];
    const std::string& name = cell_.states[i].name.text;
    if (x.time) {
      fail(range, "the initial state '" + name + "' has a time axis",
           "expected one value a sequence, last(...) for example");
    }
    if (x.rank() == 0 && !shape.empty() && x.element() == context_.real) {
      // A scalar for all elements.
      x = algebra.elementwise(Op::add, algebra.filled(zero, like_, shape), x, "from", range);
    }
    if (x.features() != Shape::of_extents(shape)) {
      fail(range, "the initial state '" + name + "' is " + describe_features(x) +
                      ", and the state " + to_string(Shape::of_extents(shape)));
    }
    if (like_.batch && !x.batch) {
      Tensored step = like_;
      if (step.time) step = algebra.index(step, true, 0, range);
      x = algebra.expanded(x, step);
    }
    return x;
  }

  ValueType state_type(size_t i, const Tensored& initial) const {
    std::vector<Dim> dims;
    if (like_.batch) {
      const int64_t axis = outer_.algebra().batch_axis(like_);
      const Dim batch = like_.value->type().shape[static_cast<size_t>(axis)];
      const bool lost = feedback_ && feedback_->reorders() && !batch.is_constant();
      dims.push_back(lost ? Dim::unknown() : batch);
    }
    for (int64_t extent : shapes_.states[i]) dims.emplace_back(extent);
    return ValueType::tensor(initial.element(), Shape(std::move(dims)));
  }

  static void poison(Body& body, const Equation& equation) {
    for (const Name& target : equation.targets) body.names[target.text] = std::nullopt;
  }

  void add_equation(Body& body, const Equation& equation) {
    const std::string target = equation.targets.empty() ? "" : equation.targets[0].text;
    body.builder().set_node_name(target);
    Tensored value = body.tensor(*equation.value.expression);
    if (!target.empty()) {
      const auto state =
          std::find_if(cell_.states.begin(), cell_.states.end(),
                       [&](const State& candidate) { return candidate.name.text == target; });
      if (state != cell_.states.end()) {
        value =
            next_state(body, static_cast<size_t>(state - cell_.states.begin()), value, equation);
      } else if (equation.label == Equation::Label::recurrence) {
        fail(equation.targets[0].range, "'" + target + "' is not a state of the cell",
             "states are in the cell's first line");
      }
      if (!assigned_.insert(target).second) {
        fail(equation.targets[0].range, "'" + target + "' has two equations",
             state == cell_.states.end() ? "call the second value otherwise"
                                         : "a state has one, which gives its next value: call what "
                                           "comes before otherwise");
      }
      const bool fixed = body.names.contains(target) && state == cell_.states.end();
      if (fixed) {
        fail(equation.targets[0].range,
             "'" + target + "' is given to the cell and has no equation");
      }
      if (!value.value->is_argument() && value.value->name().empty()) {
        value.value->set_name(target);
      }
      body.names[target] = value;
    }
    if (equation.label == Equation::Label::output) {
      outputs_.push_back(value);
    }
  }

  Tensored next_state(Body& body, size_t i, Tensored value, const Equation& equation) {
    const ValueType& type = scratch_.argument(i)->type();
    const Range range = equation.value.expression->range;
    const std::string& name = cell_.states[i].name.text;
    const Shape shape = Shape::of_extents(shapes_.states[i]);
    if (value.time) fail(range, "the next value of state '" + name + "' has a time axis");
    if (value.rank() != 0 && value.features() != shape) {
      fail(range, "the next value of state '" + name + "' is " + describe_features(value) +
                      ", and the state " + to_string(shape));
    }
    if (value.element() != type.element) {
      fail(range, "the next value of state '" + name + "' is " +
                      std::string(refrain::name(value.element())) + ", and the state " +
                      std::string(refrain::name(type.element)));
    }
    const Tensored state{scratch_.argument(i), false, like_.batch};
    if (value.rank() < shape.rank()) {
      // A scalar for all elements.
      const Tensored zero = body.algebra().elementwise(
          Op::mul, state, body.algebra().scalar(type.element, 0), "state", range);
      value = body.algebra().elementwise(Op::add, zero, value, "state", range);
    }
    value = body.algebra().expanded(value, state);
    if (!refines(value.value->type(), type)) {
      fail(range, "the next value of state '" + name + "' is " + to_string(value.value->type()) +
                      ", and the state " + to_string(type));
    }
    return value;
  }

  // --- the scan ---

  ScanResults add_scan() {
    ScanSpec spec;
    auto body = std::make_unique<Region>();
    const size_t states = cell_.states.size() + chosen_.size(), inputs = inputs_.scanned.size();
    // Arguments of the scratch region: states, slices, then captures.
    std::vector<Value*> arguments(scratch_.argument_count());
    const auto add = [&](size_t i) {
      const Value* const argument = scratch_.argument(i);
      arguments[i] = body->add_argument(argument->type(), argument->name());
    };
    for (size_t i = 0; i < captured_.size(); ++i) add(states + inputs + i);
    for (size_t i = 0; i < states + inputs; ++i) add(i);
    Builder inner(*body);
    inner.yield(inline_region(scratch_, arguments, *body, nullptr));

    Algebra& algebra = outer_.algebra();
    spec.invariants = captured_;
    for (const Tensored& state : initial_) spec.states.push_back(state.value);
    for (const Tensored& x : inputs_.scanned) {
      spec.scanned.push_back(x.value);
      spec.scan_slots.push_back({algebra.time_axis(x), inputs_.reverse});
    }
    if (inputs_.lengths) spec.lengths = inputs_.lengths->value;
    if (feedback_) spec.trip_count = algebra.builder().scalar<int64_t>(feedback_->length);
    for (const Tensored& output : outputs_) {
      const Tensored whole{nullptr, true, output.batch};
      spec.stack_slots.push_back({stack_first_ ? 0 : algebra.time_axis(whole), inputs_.reverse});
    }
    const Node* const node = algebra.builder().scan(spec, std::move(body));
    ScanResults results;
    for (size_t i = 0; i < outputs_.size(); ++i) {
      results.outputs.push_back({node->result(states + i), true, outputs_[i].batch});
    }
    for (size_t i = 0; i < states; ++i) {
      if (i < cell_.states.size()) {
        results.finals.push_back({node->result(i), false, like_.batch});
      } else {
        results.feedback.push_back(node->result(i));
      }
    }
    return results;
  }

  Evaluator& outer_;
  Context& context_;
  const CellUse& use_;
  const Cell& cell_;
  const ScanInputs& inputs_;
  Feedback* feedback_;  // or null
  std::map<std::string, Declared> declared_;
  std::set<std::string> targets_;             // of all equations
  std::map<std::string, Operand> constants_;  // that the cell sees
  CellShapes shapes_;
  // Some value with a batch axis, if there is one, outside and in the body.
  Tensored like_, inner_like_;
  std::vector<Tensored> initial_;
  Region scratch_;
  std::map<Value*, Value*> captures_;  // from values outside to arguments
  std::vector<Value*> captured_;
  std::set<std::string> assigned_;
  std::vector<Tensored> outputs_;
  std::vector<Value*> chosen_;  // states of the choice, in the body
  bool stack_first_ = false;    // steps are the first axis, whatever the layout
};

}  // namespace

std::string CellUse::suffix() const {
  if (!numbered) return {};
  return (layer.empty() ? "_l0" : layer) + (backward ? "_reverse" : "");
}

ScanResults run_cell(Evaluator& evaluator, const CellUse& use, const ScanInputs& inputs,
                     Feedback* feedback) {
  return CellRun(evaluator, use, inputs, feedback).run();
}

}  // namespace refrain::equations
