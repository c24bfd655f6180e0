// Internal to executables: the space of an element-wise loop, found from how tensors meet.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/highway/elementwise_loop.h"
#include "ir/graph.h"

namespace refrain::executable {

inline constexpr int kNoAxis = -1;

// Axes of a space, joined where they meet: an axis is named by any of those joined to it.
class SpaceAxes {
 public:
  // kNoAxis for an extent of 1.
  int add(int64_t extent);
  std::vector<int> add(const std::vector<int64_t>& extents);
  // The one name of an axis; kNoAxis for kNoAxis.
  int find(int axis) const;
  // Makes two axes one. False if they can't be: of different extents, or one of them none.
  bool join(int a, int b);
  int64_t extent(int axis) const { return extents_[static_cast<size_t>(find(axis))]; }
  // Whether two of these are one axis.
  bool any_twice(const std::vector<int>& axes) const;

 private:
  std::vector<int> joined_;
  std::vector<int64_t> extents_;
};

// Where the elements of a tensor, or of a part of it, lie at each time.
struct Memory {
  const Value* whole = nullptr;
  int64_t offset = 0, time_stride = 0;
  std::vector<int64_t> strides;  // of its axes
};

struct SpaceTensor {
  Memory memory;
  std::vector<int> axes;  // of the space, kNoAxis for extents of 1
};

std::vector<int64_t> dense_strides(const std::vector<int64_t>& extents);

// Which axes of a space are the rows, the lanes and the outer ones. The axis that is summed over,
// if there is one, is the rows; the lanes are those along which most of what moves with time is
// dense, with what lies around them in the same way in all tensors.
class Space {
 public:
  // Each tensor has an axis at most once. `batch` stays an outer axis of its own.
  Space(const SpaceAxes& axes, std::vector<const SpaceTensor*> tensors, int summed, int batch);

  // Fills in all but the buffer.
  highway::SpacePlace place(const SpaceTensor& tensor) const;
  void fill_in(highway::ElementwiseLoopSpec& spec) const;

 private:
  int64_t stride_of(const SpaceTensor& tensor, int axis) const;
  bool may_merge(int outer) const;
  void choose_lanes(std::vector<int>& axes);

  const SpaceAxes& axes_;
  std::vector<const SpaceTensor*> tensors_;
  int rows_, batch_, lanes_ = kNoAxis;
  std::vector<int> outer_;
  int64_t lane_count_ = 1;
};

}  // namespace refrain::executable
