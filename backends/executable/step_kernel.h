// One step of an executable: a kernel prepared for fixed shapes.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "ir/graph.h"

namespace refrain {

// What a step runs. Prepared once; run many times, without lookup. Not thread-safe unless it says
// so.
class StepKernel {
 public:
  virtual ~StepKernel() = default;
  // Pointers to the elements of the node's operands (null: absent) and results, dense row-major
  // with the shapes that the kernel was prepared for. Results overlap no operand.
  virtual void run(const void* const* operands, void* const* results) = 0;
  // Whether runs allocate nothing, take no lock and make no system call.
  virtual bool real_time() const { return false; }
  // For people: backend, algorithm, sizes.
  virtual std::string describe() const = 0;
};

}  // namespace refrain
