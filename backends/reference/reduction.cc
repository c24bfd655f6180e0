// Reductions and their kin: what works along axes.
#include <algorithm>
#include <numeric>

#include "backends/reference/arithmetic.h"
#include "backends/reference/kernel.h"
#include "backends/reference/strided.h"

namespace refrain::reference {
namespace {

using A = AttributeName;

// The axes that a reduction removes; none if it is the identity.
std::vector<bool> reduced_axes(const KernelContext& context) {
  const size_t rank = context.operand(0).rank();
  std::vector<int64_t> axes;
  if (context.has(1)) axes = context.operand(1).view().as_ints();
  std::vector<bool> reduced(rank, axes.empty() && !context.node.flag(A::noop_with_empty_axes));
  for (int64_t axis : axes) reduced[axis_index(axis, rank)] = true;
  return reduced;
}

// Strides of the result's element that each element of the operand goes into.
std::vector<int64_t> target_strides(std::span<const int64_t> extents,
                                    const std::vector<bool>& reduced) {
  std::vector<int64_t> kept(extents.begin(), extents.end());
  for (size_t i = 0; i < kept.size(); ++i) {
    if (reduced[i]) kept[i] = 1;
  }
  std::vector<int64_t> strides = strides_of(kept);
  for (size_t i = 0; i < kept.size(); ++i) {
    if (reduced[i]) strides[i] = 0;
  }
  return strides;
}

// result[j] = finish(combine(...combine(initial, x), x'...), n) over the n elements that go into j.
template <typename T, typename Acc, typename Combine, typename Finish>
void reduce_as(const KernelContext& context, Acc initial, Combine combine, Finish finish) {
  const Tensor& x = context.operand(0);
  const auto out = context.result().data<T>();
  if (out.empty()) return;
  std::vector<Acc> totals(out.size(), initial);
  const T* in = x.data<T>().data();
  for (Walk walk(x.extents(), {target_strides(x.extents(), reduced_axes(context))}); !walk.done();
       walk.next()) {
    Acc& total = totals[static_cast<size_t>(walk.offset(0))];
    total = combine(total, static_cast<Acc>(*in++));
  }
  const int64_t count = x.size() / static_cast<int64_t>(out.size());
  for (size_t j = 0; j < out.size(); ++j) out[j] = static_cast<T>(finish(totals[j], count));
}

constexpr auto kAsItIs = [](auto total, int64_t) { return total; };

void reduce_sum(const KernelContext& context) {
  visit_number(context.result().type(), [&]<typename T>(std::type_identity<T>) {
    using Acc = Accumulator<T>;
    reduce_as<T, Acc>(
        context, Acc{0}, [](Acc a, Acc b) { return a + b; }, kAsItIs);
  });
}

void reduce_prod(const KernelContext& context) {
  visit_number(context.result().type(), [&]<typename T>(std::type_identity<T>) {
    using Acc = Accumulator<T>;
    reduce_as<T, Acc>(
        context, Acc{1}, [](Acc a, Acc b) { return a * b; }, kAsItIs);
  });
}

// Means of integers are exact sums divided once, truncated towards zero.
void reduce_mean(const KernelContext& context) {
  visit_number(context.result().type(), [&]<typename T>(std::type_identity<T>) {
    if constexpr (std::is_integral_v<T>) {
      reduce_as<T, __int128>(
          context, 0, [](__int128 a, __int128 b) { return a + b; },
          [](__int128 total, int64_t count) {
            if (count == 0) throw Error("integer mean of nothing", "one element or more", "none");
            return total / count;
          });
    } else {
      using Acc = Accumulator<T>;
      reduce_as<T, Acc>(
          context, Acc{0}, [](Acc a, Acc b) { return a + b; },
          [](Acc total, int64_t count) { return total / static_cast<Acc>(count); });
    }
  });
}

void require_elements(const KernelContext& context, const char* problem) {
  if (context.operand(0).size() == 0 && context.result().size() > 0) {
    throw Error(problem, "one element or more", "none");
  }
}

void reduce_max(const KernelContext& context) {
  require_elements(context, "maximum of nothing");
  visit(context.result().type(), [&]<typename T>(std::type_identity<T>) {
    // std::vector<bool> is no array, so that booleans are reduced as bytes.
    using Acc = std::conditional_t<std::is_same_v<T, bool>, uint8_t, Comparable<T>>;
    reduce_as<T, Acc>(context, lowest_of<Acc>(), max_of<Acc>, kAsItIs);
  });
}

void reduce_min(const KernelContext& context) {
  require_elements(context, "minimum of nothing");
  visit(context.result().type(), [&]<typename T>(std::type_identity<T>) {
    using Acc = std::conditional_t<std::is_same_v<T, bool>, uint8_t, Comparable<T>>;
    reduce_as<T, Acc>(context, highest_of<Acc>(), min_of<Acc>, kAsItIs);
  });
}

// Index of the best element along the axis, by `better`; NaN is better than any number, as in
// numpy.
template <typename Better>
void arg_best(const KernelContext& context, Better better) {
  const Tensor& x = context.operand(0);
  const Slabs s = slabs_about(x.extents(), axis_index(context.node.integer(A::axis), x.rank()));
  const bool last = context.node.flag(A::select_last);
  int64_t* out = context.result().data<int64_t>().data();
  visit(x.type(), [&]<typename T>(std::type_identity<T>) {
    using C = Comparable<T>;
    const T* in = x.data<T>().data();
    const auto replaces = [&](C candidate, C best) {
      if (is_nan(best)) return last && is_nan(candidate);
      return is_nan(candidate) || better(candidate, best) || (last && candidate == best);
    };
    for (int64_t o = 0; o < s.outer; ++o) {
      for (int64_t i = 0; i < s.inner; ++i) {
        const T* line = in + o * s.extent * s.inner + i;
        int64_t best = 0;
        for (int64_t k = 1; k < s.extent; ++k) {
          if (replaces(static_cast<C>(line[k * s.inner]), static_cast<C>(line[best * s.inner])))
            best = k;
        }
        *out++ = best;
      }
    }
  });
}

void arg_max(const KernelContext& context) {
  arg_best(context, [](auto a, auto b) { return a > b; });
}
void arg_min(const KernelContext& context) {
  arg_best(context, [](auto a, auto b) { return a < b; });
}

// Calls f(in, out, n, step) for each line of n elements, `step` apart, along the axis.
template <typename T, typename F>
void for_each_line(const Tensor& x, Tensor& y, size_t axis, F&& f) {
  const Slabs s = slabs_about(x.extents(), axis);
  const T* in = x.data<T>().data();
  T* out = y.data<T>().data();
  for (int64_t o = 0; o < s.outer; ++o) {
    for (int64_t i = 0; i < s.inner; ++i) {
      const int64_t at = o * s.extent * s.inner + i;
      f(in + at, out + at, s.extent, s.inner);
    }
  }
}

// exp(x - max) / sum(exp(x - max)), or its logarithm x - max - log(sum(exp(x - max))).
template <bool kLog>
void softmax(const KernelContext& context) {
  const Tensor& x = context.operand(0);
  visit_float(x.type(), [&]<typename T>(std::type_identity<T>) {
    using Acc = Accumulator<T>;
    std::vector<Acc> shifted;
    for_each_line<T>(x, context.result(), axis_index(context.node.integer(A::axis), x.rank()),
                     [&](const T* in, T* out, int64_t n, int64_t step) {
                       Acc most = lowest_of<Acc>(), sum{0};
                       for (int64_t k = 0; k < n; ++k)
                         most = max_of(most, static_cast<Acc>(in[k * step]));
                       shifted.clear();
                       for (int64_t k = 0; k < n; ++k) {
                         const Acc difference = static_cast<Acc>(in[k * step]) - most;
                         const Acc power = std::exp(difference);
                         sum += power;
                         shifted.push_back(kLog ? difference : power);
                       }
                       const Acc log_sum = std::log(sum);
                       for (size_t k = 0; k < shifted.size(); ++k) {
                         const Acc value = kLog ? shifted[k] - log_sum : shifted[k] / sum;
                         out[static_cast<int64_t>(k) * step] = static_cast<T>(value);
                       }
                     });
  });
}

void cum_sum(const KernelContext& context) {
  const Tensor& x = context.operand(0);
  const size_t axis = axis_index(context.operand(1).view().as_ints().front(), x.rank());
  const bool exclusive = context.node.flag(A::exclusive), reverse = context.node.flag(A::reverse);
  visit_number(x.type(), [&]<typename T>(std::type_identity<T>) {
    using Acc = Accumulator<T>;
    for_each_line<T>(x, context.result(), axis, [&](const T* in, T* out, int64_t n, int64_t step) {
      Acc sum{0};
      for (int64_t k = 0; k < n; ++k) {
        const int64_t at = (reverse ? n - 1 - k : k) * step;
        const Acc before = sum;
        sum += static_cast<Acc>(in[at]);
        out[at] = static_cast<T>(exclusive ? before : sum);
      }
    });
  });
}

// Equal elements in the order of their indices; NaN counts as larger than any number. Always
// sorted: the order without `sorted` is nobody's promise.
void top_k(const KernelContext& context) {
  const Tensor& x = context.operand(0);
  const size_t axis = axis_index(context.node.integer(A::axis), x.rank());
  const Slabs s = slabs_about(x.extents(), axis);
  const int64_t k = context.result().extents()[axis];
  const bool largest = context.node.flag(A::largest);
  if (context.result().size() == 0) return;
  visit(x.type(), [&]<typename T>(std::type_identity<T>) {
    using C = Comparable<T>;
    const auto less = [](C a, C b) { return a < b || (is_nan(b) && !is_nan(a)); };
    const T* in = x.data<T>().data();
    T* values = context.result(0).data<T>().data();
    int64_t* indices = context.result(1).data<int64_t>().data();
    std::vector<int64_t> order(static_cast<size_t>(s.extent));
    for (int64_t o = 0; o < s.outer; ++o) {
      for (int64_t i = 0; i < s.inner; ++i) {
        const T* line = in + o * s.extent * s.inner + i;
        std::iota(order.begin(), order.end(), 0);
        std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](int64_t a, int64_t b) {
          const auto va = static_cast<C>(line[a * s.inner]), vb = static_cast<C>(line[b * s.inner]);
          if (less(va, vb)) return !largest;
          if (less(vb, va)) return largest;
          return a < b;
        });
        for (int64_t j = 0; j < k; ++j) {
          const int64_t to = (o * k + j) * s.inner + i, from = order[static_cast<size_t>(j)];
          values[to] = line[from * s.inner];
          indices[to] = from;
        }
      }
    }
  });
}

}  // namespace

std::vector<KernelEntry> reduction_kernels() {
  return {{Op::reduce_sum, reduce_sum},
          {Op::reduce_mean, reduce_mean},
          {Op::reduce_max, reduce_max},
          {Op::reduce_min, reduce_min},
          {Op::reduce_prod, reduce_prod},
          {Op::arg_max, arg_max},
          {Op::arg_min, arg_min},
          {Op::softmax, softmax<false>},
          {Op::log_softmax, softmax<true>},
          {Op::cum_sum, cum_sum},
          {Op::top_k, top_k}};
}

}  // namespace refrain::reference
