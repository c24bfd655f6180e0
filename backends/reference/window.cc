// Convolution and pooling.
#include "ir/window.h"

#include <algorithm>

#include "backends/reference/arithmetic.h"
#include "backends/reference/kernel.h"
#include "backends/reference/strided.h"

namespace refrain::reference {
namespace {

using A = AttributeName;

std::span<const int64_t> spatial_extents(const Tensor& x) {
  return std::span(x.extents()).subspan(2);
}

// One spatial axis of a convolution: place i of the narrow side and kernel position k meet at place
// i * stride + k * dilation - pad of the wide side. A convolution reads the wide side and writes
// the narrow one, a transposed convolution the other way round.
struct ConvAxis {
  int64_t narrow, wide, kernel, stride, dilation, pad;
};

// `count` places along the last axis that meet one kernel position: narrow places follow each
// other, wide places are the last axis' stride apart.
struct Run {
  int64_t narrow, wide, count;
};

// All runs of the kernel position that `kernel` is at, those that fall into padding left out.
std::vector<Run> runs_of(const std::vector<ConvAxis>& axes, const Walk& kernel,
                         const std::vector<int64_t>& narrow_strides,
                         const std::vector<int64_t>& wide_strides) {
  const size_t last = axes.size() - 1;
  Run base{0, 0, 0};
  std::vector<int64_t> counts, narrow_steps, wide_steps;
  for (size_t a = 0; a < axes.size(); ++a) {
    const ConvAxis& axis = axes[a];
    const __int128 begin = static_cast<__int128>(kernel.index(a)) * axis.dilation - axis.pad;
    const IndexRange range = indices_inside(begin, axis.stride, axis.narrow, axis.wide);
    if (range.count() == 0) return {};
    base.narrow += range.first * narrow_strides[a];
    base.wide += static_cast<int64_t>(begin + static_cast<__int128>(range.first) * axis.stride) *
                 wide_strides[a];
    if (a == last) {
      base.count = range.count();
    } else {
      counts.push_back(range.count());
      narrow_steps.push_back(narrow_strides[a]);
      // A stride longer than the axis meets it only once, and is never walked.
      wide_steps.push_back(range.count() > 1 ? axis.stride * wide_strides[a] : 0);
    }
  }
  std::vector<Run> runs;
  for (Walk walk(counts, {narrow_steps, wide_steps}); !walk.done(); walk.next()) {
    runs.push_back({base.narrow + walk.offset(0), base.wide + walk.offset(1), base.count});
  }
  return runs;
}

// Geometry of both convolutions: narrow [batch, groups * narrow_channels, ...], wide [batch, groups
// * wide_channels, ...], weights [groups * narrow_channels, wide_channels, kernel...]. Channels are
// those of one group. No extent is 0.
struct Convolution {
  int64_t batch, groups, narrow_channels, wide_channels;
  std::vector<ConvAxis> axes;
};

// Calls meet(weight, narrow, wide, count, step) for every weight and every run of places that it
// joins; weight, narrow and wide are offsets into the whole tensors.
template <typename Meet>
void for_each_meeting(const Convolution& conv, Meet&& meet) {
  std::vector<int64_t> narrow_extents, wide_extents, kernel_extents;
  for (const ConvAxis& axis : conv.axes) {
    narrow_extents.push_back(axis.narrow);
    wide_extents.push_back(axis.wide);
    kernel_extents.push_back(axis.kernel);
  }
  const auto narrow_strides = strides_of(narrow_extents), wide_strides = strides_of(wide_extents);
  const int64_t narrow_plane = element_count(narrow_extents);
  const int64_t wide_plane = element_count(wide_extents);
  const int64_t taps = element_count(kernel_extents);
  const int64_t step = conv.axes.back().stride;
  int64_t tap = 0;
  for (Walk kernel(kernel_extents, {}); !kernel.done(); kernel.next(), ++tap) {
    const std::vector<Run> runs = runs_of(conv.axes, kernel, narrow_strides, wide_strides);
    for (int64_t ng = 0; ng < conv.batch * conv.groups; ++ng) {
      const int64_t group = ng % conv.groups;
      for (int64_t cn = 0; cn < conv.narrow_channels; ++cn) {
        for (int64_t cw = 0; cw < conv.wide_channels; ++cw) {
          const int64_t weight =
              ((group * conv.narrow_channels + cn) * conv.wide_channels + cw) * taps + tap;
          const int64_t narrow = (ng * conv.narrow_channels + cn) * narrow_plane;
          const int64_t wide = (ng * conv.wide_channels + cw) * wide_plane;
          for (const Run& run : runs) {
            meet(weight, narrow + run.narrow, wide + run.wide, run.count, step);
          }
        }
      }
    }
  }
}

// y = bias, one value a channel.
template <typename Acc, typename T>
void start_with_bias(const KernelContext& context, Acc* y) {
  if (!context.has(2)) return;
  const Tensor& result = context.result();
  const auto bias = context.operand(2).data<T>();
  const int64_t channels = result.extents()[1];
  const int64_t plane = element_count(spatial_extents(result));
  for (int64_t i = 0; i < result.extents()[0] * channels; ++i) {
    std::fill_n(y + i * plane, plane, static_cast<Acc>(bias[static_cast<size_t>(i % channels)]));
  }
}

void conv(const KernelContext& context) {
  const Tensor &x = context.operand(0), &w = context.operand(1);
  Tensor& y = context.result();
  if (y.size() == 0) return;
  const int64_t groups = context.node.integer(A::groups);
  const size_t spatial = x.rank() - 2;
  const WindowAttributes window = window_attributes(context.node, spatial);
  Convolution geometry{x.extents()[0], groups, w.extents()[0] / groups, w.extents()[1], {}};
  for (size_t i = 0; i < spatial; ++i) {
    const int64_t in = x.extents()[2 + i], kernel = w.extents()[2 + i];
    geometry.axes.push_back({y.extents()[2 + i], in, kernel, window.strides[i], window.dilations[i],
                             window_axis(window, i, in, kernel).pad_begin});
  }
  visit_number(y.type(), [&]<typename T>(std::type_identity<T>) {
    using Acc = Accumulator<T>;
    accumulate_into<Acc>(y.data<T>(), [&](Acc* out) {
      start_with_bias<Acc, T>(context, out);
      if (x.size() == 0 || w.size() == 0) return;
      const Widened<Acc, T> in(x.data<T>()), weights(w.data<T>());
      for_each_meeting(
          geometry, [&](int64_t weight, int64_t narrow, int64_t wide, int64_t count, int64_t step) {
            const Acc factor = weights.data()[weight];
            const Acc* from = in.data() + wide;
            Acc* to = out + narrow;
            for (int64_t i = 0; i < count; ++i) to[i] += factor * from[i * step];
          });
    });
  });
}

void conv_transpose(const KernelContext& context) {
  const Tensor &x = context.operand(0), &w = context.operand(1);
  Tensor& y = context.result();
  if (y.size() == 0) return;
  const int64_t groups = context.node.integer(A::groups);
  const size_t spatial = x.rank() - 2;
  const WindowAttributes window = window_attributes(context.node, spatial);
  const auto &padding = context.node.integers(A::output_padding),
             &shape = context.node.integers(A::output_shape);
  Convolution geometry{x.extents()[0], groups, w.extents()[0] / groups, w.extents()[1], {}};
  for (size_t i = 0; i < spatial; ++i) {
    const int64_t in = x.extents()[2 + i], kernel = w.extents()[2 + i];
    const WindowAxis axis = transposed_window_axis(
        window, i, in, kernel, padding.empty() ? 0 : padding[i], shape.empty() ? -1 : shape[i]);
    geometry.axes.push_back(
        {in, y.extents()[2 + i], kernel, window.strides[i], window.dilations[i], axis.pad_begin});
  }
  visit_number(y.type(), [&]<typename T>(std::type_identity<T>) {
    using Acc = Accumulator<T>;
    accumulate_into<Acc>(y.data<T>(), [&](Acc* out) {
      start_with_bias<Acc, T>(context, out);
      if (x.size() == 0 || w.size() == 0) return;
      const Widened<Acc, T> in(x.data<T>()), weights(w.data<T>());
      for_each_meeting(
          geometry, [&](int64_t weight, int64_t narrow, int64_t wide, int64_t count, int64_t step) {
            const Acc factor = weights.data()[weight];
            const Acc* from = in.data() + narrow;
            Acc* to = out + wide;
            for (int64_t i = 0; i < count; ++i) to[i * step] += factor * from[i];
          });
    });
  });
}

// What the window of one output place covers along one axis.
struct PoolWindow {
  int64_t begin = 0;   // first covered input place
  int64_t count = 0;   // covered input places, a dilation apart
  int64_t padded = 0;  // covered places of the padded input
};

// The windows of every axis, one an output place.
std::vector<std::vector<PoolWindow>> pool_windows(const KernelContext& context,
                                                  const WindowAttributes& window) {
  const std::vector<int64_t>& kernel = context.node.integers(A::kernel);
  const auto inputs = spatial_extents(context.operand(0)),
             outputs = spatial_extents(context.result());
  std::vector<std::vector<PoolWindow>> windows(kernel.size());
  for (size_t i = 0; i < kernel.size(); ++i) {
    const int64_t pad = window_axis(window, i, inputs[i], kernel[i]).pad_begin;
    const int64_t dilation = window.dilations[i];
    // Automatic padding is as much as the windows need; explicit padding ends where it ends, even
    // under a window that ceil_mode added.
    const bool automatic = window.auto_pad != WindowAttributes::AutoPad::none;
    for (int64_t place = 0; place < outputs[i]; ++place) {
      const __int128 begin = static_cast<__int128>(place) * window.strides[i] - pad;
      const IndexRange inside = indices_inside(begin, dilation, kernel[i], inputs[i]);
      PoolWindow result;
      result.count = inside.count();
      if (result.count > 0) {
        result.begin = static_cast<int64_t>(begin + static_cast<__int128>(inside.first) * dilation);
      }
      result.padded = automatic ? kernel[i]
                                : indices_inside(begin + pad, dilation, kernel[i],
                                                 inputs[i] + pad + window.pad_end[i])
                                      .count();
      windows[i].push_back(result);
    }
  }
  return windows;
}

// Calls visit(place, covered, padded) for each output place of a plane: `covered` are the offsets
// of the window's input places in the input plane, in row-major order; `padded` is the number of
// places of the padded input that the window covers (as a double: it may be huge).
template <typename Visit>
void for_each_window(const KernelContext& context, Visit&& visit) {
  const auto inputs = spatial_extents(context.operand(0)),
             outputs = spatial_extents(context.result());
  const WindowAttributes window = window_attributes(context.node, inputs.size());
  const auto windows = pool_windows(context, window);
  const std::vector<int64_t> strides = strides_of(inputs);
  std::vector<int64_t> covered, counts(inputs.size()), steps(inputs.size());
  int64_t place = 0;
  for (Walk output(outputs, {}); !output.done(); output.next(), ++place) {
    int64_t base = 0;
    double padded = 1;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const PoolWindow& part = windows[i][static_cast<size_t>(output.index(i))];
      base += part.begin * strides[i];
      counts[i] = part.count;
      steps[i] = part.count > 1 ? window.dilations[i] * strides[i] : 0;
      padded *= static_cast<double>(part.padded);
    }
    covered.clear();
    for (Walk walk(counts, {steps}); !walk.done(); walk.next())
      covered.push_back(base + walk.offset(0));
    visit(place, covered, padded);
  }
}

// Offset in a plane, counted with the first spatial axis fastest instead of the last.
int64_t column_major(int64_t offset, std::span<const int64_t> extents) {
  int64_t result = 0;
  int64_t plane = element_count(extents);
  for (size_t i = extents.size(); i-- > 0;) {
    plane /= extents[i];
    result += offset % extents[i] * plane;
    offset /= extents[i];
  }
  return result;
}

// Padding never wins: a window that covers nothing but padding gives the least value, and index -1.
void max_pool(const KernelContext& context) {
  const Tensor& x = context.operand(0);
  Tensor& y = context.result();
  if (y.size() == 0) return;
  const int64_t planes = x.extents()[0] * x.extents()[1];
  const auto extents = spatial_extents(x);
  const int64_t in_plane = element_count(extents), out_plane = element_count(spatial_extents(y));
  const bool by_columns = context.node.integer(A::storage_order) == 1;
  int64_t* const indices =
      context.results.size() > 1 ? context.result(1).data<int64_t>().data() : nullptr;
  visit(y.type(), [&]<typename T>(std::type_identity<T>) {
    using C = Comparable<T>;
    const T* in = x.data<T>().data();
    T* out = y.data<T>().data();
    for_each_window(context, [&](int64_t place, const std::vector<int64_t>& covered, double) {
      for (int64_t plane = 0; plane < planes; ++plane) {
        C best = lowest_of<C>();
        int64_t where = -1;
        for (int64_t offset : covered) {
          const auto value = static_cast<C>(in[plane * in_plane + offset]);
          if (where >= 0 && !(value > best) && (!is_nan(value) || is_nan(best))) continue;
          best = value;
          where = offset;
        }
        out[plane * out_plane + place] = static_cast<T>(best);
        if (!indices) continue;
        if (where >= 0)
          where = plane * in_plane + (by_columns ? column_major(where, extents) : where);
        indices[plane * out_plane + place] = where;
      }
    });
  });
}

// A window that covers nothing that counts gives 0.
void average_pool(const KernelContext& context) {
  const Tensor& x = context.operand(0);
  Tensor& y = context.result();
  if (y.size() == 0) return;
  const int64_t planes = x.extents()[0] * x.extents()[1];
  const int64_t in_plane = element_count(spatial_extents(x));
  const int64_t out_plane = element_count(spatial_extents(y));
  const bool with_padding = context.node.flag(A::count_include_pad);
  visit_float(y.type(), [&]<typename T>(std::type_identity<T>) {
    using Acc = Accumulator<T>;
    const T* in = x.data<T>().data();
    T* out = y.data<T>().data();
    for_each_window(
        context, [&](int64_t place, const std::vector<int64_t>& covered, double padded) {
          const double count = with_padding ? padded : static_cast<double>(covered.size());
          for (int64_t plane = 0; plane < planes; ++plane) {
            Acc sum{};
            for (int64_t offset : covered) sum += static_cast<Acc>(in[plane * in_plane + offset]);
            const Acc mean = count > 0 ? sum / static_cast<Acc>(count) : Acc{};
            out[plane * out_plane + place] = static_cast<T>(mean);
          }
        });
  });
}

}  // namespace

std::vector<KernelEntry> window_kernels() {
  return {{Op::conv, conv},
          {Op::conv_transpose, conv_transpose},
          {Op::max_pool, max_pool},
          {Op::average_pool, average_pool}};
}

}  // namespace refrain::reference
