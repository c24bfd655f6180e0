// Gathers, scatters and other ops that move elements by indices; slices and padding are in
// slicing.cc.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "backends/reference/arithmetic.h"
#include "backends/reference/kernel.h"
#include "backends/reference/slicing.h"
#include "backends/reference/strided.h"

namespace refrain::reference {
namespace {

using A = AttributeName;

// An index into an axis, counted from the end if negative. Throws Error if it is out of range.
int64_t checked_index(int64_t index, int64_t extent) {
  if (index < -extent || index >= extent) {
    throw Error("index out of range",
                extent == 0 ? "none, the axis is empty"
                            : std::to_string(-extent) + ".." + std::to_string(extent - 1),
                std::to_string(index));
  }
  return index < 0 ? index + extent : index;
}

void gather(const KernelContext& context) {
  const Tensor& x = context.operand(0);
  Tensor& y = context.result();
  const Slabs s = slabs_about(x.extents(), axis_index(context.node.integer(A::axis), x.rank()));
  std::vector<int64_t> indices = context.operand(1).view().as_ints();
  for (int64_t& index : indices) index = checked_index(index, s.extent);
  const auto bytes = static_cast<size_t>(s.inner) * size_of(x.type());
  int64_t to = 0;
  for (int64_t o = 0; o < s.outer; ++o) {
    for (int64_t index : indices) {
      std::memcpy(at(y, to), at(x, (o * s.extent + index) * s.inner), bytes);
      to += s.inner;
    }
  }
}

std::string extents_text(std::span<const int64_t> extents) {
  return to_string(Shape::of_extents(extents));
}

// The indices of gather_elements and scatter_elements may reach only over a leading part of the
// other axes.
void require_inside(const Tensor& indices, const Tensor& data, size_t axis) {
  for (size_t i = 0; i < data.rank(); ++i) {
    if (i != axis && indices.extents()[i] > data.extents()[i]) {
      throw Error(
          "indices are larger than the data",
          "at most " + extents_text(data.extents()) + " but for axis " + std::to_string(axis),
          extents_text(indices.extents()));
    }
  }
}

// Calls f(i, offset) for each element i of `indices`: the offset in `data` of the element that has
// its place but for the axis, where it has the index.
template <typename F>
void for_each_element(const Tensor& data, const Tensor& indices, size_t axis, F&& f) {
  require_inside(indices, data, axis);
  std::vector<int64_t> strides = strides_of(data.extents());
  const int64_t along = strides[axis];
  strides[axis] = 0;
  const std::vector<int64_t> values = indices.view().as_ints();
  int64_t i = 0;
  for (Walk walk(indices.extents(), {strides}); !walk.done(); walk.next(), ++i) {
    const int64_t index = checked_index(values[static_cast<size_t>(i)], data.extents()[axis]);
    f(i, walk.offset(0) + index * along);
  }
}

void gather_elements(const KernelContext& context) {
  const Tensor& x = context.operand(0);
  Tensor& y = context.result();
  const size_t axis = axis_index(context.node.integer(A::axis), x.rank());
  visit_width(size_of(x.type()), [&]<size_t N>(std::integral_constant<size_t, N>) {
    for_each_element(x, context.operand(1), axis,
                     [&](int64_t i, int64_t offset) { std::memcpy(at(y, i), at(x, offset), N); });
  });
}

// Calls f(i, offset) for each index tuple, the last axis of `indices`: the offset of the slice of
// `data` that it names. Leading `batch` axes are common to both.
template <typename F>
void for_each_tuple(const Tensor& data, const Tensor& indices, size_t batch, F&& f) {
  const std::vector<int64_t> strides = strides_of(data.extents());
  const auto tuples = std::span(indices.extents()).first(indices.rank() - 1);
  const auto depth = static_cast<size_t>(indices.extents().back());
  std::vector<int64_t> batch_strides(tuples.size(), 0);
  for (size_t i = 0; i < batch; ++i) {
    if (tuples[i] != data.extents()[i]) {
      throw Error("indices differ from the data in a batch axis", extents_text(data.extents()),
                  extents_text(indices.extents()));
    }
    batch_strides[i] = strides[i];
  }
  const std::vector<int64_t> values = indices.view().as_ints();
  size_t next = 0;
  int64_t i = 0;
  for (Walk walk(tuples, {batch_strides}); !walk.done(); walk.next(), ++i) {
    int64_t offset = walk.offset(0);
    for (size_t axis = batch; axis < batch + depth; ++axis) {
      offset += checked_index(values[next++], data.extents()[axis]) * strides[axis];
    }
    f(i, offset);
  }
}

// Elements of the slice that an index tuple names; 0 if the data is empty.
int64_t slice_size(const Tensor& data, size_t leading_axes) {
  return data.size() == 0 ? 0 : element_count(std::span(data.extents()).subspan(leading_axes));
}

void gather_nd(const KernelContext& context) {
  const Tensor &x = context.operand(0), &indices = context.operand(1);
  Tensor& y = context.result();
  const auto batch = static_cast<size_t>(context.node.integer(A::batch_dims));
  const int64_t size = slice_size(x, batch + static_cast<size_t>(indices.extents().back()));
  const size_t bytes = static_cast<size_t>(size) * size_of(x.type());
  for_each_tuple(x, indices, batch, [&](int64_t i, int64_t offset) {
    std::memcpy(at(y, i * size), at(x, offset), bytes);
  });
}

// How a scatter joins an update to what is there.
template <typename T>
using Join = T (*)(T, T);

template <typename T>
Join<T> join_of(const std::string& reduction) {
  using Acc = Accumulator<T>;
  using C = Comparable<T>;
  if constexpr (!std::is_same_v<T, bool>) {
    if (reduction == "add") {
      return [](T a, T b) { return static_cast<T>(static_cast<Acc>(a) + static_cast<Acc>(b)); };
    }
    if (reduction == "mul") {
      return [](T a, T b) { return static_cast<T>(static_cast<Acc>(a) * static_cast<Acc>(b)); };
    }
  }
  if (reduction == "max") {
    return [](T a, T b) { return static_cast<T>(max_of(static_cast<C>(a), static_cast<C>(b))); };
  }
  if (reduction == "min") {
    return [](T a, T b) { return static_cast<T>(min_of(static_cast<C>(a), static_cast<C>(b))); };
  }
  throw Error("wrong reduction of booleans", "none, max or min", reduction);
}

// Copies the data, then joins `size` updates at a time to it: for_each(f) calls f(i, offset).
template <typename ForEach>
void scatter(const KernelContext& context, int64_t size, ForEach&& for_each) {
  const Tensor& updates = context.operand(2);
  Tensor& y = context.result();
  copy_all(context.operand(0), y);
  const std::string& reduction = context.node.string(A::reduction);
  if (reduction == "none") {
    const size_t bytes = static_cast<size_t>(size) * size_of(y.type());
    for_each([&](int64_t i, int64_t offset) {
      std::memcpy(at(y, offset), at(updates, i * size), bytes);
    });
    return;
  }
  visit(y.type(), [&]<typename T>(std::type_identity<T>) {
    const Join<T> join = join_of<T>(reduction);
    const T* in = updates.data<T>().data();
    T* out = y.data<T>().data();
    for_each([&](int64_t i, int64_t offset) {
      for (int64_t k = 0; k < size; ++k) out[offset + k] = join(out[offset + k], in[i * size + k]);
    });
  });
}

void scatter_nd(const KernelContext& context) {
  const Tensor &x = context.operand(0), &indices = context.operand(1);
  const int64_t size = slice_size(x, static_cast<size_t>(indices.extents().back()));
  scatter(context, size, [&](auto&& f) { for_each_tuple(x, indices, 0, f); });
}

void scatter_elements(const KernelContext& context) {
  const Tensor &x = context.operand(0), &indices = context.operand(1);
  const size_t axis = axis_index(context.node.integer(A::axis), x.rank());
  scatter(context, 1, [&](auto&& f) { for_each_element(x, indices, axis, f); });
}

// An index out of range leaves its place all off.
void one_hot(const KernelContext& context) {
  const Tensor &indices = context.operand(0), &values = context.operand(2);
  Tensor& y = context.result();
  if (values.size() != 2) {
    throw Error("wrong values of one_hot", "two elements, off and on",
                std::to_string(values.size()));
  }
  fill_all(y, at(values, 0));
  const Slabs s = slabs_about(y.extents(), axis_index(context.node.integer(A::axis), y.rank()));
  const size_t width = size_of(y.type());
  const auto set = [&](int64_t i, int64_t index) {
    if (index < -s.extent || index >= s.extent) return;
    if (index < 0) index += s.extent;
    const int64_t o = i / s.inner, rest = i % s.inner;
    std::memcpy(at(y, (o * s.extent + index) * s.inner + rest), at(values, 1), width);
  };
  if (y.size() == 0) return;
  visit(indices.type(), [&]<typename T>(std::type_identity<T>) {
    int64_t i = 0;
    for (T element : indices.data<T>()) {
      if constexpr (std::is_same_v<T, uint64_t>) {
        set(i++, static_cast<int64_t>(std::min(element, static_cast<uint64_t>(INT64_MAX))));
      } else if constexpr (std::is_integral_v<T>) {
        set(i++, static_cast<int64_t>(element));
      } else {  // truncated, as by a cast
        const auto real = static_cast<double>(static_cast<Comparable<T>>(element));
        const bool fits = std::abs(real) < 0x1p62;
        set(i++, fits ? static_cast<int64_t>(real) : INT64_MAX);
      }
    }
  });
}

}  // namespace

std::vector<KernelEntry> indexing_kernels() {
  return {{Op::slice, slice},
          {Op::gather, gather},
          {Op::gather_elements, gather_elements},
          {Op::gather_nd, gather_nd},
          {Op::scatter_nd, scatter_nd},
          {Op::scatter_elements, scatter_elements},
          {Op::pad, pad},
          {Op::one_hot, one_hot},
          {Op::trilu, trilu},
          {Op::reverse_sequence, reverse_sequence}};
}

}  // namespace refrain::reference
