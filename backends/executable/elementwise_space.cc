#include "backends/executable/elementwise_space.h"

#include <algorithm>
#include <set>
#include <utility>

namespace refrain::executable {

int SpaceAxes::add(int64_t extent) {
  if (extent == 1) return kNoAxis;
  joined_.push_back(static_cast<int>(joined_.size()));
  extents_.push_back(extent);
  return joined_.back();
}

std::vector<int> SpaceAxes::add(const std::vector<int64_t>& extents) {
  std::vector<int> axes;
  for (const int64_t extent : extents) axes.push_back(add(extent));
  return axes;
}

int SpaceAxes::find(int axis) const {
  while (axis != kNoAxis && joined_[static_cast<size_t>(axis)] != axis) {
    axis = joined_[static_cast<size_t>(axis)];
  }
  return axis;
}

bool SpaceAxes::join(int a, int b) {
  a = find(a), b = find(b);
  if (a == b) return true;
  if (a == kNoAxis || b == kNoAxis || extent(a) != extent(b)) return false;
  joined_[static_cast<size_t>(std::max(a, b))] = std::min(a, b);
  return true;
}

bool SpaceAxes::any_twice(const std::vector<int>& axes) const {
  std::set<int> seen;
  for (const int axis : axes) {
    if (axis != kNoAxis && !seen.insert(find(axis)).second) return true;
  }
  return false;
}

std::vector<int64_t> dense_strides(const std::vector<int64_t>& extents) {
  std::vector<int64_t> strides(extents.size());
  int64_t stride = 1;
  for (size_t i = extents.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= extents[i];
  }
  return strides;
}

Space::Space(const SpaceAxes& axes, std::vector<const SpaceTensor*> tensors, int summed, int batch)
    : axes_(axes),
      tensors_(std::move(tensors)),
      rows_(axes.find(summed)),
      batch_(axes.find(batch)) {
  std::set<int> all;
  for (const SpaceTensor* tensor : tensors_) {
    for (const int axis : tensor->axes) all.insert(axes_.find(axis));
  }
  all.erase(kNoAxis);
  all.erase(rows_);
  outer_.assign(all.begin(), all.end());
  choose_lanes(outer_);
  if (rows_ != kNoAxis) return;
  for (const int axis : outer_) {
    if (axis == batch_) continue;
    if (rows_ == kNoAxis || axes_.extent(axis) > axes_.extent(rows_)) rows_ = axis;
  }
  std::erase(outer_, rows_);
}

void Space::choose_lanes(std::vector<int>& axes) {
  int64_t best = 0;
  for (const int axis : axes) {
    if (axis == batch_) continue;
    // How many elements move by one along it, less those that move otherwise.
    int64_t gain = 0;
    for (const SpaceTensor* tensor : tensors_) {
      const int64_t stride = stride_of(*tensor, axis);
      if (tensor->memory.time_stride == 0 || stride == 0) continue;
      int64_t size = 1;
      for (const int i : tensor->axes) size *= i == kNoAxis ? 1 : axes_.extent(i);
      gain += stride == 1 ? size : -size;
    }
    if (lanes_ == kNoAxis || gain > best ||
        (gain == best && axes_.extent(axis) > axes_.extent(lanes_))) {
      lanes_ = axis;
      best = gain;
    }
  }
  if (lanes_ == kNoAxis) return;
  lane_count_ = axes_.extent(lanes_);
  std::erase(axes, lanes_);
  for (size_t i = axes.size(); i-- > 0;) {
    if (axes[i] == batch_ || !may_merge(axes[i])) continue;
    lane_count_ *= axes_.extent(axes[i]);
    axes.erase(axes.begin() + static_cast<std::ptrdiff_t>(i));
    i = axes.size();
  }
}

int64_t Space::stride_of(const SpaceTensor& tensor, int axis) const {
  for (size_t i = 0; i < tensor.axes.size() && axis != kNoAxis; ++i) {
    if (axes_.find(tensor.axes[i]) == axis) return tensor.memory.strides[i];
  }
  return 0;
}

// Whether every tensor moves along an axis as along all of the lanes so far.
bool Space::may_merge(int outer) const {
  return std::all_of(tensors_.begin(), tensors_.end(), [&](const SpaceTensor* tensor) {
    return stride_of(*tensor, outer) == lane_count_ * stride_of(*tensor, lanes_);
  });
}

highway::SpacePlace Space::place(const SpaceTensor& tensor) const {
  highway::SpacePlace place;
  place.offset = tensor.memory.offset;
  place.time_stride = tensor.memory.time_stride;
  for (const int axis : outer_) place.outer_strides.push_back(stride_of(tensor, axis));
  place.row_stride = stride_of(tensor, rows_);
  place.lane_stride = stride_of(tensor, lanes_);
  return place;
}

void Space::fill_in(highway::ElementwiseLoopSpec& spec) const {
  if (rows_ != kNoAxis) spec.rows = axes_.extent(rows_);
  spec.lanes = lane_count_;
  for (const int axis : outer_) {
    if (axis == batch_) spec.lengths_axis = static_cast<int>(spec.outer.size());
    spec.outer.push_back(axes_.extent(axis));
  }
}

}  // namespace refrain::executable
