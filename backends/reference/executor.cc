#include "backends/reference/executor.h"

#include <new>
#include <string>
#include <utility>

#include "backends/reference/bindings.h"
#include "backends/reference/interpreter.h"
#include "backends/reference/kernel.h"
#include "backends/reference/plan.h"
#include "backends/reference/runtime_inference.h"
#include "backends/reference/sequence.h"
#include "ir/error.h"

namespace refrain::reference {

void Interpreter::run(RegionPlan& plan) {
  const Step* current = nullptr;
  const auto place = [&](Error& error) -> Error& {
    return error.at_node(current->node->display_name(), std::string(name(current->node->op())));
  };
  try {
    for (const Step& step : plan.steps) {
      current = &step;
      run_step(plan, step);
    }
  } catch (Error& error) {
    place(error);
    throw;
  } catch (const std::bad_alloc&) {
    Error error("out of memory");
    throw place(error);
  }
}

void Interpreter::run_step(RegionPlan& plan, const Step& step) {
  if (step.kernel) return run_kernel(plan, step);
  switch (step.node->op()) {
    case Op::scan:
      return run_scan(plan, step);
    case Op::loop:
      return run_loop(plan, step);
    case Op::branch:
      return run_branch(plan, step);
    case Op::dims:
      return plan.set_result(step, 0, evaluate_dims(*step.node, bindings_));
    default:
      break;
  }
  std::vector<RuntimeValue> operands = plan.take_operands(step);
  plan.set_result(step, 0, run_sequence_op(*step.node, operands, budget_));
}

void Interpreter::run_kernel(RegionPlan& plan, const Step& step) {
  const std::span<const SlotUse> uses = plan.operands_of(step);
  operands_.clear();
  for (size_t i = 0; i < uses.size(); ++i) {
    const Tensor* tensor = nullptr;
    if (uses[i].slot != kNoSlot) {
      tensor = plan.slots[uses[i].slot].tensor.get();
      if (!tensor) throw Error("operand " + std::to_string(i) + " is not a tensor");
    }
    operands_.push_back(tensor);
  }
  std::vector<Tensor> results = allocate_results(*step.node, operands_, budget_);
  step.kernel({*step.node, operands_, results});
  for (const SlotUse& use : uses) {
    if (use.dies) plan.slots[use.slot] = {};
  }
  for (size_t i = 0; i < results.size(); ++i) plan.set_result(step, i, std::move(results[i]));
}

Error iteration_limit_error(const Limits& limits, std::string found) {
  return Error("too many iterations",
               "at most " + std::to_string(limits.max_iterations) + " (see --max-iterations)",
               std::move(found));
}

std::vector<RuntimeValue> run(const Graph& graph, std::span<const RuntimeValue> inputs,
                              const Limits& limits, int64_t* iterations) {
  const Bindings bindings = bind_inputs(graph, inputs);
  const std::unique_ptr<RegionPlan> plan = make_plan(graph.body(), bindings);
  for (size_t i = 0; i < inputs.size(); ++i) plan->set_argument(i, inputs[i]);
  Interpreter interpreter(limits, bindings, iterations ? *iterations : 0);
  interpreter.run(*plan);
  if (iterations) *iterations = interpreter.iterations();
  std::vector<RuntimeValue> outputs;
  plan->take_yields(outputs);
  return outputs;
}

namespace {

class ReferenceEvaluator final : public Evaluator {
 public:
  explicit ReferenceEvaluator(const Limits& limits)
      : budget_(std::make_shared<MemoryBudget>(limits.max_bytes)) {}

  std::vector<TensorPtr> evaluate(const Node& node, std::span<const TensorPtr> operands) override {
    try {
      return evaluate_unplaced(node, operands);
    } catch (Error& error) {
      error.at_node(node.display_name(), std::string(name(node.op())));
      throw;
    }
  }

 private:
  std::vector<TensorPtr> evaluate_unplaced(const Node& node, std::span<const TensorPtr> operands) {
    if (node.op() == Op::constant) return {node.attribute<TensorPtr>(AttributeName::value)};
    if (node.op() == Op::dims) {
      return {std::make_shared<const Tensor>(evaluate_dims(node, Bindings()))};
    }
    const Kernel kernel = find_kernel(node.op());
    if (!kernel) throw Error("the op cannot be evaluated by itself", "an op on tensors");
    if (operands.size() != node.operand_count()) {
      throw Error("wrong number of operands", std::to_string(node.operand_count()),
                  std::to_string(operands.size()));
    }
    std::vector<const Tensor*> tensors;
    for (size_t i = 0; i < operands.size(); ++i) {
      if (!operands[i] && static_cast<int>(i) < node.schema().min_operands) {
        throw Error("operand " + std::to_string(i) + " is absent", "a tensor", "none");
      }
      tensors.push_back(operands[i].get());
    }
    std::vector<Tensor> results = allocate_results(node, tensors, budget_);
    kernel({node, tensors, results});
    std::vector<TensorPtr> shared;
    for (Tensor& result : results)
      shared.push_back(std::make_shared<const Tensor>(std::move(result)));
    return shared;
  }

  std::shared_ptr<MemoryBudget> budget_;
};

}  // namespace

std::unique_ptr<Evaluator> make_evaluator(const Limits& limits) {
  return std::make_unique<ReferenceEvaluator>(limits);
}

}  // namespace refrain::reference
