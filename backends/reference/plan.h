// A region made ready to run many times: kernels resolved, values numbered, lifetimes known.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backends/reference/bindings.h"
#include "backends/reference/kernel.h"
#include "ir/graph.h"
#include "ir/runtime_value.h"

namespace refrain::reference {

inline constexpr uint32_t kNoSlot = UINT32_MAX;

// Where an operand is found.
struct SlotUse {
  uint32_t slot = kNoSlot;  // kNoSlot: absent
  bool dies = false;        // this is the value's last use
};

struct RegionPlan;

struct Step {
  const Node* node = nullptr;
  Kernel kernel = nullptr;     // null: the interpreter runs the op itself
  uint32_t first_operand = 0;  // of RegionPlan::operands
  uint32_t first_result = 0;   // of RegionPlan::results
  std::vector<std::unique_ptr<RegionPlan>> regions;
};

// The plan of one region together with the values of its one execution at a time (no region can be
// entered while it runs). Constants, and dims of bound symbols, lie in their slots from the start
// and stay; every other slot is empty between executions. Not thread-safe.
struct RegionPlan {
  std::vector<Step> steps;
  std::vector<SlotUse> operands;         // of all steps
  std::vector<uint32_t> results;         // slots of all steps' results; kNoSlot: nobody uses it
  std::vector<uint32_t> argument_slots;  // kNoSlot: nobody uses it
  std::vector<SlotUse> yields;
  std::vector<RuntimeValue> slots;

  std::span<const SlotUse> operands_of(const Step& step) const {
    return {operands.data() + step.first_operand, step.node->operand_count()};
  }
  void set_argument(size_t i, RuntimeValue value) {
    if (argument_slots[i] != kNoSlot) slots[argument_slots[i]] = std::move(value);
  }
  void set_result(const Step& step, size_t i, RuntimeValue value) {
    const uint32_t slot = results[step.first_result + i];
    if (slot != kNoSlot) slots[slot] = std::move(value);
  }
  // The value, which leaves its slot if this is its last use.
  RuntimeValue take(SlotUse use) {
    if (use.slot == kNoSlot) return {};
    return use.dies ? std::move(slots[use.slot]) : slots[use.slot];
  }
  // Operands of a step, in order; call it once a step.
  std::vector<RuntimeValue> take_operands(const Step& step);
  // What the region yields, in order; call it once an execution.
  void take_yields(std::vector<RuntimeValue>& values);
};

// The plan of a region and of the regions inside it. The region must outlive it. Throws Error for
// an op without a kernel and for regions nested deeper than kMaxRegionDepth.
std::unique_ptr<RegionPlan> make_plan(const Region& region, const Bindings& bindings,
                                      int depth = 1);

// The tensor of a `dims` node; throws Error if a symbol is not bound.
Tensor evaluate_dims(const Node& node, const Bindings& bindings);

}  // namespace refrain::reference
