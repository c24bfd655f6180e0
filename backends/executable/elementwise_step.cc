#include "backends/executable/elementwise_step.h"

#include <algorithm>
#include <utility>

#include "backends/executable/parallel.h"
#include "backends/executable/scan_step.h"

namespace refrain::executable {
namespace {

constexpr int64_t kWorthAThread = 200'000;  // operations on one element

}  // namespace

ElementwiseStep::ElementwiseStep(const highway::ElementwiseLoopSpec& spec, int64_t steps,
                                 bool backward, int threads)
    : loop_(spec), steps_(steps), backward_(backward), threads_(threads) {
  const int64_t tile_cost = std::max<int64_t>(1, loop_.tile_cost() * steps);
  const int64_t grain = std::max<int64_t>(1, kWorthAThread / tile_cost);
  parts_ = std::clamp<int64_t>(loop_.tiles() / grain, 1, threads);
}

void ElementwiseStep::add_scratch(Place scratch) { scratch_slot_ = writes(scratch); }

void ElementwiseStep::add_lengths(Place lengths, ElementType type, int64_t count) {
  lengths_.resize(static_cast<size_t>(count));
  lengths_slot_ = reads(lengths);
  lengths_type_ = type;
}

void ElementwiseStep::rebind() {
  buffers_.resize(scratch_slot_);
  for (size_t i = 0; i < buffers_.size(); ++i) buffers_[i] = floats(i);
}

void ElementwiseStep::run() {
  if (!lengths_.empty()) read_lengths(pointer(lengths_slot_), lengths_type_, steps_, lengths_);
  const int64_t tiles = loop_.tiles();
  const int64_t scratch = loop_.scratch_bytes() / static_cast<int64_t>(sizeof(float));
  for_rows(threads_, parts_, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      loop_.run({.buffers = buffers_.data(),
                 .steps = steps_,
                 .tile_begin = tiles * part / parts_,
                 .tile_end = tiles * (part + 1) / parts_,
                 .lengths = lengths_.empty() ? nullptr : lengths_.data(),
                 .backward = backward_,
                 .scratch = floats(scratch_slot_) + part * scratch});
    }
  });
}

std::string ElementwiseStep::describe() const {
  std::string text = "highway element-wise loop, " + std::to_string(steps_) + " steps";
  if (backward_) text += ", backward";
  if (!lengths_.empty()) text += ", lengths";
  if (parts_ > 1) text += ", tiles over " + std::to_string(parts_) + " threads";
  return text + ": " + loop_.describe();
}

}  // namespace refrain::executable
