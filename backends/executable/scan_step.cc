#include "backends/executable/scan_step.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ir/error.h"

namespace refrain::executable {
namespace {

void copy(char* to, const char* from, int64_t bytes) {
  if (bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
}

}  // namespace

void read_lengths(const char* data, ElementType type, int64_t steps,
                  std::vector<int64_t>& lengths) {
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (type == ElementType::i32) {
      int32_t length = 0;
      std::memcpy(&length, data + i * sizeof length, sizeof length);
      lengths[i] = length;
    } else {
      std::memcpy(&lengths[i], data + i * sizeof lengths[i], sizeof lengths[i]);
    }
    if (lengths[i] < 0 || lengths[i] > steps) {
      throw Error("sequence length out of range", "0 to " + std::to_string(steps),
                  std::to_string(lengths[i]));
    }
  }
}

void ScanStep::add_slice(Place whole, Place slice, Cut cut) {
  const size_t from = reads(whole);
  slices_.push_back({from, writes(slice), cut});
}

void ScanStep::add_state(Place initial, Place value, Place next, Place staging, int64_t bytes,
                         Batches batches) {
  State state{};
  state.initial = reads(initial);
  state.value = writes(value);
  state.next = reads(next);
  state.staging = writes(staging);
  state.staged = !staging.absent();
  state.bytes = bytes;
  state.batches = batches;
  states_.push_back(state);
}

void ScanStep::add_stack(Place slice, Place whole, Cut cut, Batches batches) {
  const size_t from = reads(slice);
  stacks_.push_back({from, writes(whole), cut, batches});
}

void ScanStep::add_lengths(Place lengths, ElementType type, int64_t count, bool backward) {
  lengths_slot_ = reads(lengths);
  lengths_type_ = type;
  lengths_.resize(static_cast<size_t>(count));
  backward_ = backward;
}

void ScanStep::keep_or_take(const State& state, const char* next, int64_t t) {
  char* const value = pointer(state.value);
  if (lengths_.empty()) return copy(value, next, state.bytes);
  const Batches& b = state.batches;
  int64_t offset = 0;
  for (int64_t outer = 0; outer < b.outer; ++outer) {
    for (const int64_t length : lengths_) {
      if (t < length) copy(value + offset, next + offset, b.inner);
      offset += b.inner;
    }
  }
}

void ScanStep::run_step(int64_t step) {
  const auto time = [&](bool reverse) { return reverse ? steps_ - 1 - step : step; };
  for (const Slice& slice : slices_) {
    const int64_t t = time(slice.cut.reverse), inner = slice.cut.inner;
    for (int64_t outer = 0; outer < slice.cut.outer; ++outer) {
      copy(pointer(slice.slice) + outer * inner,
           pointer(slice.whole) + (outer * steps_ + t) * inner, inner);
    }
  }
  for (const std::unique_ptr<Step>& inner : body_) inner->run();
  // What is stacked may be a state's value of before: it goes first.
  for (const Stack& stack : stacks_) {
    const int64_t t = time(stack.cut.reverse), inner = stack.cut.inner;
    for (int64_t outer = 0; outer < stack.cut.outer; ++outer) {
      copy(pointer(stack.whole) + (outer * steps_ + t) * inner,
           pointer(stack.slice) + outer * inner, inner);
    }
    // Ended sequences' parts of the slice, which need not be one piece of the whole.
    if (lengths_.empty()) continue;
    int64_t offset = 0;  // in the slice
    for (int64_t outer = 0; outer < stack.batches.outer; ++outer) {
      for (const int64_t length : lengths_) {
        const int64_t end = offset + stack.batches.inner;
        if (t >= length) {
          for (int64_t at = offset; at < end;) {
            const int64_t block = at / inner, within = at % inner;
            const int64_t bytes = std::min(inner - within, end - at);
            std::memset(pointer(stack.whole) + (block * steps_ + t) * inner + within, 0,
                        static_cast<size_t>(bytes));
            at += bytes;
          }
        }
        offset = end;
      }
    }
  }
  const int64_t t = time(backward_);
  for (const State& state : states_) {
    if (state.staged) copy(pointer(state.staging), pointer(state.next), state.bytes);
  }
  for (const State& state : states_) {
    keep_or_take(state, pointer(state.staged ? state.staging : state.next), t);
  }
}

void ScanStep::run() {
  if (!lengths_.empty()) {
    executable::read_lengths(pointer(lengths_slot_), lengths_type_, steps_, lengths_);
  }
  for (const State& state : states_) {
    copy(pointer(state.value), pointer(state.initial), state.bytes);
  }
  for (int64_t step = 0; step < steps_; ++step) run_step(step);
}

std::string ScanStep::describe() const {
  std::string text =
      "scan, " + std::to_string(steps_) + " steps of " + std::to_string(body_.size()) + " each";
  if (!lengths_.empty()) text += ", lengths";
  return text;
}

}  // namespace refrain::executable
