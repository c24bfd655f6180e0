#include "passes/lift.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <optional>
#include <utility>

#include "passes/refine.h"

namespace refrain::passes::internal {
namespace {

using A = AttributeName;
using Ints = std::vector<int64_t>;
using Values = std::vector<Value*>;

// A body's node that is to be lifted.
struct Site {
  const Node& node;
  const std::vector<bool>& lifted;
  const LiftedAxis& axis;

  size_t rank(size_t i) const { return node.operand(i)->type().shape.rank(); }
  const Shape& shape(size_t i) const { return node.operand(i)->type().shape; }
  const Shape& result_shape() const { return node.result()->type().shape; }

  std::optional<Ints> ints(size_t i) const {
    const TensorPtr tensor = node.operand(i) ? constant_tensor(node.operand(i)) : nullptr;
    if (!tensor || !is_integer(tensor->type())) return std::nullopt;
    return tensor->view().as_ints();
  }
};

// An axis of a body's tensor, as the lifted one has it; from the end it is the same.
int64_t shifted(int64_t axis) { return axis < 0 ? axis : axis + 1; }

Ints shifted(Ints axes) {
  for (int64_t& axis : axes) axis = shifted(axis);
  return axes;
}

Ints range(int64_t first, size_t count) {
  Ints result;
  for (size_t i = 0; i < count; ++i) result.push_back(first + static_cast<int64_t>(i));
  return result;
}

// The node's op on other operands, with some of the attributes replaced.
Values again(const Node& node, Builder& builder, std::span<Value* const> operands,
             std::vector<Attribute> changed = {}) {
  std::vector<Attribute> attributes = node.attributes();
  for (Attribute& attribute : attributes) {
    for (Attribute& change : changed) {
      if (change.name == attribute.name) attribute.value = std::move(change.value);
    }
  }
  const Node* made =
      builder.create(node.op(), operands, std::move(attributes), node.result_count());
  Values results;
  for (size_t i = 0; i < made->result_count(); ++i) results.push_back(made->result(i));
  return results;
}

Value* with_ones(Builder& builder, Value* x, size_t place, size_t count) {
  if (count == 0) return x;
  return builder.op(Op::unsqueeze, {x, builder.ints(range(static_cast<int64_t>(place), count))});
}

bool only_first(const Site& site) {
  for (size_t i = 0; i < site.lifted.size(); ++i) {
    if (site.lifted[i] != (i == 0)) return false;
  }
  return true;
}

bool all_lifted(const Site& site) {
  return std::all_of(site.lifted.begin(), site.lifted.end(), [](bool lifted) { return lifted; });
}

// --- element-wise: time leads, so operands of lower rank get their 1s after it ---

bool always(const Site&) { return true; }

Values lift_elementwise(const Site& site, std::span<Value* const> x, Builder& builder) {
  const size_t rank = site.result_shape().rank();
  Values operands(x.begin(), x.end());
  for (size_t i = 0; i < operands.size(); ++i) {
    if (site.lifted[i]) operands[i] = with_ones(builder, x[i], 1, rank - site.rank(i));
  }
  return again(site.node, builder, operands);
}

// --- products ---

bool fits_matmul(const Site& site) { return site.shape(0).ranked() && site.shape(1).ranked(); }

// Both sides as matrices whose batch axes align, time in front of them.
Values lift_batched_matmul(const Site& site, std::span<Value* const> x, Builder& builder) {
  Value* sides[2] = {x[0], x[1]};
  size_t ranks[2] = {site.rank(0), site.rank(1)};
  Ints vectors;  // axes that the result lacks
  for (size_t i = 0; i < 2; ++i) {
    if (ranks[i] > 1) continue;
    const size_t place = (site.lifted[i] ? 1u : 0u) + (i == 0 ? 0u : 1u);
    sides[i] = with_ones(builder, sides[i], place, 1);
    ranks[i] = 2;
    vectors.push_back(i == 0 ? -2 : -1);
  }
  const size_t rank = std::max(ranks[0], ranks[1]);
  for (size_t i = 0; i < 2; ++i) {
    if (site.lifted[i]) sides[i] = with_ones(builder, sides[i], 1, rank - ranks[i]);
  }
  Value* product = builder.op(Op::matmul, {sides[0], sides[1]});
  if (vectors.empty()) return {product};
  return {builder.op(Op::squeeze, {product, builder.ints(vectors)})};
}

Values lift_matmul(const Site& site, std::span<Value* const> x, Builder& builder) {
  // One matrix on the right serves all steps: a single product with time among its rows.
  if (site.lifted[0] && !site.lifted[1] && site.rank(1) <= 2) return again(site.node, builder, x);
  // W·x_t of vectors is x_t·Wᵀ.
  if (!site.lifted[0] && site.rank(0) <= 2 && site.rank(1) == 1) {
    Value* matrix = site.rank(0) == 2 ? builder.transpose(x[0], {1, 0}) : x[0];
    return {builder.op(Op::matmul, {x[1], matrix})};
  }
  return lift_batched_matmul(site, x, builder);
}

// Only equations that name every axis and the result's, and leave a letter for time.
bool fits_einsum(const Site& site) {
  const std::string& equation = site.node.string(A::equation);
  if (equation.find("->") == std::string::npos || equation.find('.') != std::string::npos)
    return false;
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    if (equation.find(letter) == std::string::npos) return true;
  }
  return false;
}

Values lift_einsum(const Site& site, std::span<Value* const> x, Builder& builder) {
  const std::string& equation = site.node.string(A::equation);
  char time = 'a';
  while (equation.find(time) != std::string::npos) ++time;
  std::string lifted;
  size_t operand = 0;
  const auto begin_term = [&](bool with_time) {
    if (with_time) lifted += time;
  };
  begin_term(site.lifted[0]);
  for (size_t i = 0; i < equation.size(); ++i) {
    lifted += equation[i];
    if (equation[i] == ',') begin_term(site.lifted[++operand]);
    if (equation[i] == '>') begin_term(true);
  }
  return again(site.node, builder, x, {{A::equation, lifted}});
}

// --- reductions ---

bool fits_reduction(const Site& site) {
  if (!only_first(site) || site.rank(0) == 0) return false;
  const auto axes = site.node.operand(1) ? site.ints(1) : Ints{};
  return axes && (!axes->empty() || !site.node.flag(A::noop_with_empty_axes));
}

Values lift_reduction(const Site& site, std::span<Value* const> x, Builder& builder) {
  const Ints axes = site.node.operand(1) ? *site.ints(1) : Ints{};
  Value* const operands[] = {x[0],
                             builder.ints(axes.empty() ? range(1, site.rank(0)) : shifted(axes))};
  return again(site.node, builder, operands);
}

bool fits_axis(const Site& site) { return only_first(site) && site.rank(0) > 0; }

Values lift_axis(const Site& site, std::span<Value* const> x, Builder& builder) {
  return again(site.node, builder, x, {{A::axis, shifted(site.node.integer(A::axis))}});
}

bool fits_cum_sum(const Site& site) {
  const auto axis = site.ints(1);
  return fits_axis(site) && axis && axis->size() == 1;
}

Values lift_cum_sum(const Site& site, std::span<Value* const> x, Builder& builder) {
  const int64_t axis = shifted(site.ints(1)->front());
  Value* const operands[] = {x[0], builder.scalar<int64_t>(axis)};
  return again(site.node, builder, operands);
}

// --- shapes and movement ---

Values lift_transpose(const Site& site, std::span<Value* const> x, Builder& builder) {
  Ints perm = shifted(site.node.integers(A::perm));
  perm.insert(perm.begin(), 0);
  return {builder.transpose(x[0], std::move(perm))};
}

bool fits_squeeze(const Site& site) {
  return only_first(site) &&
         (site.node.operand(1) ? site.ints(1).has_value() : site.shape(0).is_static());
}

Values lift_squeeze(const Site& site, std::span<Value* const> x, Builder& builder) {
  Ints axes;
  if (site.node.operand(1)) {
    axes = shifted(*site.ints(1));
  } else {
    for (size_t i = 0; i < site.rank(0); ++i) {
      if (site.shape(0)[i] == Dim(1)) axes.push_back(static_cast<int64_t>(i) + 1);
    }
  }
  return {builder.op(Op::squeeze, {x[0], builder.ints(axes)})};
}

bool fits_unsqueeze(const Site& site) { return only_first(site) && site.ints(1); }

Values lift_unsqueeze(const Site& site, std::span<Value* const> x, Builder& builder) {
  const Ints axes = shifted(*site.ints(1));
  return {builder.op(Op::unsqueeze, {x[0], builder.ints(axes)})};
}

// The extents of a reshape that copies the time axis by a 0.
std::optional<Ints> copying_extents(const Site& site) {
  auto extents = site.ints(1);
  if (!extents) return std::nullopt;
  const bool some_steps = site.axis.extent.is_constant() && site.axis.extent.extent() > 0;
  for (size_t i = 0; i < extents->size(); ++i) {
    int64_t& extent = (*extents)[i];
    if (extent == 0 && site.node.flag(A::allow_zero)) return std::nullopt;
    if (extent != -1 || some_steps) continue;
    // What -1 stands for can't be told of a tensor that no step left any element.
    const Dim inferred = site.result_shape()[i];
    if (!inferred.is_constant() || inferred.extent() == 0) return std::nullopt;
    extent = inferred.extent();
  }
  extents->insert(extents->begin(), 0);
  return extents;
}

std::optional<std::vector<Dim>> known_extents(const Site& site) {
  std::vector<Dim> dims = {site.axis.extent};
  for (Dim dim : site.result_shape().dims()) dims.push_back(dim);
  for (Dim dim : dims) {
    if (dim.is_unknown()) return std::nullopt;
    if (dim.is_symbol() && !site.axis.symbols->contains(&dim.name())) return std::nullopt;
  }
  return dims;
}

bool fits_reshape(const Site& site) {
  return only_first(site) && (copying_extents(site) || known_extents(site));
}

Values lift_reshape(const Site& site, std::span<Value* const> x, Builder& builder) {
  if (const auto extents = copying_extents(site)) {
    return {builder.op(Op::reshape, {x[0], builder.ints(*extents)})};
  }
  Value* extents = builder.op(Op::dims, {}, {{A::dims, *known_extents(site)}});
  return {builder.op(Op::reshape, {x[0], extents}, {{A::allow_zero, true}})};
}

// Broadcasting leaves the time axis alone if the shape has a 1 there.
bool fits_expand(const Site& site) {
  return only_first(site) && site.shape(1).ranked() && site.shape(1).rank() == 1 &&
         site.shape(1)[0].is_constant();
}

Values lift_expand(const Site& site, std::span<Value* const> x, Builder& builder) {
  const size_t rank = site.result_shape().rank();
  const auto given = static_cast<size_t>(site.shape(1)[0].extent());
  Value* x0 = with_ones(builder, x[0], 1, rank - site.rank(0));
  const Ints ones(1 + rank - given, 1);
  Value* extents = builder.cast(x[1], ElementType::i64);
  if (const auto known = site.ints(1)) {
    Ints all = ones;
    all.insert(all.end(), known->begin(), known->end());
    extents = builder.ints(all);
  } else {
    extents = builder.op(Op::concat, {builder.ints(ones), extents}, {{A::axis, int64_t{0}}});
  }
  return {builder.op(Op::expand, {x0, extents})};
}

bool fits_concat(const Site& site) { return all_lifted(site) && site.rank(0) > 0; }

bool fits_slice(const Site& site) {
  if (!only_first(site)) return false;
  if (site.node.operand(3)) return site.ints(3).has_value();
  return site.shape(1).ranked() && site.shape(1).rank() == 1 && site.shape(1)[0].is_constant();
}

Values lift_slice(const Site& site, std::span<Value* const> x, Builder& builder) {
  const Ints axes = site.node.operand(3) ? shifted(*site.ints(3))
                                         : range(1, static_cast<size_t>(site.shape(1)[0].extent()));
  Values operands(x.begin(), x.end());
  operands.resize(std::max<size_t>(operands.size(), 4));
  operands[3] = builder.ints(axes);
  return again(site.node, builder, operands);
}

// --- indices ---

bool fits_gather(const Site& site) {
  return site.shape(0).ranked() && site.rank(0) > 0 && site.lifted[0] != site.lifted[1];
}

Values lift_gather(const Site& site, std::span<Value* const> x, Builder& builder) {
  if (site.lifted[0]) return lift_axis(site, x, builder);
  // The indices' axes take the place of the gathered one, time the first of them.
  Value* gathered = again(site.node, builder, x)[0];
  return {
      move_axis(builder, gathered, normalize_axis(site.node.integer(A::axis), site.rank(0)), 0)};
}

bool fits_gather_nd(const Site& site) {
  return all_lifted(site) || (!site.lifted[0] && site.node.integer(A::batch_dims) == 0);
}

Values lift_gather_nd(const Site& site, std::span<Value* const> x, Builder& builder) {
  const int64_t more = site.lifted[0] ? 1 : 0;
  return again(site.node, builder, x, {{A::batch_dims, site.node.integer(A::batch_dims) + more}});
}

Values lift_one_hot(const Site& site, std::span<Value* const> x, Builder& builder) {
  return again(site.node, builder, x, {{A::axis, shifted(site.node.integer(A::axis))}});
}

bool fits_trilu(const Site& site) { return only_first(site) && site.rank(0) >= 2; }

Values lift_as_it_is(const Site& site, std::span<Value* const> x, Builder& builder) {
  return again(site.node, builder, x);
}

struct Rule {
  Op op;
  bool (*fits)(const Site& site);
  Values (*build)(const Site& site, std::span<Value* const> operands, Builder& builder);
};

constexpr Rule kRules[] = {
    {Op::matmul, fits_matmul, lift_matmul},
    {Op::einsum, fits_einsum, lift_einsum},
    {Op::reduce_sum, fits_reduction, lift_reduction},
    {Op::reduce_mean, fits_reduction, lift_reduction},
    {Op::reduce_max, fits_reduction, lift_reduction},
    {Op::reduce_min, fits_reduction, lift_reduction},
    {Op::reduce_prod, fits_reduction, lift_reduction},
    {Op::arg_max, fits_axis, lift_axis},
    {Op::arg_min, fits_axis, lift_axis},
    {Op::softmax, fits_axis, lift_axis},
    {Op::log_softmax, fits_axis, lift_axis},
    {Op::cum_sum, fits_cum_sum, lift_cum_sum},
    {Op::top_k, fits_axis, lift_axis},
    {Op::reshape, fits_reshape, lift_reshape},
    {Op::squeeze, fits_squeeze, lift_squeeze},
    {Op::unsqueeze, fits_unsqueeze, lift_unsqueeze},
    {Op::transpose, only_first, lift_transpose},
    {Op::concat, fits_concat, lift_axis},
    {Op::split, fits_axis, lift_axis},
    {Op::slice, fits_slice, lift_slice},
    {Op::expand, fits_expand, lift_expand},
    {Op::gather, fits_gather, lift_gather},
    {Op::gather_elements, all_lifted, lift_axis},
    {Op::gather_nd, fits_gather_nd, lift_gather_nd},
    {Op::one_hot, only_first, lift_one_hot},
    {Op::trilu, fits_trilu, lift_as_it_is},
};
constexpr Rule kElementwise = {Op::add, always, lift_elementwise};

const Rule* rule_of(Op op) {
  if (is_elementwise(op)) return &kElementwise;
  const auto* const it = std::find_if(std::begin(kRules), std::end(kRules),
                                      [&](const Rule& rule) { return rule.op == op; });
  return it == std::end(kRules) ? nullptr : it;
}

// A tensor whose lifted form has a rank that is known and allowed.
bool liftable(const ValueType& type) {
  return type.is_tensor() && type.shape.ranked() &&
         type.shape.rank() < static_cast<size_t>(kMaxRank);
}

// Whether all operands from `first` on are constants (or absent).
bool constant_from(const Node& node, size_t first) {
  for (size_t i = first; i < node.operand_count(); ++i) {
    if (node.operand(i) && !constant_tensor(node.operand(i))) return false;
  }
  return true;
}

}  // namespace

