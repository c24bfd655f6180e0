// Operations of element-wise loops over a tile, for one Highway target.
//
// Include from code that foreach_target.h compiles again for each target, after hwy/highway.h.

#if defined(REFRAIN_BACKENDS_HIGHWAY_ELEMENTWISE_LOOP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REFRAIN_BACKENDS_HIGHWAY_ELEMENTWISE_LOOP_INL_H_
#undef REFRAIN_BACKENDS_HIGHWAY_ELEMENTWISE_LOOP_INL_H_
#else
#define REFRAIN_BACKENDS_HIGHWAY_ELEMENTWISE_LOOP_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "backends/highway/elementwise_plan.h"
#include "backends/highway/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using LoopTag = hn::CappedTag<float, 16>;

// Where an operand's (or, written, a result's) vectors lie: that of step t, row r and lane block v
// at data + t * step + r * row + v * vector. A stride may be 0.
struct LoopOperand {
  const float* data;
  int64_t step, row, vector;
};
struct LoopResult {
  float* data;
  int64_t step, row, vector;
};

struct LoopArguments {
  LoopOperand operands[kMostOperands];
  LoopResult result, sum;
};

// How many steps, rows and vectors an operation covers.
struct LoopExtents {
  int64_t steps, rows, vectors;
};

template <Post post, class D, class V>
HWY_INLINE V ApplyPost(D d, V x) {
  if constexpr (post == Post::exp) return Exp(d, x);
  if constexpr (post == Post::relu) return Relu(d, x);
  if constexpr (post == Post::tanh) return Tanh(d, x);
  if constexpr (post == Post::sigmoid) return Sigmoid(d, x);
  return x;
}

template <Form form>
constexpr size_t OperandsOf() {
  if constexpr (form == Form::copy || form == Form::sum) return 1;
  if constexpr (form == Form::multiply_add) return 3;
  if constexpr (form == Form::multiply_add_product) return 4;
  return 2;
}

template <Form form, class V>
HWY_INLINE V Combine(V a, V b, V c, V d) {
  if constexpr (form == Form::add) return hn::Add(a, b);
  if constexpr (form == Form::sub) return hn::Sub(a, b);
  if constexpr (form == Form::mul) return hn::Mul(a, b);
  if constexpr (form == Form::multiply_add) return hn::MulAdd(a, b, c);
  if constexpr (form == Form::multiply_add_product) return hn::MulAdd(a, b, hn::Mul(c, d));
  return a;
}

// result = post(form(operands)), in any order of places: the operands lie nowhere in the result.
template <Form form, Post post>
HWY_NOINLINE void MapPlaces(const LoopArguments& arguments, LoopExtents extents) {
  const LoopTag d;
  constexpr size_t kOperands = OperandsOf<form>();
  const LoopOperand* const in = arguments.operands;
  const LoopResult& out = arguments.result;
  // The longer of the two inner axes is the innermost.
  const bool by_rows = extents.vectors == 1;
  const int64_t outer = by_rows ? 1 : extents.rows;
  const int64_t inner = by_rows ? extents.rows : extents.vectors;
  const auto inner_stride = [=](int64_t row, int64_t vector) { return by_rows ? row : vector; };
  const int64_t sa = inner_stride(in[0].row, in[0].vector);
  const int64_t sb = kOperands > 1 ? inner_stride(in[1].row, in[1].vector) : 0;
  const int64_t sc = kOperands > 2 ? inner_stride(in[2].row, in[2].vector) : 0;
  const int64_t sd = kOperands > 3 ? inner_stride(in[3].row, in[3].vector) : 0;
  const int64_t sr = inner_stride(out.row, out.vector);
  for (int64_t t = 0; t < extents.steps; ++t) {
    for (int64_t r = 0; r < outer; ++r) {
      const float* HWY_RESTRICT a = in[0].data + t * in[0].step + r * in[0].row;
      const float* HWY_RESTRICT b = a;
      const float* HWY_RESTRICT c = a;
      const float* HWY_RESTRICT e = a;
      if constexpr (kOperands > 1) b = in[1].data + t * in[1].step + r * in[1].row;
      if constexpr (kOperands > 2) c = in[2].data + t * in[2].step + r * in[2].row;
      if constexpr (kOperands > 3) e = in[3].data + t * in[3].step + r * in[3].row;
      float* HWY_RESTRICT y = out.data + t * out.step + r * out.row;
      const auto at = [&](int64_t i) HWY_ATTR {
        const auto va = hn::LoadU(d, a + i * sa);
        auto vb = va, vc = va, ve = va;
        if constexpr (kOperands > 1) vb = hn::LoadU(d, b + i * sb);
        if constexpr (kOperands > 2) vc = hn::LoadU(d, c + i * sc);
        if constexpr (kOperands > 3) ve = hn::LoadU(d, e + i * sd);
        hn::StoreU(ApplyPost<post>(d, Combine<form>(va, vb, vc, ve)), d, y + i * sr);
      };
      int64_t i = 0;
      for (; i + 4 <= inner; i += 4) {
        at(i);
        at(i + 1);
        at(i + 2);
        at(i + 3);
      }
      for (; i < inner; ++i) at(i);
    }
  }
}

