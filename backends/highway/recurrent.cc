#include "backends/highway/recurrent.h"

#include "backends/highway/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/highway/recurrent.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
// clang-format off
#include "hwy/highway.h"
#include "backends/highway/small-inl.h"
// clang-format on

#include "backends/highway/pack.h"

#ifndef REFRAIN_BACKENDS_HIGHWAY_RECURRENT_CC_
#define REFRAIN_BACKENDS_HIGHWAY_RECURRENT_CC_
namespace refrain::highway {

// What one target offers.
struct LoopKernel {
  const char* target;
  TargetShape shape;
  LoopFunction (*choose)(const LoopPlan&);
  SharedLoopFunction run_shared;
};

}  // namespace refrain::highway
#endif

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {

LoopKernel kernel() {
  return {hwy::TargetName(HWY_TARGET), {kLanes, kAccumulators}, ChooseLoop, RunLoopShared};
}

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace refrain::highway {
HWY_EXPORT(kernel);

struct RecurrentLoop::Packed {
  LoopKernel kernel;
  LoopPlan plan;
  LoopFunction run;
};

LoopTarget loop_target() {
  const LoopKernel chosen = HWY_DYNAMIC_DISPATCH(kernel)();
  return {chosen.target, chosen.shape.lanes};
}

RecurrentLoop::RecurrentLoop(const LoopSpec& spec, WeightStore* store) {
  const LoopKernel chosen = HWY_DYNAMIC_DISPATCH(kernel)();
  packed_ = std::make_unique<Packed>(Packed{chosen, plan_loop(spec, chosen.shape, store), nullptr});
  packed_->run = chosen.choose(packed_->plan);
}

RecurrentLoop::~RecurrentLoop() = default;

void RecurrentLoop::run(const Run& run) const { packed_->run(packed_->plan, run); }

void RecurrentLoop::run_shared(const Run& run, BlockShare& share) const {
  packed_->kernel.run_shared(packed_->plan, run, share);
}

std::vector<int64_t> RecurrentLoop::blocks() const {
  std::vector<int64_t> counts;
  for (const StagePlan& stage : packed_->plan.stages) counts.push_back(BlockCount(stage));
  return counts;
}

int64_t RecurrentLoop::packed_bytes() const {
  int64_t floats = 0;
  for (const StagePlan& stage : packed_->plan.stages) floats += stage.weight_floats;
  return floats * static_cast<int64_t>(sizeof(float));
}

std::string RecurrentLoop::describe() const {
  std::string text = packed_->kernel.target;
  for (const StagePlan& stage : packed_->plan.stages) {
    text += "; " + std::to_string(stage.units) + " units x " + std::to_string(stage.gates) +
            " gates, blocks of " + std::to_string(stage.block.vectors) + " x " +
            std::to_string(packed_->kernel.shape.lanes) + ", " + std::to_string(stage.splits) +
            " partial sums, ";
    text += stage.known
                ? kKnownPrograms[*stage.known].name
                : "program of " + std::to_string(stage.program.code.size()) + " instructions";
  }
  return text + "; " + std::to_string(packed_bytes()) + " bytes packed";
}

}  // namespace refrain::highway
#endif
