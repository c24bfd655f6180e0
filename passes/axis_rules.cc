#include "passes/axis_rules.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>

#include "ir/einsum.h"
#include "ir/error.h"
#include "ir/window.h"
#include "passes/element.h"
#include "passes/reshaped_axis.h"

namespace refrain::passes::internal {
namespace {

using Kind = AxisTrace::Kind;

class Rules {
 public:
  Rules(const Node& node, std::span<const AxisTrace> operands, const FollowedAxis& followed)
      : node_(node), traces_(operands), followed_(followed) {}

  AxisResults run() {
    if (node_.op() == Op::dims) return same_for_all(dims());
    size_t axes = 0, extents = 0;
    for (const AxisTrace& trace : traces_) {
      axes += trace.has_axis();
      extents += trace.is_extent();
    }
    if (axes + extents == 0) return same_for_all({});
    if (extents > 0) {
      if (node_.op() == Op::fill || node_.op() == Op::expand || node_.op() == Op::reshape)
        return at(by_type_or_operand());
      if (axes > 0 || !moves_integers()) throw Error("it depends on the number of " + things());
      return same_for_all(AxisTrace::of_extent());
    }
    if (is_elementwise(node_.op())) return broadcast(0);
    return general();
  }

 private:
  const std::string& things() const { return followed_.things; }
  size_t rank(size_t i) const { return rank_of(node_.operand(i)); }
  size_t rank_of(const Value* value) const {
    if (!value->type().shape.ranked()) throw Error("an operand's or result's rank is not known");
    return value->type().shape.rank();
  }
  size_t result_rank() const { return rank_of(node_.result()); }
  Dim extent(size_t i, size_t axis) const { return node_.operand(i)->type().shape[axis]; }
  bool has(size_t i) const { return node_.operand(i) != nullptr; }
  bool followed(size_t i) const { return i < traces_.size() && traces_[i].has_axis(); }
  size_t axis_attribute(size_t rank) const {
    return normalize_axis(node_.integer(AttributeName::axis), rank);
  }
  std::vector<int64_t> known_ints(size_t i) const {
    if (auto ints = constant_ints(node_.operand(i))) return *ints;
    throw Error("an operand that says what it does is computed");
  }

  AxisResults same_for_all(AxisTrace trace) const {
    return {false, std::vector<AxisTrace>(node_.result_count(), trace)};
  }
  AxisResults at(size_t axis) const { return same_for_all(AxisTrace::along(axis)); }
  static AxisResults along() { return {true, {}}; }
  AxisResults at_unless(size_t axis, size_t own) const { return axis == own ? along() : at(axis); }

  [[noreturn]] void fixed() const {
    throw Error("something of its own length goes along with the " + things());
  }
  [[noreturn]] void mixed() const { throw Error("it puts " + things() + " together with others"); }
  // The operand must not have the axis.
  void forbid(size_t i) const {
    if (followed(i)) mixed();
  }
  // An operand that does not have the axis must be the same for every index along its axis.
  void require_single(size_t i, size_t axis) const {
    if (extent(i, axis) != Dim(1)) fixed();
  }

  AxisTrace dims() const {
    const auto& dims = node_.attribute<std::vector<Dim>>(AttributeName::dims);
    const bool has = !followed_.symbol.is_unknown() &&
                     std::find(dims.begin(), dims.end(), followed_.symbol) != dims.end();
    return has ? AxisTrace::of_extent() : AxisTrace{};
  }

  // Arithmetic of extents stays such.
  bool moves_integers() const {
    constexpr Op kMoves[] = {Op::concat,    Op::gather,      Op::slice,
                             Op::split,     Op::squeeze,     Op::unsqueeze,
                             Op::transpose, Op::reduce_prod, Op::reduce_sum};
    if (node_.op() == Op::range) throw Error("it numbers the " + things());
    return is_elementwise(node_.op()) ||
           std::find(std::begin(kMoves), std::end(kMoves), node_.op()) != std::end(kMoves);
  }