// The state of kCount vectors in registers over all steps. `at` and `by` are the first place and
// the way to the next, in each operand.
template <Recurrence recurrence, Post post, int kCount>
HWY_INLINE void RecurPlaces(const LoopArguments& arguments, int64_t steps, int64_t row,
                            int64_t vector, bool by_rows) {
  const LoopTag d;
  using V = hn::Vec<LoopTag>;
  constexpr size_t kState =
      recurrence == Recurrence::accumulate ? 2 : 1;  // where the state is among the operands
  constexpr size_t kOperands = recurrence == Recurrence::add                    ? 2
                               : recurrence == Recurrence::multiply_add_product ? 4
                                                                                : 3;
  const float* HWY_RESTRICT p[4];
  int64_t by[4];
  for (size_t k = 0; k < kOperands; ++k) {
    const LoopOperand& in = arguments.operands[k];
    p[k] = in.data + row * in.row + vector * in.vector;
    by[k] = by_rows ? in.row : in.vector;
  }
  const LoopResult& out = arguments.result;
  float* y = out.data + row * out.row + vector * out.vector;
  const int64_t by_result = by_rows ? out.row : out.vector;
  V h[kCount];
  HWY_UNROLL(4)
  for (int i = 0; i < kCount; ++i) h[i] = hn::LoadU(d, p[kState] + i * by[kState]);
  for (int64_t t = 0; t < steps; ++t) {
    HWY_UNROLL(4)
    for (int i = 0; i < kCount; ++i) {
      const V a = hn::LoadU(d, p[0] + i * by[0]);
      V x;
      if constexpr (recurrence == Recurrence::add) {
        x = hn::Add(a, h[i]);
      } else if constexpr (recurrence == Recurrence::multiply_add) {
        x = hn::MulAdd(a, h[i], hn::LoadU(d, p[2] + i * by[2]));
      } else if constexpr (recurrence == Recurrence::accumulate) {
        x = hn::MulAdd(a, hn::LoadU(d, p[1] + i * by[1]), h[i]);
      } else {
        x = hn::MulAdd(a, h[i],
                       hn::Mul(hn::LoadU(d, p[2] + i * by[2]), hn::LoadU(d, p[3] + i * by[3])));
      }
      h[i] = ApplyPost<post>(d, x);
      hn::StoreU(h[i], d, y + i * by_result);
    }
    for (size_t k = 0; k < kOperands; ++k) p[k] += arguments.operands[k].step;
    y += out.step;
  }
}

template <Recurrence recurrence, Post post>
HWY_NOINLINE void Recur(const LoopArguments& arguments, LoopExtents extents) {
  const bool by_rows = extents.vectors == 1;
  const int64_t outer = by_rows ? 1 : extents.rows;
  const int64_t inner = by_rows ? extents.rows : extents.vectors;
  for (int64_t r = 0; r < outer; ++r) {
    int64_t i = 0;
    for (; i + 4 <= inner; i += 4) {
      RecurPlaces<recurrence, post, 4>(arguments, extents.steps, by_rows ? i : r, by_rows ? 0 : i,
                                       by_rows);
    }
    for (; i < inner; ++i) {
      RecurPlaces<recurrence, post, 1>(arguments, extents.steps, by_rows ? i : r, by_rows ? 0 : i,
                                       by_rows);
    }
  }
}

