// The least time that the hardware allows for a graph.
//
// With peak P and bandwidth W(bytes) of the cache level that holds that many bytes, for one run:
//
//   roof = F / P  +  sum over scans of  T * max(f / P, w / W(w))
//
// where f are the floating-point operations of one step's products that depend on the state, w the
// bytes of those products' weights, which have to be read once a step, and F the operations of all
// other products: they can run at once over all T. Products are matmul, einsum and convolutions,
// two operations a multiply-add; everything else counts as free. k threads have k times P and W.
#pragma once

#include <optional>

#include "backends/machine/machine.h"
#include "ir/graph.h"

namespace refrain::machine {

// Microseconds. The shapes of all products must be constants, and so the trips of all scans and
// loops (a loop counts as a scan; of a branch the costlier side counts); otherwise there is no
// answer.
std::optional<double> roofline_us(const Graph& graph, const Profile& profile, int threads);

}  // namespace refrain::machine
