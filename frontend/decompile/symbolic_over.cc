// Values over other axes than their own: constants, and what is the same along an axis.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "frontend/decompile/node_kinds.h"
#include "frontend/decompile/symbolic.h"

namespace refrain::decompile {
namespace {

using Kind = Axis::Kind;

// A tensor with extent 1 in place of an axis along which its elements are the same; null if they
// are not, or there are none.
TensorPtr without_repeats(const Tensor& tensor, size_t axis) {
  std::vector<int64_t> extents = tensor.extents();
  if (tensor.size() == 0) return nullptr;
  int64_t outer = 1, inner = tensor.bytes() / tensor.size();
  for (size_t i = 0; i < axis; ++i) outer *= extents[i];
  for (size_t i = axis + 1; i < extents.size(); ++i) inner *= extents[i];
  const int64_t repeats = extents[axis];
  extents[axis] = 1;
  Tensor result(tensor.type(), extents);
  const auto* from = static_cast<const char*>(tensor.raw());
  auto* to = static_cast<char*>(result.raw());
  for (int64_t o = 0; o < outer; ++o, to += inner) {
    std::memcpy(to, from, static_cast<size_t>(inner));
    for (int64_t i = 0; i < repeats; ++i, from += inner) {
      if (std::memcmp(to, from, static_cast<size_t>(inner)) != 0) return nullptr;
    }
  }
  return std::make_shared<const Tensor>(std::move(result));
}

}  // namespace

std::optional<std::vector<Expr>> Evaluation::over(const Symbolic& value,
                                                  const std::vector<Axis>& axes) {
  const std::vector<int64_t> extents = part_extents(axes);
  if (count_of(extents) > kMostParts || (!value.constant && !value.whole())) return std::nullopt;
  std::vector<Expr> result;
  const auto own = [&](size_t rank, const auto& extent_at, const auto& part_at) {
    // Axes are aligned at the end; what is missing in front, or has extent 1, repeats.
    if (rank > axes.size()) return false;
    std::vector<int64_t> mine;
    for (size_t i = 0; i < axes.size(); ++i) {
      const size_t lacking = axes.size() - rank;
      if (axes[i].kind == Kind::part) mine.push_back(i < lacking ? 1 : extent_at(i - lacking));
    }
    for_each_part(extents, [&](const std::vector<int64_t>& index) {
      result.push_back(part_at(offset_of(index, mine)));
    });
    return true;
  };
  if (!value.constant) {
    const size_t rank = value.axes.size();
    for (size_t i = 0; i < rank && rank <= axes.size(); ++i) {
      const Axis &from = value.axes[i], &to = axes[axes.size() - rank + i];
      const bool one = from.extent == 1 && (from.kind == Kind::part || from.kind == Kind::feature);
      if (!one && (from.kind != to.kind || from.extent != to.extent)) return std::nullopt;
      // What lacks leading axes of features is the same along them; what lacks the last is not.
      const auto before = value.axes.begin() + static_cast<ptrdiff_t>(i);
      const bool column = std::any_of(value.axes.begin(), before,
                                      [](const Axis& axis) { return axis.kind == Kind::feature; });
      if (one && to.kind == Kind::feature && from.kind != Kind::feature && column)
        return std::nullopt;
    }
    if (!own(
            rank, [&](size_t i) { return value.axes[i].extent; },
            [&](size_t i) { return value.parts[i]; })) {
      return std::nullopt;
    }
    return result;
  }
  const Tensor& tensor = *value.constant;
  // There is no number for infinity.
  if (tensor.size() > 0 && is_float(tensor.type()) &&
      !std::isfinite(tensor.view().as_doubles()[0])) {
    return std::nullopt;
  }
  const std::vector<int64_t>& shape = tensor.extents();
  for (size_t i = 0; i < shape.size() && shape.size() <= axes.size(); ++i) {
    const Axis& to = axes[axes.size() - shape.size() + i];
    if (shape[i] == 1) continue;
    if (to.kind != Kind::part && to.kind != Kind::feature) {
      // Of a trace with a fixed batch for example: the same along it.
      const TensorPtr one = without_repeats(tensor, i);
      return one ? over({{}, {}, one}, axes) : std::nullopt;
    }
    if (shape[i] != to.extent) return std::nullopt;
  }
  const size_t last = axes.size() - 1;
  if (axes.size() >= 2 && axes[last].kind == Kind::feature &&
      axes[last - 1].kind == Kind::feature && shape.size() >= 2 && shape[shape.size() - 2] != 1) {
    const bool whole = tensor.size() == axes[last].extent * axes[last - 1].extent;
    if (!whole || count_of(extents) != 1) return std::nullopt;
    return std::vector<Expr>{parts_.matrix(value.constant)};
  }
  // Features must be last for a constant's elements to lie together.
  const int64_t width =
      shape.empty() || axes.empty() || axes.back().kind != Kind::feature ? 0 : shape.back();
  const int64_t size = std::max<int64_t>(width, 1);
  if (tensor.size() % size != 0 || tensor.size() == 0) return std::nullopt;
  if (tensor.size() == size) {
    const Expr all = parts_.constant(value.constant, size);
    if (!own(
            shape.size(), [](size_t) { return 1; }, [&](size_t) { return all; })) {
      return std::nullopt;
    }
    return result;
  }
  if (tensor.size() / size > kMostParts) return std::nullopt;
  std::vector<Expr> rows;
  for (int64_t i = 0; i < tensor.size() / size; ++i) {
    Tensor row(tensor.type(), {size});
    std::copy_n(static_cast<const char*>(tensor.raw()) + i * row.bytes(), row.bytes(),
                static_cast<char*>(row.raw()));
    rows.push_back(parts_.constant(std::make_shared<const Tensor>(std::move(row)), size));
  }
  if (!own(
          shape.size(), [&](size_t i) { return shape[i]; }, [&](size_t i) { return rows.at(i); })) {
    return std::nullopt;
  }
  return result;
}

void Evaluation::set_uniform(const Node& node) {
  for (size_t i = 0; i < node.result_count(); ++i) {
    const double value = uniform(node.result(i)).value_or(0);
    auto all =
        std::make_shared<const Tensor>(Tensor::scalar(node.result(i)->type().element, value));
    set(node.result(i), {{}, {}, std::move(all)});  // the same along every axis
  }
}

// Constants along a batch; what is not constant is expanded where it is used.
std::optional<Symbolic> Evaluation::expand(const Node& node) {
  const Symbolic& x = at(node.operand(0));
  const ValueType& type = node.result()->type();
  if (!x.constant || !type.shape.ranked() || type.shape.rank() != 2) return std::nullopt;
  const std::vector<Axis> axes = slice_axes(type);
  auto parts = over(x, axes);
  if (!parts) return std::nullopt;
  return Symbolic{axes, std::move(*parts), nullptr};
}

}  // namespace refrain::decompile
