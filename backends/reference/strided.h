// Internal to the reference kernels: walking and copying tensors by strides.
//
// Strides and offsets count elements. They never overflow: strides of an empty tensor are all zero,
// and every other tensor is in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ir/tensor.h"

namespace refrain::reference {

// `axis` counted from the end if negative; shape inference has checked that it is in range.
inline size_t axis_index(int64_t axis, size_t rank) {
  return static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank) : axis);
}

// Row-major strides.
std::vector<int64_t> strides_of(std::span<const int64_t> extents);

// Strides with which a tensor is read at the indices of a result of rank `rank`, by numpy's
// broadcasting: aligned at the right, 0 along axes that it lacks or where its extent is 1. One
// element of the tensor counts as `unit`.
std::vector<int64_t> broadcast_strides(std::span<const int64_t> extents, size_t rank,
                                       int64_t unit = 1);

// A tensor seen as [outer, extent, inner] about one axis; outer and inner are 0 if it is empty.
struct Slabs {
  int64_t outer = 0, extent = 0, inner = 0;
};
Slabs slabs_about(std::span<const int64_t> extents, size_t axis);

// The i in [first, last) of [0, count) for which 0 <= begin + i * step < extent; step >= 1.
struct IndexRange {
  int64_t first = 0, last = 0;
  int64_t count() const { return last - first; }
};
IndexRange indices_inside(__int128 begin, int64_t step, int64_t count, int64_t extent);

// Visits every index of a box in row-major order and keeps one offset for each list of strides:
//   for (Walk walk(extents, {strides}); !walk.done(); walk.next()) use(walk.offset(0));
class Walk {
 public:
  // `extents` must outlive the walk; each of `strides` has one stride an axis.
  Walk(std::span<const int64_t> extents, std::vector<std::vector<int64_t>> strides);

  bool done() const { return done_; }
  void next();
  // Begins again; only when done().
  void restart();
  int64_t index(size_t axis) const { return index_[axis]; }
  int64_t offset(size_t list) const { return offsets_[list]; }

 private:
  std::span<const int64_t> extents_;
  std::vector<std::vector<int64_t>> strides_;
  std::vector<int64_t> index_, offsets_;
  bool done_ = false;
};

// Calls f(std::integral_constant<size_t, N>{}) for an element size of N bytes. Movement does not
// depend on the type of what moves; a memcpy of constant size is one instruction and has no
// aliasing trouble.
template <typename F>
decltype(auto) visit_width(size_t bytes, F&& f) {
  switch (bytes) {
    case 1:
      return f(std::integral_constant<size_t, 1>{});
    case 2:
      return f(std::integral_constant<size_t, 2>{});
    case 4:
      return f(std::integral_constant<size_t, 4>{});
    default:
      return f(std::integral_constant<size_t, 8>{});
  }
}

// Address of an element.
inline std::byte* at(Tensor& tensor, int64_t offset) {
  return static_cast<std::byte*>(tensor.raw()) +
         offset * static_cast<int64_t>(size_of(tensor.type()));
}
inline const std::byte* at(const Tensor& tensor, int64_t offset) {
  return static_cast<const std::byte*>(tensor.raw()) +
         offset * static_cast<int64_t>(size_of(tensor.type()));
}

// Copies all bytes; `to` has the type and the number of elements of `from`.
void copy_all(const Tensor& from, Tensor& to);

// Writes element `value` (of the tensor's size) to all elements.
void fill_all(Tensor& to, const std::byte* value);

// One side of a strided copy: an offset to begin at and a stride an axis (any sign).
struct Side {
  int64_t offset = 0;
  std::vector<int64_t> strides;
};

// Copies a box: to[to_side at index] = from[from_side at index] for every index of `extents`. Both
// have the same element size and don't overlap.
void copy_box(std::span<const int64_t> extents, const Tensor& from, const Side& from_side,
              Tensor& to, const Side& to_side);

}  // namespace refrain::reference
