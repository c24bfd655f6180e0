// The SIMD targets that this machine has, one after the other. Dispatch is the process's own: one
// thread at a time.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "backends/highway/targets.h"
#include "hwy/targets.h"

namespace refrain::testing {

inline std::vector<int64_t> targets() { return hwy::SupportedAndGeneratedTargets(); }

// Dispatch goes to this target from now on; 0: to the best again.
inline void choose_target(int64_t target) {
  hwy::SetSupportedTargetsForTest(target);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

// Calls f() for each target; dispatch goes to that target meanwhile.
template <typename F>
void for_each_target(const F& f) {
  for (const int64_t target : targets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    choose_target(target);
    f();
    choose_target(0);
  }
}

}  // namespace refrain::testing
