// Cutting tensors into slices, one a step, and putting slices together again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ir/tensor.h"

namespace refrain::reference {

// The slice at index t of an axis (negative from the end), without that axis.
Tensor slice_at(const Tensor& whole, int64_t axis, int64_t t,
                const std::shared_ptr<MemoryBudget>& budget);

// Makes a tensor of equal slices, each at its index of a new axis.
class Stacker {
 public:
  // `axis`: of the whole, negative from the end. With a known number of slices its memory is taken
  // once; with `exact` false, when `count` is only a bound (and axis is 0), it grows as slices
  // come.
  Stacker(int64_t axis, int64_t count, bool exact, std::shared_ptr<MemoryBudget> budget)
      : axis_(axis), count_(count), exact_(exact), budget_(std::move(budget)) {}

  // Puts the slice at index t in 0..count-1. Throws Error if its type or extents are not the first
  // one's.
  void put(int64_t t, const Tensor& slice);

  // The whole, of `count` slices (all of them unless it grew); none if there never was a slice.
  std::optional<Tensor> finish(int64_t count) &&;

 private:
  void resize(int64_t count);

  int64_t axis_;
  const int64_t count_;
  const bool exact_;
  std::shared_ptr<MemoryBudget> budget_;
  std::vector<int64_t> slice_extents_;
  std::optional<Tensor> whole_;
  int64_t outer_ = 0, slice_bytes_ = 0;  // of the whole's outer axes; bytes of a slice inside each
};

// `next` where sequence b still runs at time t, t < lengths[b], and where it has ended `previous`,
// or zero if that is null; b counts along batch_axis. Returns `next` itself where all run. Throws
// Error if the batch axis is not lengths.size() long or the two differ in extents.
TensorPtr keep_ended(TensorPtr next, const Tensor* previous, std::span<const int64_t> lengths,
                     int64_t t, int64_t batch_axis, const std::shared_ptr<MemoryBudget>& budget);

}  // namespace refrain::reference
