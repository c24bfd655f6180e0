#include "backends/executable/loop_step.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "backends/executable/parallel.h"
#include "backends/executable/scan_step.h"

namespace refrain::executable {

LoopStep::LoopStep(const highway::LoopSpec& spec, LoopShape shape, int threads)
    : loop_(spec), shape_(shape), threads_(threads), row_cost_(1) {
  for (const highway::Stage& stage : spec.stages) {
    row_cost_ += stage.units * static_cast<int64_t>(stage.program.code.size());
    for (const highway::Product& product : stage.products) {
      row_cost_ += product.depth * stage.gates * stage.units;
    }
  }
  row_cost_ *= shape.steps;
  for (const int64_t size : spec.state_sizes) {
    state_bytes_.push_back(size * shape.rows * static_cast<int64_t>(sizeof(float)));
  }
  current_.resize(spec.state_sizes.size());
  next_.resize(spec.state_sizes.size());
}

void LoopStep::add_state(Place initial, Place final, Place scratch) {
  const size_t slot = reads(initial);
  if (first_state_ == 0) first_state_ = slot;
  writes(final);
  writes(scratch);
}

void LoopStep::add_lengths(Place lengths, ElementType type, int64_t count,
                           std::vector<int64_t> sequence_of_row) {
  lengths_.resize(static_cast<size_t>(count));
  lengths_slot_ = reads(lengths);
  lengths_type_ = type;
  sequence_of_row_ = std::move(sequence_of_row);
  row_lengths_.resize(sequence_of_row_.size());
}

void LoopStep::rebind() {
  const size_t states = current_.size();
  const size_t buffers = states > 0             ? first_state_
                         : row_lengths_.empty() ? slots().size()
                                                : lengths_slot_;
  buffers_.resize(buffers);
  for (size_t i = 0; i < buffers; ++i) buffers_[i] = floats(i);
}

void LoopStep::run() {
  if (!row_lengths_.empty()) {
    read_lengths(pointer(lengths_slot_), lengths_type_, shape_.steps, lengths_);
    for (size_t row = 0; row < row_lengths_.size(); ++row) {
      row_lengths_[row] = lengths_[static_cast<size_t>(sequence_of_row_[row])];
    }
  }
  for (size_t i = 0; i < current_.size(); ++i) {
    const size_t slot = first_state_ + 3 * i;
    current_[i] = floats(slot + 1);
    next_[i] = floats(slot + 2);
    std::memcpy(current_[i], pointer(slot), static_cast<size_t>(state_bytes_[i]));
  }
  if (shape_.steps == 0) return;
  constexpr int64_t kWorthAThread = 50'000;  // multiplications
  const int64_t grain = std::max<int64_t>(1, kWorthAThread / row_cost_);
  for_rows(threads_, shape_.rows, grain, [&](int64_t begin, int64_t end) {
    loop_.run({.buffers = buffers_.data(),
               .state_current = current_.data(),
               .state_next = next_.data(),
               .steps = shape_.steps,
               .row_begin = begin,
               .row_end = end,
               .lengths = row_lengths_.empty() ? nullptr : row_lengths_.data(),
               .backward = shape_.backward});
  });
}

std::string LoopStep::describe() const {
  std::string text = "highway loop, " + std::to_string(shape_.steps) + " steps, " +
                     std::to_string(shape_.rows) + " rows";
  if (shape_.backward) text += ", backward";
  if (!row_lengths_.empty()) text += ", lengths";
  return text + ": " + loop_.describe();
}

}  // namespace refrain::executable
