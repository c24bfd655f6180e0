// Matrices of features: states of linear attention and of selective state spaces.
#include <algorithm>
#include <set>

#include "frontend/decompile/symbolic.h"
#include "ir/einsum.h"

namespace refrain::decompile {
namespace {

using Kind = Axis::Kind;

bool is_one(const Axis& axis) { return axis.kind == Kind::part && axis.extent == 1; }

enum class Form { other, column, row, matrix };

// What the last two axes hold.
Form form_of(const Symbolic& x) {
  if (x.constant) {
    const std::vector<int64_t>& shape = x.constant->extents();
    if (shape.size() < 2 || x.constant->size() != shape.back() * shape[shape.size() - 2])
      return Form::other;
    const int64_t rows = shape[shape.size() - 2], columns = shape.back();
    return rows > 1 && columns > 1 ? Form::matrix : rows > 1 ? Form::column : Form::other;
  }
  const size_t rank = x.axes.size();
  if (rank < 2 || x.parts.size() != 1) return Form::other;
  const Axis &first = x.axes[rank - 2], &second = x.axes[rank - 1];
  if (first.kind == Kind::feature && second.kind == Kind::feature) return Form::matrix;
  if (first.kind == Kind::feature && is_one(second)) return Form::column;
  if (is_one(first) && second.kind == Kind::feature) return Form::row;
  return Form::other;
}

// Axes of both in front of the last two.
std::optional<std::vector<Axis>> carried_axes(const Symbolic& x, const Symbolic& y) {
  const Symbolic& longer = x.axes.size() >= y.axes.size() ? x : y;
  const Symbolic& shorter = &longer == &x ? y : x;
  std::vector<Axis> axes = longer.axes;
  const size_t lacking = axes.size() - shorter.axes.size();
  for (size_t i = 0; i + 2 < shorter.axes.size(); ++i) {
    Axis& axis = axes[lacking + i];
    const Axis& other = shorter.axes[i];
    if (is_one(axis)) {
      axis = other;
    } else if (!is_one(other) && (axis.kind != other.kind || axis.extent != other.extent)) {
      return std::nullopt;
    }
  }
  return axes;
}

}  // namespace

// A column beside a row or a matrix, which the language broadcasts by their last axes.
std::optional<Symbolic> Evaluation::with_column(const std::string& function, const Symbolic& x,
                                                const Symbolic& y) {
  const Form a = form_of(x), b = form_of(y);
  if (a != Form::column && b != Form::column) return std::nullopt;
  const Symbolic &column = a == Form::column ? x : y, &other = a == Form::column ? y : x;
  const Form form = a == Form::column ? b : a;
  if (column.constant || (form != Form::row && form != Form::matrix)) return std::nullopt;
  Symbolic result;
  if (other.constant) {
    result.axes = column.axes;
  } else {
    const auto axes = carried_axes(x, y);
    if (!axes) return std::nullopt;
    result.axes = *axes;
  }
  const size_t rank = result.axes.size();
  const Axis rows = column.axes[column.axes.size() - 2];
  const int64_t columns =
      other.constant ? other.constant->extents().back() : other.axes.back().extent;
  result.axes[rank - 2] = rows;
  result.axes[rank - 1] = {Kind::feature, columns};
  if (form == Form::row) {
    if (function != "*") return std::nullopt;
    result.parts = {call("outer", {column.parts[0], other.parts[0]}, columns)};
    return result;
  }
  Expr turned;
  if (other.constant) {
    const std::vector<int64_t>& shape = other.constant->extents();
    if (shape[shape.size() - 2] != rows.extent) return std::nullopt;
    turned = parts_.matrix(std::make_shared<const Tensor>(
        transposed(other.constant->clone().reshaped({rows.extent, columns}))));
  } else {
    if (other.axes[other.axes.size() - 2].extent != rows.extent) return std::nullopt;
    turned = call("transpose", {other.parts[0]}, rows.extent);
  }
  std::vector<Expr> arguments = {column.parts[0], std::move(turned)};
  if (&column == &y) std::swap(arguments[0], arguments[1]);
  result.parts = {call("transpose", {call(function, std::move(arguments), rows.extent)}, columns)};
  return result;
}

// Products element by element, and one sum over an axis behind all others.
std::optional<Symbolic> Evaluation::einsum(const Node& node) {
  std::vector<size_t> ranks;
  for (const Value* operand : node.operands()) {
    if (!operand->type().shape.ranked()) return std::nullopt;
    ranks.push_back(operand->type().shape.rank());
  }
  const EinsumPlan plan = parse_einsum(node.string(AttributeName::equation), ranks);
  std::vector<int> labels = plan.result;
  for (const auto& own : plan.operands) {
    for (const int label : own) {
      if (std::find(labels.begin(), labels.end(), label) == labels.end()) labels.push_back(label);
    }
  }
  if (labels.size() > plan.result.size() + 1) return std::nullopt;
  // Each operand over all labels; those alike are multiplied first.
  std::vector<Symbolic> factors;
  for (size_t i = 0; i < plan.operands.size(); ++i) {
    const Symbolic& x = at(node.operand(i));
    const std::vector<int>& own = plan.operands[i];
    if (std::set<int>(own.begin(), own.end()).size() != own.size()) return std::nullopt;
    Symbolic factor;
    std::vector<int64_t> extents;
    size_t next = 0;
    for (const int label : labels) {
      const auto found = std::find(own.begin(), own.end(), label);
      const auto place = static_cast<size_t>(found - own.begin());
      const bool there = found != own.end();
      if (there && place != next++) return std::nullopt;  // in another order
      if (x.constant) {
        extents.push_back(there ? x.constant->extents()[place] : 1);
      } else {
        factor.axes.push_back(there ? x.axes[place] : Axis{Kind::part, 1});
      }
    }
    if (x.constant) {
      factor.constant = std::make_shared<const Tensor>(x.constant->clone().reshaped(extents));
    } else {
      factor.parts = x.parts;
    }
    factors.push_back(std::move(factor));
  }
  std::stable_sort(factors.begin(), factors.end(),
                   [](const Symbolic& a, const Symbolic& b) { return form_of(a) < form_of(b); });
  Symbolic all = factors[0];
  for (size_t i = 1; i < factors.size(); ++i) {
    std::optional<Symbolic> more = combine("*", {&all, &factors[i]}, {});
    if (!more) return std::nullopt;
    all = std::move(*more);
  }
  if (labels.size() == plan.result.size()) return all;
  if (all.axes.back().kind != Kind::feature) return std::nullopt;
  const int64_t width = all.matrix() ? all.axes[all.axes.size() - 2].extent : 0;
  for (Expr& part : all.parts) part = call("sum", {part}, width);
  all.axes.pop_back();
  return all;
}

}  // namespace refrain::decompile
