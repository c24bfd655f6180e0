// Executables: a graph of constant shapes as a flat list of prepared steps.
//
// Everything is resolved when it is made: kernels chosen, weights packed, every value given its
// place in one arena by its lifetime. A run looks nothing up, and with KernelChoice::highway on one
// thread it allocates nothing, takes no lock and makes no system call. (The other choices run
// oneDNN, which takes a few small pieces from the heap for each of its primitives; with more
// threads there are those of the scheduler. And there are some rare ops that only reference kernels
// do, which allocate: tests/realtime_test.cc has the list.)
//
// While a run lasts, every thread that works on it takes denormal numbers for zeros and makes zeros
// of results that would be denormal (x86-64, 64-bit Arm), so that no value makes it slow.
// Afterwards the calling thread does as it did before.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backends/weights/weight_store.h"
#include "ir/graph.h"
#include "ir/runtime_value.h"
#include "ir/tensor.h"

namespace refrain {

enum class KernelChoice {
  // The candidate that is expected to be fastest. On one thread, recurrent layers that oneDNN has a
  // primitive for are timed both ways (see recurrent_step.h), so that the last bits of results may
  // change from one preparation to another; the other choices always give the same.
  automatic,
  highway,  // our own kernels wherever there is one
  onednn,   // oneDNN's wherever there is one, its recurrent primitives included
};

struct PrepareOptions {
  KernelChoice kernels = KernelChoice::automatic;
  // At most so many work on a run. What is ours gives the same bits for any number of them.
  int threads = 1;
  int64_t max_bytes = int64_t{4} << 30;  // arena, packed weights and outputs
  // Most steps of scans that read no elements, so that no memory bounds them.
  int64_t max_iterations = 200'000;
  // Loops whose bodies the kernels for whole loops can do run on these; otherwise step by step, to
  // measure what the kernels bring.
  bool loop_kernels = true;
  // Packed weights that other graphs prepared with it have already; needed while preparing only.
  // Null: this graph has its own.
  WeightStore* weights = nullptr;
};

class PreparedGraph {
 public:
  // True if the graph can be prepared: every value, those in the bodies of scans included, is a
  // tensor of constant shape, and no loop or branch is left (where its callers let them, they cut
  // the graph there). Otherwise `why`, if not null, says what is in the way.
  static bool supports(const Graph& graph, std::string* why = nullptr,
                       int64_t max_iterations = PrepareOptions().max_iterations);
  // The same for one node of the top level.
  static bool supports(const Node& node, std::string* why = nullptr,
                       int64_t max_iterations = PrepareOptions().max_iterations);

  // The graph is copied as far as it is needed. Throws Error if it is not supported or memory would
  // pass the limit.
  PreparedGraph(const Graph& graph, const PrepareOptions& options);
  ~PreparedGraph();
  PreparedGraph(const PreparedGraph&) = delete;
  PreparedGraph& operator=(const PreparedGraph&) = delete;

  // Tells all runs from now on where inputs and outputs are: one tensor a graph input or output, of
  // exactly the graph's types, otherwise throws Error. Only their elements must stay where they
  // are; these may change between runs. No output may overlap an input or another output, except
  // that a loop's final state may be the very place of its initial one.
  void bind(std::span<const Tensor* const> inputs, std::span<Tensor> outputs);
  // What a caller with fixed buffers does for each step of a stream, as nothing is checked again.
  // Not thread-safe: one run at a time. Throws Error if nothing is bound, otherwise only for wrong
  // element values (an index out of range).
  void run();
  // Both.
  void run(std::span<const Tensor* const> inputs, std::span<Tensor> outputs) {
    bind(inputs, outputs);
    run();
  }
  std::vector<Tensor> make_outputs() const;

  // Whether runs allocate nothing, take no lock and make no system call: one thread, and our own
  // kernels only. Otherwise `why`, if not null, names the first step that may.
  bool real_time(std::string* why = nullptr) const;

  // One line a step: kernel, shapes, arena offsets; and the totals.
  std::string describe() const;
  int64_t arena_bytes() const;

 private:
  struct Plan;
  std::unique_ptr<Plan> plan_;
};

}  // namespace refrain
