// Runs plans: the executor's inside.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/reference/bindings.h"
#include "backends/reference/executor.h"
#include "backends/reference/plan.h"

namespace refrain::reference {

// One run of one graph. Everything it is given must outlive it. Not thread-safe.
class Interpreter {
 public:
  // `iterations`: that count against the limit already.
  Interpreter(const Limits& limits, const Bindings& bindings, int64_t iterations)
      : limits_(limits),
        bindings_(bindings),
        budget_(std::make_shared<MemoryBudget>(limits.max_bytes)),
        iterations_(iterations) {}

  int64_t iterations() const { return iterations_; }

  // Runs a region whose arguments have been set; what it yields is then to be taken. Throws Error
  // with the node's name.
  void run(RegionPlan& plan);

 private:
  void run_step(RegionPlan& plan, const Step& step);
  void run_kernel(RegionPlan& plan, const Step& step);
  // control.cc
  void run_scan(RegionPlan& plan, const Step& step);
  void run_loop(RegionPlan& plan, const Step& step);
  void run_branch(RegionPlan& plan, const Step& step);
  // Counts iterations that no operand's size bounds; throws Error past the limit.
  void count_iterations(int64_t count, const std::string& found);

  const Limits& limits_;
  const Bindings& bindings_;
  std::shared_ptr<MemoryBudget> budget_;
  int64_t iterations_;                   // counted so far, nested ones too
  std::vector<const Tensor*> operands_;  // of the kernel that runs; kept to save allocations
};

}  // namespace refrain::reference
