#include "backends/reference/broadcast.h"

namespace refrain::reference {

template <size_t N>
void cut_into_runs(std::span<const int64_t> extents,
                   const std::array<std::span<const int64_t>, N>& operands,
                   void (*f)(void* context, const BroadcastRun<N>&), void* context) {
  struct Axis {
    int64_t extent;
    std::array<int64_t, N> strides;
  };
  std::array<Axis, kMaxRank> axes;  // innermost first
  size_t count = 0;
  std::array<int64_t, N> size;  // elements of the operand inside the axis
  size.fill(1);
  for (int64_t extent : extents) {
    if (extent == 0) return;
  }
  for (size_t i = 0; i < extents.size(); ++i) {
    Axis axis{extents[extents.size() - 1 - i], {}};
    if (axis.extent == 1) continue;
    bool continues = count > 0;
    for (size_t k = 0; k < N; ++k) {
      const int64_t own = i < operands[k].size() ? operands[k][operands[k].size() - 1 - i] : 1;
      if (own != 1) axis.strides[k] = size[k];
      size[k] *= own;
      continues =
          continues && axis.strides[k] == axes[count - 1].strides[k] * axes[count - 1].extent;
    }
    if (continues) {
      axes[count - 1].extent *= axis.extent;
    } else {
      axes[count++] = axis;
    }
  }
  if (count == 0) axes[count++] = {1, {}};

  BroadcastRun<N> run;
  run.count = axes[0].extent;
  for (size_t k = 0; k < N; ++k) run.varies[k] = axes[0].strides[k] != 0;
  std::array<int64_t, kMaxRank> index;
  for (size_t a = 1; a < count; ++a) index[a] = 0;
  for (;;) {
    f(context, run);
    run.result += run.count;
    size_t a = 1;
    for (; a < count; ++a) {
      for (size_t k = 0; k < N; ++k) run.operands[k] += axes[a].strides[k];
      if (++index[a] < axes[a].extent) break;
      for (size_t k = 0; k < N; ++k) run.operands[k] -= axes[a].strides[k] * axes[a].extent;
      index[a] = 0;
    }
    if (a >= count) return;
  }
}

template void cut_into_runs<2>(std::span<const int64_t>,
                               const std::array<std::span<const int64_t>, 2>&,
                               void (*)(void*, const BroadcastRun<2>&), void*);
template void cut_into_runs<3>(std::span<const int64_t>,
                               const std::array<std::span<const int64_t>, 3>&,
                               void (*)(void*, const BroadcastRun<3>&), void*);

}  // namespace refrain::reference
