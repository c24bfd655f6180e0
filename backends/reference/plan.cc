#include "backends/reference/plan.h"

#include <string>
#include <unordered_map>

#include "backends/reference/sequence.h"
#include "ir/error.h"

namespace refrain::reference {
namespace {

class Planner {
 public:
  Planner(const Region& region, const Bindings& bindings, int depth)
      : bindings_(bindings), depth_(depth), plan_(new RegionPlan) {
    plan_->steps.reserve(region.size());
    slot_of_.reserve(region.size());
    for (size_t i = 0; i < region.argument_count(); ++i) {
      plan_->argument_slots.push_back(define(region.argument(i)));
    }
    const Node* yield = region.yield();
    for (const Node* node = region.first(); node != yield; node = node->next()) {
      try {
        add(*node);
      } catch (Error& error) {
        error.at_node(node->display_name(), std::string(name(node->op())));
        throw;
      }
    }
    for (size_t i = 0; i < yield->operand_count(); ++i)
      plan_->yields.push_back(use(yield->operand(i)));
    mark_last_uses();
  }

  std::unique_ptr<RegionPlan> take() { return std::move(plan_); }

 private:
  uint32_t define(const Value* value) {
    if (value->unused()) return kNoSlot;
    const auto slot = static_cast<uint32_t>(plan_->slots.size());
    plan_->slots.emplace_back();
    slot_of_.emplace(value, slot);
    return slot;
  }

  SlotUse use(const Value* value) const {
    if (!value) return {};
    const auto it = slot_of_.find(value);
    if (it == slot_of_.end()) {
      throw Error("a value is used where it is not defined",
                  "a value of the same region, defined before", "%" + value->name());
    }
    return {it->second, false};
  }

  // Leaves are computed here, once, however often the region runs.
  bool add_leaf(const Node& node) {
    RuntimeValue value;
    if (node.op() == Op::constant) {
      value.tensor = node.attribute<TensorPtr>(AttributeName::value);
      if (!value.tensor) throw Error("a constant without a tensor");
    } else if (node.op() == Op::dims) {
      for (Dim dim : node.attribute<std::vector<Dim>>(AttributeName::dims)) {
        // Symbols of an absent optional input: an error only if this node is ever reached.
        if (!bindings_.extent(dim)) return false;
      }
      value = evaluate_dims(node, bindings_);
    } else {
      return false;
    }
    const uint32_t slot = define(node.result());
    if (slot != kNoSlot) plan_->slots[slot] = std::move(value);
    return true;
  }

  void add(const Node& node) {
    if (add_leaf(node)) return;
    Step step;
    step.node = &node;
    step.kernel = find_kernel(node.op());
    if (!step.kernel && node.region_count() == 0 && node.op() != Op::dims &&
        !is_sequence_op(node.op())) {
      throw Error("the reference backend has no kernel for this op");
    }
    step.first_operand = static_cast<uint32_t>(plan_->operands.size());
    step.first_result = static_cast<uint32_t>(plan_->results.size());
    for (size_t i = 0; i < node.operand_count(); ++i)
      plan_->operands.push_back(use(node.operand(i)));
    for (size_t i = 0; i < node.result_count(); ++i)
      plan_->results.push_back(define(node.result(i)));
    for (size_t i = 0; i < node.region_count(); ++i) {
      step.regions.push_back(make_plan(node.region(i), bindings_, depth_ + 1));
    }
    plan_->steps.push_back(std::move(step));
  }

  void mark_last_uses() {
    std::vector<SlotUse*> last(plan_->slots.size());
    for (SlotUse& use : plan_->operands) {
      if (use.slot != kNoSlot) last[use.slot] = &use;
    }
    for (SlotUse& use : plan_->yields) {
      if (use.slot != kNoSlot) last[use.slot] = &use;
    }
    for (size_t i = 0; i < last.size(); ++i) {
      const bool stays = !plan_->slots[i].empty();  // a leaf's
      if (last[i] && !stays) last[i]->dies = true;
    }
  }

  const Bindings& bindings_;
  const int depth_;
  std::unique_ptr<RegionPlan> plan_;
  std::unordered_map<const Value*, uint32_t> slot_of_;
};

}  // namespace

std::vector<RuntimeValue> RegionPlan::take_operands(const Step& step) {
  std::vector<RuntimeValue> values;
  values.reserve(step.node->operand_count());
  for (const SlotUse& use : operands_of(step)) values.push_back(take(use));
  return values;
}

void RegionPlan::take_yields(std::vector<RuntimeValue>& values) {
  values.resize(yields.size());
  for (size_t i = 0; i < yields.size(); ++i) values[i] = take(yields[i]);
}

std::unique_ptr<RegionPlan> make_plan(const Region& region, const Bindings& bindings, int depth) {
  if (depth > kMaxRegionDepth) {
    throw Error("regions are nested too deeply", "at most " + std::to_string(kMaxRegionDepth));
  }
  return Planner(region, bindings, depth).take();
}

Tensor evaluate_dims(const Node& node, const Bindings& bindings) {
  std::vector<int64_t> values;
  for (Dim dim : node.attribute<std::vector<Dim>>(AttributeName::dims)) {
    const std::optional<int64_t> extent = bindings.extent(dim);
    if (!extent) throw Error("a dimension is not bound", "an input that has it", to_string(dim));
    values.push_back(*extent);
  }
  Tensor tensor = Tensor::of_ints(values);
  if (node.flag(AttributeName::keep_dims)) return tensor;
  return std::move(tensor).reshaped({});
}

}  // namespace refrain::reference
