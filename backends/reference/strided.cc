#include "backends/reference/strided.h"

#include <algorithm>
#include <cstring>

namespace refrain::reference {
namespace {

bool empty(std::span<const int64_t> extents) {
  return std::find(extents.begin(), extents.end(), 0) != extents.end();
}

struct CopyAxis {
  int64_t extent, from, to;
};

}  // namespace

std::vector<int64_t> strides_of(std::span<const int64_t> extents) {
  std::vector<int64_t> strides(extents.size(), 0);
  if (empty(extents)) return strides;
  int64_t stride = 1;
  for (size_t i = extents.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= extents[i];
  }
  return strides;
}

std::vector<int64_t> broadcast_strides(std::span<const int64_t> extents, size_t rank,
                                       int64_t unit) {
  const std::vector<int64_t> own = strides_of(extents);
  std::vector<int64_t> strides(rank, 0);
  for (size_t i = 0; i < extents.size(); ++i) {
    if (extents[i] != 1) strides[rank - extents.size() + i] = own[i] * unit;
  }
  return strides;
}

Slabs slabs_about(std::span<const int64_t> extents, size_t axis) {
  Slabs slabs{0, extents[axis], 0};
  if (empty(extents)) return slabs;
  slabs.outer = element_count(extents.first(axis));
  slabs.inner = element_count(extents.subspan(axis + 1));
  return slabs;
}

IndexRange indices_inside(__int128 begin, int64_t step, int64_t count, int64_t extent) {
  const auto clamp = [&](__int128 i) {
    return static_cast<int64_t>(std::clamp<__int128>(i, 0, count));
  };
  const int64_t first = begin >= 0 ? 0 : clamp((-begin + step - 1) / step);
  const int64_t last = begin >= extent ? 0 : clamp((extent - begin + step - 1) / step);
  return {first, std::max(first, last)};
}

Walk::Walk(std::span<const int64_t> extents, std::vector<std::vector<int64_t>> strides)
    : extents_(extents),
      strides_(std::move(strides)),
      index_(extents.size(), 0),
      offsets_(strides_.size(), 0),
      done_(empty(extents)) {}

void Walk::next() {
  for (size_t axis = extents_.size(); axis-- > 0;) {
    for (size_t k = 0; k < strides_.size(); ++k) offsets_[k] += strides_[k][axis];
    if (++index_[axis] < extents_[axis]) return;
    for (size_t k = 0; k < strides_.size(); ++k) offsets_[k] -= strides_[k][axis] * extents_[axis];
    index_[axis] = 0;
  }
  done_ = true;
}

void Walk::restart() {
  done_ = empty(extents_);
}  // the last next() has brought all offsets back to 0

void copy_all(const Tensor& from, Tensor& to) {
  std::memcpy(to.raw(), from.raw(), static_cast<size_t>(to.bytes()));
}

void fill_all(Tensor& to, const std::byte* value) {
  visit_width(size_of(to.type()), [&]<size_t N>(std::integral_constant<size_t, N>) {
    std::byte* p = at(to, 0);
    for (int64_t i = 0; i < to.size(); ++i) std::memcpy(p + i * static_cast<int64_t>(N), value, N);
  });
}

void copy_box(std::span<const int64_t> extents, const Tensor& from, const Side& from_side,
              Tensor& to, const Side& to_side) {
  if (empty(extents)) return;
  // Axes that continue each other on both sides become one, so that contiguous runs are long.
  std::vector<CopyAxis> axes;
  for (size_t i = 0; i < extents.size(); ++i) {
    if (extents[i] == 1) continue;
    const CopyAxis axis{extents[i], from_side.strides[i], to_side.strides[i]};
    if (!axes.empty() && axes.back().from == axis.from * axis.extent &&
        axes.back().to == axis.to * axis.extent) {
      axes.back() = {axes.back().extent * axis.extent, axis.from, axis.to};
    } else {
      axes.push_back(axis);
    }
  }
  CopyAxis inner{1, 1, 1};
  if (!axes.empty()) {
    inner = axes.back();
    axes.pop_back();
  }
  std::vector<int64_t> outer_extents, outer_from, outer_to;
  for (const CopyAxis& axis : axes) {
    outer_extents.push_back(axis.extent);
    outer_from.push_back(axis.from);
    outer_to.push_back(axis.to);
  }
  visit_width(size_of(to.type()), [&]<size_t N>(std::integral_constant<size_t, N>) {
    constexpr auto kWidth = static_cast<int64_t>(N);
    const int64_t from_step = inner.from * kWidth, to_step = inner.to * kWidth;
    for (Walk walk(outer_extents, {outer_from, outer_to}); !walk.done(); walk.next()) {
      const std::byte* source = at(from, from_side.offset + walk.offset(0));
      std::byte* target = at(to, to_side.offset + walk.offset(1));
      if (inner.from == 1 && inner.to == 1) {
        std::memcpy(target, source, static_cast<size_t>(inner.extent * kWidth));
        continue;
      }
      for (int64_t i = 0; i < inner.extent; ++i) {
        std::memcpy(target + i * to_step, source + i * from_step, N);
      }
    }
  });
}

}  // namespace refrain::reference
