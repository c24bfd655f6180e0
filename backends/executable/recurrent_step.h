// Internal to executables: oneDNN's recurrent primitives in the place of the loop kernel.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "backends/executable/executable.h"
#include "backends/executable/loop_step.h"
#include "backends/executable/lowering.h"
#include "backends/executable/recurrent_cell.h"
#include "backends/executable/step.h"
#include "backends/onednn/kernels.h"

namespace refrain::executable {

// A layer by oneDNN's primitive, on one thread. Slots: x, h0, c0, y, h, c (c0, c absent if there is
// none).
class RecurrentStep final : public Step {
 public:
  RecurrentStep(const onednn::RecurrentShape& shape,
                std::unique_ptr<onednn::RecurrentPrimitive> primitive, std::string note)
      : shape_(shape), primitive_(std::move(primitive)), note_(std::move(note)) {}

  void run() override;
  bool real_time() const override { return false; }
  std::string describe() const override;
  int64_t own_bytes() const override;

 private:
  onednn::RecurrentShape shape_;
  std::unique_ptr<onednn::RecurrentPrimitive> primitive_;
  std::string note_;
};

// True if oneDNN's primitive may run the cell with these options: always if KernelChoice::onednn
// says so and memory allows, never if KernelChoice::highway does. The primitive runs all rows on
// one thread, whatever `threads` says, because its results depend on how they are split. So the
// automatic choice considers it for one thread only; and for at least 8 rows and 64 units, below
// which it gains nothing over our loop.
bool may_use_onednn(const PrepareOptions& options, const onednn::RecurrentShape& shape);

// The step that runs the layer, for which may_use_onednn(): oneDNN's primitive, or null if `loop`,
// which has all its slots, is to do so. Forced, the primitive is taken unless oneDNN refuses it.
// Otherwise both are timed on random numbers, on as many steps as are about 64 million
// multiplications (at least two): three times each after a first run, or twice if that takes more
// than 5 ms. The primitive is taken if it is more than 3 % faster. Layers of the same sizes are
// timed once. What was found is in the description of the step that is taken; where the two are
// about as fast, it may be one now and the other the next time, and with it the last bits of
// results.
std::unique_ptr<Step> choose_recurrent(Lowering& lowering, const RecurrentCell& cell,
                                       const Node& scan, LoopStep& loop);

}  // namespace refrain::executable