  // What is made with the axis's extent has the axis where its type says so.
  size_t by_type_or_operand() const {
    if (followed(0)) {
      if (node_.op() == Op::reshape) return reshape();
      return traces_[0].axis + (result_rank() - rank(0));
    }
    if (traces_[0].is_extent() && node_.op() != Op::fill)
      throw Error("it depends on the number of " + things());
    const std::vector<Dim>& dims = node_.result()->type().shape.dims();
    const auto found = std::find(dims.begin(), dims.end(), followed_.symbol);
    if (!node_.result()->type().shape.ranked() || found == dims.end() ||
        std::find(found + 1, dims.end(), followed_.symbol) != dims.end())
      throw Error("it depends on the number of " + things());
    if (node_.op() == Op::reshape) fixed();
    if (node_.op() == Op::expand) {
      const auto axis = static_cast<size_t>(found - dims.begin());
      const size_t lacks = dims.size() - rank(0);
      if (axis >= lacks) require_single(0, axis - lacks);
    }
    return static_cast<size_t>(found - dims.begin());
  }

  // Operands from `first` on, broadcast against each other.
  AxisResults broadcast(size_t first) const {
    const size_t whole = result_rank();
    std::optional<size_t> place;
    for (size_t i = first; i < traces_.size(); ++i) {
      if (!followed(i)) continue;
      const size_t axis = traces_[i].axis + (whole - rank(i));
      if (place && *place != axis) mixed();
      place = axis;
    }
    for (size_t i = first; i < traces_.size(); ++i) {
      if (!has(i) || followed(i)) continue;
      const size_t lacks = whole - rank(i);
      if (*place >= lacks) require_single(i, *place - lacks);
    }
    return at(*place);
  }

  AxisResults general() const {
    const size_t axis = traces_[0].axis;
    switch (node_.op()) {
      case Op::matmul:
        return matmul();
      case Op::einsum:
        return einsum();
      case Op::reduce_sum:
      case Op::reduce_mean:
      case Op::reduce_max:
      case Op::reduce_min:
      case Op::reduce_prod:
        return reduction();
      case Op::arg_max:
      case Op::arg_min: {
        const size_t own = axis_attribute(rank(0));
        const bool moves = !node_.flag(AttributeName::keep_dims) && own < axis;
        return own == axis ? along() : at(axis - moves);
      }
      case Op::softmax:
      case Op::log_softmax:
      case Op::top_k:
      case Op::split:
        forbid(1);
        return at_unless(axis, axis_attribute(rank(0)));
      case Op::cum_sum:
        return at_unless(axis, normalize_axis(known_ints(1).at(0), rank(0)));
      case Op::shape:
        return shape();
      case Op::reshape:
        return at(reshape());
      case Op::squeeze:
      case Op::unsqueeze:
        return at(squeezed());
      case Op::transpose: {
        const auto& perm = node_.integers(AttributeName::perm);
        for (size_t i = 0; i < perm.size(); ++i) {
          if (normalize_axis(perm[i], perm.size()) == axis) return at(i);
        }
        throw Error("wrong perm");
      }
      case Op::expand:
        return at(axis + (result_rank() - rank(0)));
      case Op::tile:
        if (known_ints(1).at(axis) != 1) mixed();
        return at(axis);
      case Op::concat:
        return concat();
      case Op::slice:
        return slice();
      case Op::pad:
        return pad();
      case Op::gather:
        return gather();
      case Op::gather_elements: {
        const size_t own = axis_attribute(rank(0));
        if (!followed(0) || !followed(1)) fixed();
        if (axis != traces_[1].axis) mixed();
        return at_unless(axis, own);
      }
      case Op::gather_nd:
        return gather_nd();
      case Op::one_hot: {
        forbid(1), forbid(2);
        const size_t own = axis_attribute(rank(0) + 1);
        return at(own <= axis ? axis + 1 : axis);
      }
      case Op::trilu:
        forbid(1);
        return axis + 2 >= rank(0) ? along() : at(axis);
      case Op::reverse_sequence: {
        const size_t rows = normalize_axis(node_.integer(AttributeName::batch_axis), rank(0));
        const size_t own = axis_attribute(rank(0));
        if (!followed(0) || axis == own) return along();
        if ((axis == rows) != followed(1)) mixed();
        return at(axis);
      }
      case Op::conv:
      case Op::conv_transpose:
      case Op::max_pool:
      case Op::average_pool:
        return window();
      default:
        throw Error("it is not known to treat " + things() + " one by one");
    }
  }

  // Where axis `k` of an operand of rank `r` is among the leading axes of a product of rank
  // `whole`.
  static size_t leading(size_t k, size_t r, size_t whole, size_t matrix) {
    return whole - matrix - (r - 2 - k);
  }

