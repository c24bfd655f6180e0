// The naive baseline: an unrolled graph run one op at a time, by oneDNN where it can.
//
// It is what a careful person would write with a library: everything that can be resolved before is
// (shapes, kernels, oneDNN primitives, packed constant weights, buffers reused by lifetime), a run
// infers nothing and allocates nothing of its own. It does not fuse, hoist or reorder. f32
// products, convolutions and pooling are oneDNN's; all other ops run by the reference backend's
// kernels.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "ir/graph.h"
#include "ir/tensor.h"

namespace refrain::naive {

// True if the graph can be prepared: constant shapes, tensors only, no scan, loop or branch left.
// Otherwise `why`, if not null, says what is in the way.
bool supports(const Graph& graph, std::string* why = nullptr);

// A graph prepared for its one set of shapes. Not thread-safe. The graph must outlive it.
class Executable {
 public:
  // `threads` for oneDNN's primitives; reference kernels use one. Throws Error if the graph is not
  // supported or its buffers would take more than `max_bytes`.
  Executable(const Graph& graph, int threads, int64_t max_bytes);
  ~Executable();
  Executable(const Executable&) = delete;
  Executable& operator=(const Executable&) = delete;

  // Copies an input in. Throws Error if its type or extents are not the graph's.
  void set_input(size_t i, const Tensor& value);
  // Throws Error only where the inputs' elements are wrong (an index out of range).
  void run();
  // Valid after run(), until the next.
  const Tensor& output(size_t i) const;

 private:
  struct Plan;
  std::unique_ptr<Plan> plan_;
};

}  // namespace refrain::naive
