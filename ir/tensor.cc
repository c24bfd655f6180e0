#include "ir/tensor.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include "ir/shape.h"

namespace refrain {
namespace {

constexpr size_t kAlignment = 64;

std::string extents_text(std::span<const int64_t> extents) {
  std::string text = "[";
  for (size_t i = 0; i < extents.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(extents[i]);
  }
  return text + "]";
}

}  // namespace

int64_t element_count(std::span<const int64_t> extents) {
  int64_t count = 1;
  bool overflow = false, empty = false;
  for (int64_t extent : extents) {
    if (extent < 0) throw Error("negative extent in a shape", "0 or more", extents_text(extents));
    empty |= extent == 0;
    overflow |= __builtin_mul_overflow(count, extent, &count);
  }
  if (empty) return 0;
  if (overflow)
    throw Error("number of elements overflows", "less than 2^63", extents_text(extents));
  return count;
}

int64_t byte_count(ElementType type, std::span<const int64_t> extents) {
  int64_t bytes = 0;
  if (__builtin_mul_overflow(element_count(extents), static_cast<int64_t>(size_of(type)), &bytes)) {
    throw Error("size in bytes overflows", "less than 2^63", extents_text(extents));
  }
  return bytes;
}

void MemoryBudget::reserve(int64_t bytes) {
  const int64_t before = used_.fetch_add(bytes);
  if (bytes > limit_ - before) {
    used_ -= bytes;
    throw Error("out of memory: the limit on tensor memory is reached",
                "at most " + std::to_string(limit_) + " bytes in all (see --max-memory)",
                std::to_string(bytes) + " more than the " + std::to_string(before) + " in use");
  }
}

void TensorView::require(ElementType type) const {
  if (type_ != type) {
    throw Error("wrong element type of a tensor", std::string(name(type)),
                std::string(name(type_)));
  }
}

std::vector<int64_t> TensorView::as_ints() const {
  return visit(type_, [&]<typename T>(std::type_identity<T>) -> std::vector<int64_t> {
    if constexpr (std::is_integral_v<T>) {
      const auto values = data<T>();
      if constexpr (std::is_same_v<T, uint64_t>) {
        for (uint64_t value : values) {
          if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
            throw Error("integer too large", "at most 2^63 - 1", std::to_string(value));
          }
        }
      }
      return {values.begin(), values.end()};
    } else {
      throw Error("wrong element type of a tensor", "an integer type", std::string(name(type_)));
    }
  });
}

std::vector<double> TensorView::as_doubles() const {
  return visit(type_, [&]<typename T>(std::type_identity<T>) {
    std::vector<double> result;
    result.reserve(static_cast<size_t>(size()));
    for (T value : data<T>()) result.push_back(static_cast<double>(value));
    return result;
  });
}

Tensor::Tensor(ElementType type, std::vector<int64_t> extents, std::shared_ptr<MemoryBudget> budget)
    : type_(type), extents_(std::move(extents)), size_(element_count(extents_)) {
  const int64_t bytes = byte_count(type_, extents_);
  if (bytes > std::numeric_limits<int64_t>::max() - static_cast<int64_t>(kAlignment)) {
    throw Error("out of memory", "a tensor that fits the address space", extents_text(extents_));
  }
  if (budget) budget->reserve(bytes);
  const size_t rounded = (static_cast<size_t>(bytes) + kAlignment) / kAlignment * kAlignment;
  data_ = std::aligned_alloc(kAlignment, rounded);
  if (!data_) {
    if (budget) budget->release(bytes);
    throw Error("out of memory", {}, "a tensor " + extents_text(extents_));
  }
  budget_ = std::move(budget);
  std::memset(data_, 0, rounded);
}

Tensor::Tensor(Borrowed, ElementType type, std::vector<int64_t> extents, void* data)
    : type_(type),
      borrowed_(true),
      extents_(std::move(extents)),
      size_(element_count(extents_)),
      data_(data) {
  byte_count(type_, extents_);  // that bytes() does not overflow
}

Tensor Tensor::borrow(ElementType type, std::vector<int64_t> extents, void* data) {
  return {Borrowed(), type, std::move(extents), data};
}

Tensor::Tensor(Tensor&& other) noexcept
    : type_(other.type_),
      borrowed_(other.borrowed_),
      extents_(std::move(other.extents_)),
      size_(other.size_),
      data_(std::exchange(other.data_, nullptr)),
      budget_(std::move(other.budget_)) {}

Tensor& Tensor::operator=(Tensor&& other) noexcept {
  if (this != &other) {
    release();
    type_ = other.type_;
    borrowed_ = other.borrowed_;
    extents_ = std::move(other.extents_);
    size_ = other.size_;
    data_ = std::exchange(other.data_, nullptr);
    budget_ = std::move(other.budget_);
  }
  return *this;
}

Tensor::~Tensor() { release(); }

void Tensor::release() {
  if (data_ && budget_) budget_->release(bytes());
  if (!borrowed_) std::free(data_);
  data_ = nullptr;
}

Tensor Tensor::of_ints(std::span<const int64_t> values) {
  return of<int64_t>({static_cast<int64_t>(values.size())}, values);
}

Tensor Tensor::scalar(ElementType type, double value) {
  return visit(type, [&]<typename T>(std::type_identity<T>) {
    if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
      return scalar(T(static_cast<float>(value)));
    } else {
      return scalar(static_cast<T>(value));
    }
  });
}

Tensor Tensor::clone() const {
  Tensor copy(type_, extents_, budget_);
  if (bytes() > 0) std::memcpy(copy.data_, data_, static_cast<size_t>(bytes()));
  return copy;
}

Tensor Tensor::reshaped(std::vector<int64_t> extents) && {
  if (element_count(extents) != size_) {
    throw Error("reshape changes the number of elements", std::to_string(size_),
                extents_text(extents));
  }
  extents_ = std::move(extents);
  return std::move(*this);
}

bool identical(const Tensor& a, const Tensor& b) {
  return a.type() == b.type() && a.extents() == b.extents() &&
         (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0);
}

}  // namespace refrain