BoundSymbols bound_symbols(const Graph& graph) {
  BoundSymbols bound;
  for (size_t i = 0; i < graph.input_count(); ++i) {
    const Shape& shape = graph.input(i)->type().shape;
    if (!graph.input(i)->type().is_tensor() || !shape.ranked()) continue;
    for (Dim dim : shape.dims()) {
      if (dim.is_symbol()) bound.insert(&dim.name());
    }
  }
  return bound;
}

bool can_lift(const Node& node, const std::vector<bool>& lifted, const LiftedAxis& axis) {
  const Rule* rule = rule_of(node.op());
  if (!rule) return false;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    if (!node.operand(i)) continue;
    const ValueType& type = node.operand(i)->type();
    if (!type.is_tensor() || (lifted[i] && !liftable(type))) return false;
  }
  for (size_t i = 0; i < node.result_count(); ++i) {
    if (!liftable(node.result(i)->type())) return false;
  }
  return rule->fits({node, lifted, axis});
}

std::vector<Value*> lift(const Node& node, std::span<Value* const> operands,
                         const std::vector<bool>& lifted, const LiftedAxis& axis,
                         Builder& builder) {
  const Site site = {node, lifted, axis};
  builder.set_node_name(node.name());
  std::vector<Value*> results = rule_of(node.op())->build(site, operands, builder);
  for (size_t i = 0; i < results.size(); ++i) {
    specify(*results[i], lifted_type(node.result(i)->type(), axis.extent));
    if (results[i]->name().empty()) results[i]->set_name(node.result(i)->name());
  }
  return results;
}

