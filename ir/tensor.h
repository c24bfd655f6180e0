// Tensors: the owner (Tensor) and the view (TensorView); both dense, row-major.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/element_type.h"
#include "ir/error.h"

namespace refrain {

// Product of extents; throws Error if one is negative or the product does not fit 63 bits.
int64_t element_count(std::span<const int64_t> extents);
// element_count times the element's size, checked likewise.
int64_t byte_count(ElementType type, std::span<const int64_t> extents);

// A bound on the bytes that all tensors made with it may hold at once. Thread-safe.
class MemoryBudget {
 public:
  explicit MemoryBudget(int64_t limit_bytes) : limit_(limit_bytes) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  void reserve(int64_t bytes);  // throws Error if the limit would be passed
  void release(int64_t bytes) { used_ -= bytes; }
  int64_t limit() const { return limit_; }
  int64_t used() const { return used_; }

 private:
  const int64_t limit_;
  std::atomic<int64_t> used_{0};
};

// A read-only view: element type, extents, data. It owns nothing; whoever makes it keeps both the
// extents and the data alive.
class TensorView {
 public:
  TensorView(ElementType type, std::span<const int64_t> extents, const void* data)
      : type_(type), extents_(extents), data_(data) {}

  ElementType type() const { return type_; }
  std::span<const int64_t> extents() const { return extents_; }
  size_t rank() const { return extents_.size(); }
  int64_t size() const { return element_count(extents_); }
  const void* raw() const { return data_; }

  // The elements; T must be the C++ type of type(), otherwise throws Error.
  template <typename T>
  std::span<const T> data() const {
    require(element_type_of<T>);
    return {static_cast<const T*>(data_), static_cast<size_t>(size())};
  }

  // The elements of an integer or boolean tensor of any width as int64; throws Error for other
  // types and for u64 values that don't fit.
  std::vector<int64_t> as_ints() const;
  // The elements of any tensor as double (64-bit integers round).
  std::vector<double> as_doubles() const;

 private:
  void require(ElementType type) const;

  ElementType type_;
  std::span<const int64_t> extents_;
  const void* data_;
};

// Owns its elements, 64-byte aligned, zero when made. Move-only: copying is spelt clone(). The
// memory is given back to `budget`, if there was one, when the tensor dies.
//
// A borrowed tensor is the one exception: a header over elements in somebody else's memory, for
// kernels that take tensors but work in an arena. Its clone owns its elements as any other.
class Tensor {
 public:
  Tensor(ElementType type, std::vector<int64_t> extents,
         std::shared_ptr<MemoryBudget> budget = nullptr);
  // Elements at `data`, aligned for their type, which the caller keeps alive as long as the tensor
  // is used; null only until rebind().
  static Tensor borrow(ElementType type, std::vector<int64_t> extents, void* data);
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(Tensor&& other) noexcept;
  ~Tensor();

  template <typename T>
  static Tensor of(std::vector<int64_t> extents, std::span<const T> values) {
    Tensor tensor(element_type_of<T>, std::move(extents));
    if (static_cast<size_t>(tensor.size()) != values.size()) {
      throw Error("wrong number of elements for a tensor", std::to_string(tensor.size()),
                  std::to_string(values.size()));
    }
    std::copy(values.begin(), values.end(), tensor.data<T>().begin());
    return tensor;
  }
  // One-dimensional i64 tensor, the form of axes, shapes and the like.
  static Tensor of_ints(std::span<const int64_t> values);
  template <typename T>
  static Tensor scalar(T value) {
    return of<T>({}, std::span<const T>(&value, 1));
  }
  // A scalar of the given type: `value` converted to it.
  static Tensor scalar(ElementType type, double value);

  Tensor clone() const;
  // Same elements, other extents with the same product; throws Error otherwise.
  Tensor reshaped(std::vector<int64_t> extents) &&;

  ElementType type() const { return type_; }
  const std::vector<int64_t>& extents() const { return extents_; }
  size_t rank() const { return extents_.size(); }
  int64_t size() const { return size_; }
  int64_t bytes() const { return size_ * static_cast<int64_t>(size_of(type_)); }

  // Elements elsewhere, for a borrowed tensor only.
  void rebind(void* data) { data_ = data; }

  void* raw() { return data_; }
  const void* raw() const { return data_; }
  TensorView view() const { return {type_, extents_, data_}; }
  template <typename T>
  std::span<T> data() {
    view().data<T>();  // checks the type
    return {static_cast<T*>(data_), static_cast<size_t>(size_)};
  }
  template <typename T>
  std::span<const T> data() const {
    return view().data<T>();
  }

 private:
  struct Borrowed {};
  Tensor(Borrowed, ElementType type, std::vector<int64_t> extents, void* data);
  void release();

  ElementType type_;
  bool borrowed_ = false;
  std::vector<int64_t> extents_;
  int64_t size_;
  void* data_ = nullptr;
  std::shared_ptr<MemoryBudget> budget_;
};

using TensorPtr = std::shared_ptr<const Tensor>;

// True if type, extents and every byte agree (so NaN equals itself, and 0.0 differs from -0.0).
bool identical(const Tensor& a, const Tensor& b);

}  // namespace refrain