// Sums over the rows, in their order; kCount of them side by side.
template <bool kProduct, int kCount>
HWY_INLINE void SumPlaces(const LoopArguments& arguments, int64_t rows, int64_t step,
                          int64_t vector, bool by_steps) {
  const LoopTag d;
  using V = hn::Vec<LoopTag>;
  const LoopOperand &left = arguments.operands[0], &right = arguments.operands[kProduct ? 1 : 0];
  const float* HWY_RESTRICT a = left.data + step * left.step + vector * left.vector;
  const float* HWY_RESTRICT b = right.data + step * right.step + vector * right.vector;
  const int64_t sa = by_steps ? left.step : left.vector;
  const int64_t sb = by_steps ? right.step : right.vector;
  V sum[kCount];
  HWY_UNROLL(4)
  for (int i = 0; i < kCount; ++i) sum[i] = hn::Zero(d);
  for (int64_t r = 0; r < rows; ++r) {
    HWY_UNROLL(4)
    for (int i = 0; i < kCount; ++i) {
      const V x = hn::LoadU(d, a + i * sa);
      if constexpr (kProduct) {
        sum[i] = hn::MulAdd(x, hn::LoadU(d, b + i * sb), sum[i]);
      } else {
        sum[i] = hn::Add(sum[i], x);
      }
    }
    a += left.row;
    b += right.row;
  }
  const LoopResult& out = arguments.result;
  float* const y = out.data + step * out.step + vector * out.vector;
  HWY_UNROLL(4)
  for (int i = 0; i < kCount; ++i) {
    hn::StoreU(sum[i], d, y + i * (by_steps ? out.step : out.vector));
  }
}

template <bool kProduct>
HWY_NOINLINE void SumRows(const LoopArguments& arguments, LoopExtents extents) {
  const bool by_steps = extents.vectors == 1;
  const int64_t outer = by_steps ? 1 : extents.steps;
  const int64_t inner = by_steps ? extents.steps : extents.vectors;
  for (int64_t t = 0; t < outer; ++t) {
    int64_t i = 0;
    for (; i + 4 <= inner; i += 4) {
      SumPlaces<kProduct, 4>(arguments, extents.rows, by_steps ? i : t, by_steps ? 0 : i, by_steps);
    }
    for (; i < inner; ++i) {
      SumPlaces<kProduct, 1>(arguments, extents.rows, by_steps ? i : t, by_steps ? 0 : i, by_steps);
    }
  }
}

// Form::decay for kCount vectors of all rows, in one step.
template <bool kExponential, bool kSum, int kCount>
HWY_INLINE void DecayPlaces(const LoopArguments& arguments, int64_t rows, int64_t step,
                            int64_t vector) {
  const LoopTag d;
  using V = hn::Vec<LoopTag>;
  const LoopOperand* const in = arguments.operands;
  const auto first = [&](const LoopOperand& operand) {
    return operand.data + step * operand.step + vector * operand.vector;
  };
  const float* HWY_RESTRICT a = first(in[0]);
  const float* HWY_RESTRICT b = first(in[1]);
  const float* h = first(in[2]);
  const float* HWY_RESTRICT u = first(in[3]);
  const float* HWY_RESTRICT w = first(in[4]);
  const float* HWY_RESTRICT c = first(in[5]);
  const LoopResult& out = arguments.result;
  float* y = out.data + step * out.step + vector * out.vector;
  V sum[kCount];
  HWY_UNROLL(4)
  for (int i = 0; i < kCount; ++i) sum[i] = hn::Zero(d);
  for (int64_t r = 0; r < rows; ++r) {
    HWY_UNROLL(4)
    for (int i = 0; i < kCount; ++i) {
      V decay = hn::LoadU(d, a + i * in[0].vector);
      if constexpr (kExponential) {
        decay = Exp(d, hn::Mul(decay, hn::LoadU(d, b + i * in[1].vector)));
      }
      const V added =
          hn::Mul(hn::LoadU(d, u + i * in[3].vector), hn::LoadU(d, w + i * in[4].vector));
      const V next = hn::MulAdd(decay, hn::LoadU(d, h + i * in[2].vector), added);
      hn::StoreU(next, d, y + i * out.vector);
      if constexpr (kSum) {
        sum[i] = hn::MulAdd(next, hn::LoadU(d, c + i * in[5].vector), sum[i]);
      }
    }
    a += in[0].row;
    b += in[1].row;
    h += in[2].row;
    u += in[3].row;
    w += in[4].row;
    c += in[5].row;
    y += out.row;
  }
  if constexpr (kSum) {
    const LoopResult& total = arguments.sum;
    float* const to = total.data + step * total.step + vector * total.vector;
    HWY_UNROLL(4)
    for (int i = 0; i < kCount; ++i) hn::StoreU(sum[i], d, to + i * total.vector);
  }
}

