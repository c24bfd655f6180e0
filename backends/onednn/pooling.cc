#include <algorithm>
#include <limits>

#include "backends/onednn/primitive.h"
#include "ir/window.h"

namespace refrain::onednn {
namespace {

using A = AttributeName;
using dnnl::memory;

struct Axis {
  int64_t input, output, kernel, stride, dilation, pad_begin;
  int64_t padded_end;  // where the padded input ends, counted from the input's first place

  // Places of a window that begins at `begin` below `end`.
  int64_t below(int64_t begin, int64_t end) const {
    if (begin >= end) return 0;
    return std::min(kernel, (end - 1 - begin) / dilation + 1);
  }
};

// True if each window covers something of the input and, where padding counts, nothing beyond it:
// oneDNN divides by all places of the kernel.
bool regular(const Axis& axis, bool padding_counts) {
  for (int64_t place = 0; place < axis.output; ++place) {
    const int64_t begin = place * axis.stride - axis.pad_begin;
    if (axis.below(begin, axis.input) - axis.below(begin, 0) <= 0) return false;
    if (padding_counts && axis.below(begin, axis.padded_end) != axis.kernel) return false;
  }
  return true;
}

}  // namespace

std::unique_ptr<StepKernel> make_pooling(const Node& node, const KernelOptions& options) {
  const memory::dims x = dims_of(*node.operand(0)), y = dims_of(*node.result());
  if (x.size() > 5) return nullptr;
  const size_t spatial = x.size() - 2;
  const WindowAttributes attributes = window_attributes(node, spatial);
  const memory::dims& kernel = node.integers(A::kernel);
  const bool max = node.op() == Op::max_pool;
  const bool padding_counts = !max && node.flag(A::count_include_pad);
  memory::dims dilations, pad_begin, pad_end;
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max() / 4;
  for (size_t i = 0; i < spatial; ++i) {
    const bool automatic = attributes.auto_pad != WindowAttributes::AutoPad::none;
    Axis axis{x[2 + i],
              y[2 + i],
              kernel[i],
              attributes.strides[i],
              attributes.dilations[i],
              window_axis(attributes, i, x[2 + i], kernel[i]).pad_begin,
              0};
    axis.padded_end =
        automatic ? std::numeric_limits<int64_t>::max() / 2 : axis.input + attributes.pad_end[i];
    const __int128 span = static_cast<__int128>(axis.kernel - 1) * axis.dilation + 1;
    const __int128 end =
        static_cast<__int128>(axis.output - 1) * axis.stride + span - axis.input - axis.pad_begin;
    if (span > kMost || axis.stride > kMost || axis.input > kMost || axis.output > kMost ||
        axis.pad_begin > kMost || end > kMost || !regular(axis, padding_counts)) {
      return nullptr;
    }
    dilations.push_back(axis.dilation - 1);
    pad_begin.push_back(axis.pad_begin);
    // Also where ceil_mode added a window. Negative where the last places are not read.
    pad_end.push_back(static_cast<int64_t>(end));
  }
  const dnnl::algorithm algorithm = max              ? dnnl::algorithm::pooling_max
                                    : padding_counts ? dnnl::algorithm::pooling_avg_include_padding
                                                     : dnnl::algorithm::pooling_avg_exclude_padding;
  const dnnl::pooling_v2_forward::primitive_desc descriptor(
      dnnl::pooling_v2_forward::desc(dnnl::prop_kind::forward_inference, algorithm, dense(x),
                                     dense(y), attributes.strides, kernel, dilations, pad_begin,
                                     pad_end),
      user_scratchpad(), cpu_engine());
  auto result = std::make_unique<PrimitiveKernel>(options);
  result->add(
      dnnl::pooling_v2_forward(descriptor),
      {{DNNL_ARG_SRC, result->operand(0, dense(x))}, {DNNL_ARG_DST, result->result(0, dense(y))}},
      descriptor.scratchpad_desc());
  result->finish();
  result->set_description(std::string("onednn ") + (max ? "max_pool " : "average_pool ") + text(x) +
                          " to " + text(y) + ", " + descriptor.impl_info_str());
  return result;
}

}  // namespace refrain::onednn