  AxisResults matmul() const {
    const size_t ra = rank(0), rb = rank(1), whole = result_rank();
    const size_t matrix = (ra > 1) + (rb > 1);
    std::optional<size_t> place;
    for (size_t i = 0; i < 2; ++i) {
      if (!followed(i)) continue;
      const size_t axis = traces_[i].axis, r = rank(i);
      const size_t inner = i == 0 || r == 1 ? r - 1 : r - 2;
      if (axis == inner) return along();
      size_t found = 0;
      if (axis + 2 < r) {
        found = leading(axis, r, whole, matrix);
      } else {
        forbid(1 - i);
        found = i == 0 && rb > 1 ? whole - 2 : whole - 1;
      }
      if (place && *place != found) mixed();
      place = found;
      // The other side's matrices along the same leading axis.
      const size_t other = rank(1 - i);
      if (axis + 2 < r && !followed(1 - i) && other >= r - axis)
        require_single(1 - i, other - (r - axis));
    }
    return at(*place);
  }

  AxisResults einsum() const {
    std::vector<size_t> ranks;
    for (size_t i = 0; i < traces_.size(); ++i) ranks.push_back(rank(i));
    const EinsumPlan plan = parse_einsum(node_.string(AttributeName::equation), ranks);
    std::optional<int> label;
    for (size_t i = 0; i < traces_.size(); ++i) {
      if (!followed(i)) continue;
      const int own = plan.operands[i][traces_[i].axis];
      if (label && *label != own) mixed();
      label = own;
    }
    for (size_t i = 0; i < traces_.size(); ++i) {
      for (size_t k = 0; k < plan.operands[i].size(); ++k) {
        if (plan.operands[i][k] != *label || (followed(i) && traces_[i].axis == k)) continue;
        if (followed(i)) mixed();
        require_single(i, k);
      }
    }
    const auto found = std::find(plan.result.begin(), plan.result.end(), *label);
    if (found == plan.result.end()) return along();
    return at(static_cast<size_t>(found - plan.result.begin()));
  }

  AxisResults reduction() const {
    std::vector<int64_t> axes;
    if (has(1)) axes = known_ints(1);
    const size_t axis = traces_[0].axis;
    if (axes.empty()) return node_.flag(AttributeName::noop_with_empty_axes) ? at(axis) : along();
    size_t below = 0;
    for (const int64_t given : axes) {
      const size_t own = normalize_axis(given, rank(0));
      if (own == axis) return along();
      below += own < axis;
    }
    return at(node_.flag(AttributeName::keep_dims) ? axis : axis - below);
  }

  AxisResults shape() const {
    const auto r = static_cast<int64_t>(rank(0)), axis = static_cast<int64_t>(traces_[0].axis);
    const auto clamp = [&](AttributeName name) {
      const int64_t i = node_.integer(name);
      return std::clamp<int64_t>(i < 0 ? i + r : i, 0, r);
    };
    const bool tells = axis >= clamp(AttributeName::start) && axis < clamp(AttributeName::end);
    return same_for_all(tells ? AxisTrace::of_extent() : AxisTrace{});
  }

  size_t reshape() const {
    const std::optional<size_t> axis = reshaped_axis(node_, traces_[0].axis);
    if (!axis) throw Error("a reshape mixes " + things() + " with other axes");
    return *axis;
  }

  size_t squeezed() const {
    const bool removes = node_.op() == Op::squeeze;
    const size_t large = removes ? rank(0) : result_rank();
    std::vector<bool> mask(large);
    if (has(1)) {
      for (const int64_t axis : known_ints(1)) mask[normalize_axis(axis, large)] = true;
    } else {
      for (size_t i = 0; i < large; ++i) mask[i] = extent(0, i) == Dim(1);
    }
    const size_t axis = traces_[0].axis;
    size_t small = 0;
    for (size_t i = 0; i < large; ++i) {
      if (removes && i == axis) {
        if (mask[i]) throw Error("it takes the axis of the " + things() + " away");
        return small;
      }
      if (!removes && !mask[i] && small == axis) return i;
      small += !mask[i];
    }
    throw Error("wrong axes");
  }

