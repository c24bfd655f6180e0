// Internal to executables: oneDNN's convolutions in the place of our own.
#pragma once

#include <memory>

#include "backends/executable/lowering.h"
#include "backends/executable/step_kernel.h"
#include "backends/executable/window_chain.h"

namespace refrain::executable {

// oneDNN's kernel for a chain's convolution, bias included, its slots those of the chain's conv
// node, if the choice of kernels is automatic and it is faster than a ConvStep; otherwise null.
// From 4 million multiplications on (below, calling it costs more than it can gain) both are timed
// on the same numbers, up to four times each, fewer if that takes long; oneDNN's on one thread,
// ours on as many as it may use. Convolutions of the same sizes are timed once. Where the two are
// about as fast, it may be one now and the other the next time, and with it the last bits of
// results.
std::unique_ptr<StepKernel> faster_by_onednn(Lowering& lowering, const WindowChain& chain);

}  // namespace refrain::executable
