// How scan, loop and branch run.
#include "ir/control.h"

#include <algorithm>
#include <string>

#include "backends/reference/interpreter.h"
#include "backends/reference/runtime_inference.h"
#include "backends/reference/stacker.h"
#include "ir/builder.h"
#include "ir/error.h"
#include "ir/shape.h"

namespace refrain::reference {
namespace {

const Tensor& tensor_of(const RuntimeValue& value, const char* what) {
  if (!value.tensor) throw Error(std::string(what) + " is not a tensor", "a tensor", "none");
  return *value.tensor;
}

// What stands for a stacked result of no slices, whose extents no slice tells: those that its type
// states, with symbols bound; 0 where it states none; of rank 1 if it does not even state the rank.
Tensor empty_stack(const ValueType& type, int64_t axis, const Bindings& bindings,
                   const std::shared_ptr<MemoryBudget>& budget) {
  std::vector<int64_t> extents(type.shape.ranked() ? type.shape.rank() : 1);
  if (type.shape.ranked()) {
    for (size_t i = 0; i < extents.size(); ++i)
      extents[i] = bindings.extent(type.shape[i]).value_or(0);
  }
  extents[normalize_axis(axis, extents.size())] = 0;
  return Tensor(type.element, std::move(extents), budget);
}

// A scan node's slots, looked up once, and its number of steps, checked.
struct ScanLayout {
  ScanLayout(const ScanView& view, std::span<const RuntimeValue> operands);

  std::vector<ScanSlot> scan_slots, stack_slots;
  std::vector<int64_t> lengths;  // empty if there are none
  int64_t steps = -1;
  bool backward = false;        // with lengths: all slots run backward
  bool reads_elements = false;  // so that the memory they lie in bounds the steps

