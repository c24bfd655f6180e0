// Internal to executables: which steps of the top level run at once.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backends/executable/lowering.h"
#include "backends/executable/step.h"
#include "backends/executable/storage.h"
#include "backends/executable/wavefront.h"

namespace refrain::executable {

// Steps that may run at once.
struct Level {
  std::vector<Step*> tasks;   // that are worth it
  std::vector<Step*> others;  // to run one after the other
};

// Levels run one after the other.
struct Schedule {
  std::vector<Level> levels;
  std::vector<int64_t> level_of_step;                  // of each step of the top level
  bool uses_workers = false;                           // if anything runs at once
  std::vector<std::unique_ptr<Wavefront>> wavefronts;  // which stand for their loops in `levels`
};

// For more than one thread. `ordered` holds all steps, with those inside others; each waits for
// those that wrote what it reads or writes, and that read what it overwrites. Loops that follow
// each other (see LoopStep::follows) become a wavefront where that is worth it.
Schedule make_schedule(const Steps& steps, const std::vector<OrderedStep>& ordered,
                       const Storage& storage, int threads);

}  // namespace refrain::executable