template <bool kExponential, bool kSum>
HWY_NOINLINE void Decay(const LoopArguments& arguments, LoopExtents extents) {
  for (int64_t t = 0; t < extents.steps; ++t) {
    int64_t v = 0;
    for (; v + 4 <= extents.vectors; v += 4) {
      DecayPlaces<kExponential, kSum, 4>(arguments, extents.rows, t, v);
    }
    for (; v < extents.vectors; ++v) {
      DecayPlaces<kExponential, kSum, 1>(arguments, extents.rows, t, v);
    }
  }
}

using LoopCode = void (*)(const LoopArguments&, LoopExtents);

template <Post post>
LoopCode MapOf(Form form) {
  switch (form) {
    case Form::copy:
      return MapPlaces<Form::copy, post>;
    case Form::add:
      return MapPlaces<Form::add, post>;
    case Form::sub:
      return MapPlaces<Form::sub, post>;
    case Form::mul:
      return MapPlaces<Form::mul, post>;
    case Form::multiply_add:
      return MapPlaces<Form::multiply_add, post>;
    case Form::multiply_add_product:
      return MapPlaces<Form::multiply_add_product, post>;
    case Form::sum:
      return SumRows<false>;
    case Form::sum_product:
      return SumRows<true>;
    case Form::general:
    case Form::decay:
      break;
  }
  return nullptr;
}

inline LoopCode MapOf(const PlannedOperation& operation) {
  switch (operation.post) {
    case Post::none:
      return MapOf<Post::none>(operation.form);
    case Post::exp:
      return MapOf<Post::exp>(operation.form);
    case Post::relu:
      return MapOf<Post::relu>(operation.form);
    case Post::tanh:
      return MapOf<Post::tanh>(operation.form);
    case Post::sigmoid:
      return MapOf<Post::sigmoid>(operation.form);
  }
  return nullptr;
}

template <Post post>
LoopCode RecurrenceOf(Recurrence recurrence) {
  switch (recurrence) {
    case Recurrence::add:
      return Recur<Recurrence::add, post>;
    case Recurrence::multiply_add:
      return Recur<Recurrence::multiply_add, post>;
    case Recurrence::accumulate:
      return Recur<Recurrence::accumulate, post>;
    case Recurrence::multiply_add_product:
      return Recur<Recurrence::multiply_add_product, post>;
    case Recurrence::none:
      break;
  }
  return nullptr;
}

inline LoopCode DecayOf(const PlannedOperation& operation) {
  if (!operation.sums) return Decay<true, false>;
  return operation.exponential ? Decay<true, true> : Decay<false, true>;
}

// Of an operation that is a known recurrence, for all steps of a chunk at once.
inline LoopCode RecurrenceOf(const PlannedOperation& operation) {
  if (operation.form == Form::decay) return DecayOf(operation);
  switch (operation.post) {
    case Post::none:
      return RecurrenceOf<Post::none>(operation.recurrence);
    case Post::relu:
      return RecurrenceOf<Post::relu>(operation.recurrence);
    case Post::tanh:
      return RecurrenceOf<Post::tanh>(operation.recurrence);
    default:
      return nullptr;
  }
}

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // the include guard that HWY_TARGET_TOGGLE toggles
