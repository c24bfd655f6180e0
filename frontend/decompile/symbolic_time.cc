// Ops that look along time: slices, convolutions, windows, and products that attend to steps.
#include <fmt/core.h>

#include <algorithm>

#include "frontend/decompile/symbolic.h"
#include "frontend/decompile/writer.h"
#include "ir/builder.h"
#include "ir/window.h"

namespace refrain::decompile {
namespace {

using Kind = Axis::Kind;

// No sequence is as long: what ONNX's exporters write for the end of an axis is more.
constexpr int64_t kNoExtent = int64_t{1} << 30;

// Where features and time of what ops on windows work on are: [batch, features, time].
bool is_channels(const Symbolic& x) {
  const auto one = [](const Axis& axis) { return axis.kind == Kind::part && axis.extent == 1; };
  return !x.constant && x.axes.size() == 3 && x.parts.size() == 1 &&
         (x.axes[0].kind == Kind::batch || one(x.axes[0])) &&
         (x.axes[1].kind == Kind::feature || one(x.axes[1])) && x.axes[2].kind == Kind::time;
}

// Elements of every row of a fixed filter, if all rows are the same few numbers.
std::optional<std::string> filter_of(const Tensor& weights) {
  constexpr int64_t kMost = 9;
  const int64_t taps = weights.extents()[2];
  if (taps > kMost || taps < 2) return std::nullopt;
  const std::vector<double> elements = weights.view().as_doubles();
  std::string text;
  for (size_t i = 0; i < elements.size(); ++i) {
    const auto tap = i % static_cast<size_t>(taps);
    if (elements[i] != elements[tap]) return std::nullopt;
    if (i != tap) continue;
    text += (i == 0 ? "" : ", ") + number_text(elements[i]);
  }
  return "(" + text + ")";
}

}  // namespace

std::optional<Symbolic> Evaluation::slice(const Node& node) {
  const auto begins = constant_ints(node.operand(1)), ends = constant_ints(node.operand(2)),
             axes = constant_ints(node.operand(3)), by = constant_ints(node.operand(4));
  const Symbolic& x = at(node.operand(0));
  const int64_t stride = !node.operand(4) ? 1 : by && by->size() == 1 ? (*by)[0] : 0;
  if (x.constant || !begins || !ends || !axes || axes->size() != 1 || begins->size() != 1 ||
      ends->size() != 1 || (stride != 1 && stride != -1)) {
    return std::nullopt;
  }
  const int64_t begin = (*begins)[0], end = (*ends)[0];
  const auto axis = static_cast<size_t>(
      (*axes)[0] < 0 ? (*axes)[0] + static_cast<int64_t>(x.axes.size()) : (*axes)[0]);
  const Dim dim = node.operand(0)->type().shape[axis];
  if (x.axes[axis].kind == Kind::time) {
    const bool from_end =
        begin == -1 || begin > kNoExtent || (dim.is_constant() && begin == dim.extent() - 1);
    Symbolic result{x.axes, {}, nullptr};
    for (const Expr& part : x.parts) {
      if (stride == -1) {
        const bool to_start = end < -kNoExtent || (dim.is_constant() && end < -dim.extent());
        if (!from_end || !to_start) return std::nullopt;
        const bool twice = part->kind == Expression::Kind::call && part->function == "reverse";
        result.parts.push_back(twice ? part->arguments[0] : call("reverse", {part}, part->width));
      } else if ((begin == 0 && end == 1) || (begin == -1 && end > kNoExtent)) {
        result.axes[axis] = {Kind::part, 1};
        result.parts.push_back(step(part, begin));
      } else if (begin > kNoExtent || begin < -kNoExtent || end < -kNoExtent) {
        return std::nullopt;
      } else {
        const bool open = end > kNoExtent || (dim.is_constant() && end >= dim.extent());
        result.parts.push_back(begin == 0 && open ? part
                                                  : steps(part, begin, open ? kAllSteps : end));
      }
    }
    return result;
  }
  const int64_t extent = x.axes[axis].extent;
  const auto bound = [&](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + extent : at, 0, extent);
  };
  if (stride != 1) return std::nullopt;
  return cut(x, axis, bound(begin), bound(end));
}

