#include "frontend/driver/loop_program.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "backends/reference/stacker.h"
#include "ir/clone.h"
#include "ir/control.h"
#include "ir/error.h"

namespace refrain {
namespace {

using reference::Stacker;

// The body as a graph: (iteration, invariants..., states...) -> (condition, next states...,
// slices...).
std::unique_ptr<Graph> body_graph(const Region& body) {
  auto graph = std::make_unique<Graph>("body");
  std::vector<Value*> arguments;
  for (size_t i = 0; i < body.argument_count(); ++i) {
    arguments.push_back(graph->add_input(body.argument(i)->type(), "i" + std::to_string(i)));
  }
  const std::vector<Value*> results = inline_region(body, arguments, graph->body(), nullptr);
  std::vector<std::string> names;
  for (size_t i = 0; i < results.size(); ++i) names.push_back("v" + std::to_string(i));
  graph->set_outputs(results, std::move(names));
  return graph;
}

bool keeps_types(const Node& node, const LoopView& loop) {
  for (size_t i = 0; i < loop.states(); ++i) {
    const ValueType& type = loop.body().argument(1 + loop.invariants() + i)->type();
    if (loop.next_state(i)->type() != type || node.operand(loop.state_operand(i))->type() != type) {
      return false;
    }
  }
  const ValueType& condition = loop.next_condition()->type();
  return condition.is_tensor() && condition.shape.is_static() &&
         element_count(condition.shape.extents()) == 1;
}

class LoopProgram final : public Program {
 public:
  LoopProgram(const Node& node, const Graph& body, const ExecutableOptions& options)
      : name_(node.display_name()),
        body_(body, prepare_options(options)),
        limits_(options.limits),
        outputs_(body_.make_outputs()) {
    const LoopView loop(node);
    invariants_ = loop.invariants();
    stacked_ = loop.stacked();
    for (size_t i = 0; i < loop.states(); ++i) {
      const ValueType& type = loop.body().argument(1 + invariants_ + i)->type();
      states_.emplace_back(type.element, type.shape.extents());
    }
  }

  std::vector<RuntimeValue> run(std::span<const RuntimeValue> operands,
                                int64_t& iterations) override {
    try {
      return iterate(operands, iterations);
    } catch (Error& error) {
      error.at_node(name_, "loop");
      throw;
    }
  }

  std::string describe() const override {
    return fmt::format("loop {} until its condition is false, each time\n{}", name_,
                       body_.describe());
  }

 private:
  std::vector<RuntimeValue> iterate(std::span<const RuntimeValue> operands, int64_t& iterations) {
    const int64_t trips = operands[0].tensor->view().as_ints().at(0);
    bool going = operands[1].tensor->data<bool>()[0];
    const auto budget = std::make_shared<MemoryBudget>(
        std::max<int64_t>(limits_.max_bytes - body_.arena_bytes(), 0));
    bind(operands);
    std::vector<Stacker> stackers;
    for (size_t i = 0; i < stacked_; ++i) {
      stackers.emplace_back(0, std::min(trips, limits_.max_iterations), false, budget);
    }
    int64_t iteration = 0;
    for (; going && iteration < trips; ++iteration) {
      if (iterations >= limits_.max_iterations) {
        throw reference::iteration_limit_error(limits_, "a loop that goes on");
      }
      ++iterations;
      iteration_.data<int64_t>()[0] = iteration;
      body_.run();
      going = outputs_[0].data<bool>()[0];
      for (size_t i = 0; i < states_.size(); ++i) copy(outputs_[1 + i], states_[i]);
      for (size_t i = 0; i < stacked_; ++i) {
        stackers[i].put(iteration, outputs_[1 + states_.size() + i]);
      }
    }
    std::vector<RuntimeValue> results;
    for (const Tensor& state : states_) {
      Tensor final_state(state.type(), state.extents(), budget);
      copy(state, final_state);
      results.emplace_back(std::move(final_state));
    }
    for (size_t i = 0; i < stacked_; ++i) {
      std::optional<Tensor> whole = std::move(stackers[i]).finish(iteration);
      results.emplace_back(whole ? std::move(*whole) : empty_stack(i));
    }
    return results;
  }

  void bind(std::span<const RuntimeValue> operands) {
    std::vector<const Tensor*> inputs = {&iteration_};
    for (size_t i = 0; i < invariants_; ++i) inputs.push_back(operands[2 + i].tensor.get());
    for (size_t i = 0; i < states_.size(); ++i) {
      copy(*operands[2 + invariants_ + i].tensor, states_[i]);
      inputs.push_back(&states_[i]);
    }
    body_.bind(inputs, outputs_);
  }

  static void copy(const Tensor& from, Tensor& to) {
    if (from.bytes() > 0) std::memcpy(to.raw(), from.raw(), static_cast<size_t>(from.bytes()));
  }

  Tensor empty_stack(size_t i) const {
    const Tensor& slice = outputs_[1 + states_.size() + i];
    std::vector<int64_t> extents = slice.extents();
    extents.insert(extents.begin(), 0);
    return Tensor(slice.type(), std::move(extents));
  }

  std::string name_;
  PreparedGraph body_;
  reference::Limits limits_;
  size_t invariants_ = 0, stacked_ = 0;
  Tensor iteration_ = Tensor::scalar(int64_t{0});
  std::vector<Tensor> states_, outputs_;
};

}  // namespace

std::unique_ptr<Program> make_loop(const Node& node, const ExecutableOptions& options) {
  if (!keeps_types(node, LoopView(node))) return nullptr;
  const std::unique_ptr<Graph> body = body_graph(node.region());
  if (!PreparedGraph::supports(*body, nullptr, options.limits.max_iterations)) return nullptr;
  return std::make_unique<LoopProgram>(node, *body, options);
}

}  // namespace refrain
