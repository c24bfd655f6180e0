// Matrix products and Einstein sums.
#include <algorithm>

#include "backends/reference/arithmetic.h"
#include "backends/reference/kernel.h"
#include "backends/reference/strided.h"
#include "ir/einsum.h"

namespace refrain::reference {
namespace {

// c[n, m] = a[n, k] b[k, m], all dense; terms are added in the order of k. Rows go in blocks, so
// that a row of b is read from cache for all but the first of them.
template <typename Acc>
void multiply(const Acc* a, const Acc* b, Acc* c, int64_t n, int64_t k, int64_t m) {
  constexpr int64_t kBlock = 8;
  for (int64_t block = 0; block < n; block += kBlock) {
    const int64_t end = std::min(n, block + kBlock);
    for (int64_t p = 0; p < k; ++p) {
      const Acc* row_b = b + p * m;
      for (int64_t i = block; i < end; ++i) {
        const Acc factor = a[i * k + p];
        Acc* row_c = c + i * m;
        for (int64_t j = 0; j < m; ++j) row_c[j] += factor * row_b[j];
      }
    }
  }
}

void matmul(const KernelContext& context) {
  const Tensor &a = context.operand(0), &b = context.operand(1);
  Tensor& c = context.result();
  if (c.size() == 0) return;
  const std::vector<int64_t>&ea = a.extents(), &eb = b.extents();
  const int64_t n = ea.size() > 1 ? ea[ea.size() - 2] : 1, k = ea.back();
  const int64_t m = eb.size() > 1 ? eb.back() : 1;
  // All axes but the last two are batches.
  const auto batch = [](const std::vector<int64_t>& extents) {
    return std::span(extents).first(extents.size() > 2 ? extents.size() - 2 : 0);
  };
  const size_t matrix_rank = (ea.size() > 1 ? 1u : 0u) + (eb.size() > 1 ? 1u : 0u);
  const std::span<const int64_t> batches = std::span(c.extents()).first(c.rank() - matrix_rank);
  const auto strides_a = broadcast_strides(batch(ea), batches.size(), n * k);
  const auto strides_b = broadcast_strides(batch(eb), batches.size(), k * m);
  visit_number(c.type(), [&]<typename T>(std::type_identity<T>) {
    using Acc = Accumulator<T>;
    const Widened<Acc, T> wide_a(a.data<T>()), wide_b(b.data<T>());
    accumulate_into<Acc>(c.data<T>(), [&](Acc* values) {
      for (Walk walk(batches, {strides_a, strides_b}); !walk.done(); walk.next(), values += n * m) {
        multiply(wide_a.data() + walk.offset(0), wide_b.data() + walk.offset(1), values, n, k, m);
      }
    });
  });
}

// Extent of each label, and for each operand the stride of each label.
struct EinsumLoops {
  std::vector<int64_t> extents;
  std::vector<std::vector<int64_t>> strides;
};

EinsumLoops einsum_loops(const KernelContext& context, const EinsumPlan& plan) {
  const auto labels = static_cast<size_t>(plan.labels);
  EinsumLoops loops{std::vector<int64_t>(labels, 1), {}};
  for (size_t i = 0; i < plan.operands.size(); ++i) {
    const Tensor& x = context.operand(i);
    const std::vector<int64_t> own = strides_of(x.extents());
    std::vector<int64_t> strides(labels, 0);
    for (size_t axis = 0; axis < own.size(); ++axis) {
      if (x.extents()[axis] == 1) continue;
      const auto label = static_cast<size_t>(plan.operands[i][axis]);
      loops.extents[label] = x.extents()[axis];
      strides[label] += own[axis];  // a label used twice walks the diagonal
    }
    loops.strides.push_back(std::move(strides));
  }
  return loops;
}

void einsum(const KernelContext& context) {
  std::vector<size_t> ranks;
  for (const Tensor* x : context.operands) ranks.push_back(x->rank());
  const EinsumPlan plan = parse_einsum(context.node.string(AttributeName::equation), ranks);
  const EinsumLoops loops = einsum_loops(context, plan);
  Tensor& result = context.result();

  // The labels of the result, in its order, and those that are summed over.
  std::vector<size_t> kept, summed;
  for (int label : plan.result) kept.push_back(static_cast<size_t>(label));
  for (size_t label = 0; label < loops.extents.size(); ++label) {
    if (std::find(kept.begin(), kept.end(), label) == kept.end()) summed.push_back(label);
  }
  const auto select = [](const std::vector<int64_t>& from, const std::vector<size_t>& labels) {
    std::vector<int64_t> selected;
    for (size_t label : labels) selected.push_back(from[label]);
    return selected;
  };
  std::vector<std::vector<int64_t>> kept_strides, summed_strides;
  for (const auto& strides : loops.strides) {
    kept_strides.push_back(select(strides, kept));
    summed_strides.push_back(select(strides, summed));
  }
  const std::vector<int64_t> summed_extents = select(loops.extents, summed);

  visit_number(result.type(), [&]<typename T>(std::type_identity<T>) {
    using Acc = Accumulator<T>;
    std::vector<std::span<const T>> data;
    for (const Tensor* x : context.operands) data.push_back(x->data<T>());
    T* out = result.data<T>().data();
    Walk inner(summed_extents, summed_strides);
    for (Walk outer(result.extents(), kept_strides); !outer.done(); outer.next()) {
      Acc sum{};
      for (inner.restart(); !inner.done(); inner.next()) {
        Acc product{1};
        for (size_t i = 0; i < data.size(); ++i) {
          product *=
              static_cast<Acc>(data[i][static_cast<size_t>(outer.offset(i) + inner.offset(i))]);
        }
        sum += product;
      }
      *out++ = static_cast<T>(sum);
    }
  });
}

}  // namespace

std::vector<KernelEntry> product_kernels() { return {{Op::matmul, matmul}, {Op::einsum, einsum}}; }

}  // namespace refrain::reference
