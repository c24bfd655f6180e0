// Internal to executables: oneDNN's convolutions in the place of our own.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "backends/executable/executable.h"
#include "backends/executable/step_kernel.h"
#include "backends/executable/window_chain.h"

namespace refrain::executable {

// Decides, for one graph, which convolutions run on which kernels if the choice is automatic. From
// half a million multiplications on (below, calling oneDNN costs more than it can gain) candidates
// are timed on the same numbers, up to four times each, fewer if that takes long; oneDNN's on one
// thread, ours on as many as it may use. Convolutions of the same sizes are timed once. Where two
// are about as fast, it may be one now and the other the next time, and with it the last bits of
// results.
class ConvChoice {
 public:
  // The options must outlive it.
  explicit ConvChoice(const PrepareOptions& options) : options_(options) {}

  // Whether a convolution or pooling is better with its channels last, by whatever kernel, than
  // oneDNN's as it is, though its input (`copies_in`), its result or both must be transposed for
  // that. A transposed convolution is oneDNN's unless only our own kernels may run.
  bool move_channels(const Node& window, bool copies_in, bool copies_out);

  // oneDNN's kernel for a chain's convolution, bias included, its slots those of the conv node, if
  // it is faster than a ConvStep; otherwise null.
  std::unique_ptr<StepKernel> faster_by_onednn(const WindowChain& chain);

 private:
  // In microseconds; with channels last, and as it is; infinite for what there is not.
  struct Times {
    double own = 0, onednn_last = 0, onednn_first = 0, copy_in = 0, copy_out = 0;
  };
  bool considers(const WindowChain& chain) const;
  const Times& times_of(const WindowChain& chain);

  const PrepareOptions& options_;
  std::map<std::vector<int64_t>, Times> times_;  // by what they depend on
};

}  // namespace refrain::executable
