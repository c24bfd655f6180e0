// Leaves, and ops that change or repeat shapes.
#include <algorithm>

#include "backends/reference/arithmetic.h"
#include "backends/reference/kernel.h"
#include "backends/reference/strided.h"

namespace refrain::reference {
namespace {

using A = AttributeName;

void constant(const KernelContext& context) {
  copy_all(*context.node.attribute<TensorPtr>(A::value), context.result());
}

void fill(const KernelContext& context) {
  fill_all(context.result(), at(*context.node.attribute<TensorPtr>(A::value), 0));
}

void shape_of(const KernelContext& context) {
  const std::vector<int64_t>& extents = context.operand(0).extents();
  const auto rank = static_cast<int64_t>(extents.size());
  const int64_t start = context.node.integer(A::start);
  const int64_t begin = std::clamp<int64_t>(start < 0 ? start + rank : start, 0, rank);
  const auto out = context.result().data<int64_t>();
  for (size_t i = 0; i < out.size(); ++i) out[i] = extents[static_cast<size_t>(begin) + i];
}

// reshape, squeeze, unsqueeze: the same elements in the same order.
void reshape(const KernelContext& context) { copy_all(context.operand(0), context.result()); }

void transpose(const KernelContext& context) {
  const Tensor& x = context.operand(0);
  Tensor& y = context.result();
  const std::vector<int64_t> own = strides_of(x.extents());
  Side from;
  for (int64_t axis : context.node.integers(A::perm))
    from.strides.push_back(own[axis_index(axis, x.rank())]);
  copy_box(y.extents(), x, from, y, {0, strides_of(y.extents())});
}

void expand(const KernelContext& context) {
  const Tensor& x = context.operand(0);
  Tensor& y = context.result();
  copy_box(y.extents(), x, {0, broadcast_strides(x.extents(), y.rank())}, y,
           {0, strides_of(y.extents())});
}

// Each axis becomes two, [repeats, extent], of which the operand lacks the first.
void tile(const KernelContext& context) {
  const Tensor& x = context.operand(0);
  Tensor& y = context.result();
  const std::vector<int64_t> own = strides_of(x.extents());
  if (y.size() == 0) return;
  std::vector<int64_t> extents;
  Side from;
  for (size_t i = 0; i < own.size(); ++i) {
    extents.insert(extents.end(), {y.extents()[i] / x.extents()[i], x.extents()[i]});
    from.strides.insert(from.strides.end(), {0, own[i]});
  }
  copy_box(extents, x, from, y, {0, strides_of(extents)});
}

// start + i * step, computed so and not by adding up.
void range(const KernelContext& context) {
  Tensor& y = context.result();
  visit_number(y.type(), [&]<typename T>(std::type_identity<T>) {
    using Acc = Accumulator<T>;
    const auto start = static_cast<Acc>(context.operand(0).data<T>()[0]);
    const auto step = static_cast<Acc>(context.operand(2).data<T>()[0]);
    const auto out = y.data<T>();
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<T>(static_cast<Acc>(start + static_cast<Acc>(i) * step));
    }
  });
}

void concat(const KernelContext& context) {
  Tensor& y = context.result();
  const size_t axis = axis_index(context.node.integer(A::axis), y.rank());
  const std::vector<int64_t> strides = strides_of(y.extents());
  int64_t begin = 0;
  for (const Tensor* x : context.operands) {
    copy_box(x->extents(), *x, {0, strides_of(x->extents())}, y, {begin * strides[axis], strides});
    begin += x->extents()[axis];
  }
}

void split(const KernelContext& context) {
  const Tensor& x = context.operand(0);
  const size_t axis = axis_index(context.node.integer(A::axis), x.rank());
  const std::vector<int64_t> strides = strides_of(x.extents());
  int64_t begin = 0;
  for (Tensor& y : context.results) {
    copy_box(y.extents(), x, {begin * strides[axis], strides}, y, {0, strides_of(y.extents())});
    begin += y.extents()[axis];
  }
}

}  // namespace

std::vector<KernelEntry> shape_kernels() {
  return {{Op::constant, constant},   {Op::fill, fill},       {Op::shape, shape_of},
          {Op::reshape, reshape},     {Op::squeeze, reshape}, {Op::unsqueeze, reshape},
          {Op::transpose, transpose}, {Op::expand, expand},   {Op::tile, tile},
          {Op::range, range},         {Op::concat, concat},   {Op::split, split}};
}

}  // namespace refrain::reference