  AxisResults concat() const {
    const size_t own = axis_attribute(result_rank());
    std::optional<size_t> place;
    for (size_t i = 0; i < traces_.size(); ++i) {
      if (!followed(i)) continue;
      if (traces_[i].axis == own) return along();
      if (place && *place != traces_[i].axis) mixed();
      place = traces_[i].axis;
    }
    for (size_t i = 0; i < traces_.size(); ++i) {
      if (!followed(i)) fixed();
    }
    return at(*place);
  }

  // The axes that operand `i` lists; without it the first `count`.
  std::vector<size_t> listed_axes(size_t i, size_t count) const {
    std::vector<size_t> axes;
    if (!has(i)) {
      while (axes.size() < count) axes.push_back(axes.size());
    } else {
      for (const int64_t axis : known_ints(i)) axes.push_back(normalize_axis(axis, rank(0)));
    }
    return axes;
  }

  AxisResults slice() const {
    const size_t axis = traces_[0].axis;
    const auto begins = constant_ints(node_.operand(1)), ends = constant_ints(node_.operand(2));
    const auto steps = constant_ints(node_.operand(4));
    if (!has(3) && !begins) throw Error("the bounds of a slice are computed");
    const std::vector<size_t> axes = listed_axes(3, begins ? begins->size() : 0);
    for (size_t i = 0; i < axes.size(); ++i) {
      if (axes[i] != axis) continue;
      const bool whole = begins && ends && (!has(4) || (steps && (*steps)[i] == 1)) &&
                         (*begins)[i] == 0 && (*ends)[i] == std::numeric_limits<int64_t>::max();
      return whole ? at(axis) : along();
    }
    return at(axis);
  }

  AxisResults pad() const {
    const size_t axis = traces_[0].axis;
    const std::vector<int64_t> pads = known_ints(1);
    const std::vector<size_t> axes = listed_axes(3, rank(0));
    for (size_t i = 0; i < axes.size(); ++i) {
      if (axes[i] == axis && (pads.at(i) != 0 || pads.at(i + axes.size()) != 0)) return along();
    }
    return at(axis);
  }

  AxisResults gather() const {
    const size_t own = axis_attribute(rank(0));
    if (followed(1)) {
      forbid(0);
      return at(own + traces_[1].axis);
    }
    const size_t axis = traces_[0].axis;
    if (axis == own) return along();
    return at(axis < own ? axis : axis + rank(1) - 1);
  }

  AxisResults gather_nd() const {
    const auto batch = static_cast<size_t>(node_.integer(AttributeName::batch_dims));
    const size_t q = rank(1);
    const Dim last = extent(1, q - 1);
    if (!last.is_constant()) throw Error("the depth of indices is not known");
    const auto depth = static_cast<size_t>(last.extent());
    if (followed(1)) {
      const size_t axis = traces_[1].axis;
      if (axis + 1 >= q) return along();
      if (axis < batch) {
        if (!followed(0)) fixed();
        if (traces_[0].axis != axis) mixed();
      } else {
        forbid(0);
      }
      return at(axis);
    }
    const size_t axis = traces_[0].axis;
    if (axis < batch) fixed();
    if (axis < batch + depth) return along();
    return at(q - 1 + (axis - batch - depth));
  }

  // The first axis is of samples, the second of channels.
  AxisResults window() const {
    forbid(1), forbid(2);
    const size_t axis = traces_[0].axis;
    const bool pools = node_.op() == Op::max_pool || node_.op() == Op::average_pool;
    if (node_.result_count() > 1) throw Error("positions of maxima count all " + things());
    if (axis == 0) return at(axis);
    if (axis == 1) return pools ? at(axis) : along();
    const WindowAttributes attributes = window_attributes(node_, rank(0) - 2);
    const size_t i = axis - 2;
    const Dim kernel = pools ? Dim(node_.integers(AttributeName::kernel).at(i)) : extent(1, axis);
    const bool pointwise = kernel == Dim(1) && attributes.strides[i] == 1 &&
                           attributes.pad_begin[i] == 0 && attributes.pad_end[i] == 0 &&
                           node_.op() != Op::conv_transpose;
    return pointwise ? at(axis) : along();
  }

  const Node& node_;
  std::span<const AxisTrace> traces_;
  const FollowedAxis& followed_;
};

}  // namespace

AxisResults trace_results(const Node& node, std::span<const AxisTrace> operands,
                          const FollowedAxis& followed) {
  return Rules(node, operands, followed).run();
}

}  // namespace refrain::passes::internal