std::optional<Symbolic> Evaluation::arg_max(const Node& node) {
  const Symbolic& x = at(node.operand(0));
  int64_t axis = node.integer(AttributeName::axis);
  if (axis < 0) axis += static_cast<int64_t>(x.axes.size());
  const auto place = static_cast<size_t>(axis);
  if (x.constant || x.axes[place].kind != Kind::feature || x.matrix() ||
      node.flag(AttributeName::select_last)) {
    return std::nullopt;
  }
  Symbolic result{x.axes, {}, nullptr};
  for (const Expr& part : x.parts) result.parts.push_back(call("argmax", {part}, 0));
  result.axes[place] = {Kind::part, 1};
  if (!node.flag(AttributeName::keep_dims)) result.axes.erase(result.axes.begin() + axis);
  return result;
}

std::optional<Symbolic> Evaluation::pad(const Node& node) {
  const Symbolic& x = at(node.operand(0));
  const auto pads = constant_ints(node.operand(1)), axes = constant_ints(node.operand(3));
  const TensorPtr value = node.operand(2) ? constant_tensor(node.operand(2)) : nullptr;
  const std::string& mode = node.string(AttributeName::mode);
  const bool zero =
      !node.operand(2) || (value && value->size() == 1 && value->view().as_doubles()[0] == 0);
  if (x.constant || !pads || (node.operand(3) && !axes) || (mode == "constant" && !zero) ||
      (mode != "constant" && mode != "reflect" && mode != "edge")) {
    return std::nullopt;
  }
  const size_t count = pads->size() / 2;
  int64_t before = 0, after = 0;
  for (size_t i = 0; i < count; ++i) {
    if ((*pads)[i] == 0 && (*pads)[count + i] == 0) continue;
    int64_t axis = axes ? (*axes)[i] : static_cast<int64_t>(i);
    if (axis < 0) axis += static_cast<int64_t>(x.axes.size());
    before = (*pads)[i];
    after = (*pads)[count + i];
    if (x.axes[static_cast<size_t>(axis)].kind != Kind::time || before < 0 || after < 0)
      return std::nullopt;
  }
  Symbolic result = x;
  for (Expr& part : result.parts) {
    part =
        call("pad", {part, number(static_cast<double>(before)), number(static_cast<double>(after))},
             part->width);
    if (mode != "constant") part->options = fmt::format(", mode = \"{}\"", mode);
  }
  return result;
}

std::optional<Symbolic> Evaluation::convolution(const Node& node) {
  const Symbolic &x = at(node.operand(0)), &weights = at(node.operand(1));
  const TensorPtr bias = node.operand(2) ? at(node.operand(2)).constant : nullptr;
  if (!weights.constant || weights.constant->rank() != 3 || (node.operand(2) && !bias))
    return std::nullopt;
  if (!is_channels(x)) return single_step(node);
  const WindowAttributes window = window_attributes(node, 1);
  const int64_t channels = weights.constant->extents()[0], taps = weights.constant->extents()[2],
                groups = node.integer(AttributeName::groups);
  const int64_t before = window.pad_begin[0], after = window.pad_end[0];
  const bool causal = after == 0 && before == (taps - 1) * window.dilations[0] && before > 0;
  if (window.auto_pad != WindowAttributes::AutoPad::none || (before != after && !causal))
    return std::nullopt;
  std::string options;
  const auto option = [&](const char* name, int64_t value, int64_t usual) {
    if (value != usual) options += fmt::format(", {} = {}", name, value);
  };
  option("stride", window.strides[0], 1);
  if (!causal) option("padding", before, 0);
  option("dilation", window.dilations[0], 1);
  if (causal) options += ", causal = true";
  const int64_t features = x.axes[1].extent;
  const std::optional<std::string> filter = !bias && groups == features && channels == features
                                                ? filter_of(*weights.constant)
                                                : std::nullopt;
  Expr e = call("", {x.parts[0]}, channels);
  e->kind = Expression::Kind::convolution;
  if (filter) {
    options = ", filter = " + *filter + options;
    e->width = x.parts[0]->width;
  } else {
    option("groups", groups, 1);
    if (!bias) options += ", bias = false";
    e->tensor = weights.constant;
    e->bias = bias;
    options = fmt::format(", {}, {}", channels, taps) + options;
  }
  e->options = options;
  e->shared = true;  // one a line
  Symbolic result{x.axes, {e}, nullptr};
  if (!filter) result.axes[1] = {Kind::feature, channels};
  return result;
}

