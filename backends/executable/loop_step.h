// Internal to executables: the loop kernel as a step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backends/executable/step.h"
#include "backends/highway/recurrent.h"
#include "ir/element_type.h"

namespace refrain::executable {

struct LoopShape {
  int64_t steps = 1;
  int64_t rows = 1;
  bool backward = false;  // see RecurrentLoop::Run
};

// Slots, in this order: the loop's buffers; for each state where it starts (read), where it ends
// and scratch of its size; the lengths, if there are any.
class LoopStep final : public Step {
 public:
  LoopStep(const highway::LoopSpec& spec, LoopShape shape, int threads);

  // Slots so far are the loop's buffers; each state adds three more.
  void add_state(Place initial, Place final, Place scratch);
  // The lengths of `count` sequences; row b belongs to sequence sequence_of_row[b].
  void add_lengths(Place lengths, ElementType type, int64_t count,
                   std::vector<int64_t> sequence_of_row);

  void run() override;
  void rebind() override;
  std::string describe() const override;
  int64_t packed_bytes() const { return loop_.packed_bytes(); }

 private:
  highway::RecurrentLoop loop_;
  LoopShape shape_;
  int threads_;
  int64_t row_cost_;  // multiplications a row
  std::vector<int64_t> state_bytes_;
  std::vector<float*> buffers_, current_, next_;
  size_t first_state_ = 0, lengths_slot_ = 0;
  ElementType lengths_type_ = ElementType::i64;
  std::vector<int64_t> sequence_of_row_, lengths_, row_lengths_;
};

}  // namespace refrain::executable
