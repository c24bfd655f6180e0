#include "backends/executable/pool_step.h"

#include <algorithm>
#include <array>
#include <limits>

#include "backends/executable/basic_steps.h"
#include "backends/executable/lowering.h"
#include "backends/executable/parallel.h"
#include "ir/window.h"

namespace refrain::executable {
PoolStep::PoolStep(const WindowChain& chain, int threads)
    : pooling_(chain.window->op() == Op::max_pool ? highway::Pooling::max : highway::Pooling::sum),
      axes_(chain.axes),
      channels_(chain.channels),
      rows_(chain.batch * chain.places()),
      row_cost_(chain.channels),
      threads_(threads) {
  if (pooling_ == highway::Pooling::sum) {
    with_padding_ = chain.window->flag(AttributeName::count_include_pad);
  }
  const WindowAttributes attributes = window_attributes(*chain.window, axes_.size());
  // Automatic padding is as much as the windows need; explicit padding ends where it ends, even
  // under a window that ceil_mode added.
  const bool automatic = attributes.auto_pad != WindowAttributes::AutoPad::none;
  for (size_t i = 0; i < axes_.size(); ++i) {
    const SlidingAxis& axis = axes_[i];
    row_cost_ *= axis.kernel;
    std::vector<Covered>& windows = covered_.emplace_back();
    for (int64_t place = 0; place < axis.out; ++place) {
      const int64_t begin = axis.begin(place);
      const TapRange inside = taps_inside(begin, axis.dilation, axis.kernel, axis.in);
      const TapRange padded = taps_inside(begin + axis.pad, axis.dilation, axis.kernel,
                                          axis.in + axis.pad + attributes.pad_end[i]);
      windows.push_back({begin + inside.first * axis.dilation, inside.count,
                         automatic ? axis.kernel : padded.count});
    }
  }
  text_ = "highway " + std::string(name(chain.window->op())) + " " + extents_text(chain.x) +
          " to " + extents_text(chain.y);
}

int64_t PoolStep::grain() const {
  constexpr int64_t kWorthAThread = 16384;  // elements that are read
  return std::max<int64_t>(1, kWorthAThread / row_cost_);
}

void PoolStep::run_row(int64_t row) const {
  const size_t count = axes_.size();
  std::array<const Covered*, kMaxRank> windows{};
  std::array<int64_t, kMaxRank> tap{};
  int64_t batch = row;
  double divisor = 1;
  bool none = false;
  for (size_t i = count; i-- > 0;) {
    const auto place = static_cast<size_t>(batch % axes_[i].out);
    windows[i] = &covered_[i][place];
    batch /= axes_[i].out;
    none = none || windows[i]->count == 0;
    divisor *= static_cast<double>(with_padding_ ? windows[i]->padded : windows[i]->count);
  }
  float* const result = floats(1) + row * channels_;
  if (none) {
    const float nothing =
        pooling_ == highway::Pooling::max ? -std::numeric_limits<float>::infinity() : 0.0F;
    std::fill_n(result, channels_, nothing);
    return;
  }
  const Covered& last = *windows[count - 1];
  for (bool first = true;; first = false) {
    int64_t at = batch;
    for (size_t i = 0; i + 1 < count; ++i) {
      at = at * axes_[i].in + windows[i]->begin + tap[i] * axes_[i].dilation;
    }
    at = at * axes_[count - 1].in + last.begin;
    highway::pool(pooling_, floats(0) + at * channels_, last.count,
                  axes_[count - 1].dilation * channels_, channels_, first, result);
    size_t i = count - 1;
    bool more = false;
    while (i-- > 0 && !more) {
      more = ++tap[i] < windows[i]->count;
      if (!more) tap[i] = 0;
    }
    if (!more) break;
  }
  if (pooling_ == highway::Pooling::sum) {
    highway::divide(result, channels_, static_cast<float>(divisor));
  }
}

void PoolStep::run() {
  for_rows(threads_, rows_, grain(), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) run_row(row);
  });
}

}  // namespace refrain::executable