// A convolution of one tap over one step: a product.
std::optional<Symbolic> Evaluation::single_step(const Node& node) {
  const Symbolic &x = at(node.operand(0)), &weights = at(node.operand(1));
  const WindowAttributes window = window_attributes(node, 1);
  const std::vector<int64_t>& extents = weights.constant->extents();
  if (x.constant || x.axes.size() != 3 || x.axes[1].kind != Kind::feature ||
      x.axes[2].kind != Kind::part || x.axes[2].extent != 1 || extents[2] != 1 ||
      x.axes[1].extent != extents[1] || window.pad_begin[0] != 0 || window.pad_end[0] != 0 ||
      window.auto_pad != WindowAttributes::AutoPad::none) {
    return std::nullopt;
  }
  const auto matrix = std::make_shared<const Tensor>(
      transposed(weights.constant->clone().reshaped({extents[0], extents[1]})));
  const TensorPtr bias = node.operand(2) ? at(node.operand(2)).constant : nullptr;
  Symbolic result{x.axes, {}, nullptr};
  result.axes[1].extent = extents[0];
  for (const Expr& part : x.parts) {
    Expr e = parts_.product(matrix, part);
    if (bias) e = call("+", {e, parts_.constant(bias, extents[0])}, extents[0]);
    result.parts.push_back(std::move(e));
  }
  return result;
}

std::optional<Symbolic> Evaluation::pool(const Node& node) {
  const Symbolic& x = at(node.operand(0));
  const std::vector<int64_t>& kernel = node.integers(AttributeName::kernel);
  if (!is_channels(x) || kernel.size() != 1 || node.result_count() != 1) return std::nullopt;
  const WindowAttributes window = window_attributes(node, 1);
  const bool average = node.op() == Op::average_pool;
  const int64_t padding = window.pad_begin[0];
  if (window.auto_pad != WindowAttributes::AutoPad::none || window.ceil_mode ||
      window.dilations[0] != 1 || padding != window.pad_end[0] ||
      (average && padding > 0 && !node.flag(AttributeName::count_include_pad))) {
    return std::nullopt;
  }
  std::vector<Expr> arguments = {x.parts[0], number(static_cast<double>(kernel[0]))};
  const int64_t width = x.parts[0]->width;
  Expr e = call(average ? "avg_pool1d" : "max_pool1d", std::move(arguments), width);
  if (window.strides[0] != kernel[0]) e->options += fmt::format(", stride = {}", window.strides[0]);
  if (padding != 0) e->options += fmt::format(", padding = {}", padding);
  return Symbolic{x.axes, {e}, nullptr};
}

// [.., r, k] by [.., k, c]: dot products over features k, or sums over the steps k.
std::optional<Symbolic> Evaluation::product(const Symbolic& x, const Symbolic& y) {
  const size_t rank = x.axes.size();
  if (rank < 2 || y.axes.size() != rank) return std::nullopt;
  const auto plain = [](const Axis& axis) { return axis.kind != Kind::part || axis.extent == 1; };
  Symbolic result{x.axes, {}, nullptr};
  for (size_t i = 0; i + 2 < rank; ++i) {
    if (!plain(x.axes[i]) || !plain(y.axes[i])) return std::nullopt;
    if (x.axes[i].kind == Kind::part) {
      result.axes[i] = y.axes[i];
    } else if (y.axes[i].kind != Kind::part && y.axes[i].kind != x.axes[i].kind) {
      return std::nullopt;
    }
  }
  const Axis &row = x.axes[rank - 2], &left = x.axes[rank - 1];
  const Axis &right = y.axes[rank - 2], &column = y.axes[rank - 1];
  if (left.kind != right.kind || left.extent != right.extent) return std::nullopt;
  const bool dots = left.kind == Kind::feature;
  if (!dots && left.kind != Kind::time) return std::nullopt;
  result.axes[rank - 2] = row;
  result.axes[rank - 1] = column;
  const auto number_of = [&](Kind kind) {
    return std::count_if(result.axes.begin(), result.axes.end(),
                         [&](const Axis& axis) { return axis.kind == kind; });
  };
  const bool matrix = row.kind == Kind::feature && column.kind == Kind::feature;
  if (number_of(Kind::time) > 1 || number_of(Kind::feature) > (matrix ? 2 : 1) ||
      number_of(Kind::batch) > 1) {
    return std::nullopt;
  }
  for (const Expr& a : x.parts) {
    for (const Expr& b : y.parts) {
      if (dots) {
        const int64_t width = column.kind == Kind::feature ? column.extent
                              : row.kind == Kind::feature  ? row.extent
                                                           : 0;
        result.parts.push_back(call("·", {a, b}, width));
      } else {
        const int64_t width = std::max(a->width, b->width);
        result.parts.push_back(
            call(std::string("sum") + kOverTime, {call("*", {a, b}, width)}, width));
      }
    }
  }
  return result;
}

}  // namespace refrain::decompile
