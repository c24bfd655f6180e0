// Ops that move, cut and join the axes of symbolic tensors.
#include <algorithm>

#include "frontend/decompile/symbolic.h"

namespace refrain::decompile {
namespace {

using Kind = Axis::Kind;

bool is_constant_extent(const ValueType& type, size_t axis) {
  return type.shape.ranked() && axis < type.shape.rank() && type.shape[axis].is_constant();
}

// As a matrix; without columns as a vector.
Expr reshaped(const Expr& e, int64_t rows, int64_t columns) {
  Expr result = call("reshape", {e}, columns > 0 ? columns : rows);
  result->options = ", " + std::to_string(rows);
  if (columns > 0) result->options += ", " + std::to_string(columns);
  return result;
}

// Which of the part axes an axis is.
size_t part_number(const std::vector<Axis>& axes, size_t axis) {
  size_t number = 0;
  for (size_t i = 0; i < axis; ++i) number += axes[i].kind == Kind::part;
  return number;
}

}  // namespace

// Pieces of a concatenation, constants among them, over the axes of one of them, but for their own
// extents along the axis where they are joined.
bool Evaluation::align(std::vector<Symbolic>& pieces, const Symbolic& like, size_t place) {
  for (Symbolic& piece : pieces) {
    if (piece.constant) {
      const std::vector<int64_t>& extents = piece.constant->extents();
      if (extents.size() != like.axes.size() || like.axes[place].kind != Kind::feature)
        return false;
      piece.axes = like.axes;
      piece.axes[place].extent = extents[place];
      auto parts = over(piece, piece.axes);
      if (!parts) return false;
      piece.parts = std::move(*parts);
    }
    if (piece.axes.size() != like.axes.size()) return false;
    for (size_t k = 0; k < piece.axes.size(); ++k) {
      const Axis &a = piece.axes[k], &b = like.axes[k];
      if (a.kind != b.kind || (k != place && a.extent != b.extent)) return false;
    }
  }
  return true;
}

std::optional<Symbolic> Evaluation::concat(const Node& node) {
  std::vector<Symbolic> pieces;
  for (const Value* operand : node.operands()) pieces.push_back(at(operand));
  const bool features = std::any_of(pieces.begin(), pieces.end(), [](const Symbolic& piece) {
    return !piece.constant && piece.feature_axis();
  });
  if (features) std::transform(pieces.begin(), pieces.end(), pieces.begin(), with_features);
  const auto variable = std::find_if(pieces.begin(), pieces.end(),
                                     [](const Symbolic& piece) { return !piece.constant; });
  if (variable == pieces.end()) return std::nullopt;
  const Symbolic first = *variable;
  int64_t axis = node.integer(AttributeName::axis);
  if (axis < 0) axis += static_cast<int64_t>(first.axes.size());
  const auto place = static_cast<size_t>(axis);
  if (place >= first.axes.size()) return std::nullopt;
  for (const Symbolic& piece : pieces) {
    if (!piece.constant && place < piece.axes.size() && piece.axes[place].kind == Kind::time)
      return sequence(node, place);
  }
  const Kind kind = first.axes[place].kind;
  if ((kind != Kind::part && kind != Kind::feature) || (kind == Kind::feature && first.matrix()) ||
      !align(pieces, first, place)) {
    return std::nullopt;
  }
  Symbolic result{first.axes, {}, nullptr};
  result.axes[place].extent = 0;
  for (const Symbolic& piece : pieces) result.axes[place].extent += piece.axes[place].extent;
  if (kind == Kind::feature) {
    if (result.axes[place].extent > kMostFeatures) return std::nullopt;
    for (size_t part = 0; part < first.parts.size(); ++part) {
      std::vector<Expr> list;
      for (const Symbolic& piece : pieces)
        list.push_back(as_vector(piece.parts[part], piece.axes[place].extent));
      result.parts.push_back(decompile::concat(std::move(list), result.axes[place].extent));
    }
    return result;
  }
  const size_t number = part_number(result.axes, place);
  const std::vector<int64_t> extents = part_extents(result.axes);
  if (count_of(extents) > kMostParts) return std::nullopt;
  for_each_part(extents, [&](std::vector<int64_t> index) {
    size_t i = 0;
    while (index[number] >= pieces[i].axes[place].extent)
      index[number] -= pieces[i++].axes[place].extent;
    result.parts.push_back(pieces[i].parts[offset_of(index, part_extents(pieces[i].axes))]);
  });
  return result;
}

// Sequences and single steps one after the other.
std::optional<Symbolic> Evaluation::sequence(const Node& node, size_t place) {
  std::vector<Axis> axes;
  std::vector<Expr> pieces;
  for (const Value* operand : node.operands()) {
    const Symbolic& piece = at(operand);
    if (piece.constant || place >= piece.axes.size()) return std::nullopt;
    std::vector<Axis> own = piece.axes;
    own.erase(own.begin() + static_cast<ptrdiff_t>(place));
    if (!part_extents(own).empty() ||
        (piece.axes[place].kind != Kind::time && piece.axes[place].kind != Kind::part)) {
      return std::nullopt;
    }
    for (size_t i = 0; i < axes.size() && !pieces.empty(); ++i) {
      if (own.size() != axes.size() || own[i].kind != axes[i].kind ||
          own[i].extent != axes[i].extent) {
        return std::nullopt;
      }
    }
    axes = std::move(own);
    pieces.insert(pieces.end(), piece.parts.begin(), piece.parts.end());
  }
  axes.insert(axes.begin() + static_cast<ptrdiff_t>(place), {Kind::time, 0});
  const int64_t width = pieces[0]->width;
  return Symbolic{std::move(axes), {call("sequence", std::move(pieces), width)}, nullptr};
}

std::optional<Symbolic> Evaluation::cut(const Symbolic& x, size_t axis, int64_t begin,
                                        int64_t end) {
  if (x.constant || begin < 0 || end < begin || end > x.axes[axis].extent) return std::nullopt;
  Symbolic result{x.axes, {}, nullptr};
  result.axes[axis].extent = end - begin;
  if (x.axes[axis].kind == Kind::feature) {
    if (axis != x.feature_axis()) return std::nullopt;
    for (const Expr& part : x.parts) result.parts.push_back(parts_.part(part, begin, end));
    return result;
  }
  if (x.axes[axis].kind != Kind::part) return std::nullopt;
  const size_t number = part_number(x.axes, axis);
  const std::vector<int64_t> from = part_extents(x.axes);
  for_each_part(part_extents(result.axes), [&](std::vector<int64_t> index) {
    index[number] += begin;
    result.parts.push_back(x.parts[offset_of(index, from)]);
  });
  return result;
}

bool Evaluation::split(const Node& node) {
  const Symbolic x = at(node.operand(0));
  if (x.constant) return false;
  int64_t axis = node.integer(AttributeName::axis);
  if (axis < 0) axis += static_cast<int64_t>(x.axes.size());
  const bool of_time = x.axes[static_cast<size_t>(axis)].kind == Kind::time;
  int64_t begin = 0;
  std::vector<Symbolic> results;
  for (size_t i = 0; i < node.result_count(); ++i) {
    const ValueType& type = node.result(i)->type();
    if (!is_constant_extent(type, static_cast<size_t>(axis))) return false;
    const int64_t end = begin + type.shape[static_cast<size_t>(axis)].extent();
    std::optional<Symbolic> piece = of_time ? x : cut(x, static_cast<size_t>(axis), begin, end);
    if (!piece) return false;
    for (Expr& part : piece->parts) {
      if (of_time) part = steps(part, begin, end);
    }
    results.push_back(std::move(*piece));
    begin = end;
  }
  for (size_t i = 0; i < results.size(); ++i) set(node.result(i), std::move(results[i]));
  return true;
}

std::optional<Symbolic> Evaluation::transpose(const Node& node) {
  const Symbolic& x = at(node.operand(0));
  if (x.constant) return std::nullopt;
  const std::vector<int64_t>& perm = node.integers(AttributeName::perm);
  Symbolic result;
  std::vector<size_t> order;  // of x's part axes
  for (const int64_t from : perm) {
    const auto place = static_cast<size_t>(from);
    result.axes.push_back(x.axes[place]);
    if (x.axes[place].kind == Kind::part) order.push_back(part_number(x.axes, place));
  }
  bool turned = false;
  if (x.matrix()) {
    const auto place = [&](size_t axis) {
      return std::find(perm.begin(), perm.end(), static_cast<int64_t>(axis)) - perm.begin();
    };
    const size_t last = *x.feature_axis();
    turned = place(last - 1) > place(last);
  }
  const std::vector<int64_t> from = part_extents(x.axes);
  for_each_part(part_extents(result.axes), [&](const std::vector<int64_t>& index) {
    std::vector<int64_t> source(index.size());
    for (size_t i = 0; i < index.size(); ++i) source[order[i]] = index[i];
    const Expr& part = x.parts[offset_of(source, from)];
    result.parts.push_back(turned ? call("transpose", {part}, x.axes[*x.feature_axis() - 1].extent)
                                  : part);
  });
  return result;
}

std::optional<Symbolic> Evaluation::unsqueeze(const Node& node) {
  Symbolic result = at(node.operand(0));
  const auto axes = constant_ints(node.operand(1));
  if (result.constant || !axes) return std::nullopt;
  const auto rank = static_cast<int64_t>(result.axes.size() + axes->size());
  std::vector<int64_t> places;
  for (const int64_t axis : *axes) places.push_back(axis < 0 ? axis + rank : axis);
  std::sort(places.begin(), places.end());
  for (const int64_t place : places)
    result.axes.insert(result.axes.begin() + place, {Kind::part, 1});
  return result;
}

std::optional<Symbolic> Evaluation::squeeze(const Node& node) {
  Symbolic result = at(node.operand(0));
  const auto axes = constant_ints(node.operand(1));
  if (result.constant || !axes) return std::nullopt;
  std::vector<int64_t> places;
  for (const int64_t axis : *axes)
    places.push_back(axis < 0 ? axis + static_cast<int64_t>(result.axes.size()) : axis);
  std::sort(places.rbegin(), places.rend());
  for (const int64_t place : places) {
    const Axis& axis = result.axes[static_cast<size_t>(place)];
    if (axis.kind == Kind::feature && result.matrix()) return std::nullopt;
    // An extent that is not known is 1 when it runs.
    const Dim dim = node.operand(0)->type().shape[static_cast<size_t>(place)];
    const bool one = axis.kind == Kind::time    ? !provably_different(dim, 1)
                     : axis.kind == Kind::batch ? provably_equal(dim, 1)
                                                : axis.extent == 1;
    if (!one) return std::nullopt;
    if (axis.kind == Kind::time) {
      for (Expr& part : result.parts) part = step(part, -1);
    }
    if (axis.kind == Kind::feature) {
      for (Expr& part : result.parts) part = scalar(part);
    }
    result.axes.erase(result.axes.begin() + place);
  }
  return result;
}

// Reshapes that add or drop axes of extent 1, put parts side by side, or make matrices of vectors
// and vectors of matrices.
std::optional<Symbolic> Evaluation::reshape(const Node& node) {
  const Symbolic& x = at(node.operand(0));
  const ValueType &from = node.operand(0)->type(), &to = node.result()->type();
  if (x.constant || !to.shape.ranked() || !from.shape.ranked()) return std::nullopt;
  // What the target says where the type does not: 0 copies an extent, -1 is what is left.
  const auto target = constant_ints(node.operand(1));
  const auto wanted = [&](size_t j) {
    return target && target->size() == to.shape.rank() ? (*target)[j] : 1;
  };
  Symbolic result{{}, x.parts, nullptr};
  size_t i = 0, j = 0;
  while (i < x.axes.size() || j < to.shape.rank()) {
    const bool more_from = i < x.axes.size(), more_to = j < to.shape.rank();
    const bool copied = more_to && wanted(j) == 0 && i == j;
    const bool rest = more_to && wanted(j) == -1 && j + 1 == to.shape.rank();
    if (more_from && more_to &&
        (copied || (from.shape[i] == to.shape[j] && !from.shape[i].is_unknown()) ||
         (rest && i + 1 == x.axes.size()))) {
      result.axes.push_back(x.axes[i]);
      ++i, ++j;
    } else if (more_from && x.axes[i].kind == Kind::part && x.axes[i].extent == 1) {
      ++i;
    } else if (more_to && provably_equal(to.shape[j], 1)) {
      result.axes.push_back({Kind::part, 1});
      ++j;
    } else if (i + 2 == x.axes.size() && j + 1 == to.shape.rank() && x.axes[i].kind == Kind::part &&
               x.axes[i + 1].kind == Kind::feature && part_extents(x.axes).size() == 1 &&
               (rest || provably_equal(to.shape[j], x.axes[i].extent * x.axes[i + 1].extent))) {
      const int64_t width = x.axes[i].extent * x.axes[i + 1].extent;
      result.parts = {decompile::concat(x.parts, width)};
      result.axes.push_back({Kind::feature, width});
      i += 2, ++j;
    } else if (i + 1 == x.axes.size() && j + 2 == to.shape.rank() &&
               x.axes[i].kind == Kind::feature && is_constant_extent(to, j) &&
               is_constant_extent(to, j + 1)) {
      const int64_t rows = to.shape[j].extent(), columns = to.shape[j + 1].extent();
      result.axes.push_back({Kind::feature, rows});
      result.axes.push_back({Kind::feature, columns});
      for (Expr& part : result.parts)
        part = reshaped(as_vector(part, x.axes[i].extent), rows, columns);
      i += 1, j += 2;
    } else if (i + 2 == x.axes.size() && j + 1 == to.shape.rank() && x.matrix()) {
      const int64_t size = x.axes[i].extent * x.axes[i + 1].extent;
      result.axes.push_back({Kind::feature, size});
      for (Expr& part : result.parts) part = reshaped(part, size, 0);
      i += 2, ++j;
    } else {
      return std::nullopt;
    }
  }
  return result;
}

}  // namespace refrain::decompile
