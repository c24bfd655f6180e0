#include <algorithm>
#include <limits>

#include "backends/onednn/primitive.h"
#include "ir/window.h"

namespace refrain::onednn {
namespace {

using A = AttributeName;
using dnnl::memory;

// Extents, one entry a spatial axis, as oneDNN's descriptors take them: a dilation of 0 is none,
// and the padding at the end is what the result's extent implies (negative where the last places of
// the padded input are not read).
struct Window {
  memory::dims strides, dilations, pad_begin, pad_end;
};

// Adds an axis; false if oneDNN could not hold its numbers. `wide` is the side that the window
// slides over, `narrow` has one place a window.
bool add_axis(Window& window, const WindowAttributes& attributes, size_t i, int64_t narrow,
              int64_t wide, int64_t kernel, int64_t pad_begin) {
  const int64_t stride = attributes.strides[i];
  const __int128 span = static_cast<__int128>(kernel - 1) * attributes.dilations[i] + 1;
  const __int128 pad_end = static_cast<__int128>(narrow - 1) * stride + span - wide - pad_begin;
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max() / 4;
  // A window that lies in padding alone is legal but none that implementations are tested with.
  if (span > kMost || wide > kMost || narrow > kMost || stride > kMost || pad_begin >= span ||
      pad_end >= span || pad_end <= -stride) {
    return false;
  }
  window.strides.push_back(stride);
  window.dilations.push_back(attributes.dilations[i] - 1);
  window.pad_begin.push_back(pad_begin);
  window.pad_end.push_back(static_cast<int64_t>(pad_end));
  return true;
}

// Weights [out, in, kernel...], with the groups in front if there are more than one.
memory::dims grouped(int64_t groups, int64_t out, int64_t in, const memory::dims& w) {
  memory::dims dims = groups > 1 ? memory::dims{groups, out, in} : memory::dims{out, in};
  dims.insert(dims.end(), w.begin() + 2, w.end());
  return dims;
}

// [N, C, spatial...] as it lies in memory.
memory::desc placed(const memory::dims& dims, const KernelOptions& options) {
  if (!options.channels_last) return dense(dims);
  memory::dims strides(dims.size());
  strides[1] = 1;
  int64_t stride = dims[1];
  for (size_t i = dims.size(); i-- > 2;) {
    strides[i] = stride;
    stride *= dims[i];
  }
  strides[0] = stride;
  return {dims, memory::data_type::f32, strides};
}

// The primitive of either kind, between reorders of what it wants in another layout.
template <typename Primitive, typename Descriptor>
std::unique_ptr<StepKernel> kernel_of(const Node& node, Constants constants,
                                      const KernelOptions& options, const char* name,
                                      const Descriptor& desc, const memory::desc& weights) {
  const typename Primitive::primitive_desc descriptor(desc, user_scratchpad(), cpu_engine());
  const memory::dims x = dims_of(*node.operand(0)), y = dims_of(*node.result());
  auto kernel = std::make_unique<PrimitiveKernel>(options);
  std::vector<std::pair<int, memory>> arguments = {
      {DNNL_ARG_SRC,
       kernel->operand_as(0, constants[0], placed(x, options), descriptor.src_desc())},
      {DNNL_ARG_WEIGHTS, kernel->operand_as(1, constants[1], weights, descriptor.weights_desc())},
      {DNNL_ARG_DST, kernel->result_from(0, placed(y, options), descriptor.dst_desc())}};
  if (node.operand(2)) {
    arguments.emplace_back(DNNL_ARG_BIAS, kernel->operand(2, dense(dims_of(*node.operand(2)))));
  }
  kernel->add(Primitive(descriptor), std::move(arguments), descriptor.scratchpad_desc());
  kernel->finish();
  kernel->set_description(std::string("onednn ") + name + " " + text(x) + " by " +
                          text(dims_of(*node.operand(1))) + " to " + text(y) + ", " +
                          descriptor.impl_info_str());
  return kernel;
}

// True if the tensors are better left as they are than brought into the layout that the fastest
// implementation wants and back: a matrix product needs no other layout, and where there is little
// to compute for each element, moving them costs more than it saves. (Measured, AVX-512: below
// about 16 operations an element the product over rows of patches is faster, up to 2 times, above
// it slower, up to 2 times.)
bool keeps_layout(const memory::dims& x, const memory::dims& w, const memory::dims& y,
                  const memory::dims& strides) {
  constexpr double kLeastWork = 16;
  const auto one = [](int64_t extent) { return extent == 1; };
  if (std::all_of(w.begin() + 2, w.end(), one) &&
      std::all_of(strides.begin(), strides.end(), one)) {
    return true;
  }
  const auto count = [](const memory::dims& dims) {
    return static_cast<double>(element_count(dims));
  };
  const double work = count(y) * count(w) / static_cast<double>(w[0]);
  return work < kLeastWork * (count(x) + count(y));
}

}  // namespace

std::unique_ptr<StepKernel> make_convolution(const Node& node, Constants constants,
                                             const KernelOptions& options) {
  const memory::dims x = dims_of(*node.operand(0)), w = dims_of(*node.operand(1)),
                     y = dims_of(*node.result());
  const int64_t groups = node.integer(A::groups);
  if (x.size() > 5) return nullptr;
  const size_t spatial = x.size() - 2;
  const WindowAttributes attributes = window_attributes(node, spatial);
  Window window;
  for (size_t i = 0; i < spatial; ++i) {
    const int64_t pad = window_axis(attributes, i, x[2 + i], w[2 + i]).pad_begin;
    if (!add_axis(window, attributes, i, y[2 + i], x[2 + i], w[2 + i], pad)) return nullptr;
  }
  const memory::dims weights = grouped(groups, w[0] / groups, w[1], w);
  const bool keeps = keeps_layout(x, w, y, window.strides);
  const auto layout = [&](const memory::dims& dims) {
    return keeps ? placed(dims, options) : any_layout(dims);
  };
  using Primitive = dnnl::convolution_forward;
  const Primitive::desc desc(dnnl::prop_kind::forward_inference,
                             dnnl::algorithm::convolution_direct, layout(x), any_layout(weights),
                             node.operand(2) ? dense({w[0]}) : memory::desc(), layout(y),
                             window.strides, window.dilations, window.pad_begin, window.pad_end);
  return kernel_of<Primitive>(node, constants, options, "conv", desc, dense(weights));
}

std::unique_ptr<StepKernel> make_transposed_convolution(const Node& node, Constants constants,
                                                        const KernelOptions& options) {
  const memory::dims x = dims_of(*node.operand(0)), w = dims_of(*node.operand(1)),
                     y = dims_of(*node.result());
  const int64_t groups = node.integer(A::groups);
  if (x.size() > 5) return nullptr;
  const size_t spatial = x.size() - 2;
  const WindowAttributes attributes = window_attributes(node, spatial);
  const std::vector<int64_t>&padding = node.integers(A::output_padding),
        &shape = node.integers(A::output_shape);
  Window window;
  for (size_t i = 0; i < spatial; ++i) {
    const int64_t pad =
        transposed_window_axis(attributes, i, x[2 + i], w[2 + i], padding.empty() ? 0 : padding[i],
                               shape.empty() ? -1 : shape[i])
            .pad_begin;
    if (!add_axis(window, attributes, i, x[2 + i], y[2 + i], w[2 + i], pad)) return nullptr;
  }
  // ONNX has the input channels first, oneDNN the output channels: the same elements, two strides
  // exchanged.
  const memory::dims weights = grouped(groups, w[1], w[0] / groups, w);
  memory::dims strides(weights.size(), 1);
  const size_t out = groups > 1 ? 1 : 0;
  for (size_t i = weights.size() - 1; i-- > out + 2;) strides[i] = strides[i + 1] * weights[i + 1];
  strides[out] = 1;
  for (size_t i = out + 2; i < weights.size(); ++i) strides[out] *= weights[i];
  strides[out + 1] = strides[out] * w[1];
  if (groups > 1) strides[0] = strides[out + 1] * (w[0] / groups);
  using Primitive = dnnl::deconvolution_forward;
  const Primitive::desc desc(
      dnnl::prop_kind::forward_inference, dnnl::algorithm::deconvolution_direct, any_layout(x),
      any_layout(weights), node.operand(2) ? dense({y[1]}) : memory::desc(), any_layout(y),
      window.strides, window.dilations, window.pad_begin, window.pad_end);
  return kernel_of<Primitive>(node, constants, options, "conv_transpose", desc,
                              memory::desc(weights, memory::data_type::f32, strides));
}

}  // namespace refrain::onednn
