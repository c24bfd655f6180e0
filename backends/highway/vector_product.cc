#include "backends/highway/vector_product.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "backends/highway/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/highway/vector_product.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, because it and what follows is compiled for each target.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using ProductTag = hn::CappedTag<float, 16>;
using ProductVector = hn::Vec<ProductTag>;

// result[r] = sum over k of matrix[r, k] * vector[k], for kRows rows at once.
template <int64_t kRows>
void Dots(const float* matrix, const float* vector, int64_t depth, float* result) {
  const ProductTag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  ProductVector sums[kRows];
  for (int64_t r = 0; r < kRows; ++r) sums[r] = hn::Zero(d);
  int64_t k = 0;
  for (; k + lanes <= depth; k += lanes) {
    const ProductVector v = hn::LoadU(d, vector + k);
    for (int64_t r = 0; r < kRows; ++r) {
      sums[r] = hn::MulAdd(hn::LoadU(d, matrix + r * depth + k), v, sums[r]);
    }
  }
  for (int64_t r = 0; r < kRows; ++r) {
    float sum = hn::GetLane(hn::SumOfLanes(d, sums[r]));
    for (int64_t j = k; j < depth; ++j) sum += matrix[r * depth + j] * vector[j];
    result[r] = sum;
  }
}

void MatrixByVector(const float* matrix, const float* vector, int64_t rows, int64_t depth,
                    float* result) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) Dots<4>(matrix + r * depth, vector, depth, result + r);
  for (; r < rows; ++r) Dots<1>(matrix + r * depth, vector, depth, result + r);
}

// result[n] = sum over k of vector[k] * matrix[k, n], for kVectors of columns at once.
template <int64_t kVectors>
void Columns(const float* vector, const float* matrix, int64_t depth, int64_t columns,
             float* result) {
  const ProductTag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  ProductVector sums[kVectors];
  for (int64_t v = 0; v < kVectors; ++v) sums[v] = hn::Zero(d);
  for (int64_t k = 0; k < depth; ++k, matrix += columns) {
    const ProductVector x = hn::Set(d, vector[k]);
    for (int64_t v = 0; v < kVectors; ++v) {
      sums[v] = hn::MulAdd(x, hn::LoadU(d, matrix + v * lanes), sums[v]);
    }
  }
  for (int64_t v = 0; v < kVectors; ++v) hn::StoreU(sums[v], d, result + v * lanes);
}

void VectorByMatrix(const float* vector, const float* matrix, int64_t depth, int64_t columns,
                    float* result) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(ProductTag()));
  int64_t n = 0;
  for (; n + 8 * lanes <= columns; n += 8 * lanes) {
    Columns<8>(vector, matrix + n, depth, columns, result + n);
  }
  for (; n + 2 * lanes <= columns; n += 2 * lanes) {
    Columns<2>(vector, matrix + n, depth, columns, result + n);
  }
  for (; n + lanes <= columns; n += lanes) {
    Columns<1>(vector, matrix + n, depth, columns, result + n);
  }
  for (; n < columns; ++n) {
    float sum = 0;
    for (int64_t k = 0; k < depth; ++k) sum += vector[k] * matrix[k * columns + n];
    result[n] = sum;
  }
}

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace refrain::highway {
namespace {

HWY_EXPORT(MatrixByVector);
HWY_EXPORT(VectorByMatrix);

class VectorProduct final : public StepKernel {
 public:
  // [batches, rows, depth] by [batches, depth, columns]; rows or columns are 1.
  VectorProduct(int64_t batches, int64_t rows, int64_t depth, int64_t columns)
      : batches_(batches), rows_(rows), depth_(depth), columns_(columns) {}

  void run(const void* const* operands, void* const* results) override {
    const float *a = static_cast<const float*>(operands[0]),
                *b = static_cast<const float*>(operands[1]);
    float* c = static_cast<float*>(results[0]);
    for (int64_t i = 0; i < batches_; ++i) {
      if (columns_ == 1) {
        HWY_DYNAMIC_DISPATCH(MatrixByVector)(a, b, rows_, depth_, c);
      } else {
        HWY_DYNAMIC_DISPATCH(VectorByMatrix)(a, b, depth_, columns_, c);
      }
      a += rows_ * depth_;
      b += depth_ * columns_;
      c += rows_ * columns_;
    }
  }

  bool real_time() const override { return true; }
  std::string describe() const override {
    return "highway product " + std::to_string(batches_) + " x [" + std::to_string(rows_) + ", " +
           std::to_string(depth_) + "] by [" + std::to_string(depth_) + ", " +
           std::to_string(columns_) + "]";
  }

 private:
  const int64_t batches_, rows_, depth_, columns_;
};

}  // namespace

std::unique_ptr<StepKernel> make_vector_product(const Node& node) {
  if (node.op() != Op::matmul || node.result()->type().element != ElementType::f32) return nullptr;
  const std::vector<int64_t> a = node.operand(0)->type().shape.extents(),
                             b = node.operand(1)->type().shape.extents();
  if (a.size() >= 2 && b.size() == 2 && b[1] == 1) {
    return std::make_unique<VectorProduct>(1, element_count(node.result()->type().shape.extents()),
                                           b[0], 1);
  }
  if (a.size() < 2 || a.size() != b.size()) return nullptr;
  int64_t batches = 1;
  for (size_t i = 0; i + 2 < a.size(); ++i) {
    if (a[i] != b[i]) return nullptr;
    batches *= a[i];
  }
  const int64_t rows = a[a.size() - 2], depth = a.back(), columns = b.back();
  if (rows != 1 && columns != 1) return nullptr;
  return std::make_unique<VectorProduct>(batches, rows, depth, columns);
}

}  // namespace refrain::highway

#endif  // HWY_ONCE
