#include "backends/reference/slicing.h"

#include <algorithm>
#include <cstring>

#include "backends/reference/strided.h"
#include "ir/slice.h"

namespace refrain::reference {
namespace {

using A = AttributeName;

// Elements before and after an axis; negative ones are cropped.
struct AxisPads {
  int64_t begin = 0, end = 0;
};

std::vector<AxisPads> read_pads(const KernelContext& context) {
  const size_t rank = context.operand(0).rank();
  const std::vector<int64_t> pads = context.operand(1).view().as_ints();
  const size_t count = pads.size() / 2;
  std::vector<int64_t> axes(count);
  for (size_t i = 0; i < count; ++i) axes[i] = static_cast<int64_t>(i);
  if (context.has(3)) axes = context.operand(3).view().as_ints();
  std::vector<AxisPads> result(rank);
  for (size_t i = 0; i < count; ++i) result[axis_index(axes[i], rank)] = {pads[i], pads[i + count]};
  return result;
}

void pad_with_constant(const KernelContext& context, const std::vector<AxisPads>& pads) {
  const Tensor& x = context.operand(0);
  Tensor& y = context.result();
  if (context.has(2)) {
    if (context.operand(2).size() != 1) {
      throw Error("wrong value of pad", "one element", std::to_string(context.operand(2).size()));
    }
    fill_all(y, at(context.operand(2), 0));
  }
  Side from{0, strides_of(x.extents())}, to{0, strides_of(y.extents())};
  std::vector<int64_t> kept;
  for (size_t i = 0; i < x.rank(); ++i) {
    const __int128 shift = -static_cast<__int128>(pads[i].begin);
    const IndexRange range = indices_inside(shift, 1, y.extents()[i], x.extents()[i]);
    kept.push_back(range.count());
    if (range.count() == 0) return;
    to.offset += range.first * to.strides[i];
    from.offset += static_cast<int64_t>(range.first + shift) * from.strides[i];
  }
  copy_box(kept, x, from, y, to);
}

// The place of the operand that each place of the result's axis repeats. Cropping goes first, so
// that cropped elements are not mirrored.
std::vector<int64_t> repeated_places(const std::string& mode, AxisPads pads, int64_t input,
                                     int64_t output) {
  const auto cropped = [](int64_t pad) {
    return -static_cast<__int128>(std::min<int64_t>(pad, 0));
  };
  const __int128 left = static_cast<__int128>(input) - cropped(pads.begin) - cropped(pads.end);
  if (left <= 0) throw Error("padding repeats an empty axis", "one element or more", "none");
  const auto extent = static_cast<int64_t>(left), first = static_cast<int64_t>(cropped(pads.begin));
  std::vector<int64_t> places(static_cast<size_t>(output));
  for (int64_t i = 0; i < output; ++i) {
    int64_t place = i - std::max<int64_t>(pads.begin, 0);
    if (mode == "edge" || extent == 1) {
      place = std::clamp<int64_t>(place, 0, extent - 1);
    } else {
      const bool reflect = mode == "reflect";
      const int64_t period = reflect ? 2 * (extent - 1) : extent;
      place %= period;
      if (place < 0) place += period;
      if (place >= extent) place = period - place;  // on the way back
    }
    places[static_cast<size_t>(i)] = first + place;
  }
  return places;
}

void pad_by_repeating(const KernelContext& context, const std::vector<AxisPads>& pads) {
  const Tensor& x = context.operand(0);
  Tensor& y = context.result();
  const std::string& mode = context.node.string(A::mode);
  const std::vector<int64_t> strides = strides_of(x.extents());
  std::vector<std::vector<int64_t>> offsets;  // per axis and place of the result
  for (size_t i = 0; i < x.rank(); ++i) {
    offsets.push_back(repeated_places(mode, pads[i], x.extents()[i], y.extents()[i]));
    for (int64_t& offset : offsets.back()) offset *= strides[i];
  }
  visit_width(size_of(x.type()), [&]<size_t N>(std::integral_constant<size_t, N>) {
    int64_t to = 0;
    for (Walk walk(y.extents(), {}); !walk.done(); walk.next(), ++to) {
      int64_t from = 0;
      for (size_t i = 0; i < offsets.size(); ++i)
        from += offsets[i][static_cast<size_t>(walk.index(i))];
      std::memcpy(at(y, to), at(x, from), N);
    }
  });
}

// Copies `count` elements from the same offset.
void copy_same(const Tensor& from, Tensor& to, int64_t offset, int64_t count) {
  std::memcpy(at(to, offset), at(from, offset), static_cast<size_t>(count) * size_of(to.type()));
}

}  // namespace

void slice(const KernelContext& context) {
  const Tensor& x = context.operand(0);
  Tensor& y = context.result();
  const std::vector<int64_t> begins = context.operand(1).view().as_ints();
  const std::vector<int64_t> ends = context.operand(2).view().as_ints();
  std::vector<int64_t> axes, steps(begins.size(), 1);
  for (size_t i = 0; i < begins.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  if (context.has(3)) axes = context.operand(3).view().as_ints();
  if (context.has(4)) steps = context.operand(4).view().as_ints();
  Side from{0, strides_of(x.extents())};
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t axis = axis_index(axes[i], x.rank());
    const SliceBounds bounds = clamp_slice(x.extents()[axis], begins[i], ends[i], steps[i]);
    if (bounds.count == 0) return;  // the result is empty
    from.offset += bounds.begin * from.strides[axis];
    // A step beyond the axis is never taken; as a stride it might overflow.
    from.strides[axis] = bounds.count > 1 ? from.strides[axis] * bounds.step : 0;
  }
  copy_box(y.extents(), x, from, y, {0, strides_of(y.extents())});
}

void pad(const KernelContext& context) {
  if (context.result().size() == 0) return;
  const std::vector<AxisPads> pads = read_pads(context);
  if (context.node.string(A::mode) == "constant") {
    pad_with_constant(context, pads);
  } else {
    pad_by_repeating(context, pads);
  }
}

// Upper: keeps column >= row + k; lower: column <= row + k. The results begin as zeros.
void trilu(const KernelContext& context) {
  const Tensor& x = context.operand(0);
  Tensor& y = context.result();
  int64_t k = 0;
  if (context.has(1)) {
    if (context.operand(1).size() != 1) {
      throw Error("wrong k of trilu", "one element", std::to_string(context.operand(1).size()));
    }
    k = context.operand(1).view().as_ints().front();
  }
  if (x.size() == 0) return;
  const bool upper = context.node.flag(A::upper);
  const int64_t rows = x.extents()[x.rank() - 2], columns = x.extents().back();
  for (int64_t row = 0; row < x.size() / columns; ++row) {
    const __int128 diagonal = static_cast<__int128>(row % rows) + k + (upper ? 0 : 1);
    const auto border = static_cast<int64_t>(std::clamp<__int128>(diagonal, 0, columns));
    if (upper) {
      copy_same(x, y, row * columns + border, columns - border);
    } else {
      copy_same(x, y, row * columns, border);
    }
  }
}

// Reverses the first lengths[b] elements along the time axis of each batch entry b.
void reverse_sequence(const KernelContext& context) {
  const Tensor& x = context.operand(0);
  Tensor& y = context.result();
  const size_t time = axis_index(context.node.integer(A::axis), x.rank());
  const size_t batch = axis_index(context.node.integer(A::batch_axis), x.rank());
  const std::vector<int64_t> lengths = context.operand(1).view().as_ints();
  if (static_cast<int64_t>(lengths.size()) != x.extents()[batch]) {
    throw Error("wrong number of lengths", std::to_string(x.extents()[batch]),
                std::to_string(lengths.size()));
  }
  for (int64_t length : lengths) {
    if (length < 0 || length > x.extents()[time]) {
      throw Error("sequence length out of range", "0.." + std::to_string(x.extents()[time]),
                  std::to_string(length));
    }
  }
  copy_all(x, y);
  const std::vector<int64_t> strides = strides_of(x.extents());
  std::vector<int64_t> box = x.extents();
  box[batch] = 1;
  for (size_t b = 0; b < lengths.size(); ++b) {
    if (lengths[b] < 2) continue;
    box[time] = lengths[b];
    const int64_t begin = static_cast<int64_t>(b) * strides[batch];
    Side from{begin + (lengths[b] - 1) * strides[time], strides};
    from.strides[time] = -strides[time];
    copy_box(box, x, from, y, {begin, strides});
  }
}

}  // namespace refrain::reference
