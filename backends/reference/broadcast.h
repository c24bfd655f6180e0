// Internal to the reference kernels: loops of element-wise ops.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "backends/reference/kernel.h"
#include "ir/shape.h"

namespace refrain::reference {

// One contiguous run of a result and what of the operands belongs to it.
template <size_t N>
struct BroadcastRun {
  int64_t result = 0;                 // offset of its first element
  std::array<int64_t, N> operands{};  // offsets
  int64_t count = 0;
  std::array<bool, N>
      varies{};  // operand goes along element by element; otherwise one element for all
};

// Cuts a result into runs and calls f(context, run) for each, in order. Axes along which no operand
// changes its way of broadcasting are one: operands of the result's own shape, and scalars, are a
// single run; a bias is one run a row. Operands' extents broadcast to `extents` (numpy's rules).
// N is 2 or 3.
template <size_t N>
void cut_into_runs(std::span<const int64_t> extents,
                   const std::array<std::span<const int64_t>, N>& operands,
                   void (*f)(void* context, const BroadcastRun<N>&), void* context);

// Calls f(run) for each. The kernels are some hundred of these: what they share is compiled once.
template <size_t N, typename F>
void for_each_run(std::span<const int64_t> extents,
                  const std::array<std::span<const int64_t>, N>& operands, F&& f) {
  using Function = std::remove_reference_t<F>;
  cut_into_runs<N>(
      extents, operands,
      [](void* context, const BroadcastRun<N>& run) { (*static_cast<Function*>(context))(run); },
      &f);
}

// An element in the type that it is computed in.
template <typename T>
auto widen(T x) {
  if constexpr (std::is_arithmetic_v<T>) {
    return x;
  } else {
    return static_cast<float>(x);
  }
}

// result[i] = f(x[i]), f in the computing type.
template <typename T, typename R, typename F>
void map_unary(const KernelContext& c, F&& f) {
  const T* x = c.operand(0).data<T>().data();
  R* r = c.result().data<R>().data();
  const int64_t count = c.result().size();
  for (int64_t i = 0; i < count; ++i) r[i] = static_cast<R>(f(widen(x[i])));
}

// result = f(x, y), broadcast, f in the computing types.
template <typename X, typename Y, typename R, typename F>
void map_binary(const KernelContext& c, F&& f) {
  const X* const x0 = c.operand(0).data<X>().data();
  const Y* const y0 = c.operand(1).data<Y>().data();
  R* const r0 = c.result().data<R>().data();
  for_each_run<2>(c.result().extents(), {c.operand(0).extents(), c.operand(1).extents()},
                  [&](const BroadcastRun<2>& run) {
                    const X* x = x0 + run.operands[0];
                    const Y* y = y0 + run.operands[1];
                    R* r = r0 + run.result;
                    const int64_t count = run.count;
                    // One loop each, so that each one vectorises.
                    if (run.varies[0] && run.varies[1]) {
                      for (int64_t i = 0; i < count; ++i)
                        r[i] = static_cast<R>(f(widen(x[i]), widen(y[i])));
                    } else if (run.varies[0]) {
                      const auto same = widen(*y);
                      for (int64_t i = 0; i < count; ++i)
                        r[i] = static_cast<R>(f(widen(x[i]), same));
                    } else {
                      const auto same = widen(*x);
                      const int64_t stride = run.varies[1];
                      for (int64_t i = 0; i < count; ++i)
                        r[i] = static_cast<R>(f(same, widen(y[i * stride])));
                    }
                  });
}

}  // namespace refrain::reference