bool may_fail(const Node& node) {
  switch (node.op()) {
    case Op::div:
    case Op::mod:
    case Op::pow:
      return !is_float(node.result()->type().element);
    case Op::matmul:
    case Op::einsum:
    case Op::softmax:
    case Op::log_softmax:
    case Op::transpose:
    case Op::concat:
    case Op::shape:
    case Op::conv:
    case Op::conv_transpose:
    case Op::max_pool:
    case Op::average_pool:
      return false;
    case Op::reduce_sum:
    case Op::reduce_mean:
    case Op::reduce_max:
    case Op::reduce_min:
    case Op::reduce_prod:
    case Op::split:
    case Op::reshape:
    case Op::squeeze:
    case Op::unsqueeze:
    case Op::slice:
    case Op::pad:
    case Op::tile:
    case Op::cum_sum:
    case Op::trilu:
      return !constant_from(node, 1);
    case Op::fill:
    case Op::expand:  // `dims` holds extents, which can't be negative
      return !constant_from(node, node.operand_count() - 1) &&
             !(node.operand(node.operand_count() - 1)->node() &&
               node.operand(node.operand_count() - 1)->node()->op() == Op::dims);
    default:
      return !is_elementwise(node.op());
  }
}

Value* move_axis(Builder& builder, Value* x, size_t from, size_t to) {
  if (from == to) return x;
  Ints perm = range(0, x->type().shape.rank());
  const int64_t moved = perm[from];
  perm.erase(perm.begin() + static_cast<std::ptrdiff_t>(from));
  perm.insert(perm.begin() + static_cast<std::ptrdiff_t>(to), moved);
  return builder.transpose(x, std::move(perm));
}

void specify(Value& value, const ValueType& other) {
  if (value.is_argument()) return;  // its type is a promise of others
  value.set_type(more_specific(value.type(), other));
}

ValueType lifted_type(const ValueType& type, Dim extent) {
  std::vector<Dim> dims = type.shape.dims();
  dims.insert(dims.begin(), extent);
  return ValueType::tensor(type.element, Shape(std::move(dims)));
}

}  // namespace refrain::passes::internal