 private:
  void require_steps(int64_t found, const char* what);
  void read_lengths(const Tensor& tensor);
};

ScanLayout::ScanLayout(const ScanView& view, std::span<const RuntimeValue> operands) {
  for (size_t i = 0; i < view.scanned(); ++i) scan_slots.push_back(view.scan_slot(i));
  for (size_t i = 0; i < view.stacked(); ++i) stack_slots.push_back(view.stack_slot(i));
  if (view.has_trip_count()) {
    steps = single_integer(tensor_of(operands[view.has_lengths()], "trip count"), "trip count");
    if (steps < 0) throw Error("negative trip count of a scan", "0 or more", std::to_string(steps));
  }
  for (size_t i = 0; i < view.scanned(); ++i) {
    const Tensor& whole = tensor_of(operands[view.scanned_operand(i)], "scanned operand");
    require_steps(whole.extents()[normalize_axis(scan_slots[i].axis, whole.rank())],
                  "scanned operand");
    reads_elements |= whole.size() > 0;
  }
  if (steps < 0)
    throw Error("a scan needs to know its length", "a scanned operand or a trip count");
  if (!view.has_lengths()) return;
  read_lengths(tensor_of(operands[0], "lengths"));
  for (const ScanSlot& slot : scan_slots) backward |= slot.reverse;
  for (const ScanSlot& slot : stack_slots) backward |= slot.reverse;
}

void ScanLayout::require_steps(int64_t found, const char* what) {
  if (steps >= 0 && steps != found) {
    throw Error(std::string("wrong length of a scan's ") + what, std::to_string(steps),
                std::to_string(found));
  }
  steps = found;
}

void ScanLayout::read_lengths(const Tensor& tensor) {
  if (tensor.rank() != 1) {
    throw Error("wrong rank of a scan's lengths", "1", std::to_string(tensor.rank()));
  }
  lengths = tensor.view().as_ints();
  for (int64_t length : lengths) {
    if (length < 0 || length > steps) {
      throw Error("sequence length out of range", "0 to " + std::to_string(steps),
                  std::to_string(length));
    }
  }
}

// Whether the loop's condition is true before every iteration whatever the body computes: it is a
// constant, an invariant, or a state that only ever gets such a value.
bool never_ends_by_itself(const LoopView& view, std::span<const RuntimeValue> operands) {
  const auto is_true = [](const RuntimeValue& value) {
    return value.tensor && value.tensor->type() == ElementType::boolean &&
           value.tensor->size() == 1 && value.tensor->data<bool>()[0];
  };
  const Value* value = view.next_condition();
  // A state that leads back to itself has been looked at: at most as many hops as there are states.
  for (size_t hops = 0; hops <= view.states(); ++hops) {
    if (const TensorPtr constant = constant_tensor(value)) return is_true(constant);
    if (!value->is_argument() || value->index() == 0) return false;
    const size_t slot = value->index() - 1;
    if (!is_true(operands[view.invariant_operand(slot)])) return false;  // states follow invariants
    if (slot < view.invariants()) return true;
    value = view.next_state(slot - view.invariants());
  }
  return true;
}

}  // namespace

void Interpreter::count_iterations(int64_t count, const std::string& found) {
  if (count > limits_.max_iterations - iterations_) throw iteration_limit_error(limits_, found);
  iterations_ += count;
}

void Interpreter::run_scan(RegionPlan& plan, const Step& step) {
  const ScanView view(*step.node);
  std::vector<RuntimeValue> operands = plan.take_operands(step);
  const ScanLayout layout(view, operands);
  if (!layout.reads_elements)
    count_iterations(layout.steps, std::to_string(layout.steps) + " steps");
  const bool ragged = view.has_lengths();
  const int64_t batch_axis = view.batch_axis(), steps = layout.steps;
  const size_t invariants = view.invariants(), states = view.states();
  const size_t first_invariant = view.invariant_operand(0);
  const size_t first_state = view.state_operand(0), first_scanned = view.scanned_operand(0);
  RegionPlan& body = *step.regions[0];

  std::vector<Stacker> stackers;
  for (const ScanSlot& slot : layout.stack_slots)
    stackers.emplace_back(slot.axis, steps, true, budget_);
  std::vector<RuntimeValue> current(
      std::make_move_iterator(operands.begin() + static_cast<std::ptrdiff_t>(first_state)),
      std::make_move_iterator(operands.begin() + static_cast<std::ptrdiff_t>(first_scanned)));
  std::vector<RuntimeValue> yields;
  for (int64_t s = 0; s < steps; ++s) {
    const auto time = [&](bool reverse) { return reverse ? steps - 1 - s : s; };
    for (size_t i = 0; i < invariants; ++i) body.set_argument(i, operands[first_invariant + i]);
    for (size_t i = 0; i < states; ++i) {
      if (ragged) {
        body.set_argument(invariants + i, current[i]);
      } else {
        body.set_argument(invariants + i, std::move(current[i]));
      }
    }
    for (size_t i = 0; i < layout.scan_slots.size(); ++i) {
      const ScanSlot slot = layout.scan_slots[i];
      body.set_argument(invariants + states + i, slice_at(*operands[first_scanned + i].tensor,
                                                          slot.axis, time(slot.reverse), budget_));
    }
    run(body);
    body.take_yields(yields);
    for (size_t i = 0; i < states; ++i) {
      if (ragged) {
        const Tensor& previous = tensor_of(current[i], "state");
        tensor_of(yields[i], "state");
        yields[i].tensor = keep_ended(std::move(yields[i].tensor), &previous, layout.lengths,
                                      time(layout.backward), batch_axis, budget_);
      }
      current[i] = std::move(yields[i]);
    }
    for (size_t i = 0; i < stackers.size(); ++i) {
      const int64_t t = time(layout.stack_slots[i].reverse);
      TensorPtr slice = std::move(yields[states + i].tensor);
      if (!slice) throw Error("a slice to stack is not a tensor");
      if (ragged)
        slice = keep_ended(std::move(slice), nullptr, layout.lengths, t, batch_axis, budget_);
      stackers[i].put(t, *slice);
    }
  }
  for (size_t i = 0; i < states; ++i) plan.set_result(step, i, std::move(current[i]));
  for (size_t i = 0; i < stackers.size(); ++i) {
    std::optional<Tensor> whole = std::move(stackers[i]).finish(steps);
    plan.set_result(step, states + i,
                    whole ? std::move(*whole)
                          : empty_stack(view.stacked_result(i)->type(), layout.stack_slots[i].axis,
                                        bindings_, budget_));
  }
}

void Interpreter::run_loop(RegionPlan& plan, const Step& step) {
  const LoopView view(*step.node);
  std::vector<RuntimeValue> operands = plan.take_operands(step);
  const int64_t trips = single_integer(tensor_of(operands[0], "trip count"), "trip count");
  bool going = single_boolean(tensor_of(operands[1], "condition"), "condition");
  const size_t invariants = view.invariants(), states = view.states();
  const size_t first_invariant = view.invariant_operand(0), first_state = view.state_operand(0);
  const bool exact = never_ends_by_itself(view, operands);
  if (going && exact && trips > limits_.max_iterations) {
    throw iteration_limit_error(limits_, "a trip count of " + std::to_string(trips));
  }
  RegionPlan& body = *step.regions[0];

  std::vector<Stacker> stackers;
  for (size_t i = 0; i < view.stacked(); ++i) {
    stackers.emplace_back(0, std::min(trips, limits_.max_iterations), exact, budget_);
  }
  std::vector<RuntimeValue> current(
      std::make_move_iterator(operands.begin() + static_cast<std::ptrdiff_t>(first_state)),
      std::make_move_iterator(operands.end()));
  std::vector<RuntimeValue> yields;
  int64_t iteration = 0;
  for (; going && iteration < trips; ++iteration) {
    count_iterations(1, "a loop that goes on");
    if (body.argument_slots[0] != kNoSlot) body.set_argument(0, Tensor::scalar(iteration));
    for (size_t i = 0; i < invariants; ++i) body.set_argument(1 + i, operands[first_invariant + i]);
    for (size_t i = 0; i < states; ++i)
      body.set_argument(1 + invariants + i, std::move(current[i]));
    run(body);
    body.take_yields(yields);
    going = single_boolean(tensor_of(yields[0], "condition"), "condition");
    for (size_t i = 0; i < states; ++i) current[i] = std::move(yields[1 + i]);
    for (size_t i = 0; i < stackers.size(); ++i) {
      stackers[i].put(iteration, tensor_of(yields[1 + states + i], "slice to stack"));
    }
  }
  for (size_t i = 0; i < states; ++i) plan.set_result(step, i, std::move(current[i]));
  for (size_t i = 0; i < stackers.size(); ++i) {
    std::optional<Tensor> whole = std::move(stackers[i]).finish(iteration);
    plan.set_result(
        step, states + i,
        whole ? std::move(*whole)
              : empty_stack(step.node->result(states + i)->type(), 0, bindings_, budget_));
  }
}

void Interpreter::run_branch(RegionPlan& plan, const Step& step) {
  std::vector<RuntimeValue> operands = plan.take_operands(step);
  const bool condition = single_boolean(tensor_of(operands[0], "condition"), "condition");
  RegionPlan& chosen = *step.regions[condition ? 0 : 1];
  for (size_t i = 1; i < operands.size(); ++i) chosen.set_argument(i - 1, std::move(operands[i]));
  run(chosen);
  std::vector<RuntimeValue> yields;
  chosen.take_yields(yields);
  for (size_t i = 0; i < yields.size(); ++i) plan.set_result(step, i, std::move(yields[i]));
}

}  // namespace refrain::reference
