// Internal to executables: work for the workers of the arena that a run is in. Like the thread that
// a run is called on, they flush denormals while they do it.
#pragma once

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>

#include <algorithm>
#include <cstdint>

#include "backends/executable/flush_denormals.h"

namespace refrain::executable {

// Calls f(begin, end) on consecutive parts of 0..rows-1, at most `threads` of them and none smaller
// than `grain` rows, and waits for all. With one part, on the caller and without the scheduler.
// Whoever calls it with more than one thread does so inside the task arena that bounds them: a step
// says that it does (Step::uses_workers).
template <typename F>
void for_rows(int threads, int64_t rows, int64_t grain, const F& f) {
  const int64_t parts = std::min<int64_t>(threads, rows / std::max<int64_t>(1, grain));
  if (parts <= 1) {
    if (rows > 0) f(int64_t{0}, rows);
    return;
  }
  tbb::parallel_for(int64_t{0}, parts, [&](int64_t part) {
    const FlushDenormals flush;
    f(rows * part / parts, rows * (part + 1) / parts);
  });
}

// Calls f() `count` times, on as many workers as come, perhaps all on the caller one after the
// other, and waits for all: whoever does the calls' common work first leaves nothing to the rest.
template <typename F>
void on_workers(int count, const F& f) {
  tbb::parallel_for(
      tbb::blocked_range<int>(0, count, 1),
      [&](const tbb::blocked_range<int>& calls) {
        const FlushDenormals flush;
        for (int i = calls.begin(); i < calls.end(); ++i) f();
      },
      tbb::simple_partitioner());
}

}  // namespace refrain::executable
