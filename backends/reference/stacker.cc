#include "backends/reference/stacker.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "backends/reference/strided.h"
#include "ir/error.h"
#include "ir/shape.h"

namespace refrain::reference {
namespace {

std::string text(std::span<const int64_t> extents) { return to_string(Shape::of_extents(extents)); }

int64_t bytes_of(int64_t elements, ElementType type) {
  return elements * static_cast<int64_t>(size_of(type));
}

}  // namespace

Tensor slice_at(const Tensor& whole, int64_t axis, int64_t t,
                const std::shared_ptr<MemoryBudget>& budget) {
  const size_t k = axis_index(axis, whole.rank());
  std::vector<int64_t> extents = whole.extents();
  extents.erase(extents.begin() + static_cast<std::ptrdiff_t>(k));
  Tensor slice(whole.type(), std::move(extents), budget);
  const Slabs slabs = slabs_about(whole.extents(), k);
  const int64_t bytes = bytes_of(slabs.inner, whole.type());
  const auto* from = static_cast<const std::byte*>(whole.raw()) + t * bytes;
  auto* to = static_cast<std::byte*>(slice.raw());
  for (int64_t i = 0; i < slabs.outer; ++i) {
    std::memcpy(to + i * bytes, from + i * slabs.extent * bytes, static_cast<size_t>(bytes));
  }
  return slice;
}

// Leaves whole_ with `count` slices' room, what fits of its contents kept; only along axis 0.
void Stacker::resize(int64_t count) {
  std::vector<int64_t> extents = whole_->extents();
  extents[static_cast<size_t>(axis_)] = count;
  Tensor other(whole_->type(), std::move(extents), budget_);
  std::memcpy(other.raw(), whole_->raw(),
              static_cast<size_t>(std::min(other.bytes(), whole_->bytes())));
  whole_ = std::move(other);
}

void Stacker::put(int64_t t, const Tensor& slice) {
  if (!whole_) {
    if (slice.rank() >= static_cast<size_t>(kMaxRank)) {
      throw Error("rank too large to stack", "less than " + std::to_string(kMaxRank),
                  text(slice.extents()));
    }
    axis_ = static_cast<int64_t>(normalize_axis(axis_, slice.rank() + 1));
    slice_extents_ = slice.extents();
    std::vector<int64_t> extents = slice_extents_;
    extents.insert(extents.begin() + static_cast<std::ptrdiff_t>(axis_),
                   exact_ ? count_ : std::min<int64_t>(count_, 1));
    whole_.emplace(slice.type(), std::move(extents), budget_);
    const Slabs slabs = slabs_about(whole_->extents(), static_cast<size_t>(axis_));
    outer_ = slabs.outer;
    slice_bytes_ = bytes_of(slabs.inner, slice.type());
  }
  if (slice.type() != whole_->type() || slice.extents() != slice_extents_) {
    throw Error("slices to stack differ in shape", text(slice_extents_), text(slice.extents()));
  }
  int64_t capacity = whole_->extents()[static_cast<size_t>(axis_)];
  if (t >= capacity) {
    capacity = capacity > count_ / 2 ? count_ : capacity * 2;
    resize(capacity);
  }
  const auto* from = static_cast<const std::byte*>(slice.raw());
  auto* to = static_cast<std::byte*>(whole_->raw()) + t * slice_bytes_;
  for (int64_t i = 0; i < outer_; ++i) {
    std::memcpy(to + i * capacity * slice_bytes_, from + i * slice_bytes_,
                static_cast<size_t>(slice_bytes_));
  }
}

std::optional<Tensor> Stacker::finish(int64_t count) && {
  if (whole_ && whole_->extents()[static_cast<size_t>(axis_)] != count) resize(count);
  return std::move(whole_);
}

TensorPtr keep_ended(TensorPtr next, const Tensor* previous, std::span<const int64_t> lengths,
                     int64_t t, int64_t batch_axis, const std::shared_ptr<MemoryBudget>& budget) {
  const size_t axis = normalize_axis(batch_axis, next->rank());
  const auto batch = static_cast<int64_t>(lengths.size());
  if (next->extents()[axis] != batch) {
    throw Error("the batch axis of a scan's slot does not fit its lengths",
                std::to_string(batch) + " at axis " + std::to_string(axis), text(next->extents()));
  }
  if (previous && previous->extents() != next->extents()) {
    throw Error("a state's extents change in a scan with lengths", text(previous->extents()),
                text(next->extents()));
  }
  if (std::all_of(lengths.begin(), lengths.end(), [t](int64_t length) { return t < length; }))
    return next;
  Tensor result(next->type(), next->extents(), budget);
  const Slabs slabs = slabs_about(next->extents(), axis);
  const int64_t bytes = bytes_of(slabs.inner, next->type());
  for (int64_t i = 0; i < slabs.outer; ++i) {
    for (int64_t b = 0; b < batch; ++b) {
      const Tensor* from = t < lengths[static_cast<size_t>(b)] ? next.get() : previous;
      if (!from) continue;
      const int64_t offset = (i * batch + b) * bytes;
      std::memcpy(static_cast<std::byte*>(result.raw()) + offset,
                  static_cast<const std::byte*>(from->raw()) + offset, static_cast<size_t>(bytes));
    }
  }
  return std::make_shared<const Tensor>(std::move(result));
}

}  // namespace refrain::reference
