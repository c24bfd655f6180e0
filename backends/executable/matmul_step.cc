#include "backends/executable/matmul_step.h"

#include <algorithm>

#include "backends/executable/basic_steps.h"
#include "backends/executable/lowering.h"
#include "backends/executable/parallel.h"
#include "backends/highway/matmul.h"
#include "backends/reference/strided.h"

namespace refrain::executable {
namespace {

constexpr int64_t kWorthAThread = 50'000;  // multiplications

// All axes but the last two.
std::span<const int64_t> batch_of(const std::vector<int64_t>& extents) {
  return std::span(extents).first(extents.size() > 2 ? extents.size() - 2 : 0);
}

}  // namespace

MatmulStep::MatmulStep(const Node& node, int threads) : threads_(threads) {
  const std::vector<int64_t> a = extents_of(*node.operand(0)), b = extents_of(*node.operand(1)),
                             c = extents_of(*node.result());
  n_ = a.size() > 1 ? a[a.size() - 2] : 1;
  k_ = a.back();
  m_ = b.size() > 1 ? b.back() : 1;
  const size_t matrix_rank = (a.size() > 1 ? 1u : 0u) + (b.size() > 1 ? 1u : 0u);
  const std::span<const int64_t> batches = std::span(c).first(c.size() - matrix_rank);
  const auto strides_a = reference::broadcast_strides(batch_of(a), batches.size());
  const auto strides_b = reference::broadcast_strides(batch_of(b), batches.size());
  for (reference::Walk walk(batches, {strides_a, strides_b}); !walk.done(); walk.next()) {
    left_.push_back(walk.offset(0) * n_ * k_);
    right_.push_back(walk.offset(1) * k_ * m_);
  }
  text_ = "highway matmul " + extents_text(a) + " by " + extents_text(b);
}

int64_t MatmulStep::grain() const {
  return std::max<int64_t>(1, kWorthAThread / std::max<int64_t>(1, n_ * k_ * m_));
}

void MatmulStep::run_batches(int64_t begin, int64_t end) const {
  for (int64_t i = begin; i < end; ++i) {
    const auto index = static_cast<size_t>(i);
    highway::multiply(floats(0) + left_[index], floats(1) + right_[index], floats(2) + i * n_ * m_,
                      n_, k_, m_);
  }
}

void MatmulStep::run() {
  for_rows(threads_, static_cast<int64_t>(left_.size()), grain(),
           [&](int64_t begin, int64_t end) { run_batches(begin, end); });
}

bool MatmulStep::uses_workers() const {
  return threads_ > 1 && static_cast<int64_t>(left_.size()) >= 2 * grain();
}

bool MatmulStep::worth_a_task() const {
  return static_cast<int64_t>(left_.size()) * n_ * k_ * m_ >= kWorthAThread;
}

}  // namespace refrain::executable
