#include "backends/executable/window_chain.h"

#include <algorithm>

#include "backends/executable/lowering.h"
#include "ir/builder.h"
#include "ir/window.h"

namespace refrain::executable {
namespace {

using A = AttributeName;

// Axis 1 goes to the end (`to_last`) or comes from there.
bool moves_channels(const Node& transpose, bool to_last) {
  const std::vector<int64_t>& perm = transpose.integers(A::perm);
  const size_t rank = perm.size();
  if (rank < 3) return false;
  for (size_t i = 0; i < rank; ++i) {
    const size_t from = to_last ? (i == 0          ? 0
                                   : i + 1 == rank ? 1
                                                   : i + 1)
                                : (i == 0   ? 0
                                   : i == 1 ? rank - 1
                                            : i - 1);
    if (normalize_axis(perm[i], rank) != from) return false;
  }
  return true;
}

bool is_window(Op op) {
  return op == Op::conv || op == Op::conv_transpose || op == Op::max_pool || op == Op::average_pool;
}

bool is_constant(const Value* value) { return !value || constant_tensor(value); }

// Leaves out the taps that lie in padding wherever the window is.
void trim(SlidingAxis& axis) {
  const auto meets = [&](int64_t tap) {
    // The first place at which the tap is not before the input.
    const int64_t offset = tap * axis.dilation - axis.pad;
    const int64_t place = offset >= 0 ? 0 : (-offset + axis.stride - 1) / axis.stride;
    return place < axis.out && offset + place * axis.stride < axis.in;
  };
  int64_t begin = 0, end = axis.kernel;
  while (begin + 1 < end && !meets(begin)) ++begin;
  while (begin + 1 < end && !meets(end - 1)) --end;
  axis.first_tap = begin;
  axis.kernel = end - begin;
  axis.pad -= begin * axis.dilation;
}

}  // namespace

TapRange taps_inside(int64_t begin, int64_t dilation, int64_t kernel, int64_t extent) {
  const auto up = [&](int64_t distance) {
    if (distance <= 0) return int64_t{0};
    return dilation == 1 ? distance : (distance + dilation - 1) / dilation;
  };
  const int64_t first = std::min(up(-begin), kernel), last = std::min(up(extent - begin), kernel);
  return {first, std::max<int64_t>(0, last - first)};
}

std::optional<WindowChain> window_geometry(const Node& window) {
  if (!is_window(window.op()) || window.result_count() != 1) return {};
  const bool transposed = window.op() == Op::conv_transpose;
  const bool pool = !transposed && window.op() != Op::conv;
  const std::vector<int64_t> x = extents_of(*window.operand(0)), y = extents_of(*window.result());
  if (window.result()->type().element != ElementType::f32 || x.size() < 3 ||
      element_count(x) == 0 || element_count(y) == 0 ||
      (!pool && (!is_constant(window.operand(1)) || !is_constant(window.operand(2))))) {
    return {};
  }
  WindowChain chain;
  chain.window = &window;
  chain.x = x;
  chain.y = y;
  for (std::vector<int64_t>* extents : {&chain.x, &chain.y}) {
    std::rotate(extents->begin() + 1, extents->begin() + 2, extents->end());
  }
  chain.batch = x[0];
  chain.channels = x[1];
  chain.filters = y[1];
  chain.groups = pool ? 1 : window.integer(A::groups);
  const std::vector<int64_t> kernel =
      pool ? window.integers(A::kernel) : extents_of(*window.operand(1));
  const size_t skipped = pool ? 0 : 2;
  const WindowAttributes attributes = window_attributes(window, x.size() - 2);
  for (size_t i = 0; i + 2 < x.size(); ++i) {
    SlidingAxis axis;
    axis.in = x[2 + i];
    axis.out = y[2 + i];
    axis.kernel = kernel[skipped + i];
    axis.stride = attributes.strides[i];
    axis.dilation = attributes.dilations[i];
    if (axis.kernel < 1) return {};
    if (transposed) {
      const std::vector<int64_t>&padding = window.integers(A::output_padding),
            &shape = window.integers(A::output_shape);
      axis.pad =
          transposed_window_axis(attributes, i, axis.in, axis.kernel,
                                 padding.empty() ? 0 : padding[i], shape.empty() ? -1 : shape[i])
              .pad_begin;
    } else {
      axis.pad = window_axis(attributes, i, axis.in, axis.kernel).pad_begin;
    }
    if (window.op() == Op::conv) trim(axis);
    chain.axes.push_back(axis);
  }
  return chain;
}

std::optional<WindowChain> window_chain(const Node& last) {
  if (last.op() != Op::transpose || !moves_channels(last, true)) return {};
  const auto only_source = [](const Value* value) {
    return value->has_one_use() ? value->node() : nullptr;
  };
  const Node* const window = only_source(last.operand(0));
  if (!window || !is_window(window->op())) return {};
  const Node* const first = only_source(window->operand(0));
  if (!first || first->op() != Op::transpose || !moves_channels(*first, false)) return {};
  std::optional<WindowChain> chain = window_geometry(*window);
  if (!chain) return {};
  chain->last = &last;
  chain->inner = {window, first};
  chain->input = first->operand(0);
  return chain;
}

}  // namespace refrain::executable
