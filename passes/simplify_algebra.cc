#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <vector>

#include "ir/builder.h"
#include "ir/control.h"
#include "ir/slice.h"
#include "passes/element.h"
#include "passes/passes.h"
#include "passes/refine.h"

namespace refrain::passes {
namespace {

using internal::constant_ints;

// Largest constant that is looked through for being one value everywhere: a bias that many nodes
// use is looked through for each of them.
constexpr int64_t kMaxUniform = 4096;

// The one value of all elements, as double, with the sign of a zero.
std::optional<double> uniform(const Value* value) {
  const TensorPtr tensor = constant_tensor(value);
  if (!tensor || tensor->size() < 1 || tensor->size() > kMaxUniform) return std::nullopt;
  const size_t bytes = static_cast<size_t>(tensor->bytes()), one = size_of(tensor->type());
  const auto* data = static_cast<const char*>(tensor->raw());
  if (std::memcmp(data, data + one, bytes - one) != 0) return std::nullopt;
  return tensor->view().as_doubles()[0];
}

// Provably the same extents.
bool same_shape(const Shape& a, const Shape& b) {
  if (!a.ranked() || !b.ranked() || a.rank() != b.rank()) return false;
  for (size_t i = 0; i < a.rank(); ++i) {
    if (!provably_equal(a[i], b[i])) return false;
  }
  return true;
}

bool same_shape(const Value* a, const Value* b) {
  return same_shape(a->type().shape, b->type().shape);
}

// True if broadcasting x with `other` gives x's own shape.
bool absorbs(const Value* x, const Value* other) {
  const Shape &shape = x->type().shape, &small = other->type().shape;
  if (!small.ranked()) return false;
  if (small.rank() == 0) return true;
  if (!shape.ranked() || small.rank() > shape.rank()) return false;
  for (size_t i = 0; i < small.rank(); ++i) {
    const Dim dim = small[small.rank() - 1 - i];
    if (dim != Dim(1) && !provably_equal(dim, shape[shape.rank() - 1 - i])) return false;
  }
  return true;
}

// True if a cast to `to` loses nothing of any value of `from`.
bool holds_exactly(ElementType from, ElementType to) {
  using enum ElementType;
  if (from == to || from == boolean) return true;
  const auto mantissa = [](ElementType type) {
    switch (type) {
      case f64:
        return 53;
      case f32:
        return 24;
      case f16:
        return 11;
      default:
        return 8;
    }
  };
  const int from_bits = static_cast<int>(8 * size_of(from)),
            to_bits = static_cast<int>(8 * size_of(to));
  if (is_float(from)) return (to == f64) || (to == f32 && from != f64);
  if (to == boolean) return false;
  if (is_float(to)) return from_bits <= mantissa(to);
  if (is_signed_integer(from)) return is_signed_integer(to) && to_bits >= from_bits;
  return is_signed_integer(to) ? to_bits > from_bits : to_bits >= from_bits;
}

std::vector<int64_t> positive_axes(std::vector<int64_t> axes, size_t rank) {
  for (int64_t& axis : axes) axis += axis < 0 ? static_cast<int64_t>(rank) : 0;
  std::sort(axes.begin(), axes.end());
  return axes;
}

const Node* made_by(const Value* value, Op op) {
  const Node* node = value ? value->node() : nullptr;
  return node && node->op() == op ? node : nullptr;
}

// Each rule looks at one node and returns the value that its (only) result may be replaced by, or
// null. A rule may insert nodes before the node when it succeeds.
using Rule = Value* (*)(Node& node);

// x op c == x where c is the neutral element, on the right and, if the op commutes, on the left.
Value* drop_neutral(Node& node) {
  const ElementType element = node.operand(0)->type().element;
  const auto is_neutral = [&](const Value* value) {
    const auto constant = uniform(value);
    if (!constant) return false;
    switch (node.op()) {
      // -0.0 is neutral to addition, +0.0 is not: -0.0 + 0.0 is 0.0.
      case Op::add:
        return *constant == 0 && (!is_float(element) || std::signbit(*constant));
      case Op::sub:
        return *constant == 0 && !std::signbit(*constant);
      case Op::mul:
      case Op::div:
      case Op::pow:
        return *constant == 1;
      case Op::logical_and:
        return *constant != 0;
      case Op::logical_or:
      case Op::logical_xor:
        return *constant == 0;
      default:
        return false;
    }
  };
  Value *x = node.operand(0), *y = node.operand(1);
  if (is_neutral(y) && absorbs(x, y)) return x;
  const bool commutes = node.op() != Op::sub && node.op() != Op::div && node.op() != Op::pow;
  return commutes && is_neutral(x) && absorbs(y, x) ? y : nullptr;
}

// -x + y == y - x and x - -y == x + y, to the last bit.
Value* drop_negation(Node& node) {
  Value *x = node.operand(0), *y = node.operand(1);
  if (!is_float(x->type().element)) return nullptr;
  const Node* of_x = made_by(x, Op::neg);
  const Node* of_y = made_by(y, Op::neg);
  Builder builder(*node.parent(), &node);
  builder.set_node_name(node.name());
  if (node.op() == Op::sub) return of_y ? builder.op(Op::add, {x, of_y->operand(0)}) : nullptr;
  if (of_y) return builder.op(Op::sub, {x, of_y->operand(0)});
  return of_x ? builder.op(Op::sub, {y, of_x->operand(0)}) : nullptr;
}

// The product is the power correctly rounded, which a library's pow may miss by a bit.
Value* square(Node& node) {
  Value *x = node.operand(0), *exponent = node.operand(1);
  const bool real = is_float(x->type().element);
  if (!real || uniform(exponent) != 2.0 || !absorbs(x, exponent)) return nullptr;
  Builder builder(*node.parent(), &node);
  builder.set_node_name(node.name());
  return builder.op(Op::mul, {x, x});
}

// f(x, x) == x
Value* drop_equal_operands(Node& node) {
  return node.operand(0) == node.operand(1) ? node.operand(0) : nullptr;
}

// f(f(x)) == x
Value* drop_involution(Node& node) {
  const Node* inner = made_by(node.operand(0), node.op());
  return inner ? inner->operand(0) : nullptr;
}

// f(f(x)) == f(x)
Value* drop_repetition(Node& node) {
  return made_by(node.operand(0), node.op()) ? node.operand(0) : nullptr;
}

Value* simplify_cast(Node& node) {
  Value* x = node.operand(0);
  const ElementType to = node.result()->type().element;
  if (x->type().element == to) return x;
  const Node* inner = made_by(x, Op::cast);
  if (!inner || !holds_exactly(inner->operand(0)->type().element, x->type().element))
    return nullptr;
  return Builder(*node.parent(), &node).cast(inner->operand(0), to);
}

Value* simplify_where(Node& node) {
  Value *condition = node.operand(0), *x = node.operand(1), *y = node.operand(2);
  const auto constant = uniform(condition);
  Value* chosen = x == y ? x : constant ? (*constant != 0 ? x : y) : nullptr;
  if (!chosen) return nullptr;
  Value* other = chosen == x ? y : x;
  const bool keeps = absorbs(chosen, condition) && (other == chosen || absorbs(chosen, other));
  return keeps || same_shape(chosen, node.result()) ? chosen : nullptr;
}

// True if a reshape's constant operand leaves every extent as it is, whatever it is: it copies it,
// names it, or leaves it as the only one that is not known to stay.
bool reshapes_to_itself(const Node& node) {
  const Shape& from = node.operand(0)->type().shape;
  if (!from.ranked()) return false;
  if (same_shape(node.operand(0), node.result())) return true;
  const auto target = constant_ints(node.operand(1));
  if (!target || target->size() != from.rank()) return false;
  size_t open = 0;
  for (size_t i = 0; i < target->size(); ++i) {
    const int64_t extent = (*target)[i];
    if (extent == 0 && !node.flag(AttributeName::allow_zero)) continue;
    if (extent > 0 && from[i] == Dim(extent)) continue;
    if (extent != -1 || ++open > 1) return false;
  }
  return true;
}

Value* simplify_reshape(Node& node) {
  Value* x = node.operand(0);
  if (reshapes_to_itself(node)) return x;
  const Node* inner = made_by(x, Op::reshape);
  if (!inner) inner = made_by(x, Op::squeeze);
  if (!inner) inner = made_by(x, Op::unsqueeze);
  if (!inner) return nullptr;
  if (!node.flag(AttributeName::allow_zero)) {  // a 0 would copy an extent of another tensor
    const auto target = constant_ints(node.operand(1));
    if (!target || std::find(target->begin(), target->end(), 0) != target->end()) return nullptr;
  }
  return Builder(*node.parent(), &node)
      .op(Op::reshape, {inner->operand(0), node.operand(1)},
          {{AttributeName::allow_zero, node.flag(AttributeName::allow_zero)}});
}

// unsqueeze of squeeze, squeeze of unsqueeze, along the same axes.
Value* simplify_squeeze(Node& node) {
  Value* x = node.operand(0);
  if (same_shape(x, node.result())) return x;
  const Node* inner = made_by(x, node.op() == Op::squeeze ? Op::unsqueeze : Op::squeeze);
  if (!inner || !node.operand(1) || !inner->operand(1)) return nullptr;
  const auto axes = constant_ints(node.operand(1)), inner_axes = constant_ints(inner->operand(1));
  const Value* larger = node.op() == Op::squeeze ? x : node.result();
  if (!axes || !inner_axes || !larger->type().shape.ranked()) return nullptr;
  const size_t rank = larger->type().shape.rank();
  return positive_axes(*axes, rank) == positive_axes(*inner_axes, rank) ? inner->operand(0)
                                                                        : nullptr;
}

Value* simplify_transpose(Node& node) {
  std::vector<int64_t> perm = node.integers(AttributeName::perm);
  const auto rank = static_cast<int64_t>(perm.size());
  for (int64_t& axis : perm) axis += axis < 0 ? rank : 0;
  const auto is_identity = [](const std::vector<int64_t>& p) {
    return std::is_sorted(p.begin(), p.end());  // of distinct axes
  };
  if (is_identity(perm)) return node.operand(0);
  const Node* inner = made_by(node.operand(0), Op::transpose);
  if (!inner) return nullptr;
  const std::vector<int64_t>& first = inner->integers(AttributeName::perm);
  if (first.size() != perm.size()) return nullptr;
  for (int64_t& axis : perm)
    axis = first[static_cast<size_t>(axis)] + (first[static_cast<size_t>(axis)] < 0 ? rank : 0);
  if (is_identity(perm)) return inner->operand(0);
  return Builder(*node.parent(), &node).transpose(inner->operand(0), std::move(perm));
}

Value* simplify_expand(Node& node) {
  Value* x = node.operand(0);
  if (same_shape(x, node.result())) return x;
  const auto extents = constant_ints(node.operand(1));
  const Shape& shape = x->type().shape;
  if (!extents || !shape.ranked() || extents->size() > shape.rank()) return nullptr;
  return std::all_of(extents->begin(), extents->end(), [](int64_t extent) { return extent == 1; })
             ? x
             : nullptr;
}

Value* simplify_tile(Node& node) {
  const auto repeats = constant_ints(node.operand(1));
  if (!repeats) return nullptr;
  return std::all_of(repeats->begin(), repeats->end(), [](int64_t count) { return count == 1; })
             ? node.operand(0)
             : nullptr;
}

// A slice that takes all of every axis that it names.
Value* simplify_slice(Node& node) {
  Value* x = node.operand(0);
  const Shape& shape = x->type().shape;
  const auto begins = constant_ints(node.operand(1)), ends = constant_ints(node.operand(2));
  const auto axes = constant_ints(node.operand(3)), steps = constant_ints(node.operand(4));
  if (!begins || !ends || !shape.ranked() || begins->size() != ends->size()) return nullptr;
  if ((node.operand(3) && !axes) || (node.operand(4) && !steps)) return nullptr;
  for (size_t i = 0; i < begins->size(); ++i) {
    if (steps && (*steps)[i] != 1) return nullptr;
    const int64_t axis = axes ? (*axes)[i] : static_cast<int64_t>(i);
    const Dim extent =
        shape[static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(shape.rank()) : axis)];
    const int64_t begin = (*begins)[i], end = (*ends)[i];
    if (begin == 0 && end == std::numeric_limits<int64_t>::max()) continue;
    if (!extent.is_constant() ||
        clamp_slice(extent.extent(), begin, end, 1).count != extent.extent())
      return nullptr;
  }
  return x;
}

Value* simplify_pad(Node& node) {
  const auto pads = constant_ints(node.operand(1));
  if (!pads) return nullptr;
  return std::all_of(pads->begin(), pads->end(), [](int64_t pad) { return pad == 0; })
             ? node.operand(0)
             : nullptr;
}

// Without the operands that are empty along the axis; one that is alone is the result.
Value* simplify_concat(Node& node) {
  if (node.operand_count() == 1) return node.operand(0);
  const int64_t axis = node.integer(AttributeName::axis);
  std::vector<Value*> kept;
  for (Value* operand : node.operands()) {
    const Shape& shape = operand->type().shape;
    if (!shape.ranked()) return nullptr;
    const size_t i =
        static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(shape.rank()) : axis);
    if (shape[i] != Dim(0)) kept.push_back(operand);
  }
  if (kept.size() == node.operand_count() || kept.empty()) return nullptr;
  if (kept.size() == 1) return kept[0];
  return Builder(*node.parent(), &node)
      .create(Op::concat, kept, {{AttributeName::axis, axis}})
      ->result();
}

Value* simplify_split(Node& node) { return node.result_count() == 1 ? node.operand(0) : nullptr; }

Value* simplify_sequence_at(Node& node) {
  const Node* sequence = made_by(node.operand(0), Op::sequence_construct);
  const auto index = constant_ints(node.operand(1));
  if (!sequence || !index || index->size() != 1) return nullptr;
  const auto count = static_cast<int64_t>(sequence->operand_count());
  const int64_t i = (*index)[0];
  return i >= -count && i < count ? sequence->operand(static_cast<size_t>(i < 0 ? i + count : i))
                                  : nullptr;
}

Value* simplify_sequence_length(Node& node) {
  const Node* sequence = made_by(node.operand(0), Op::sequence_construct);
  if (!sequence) return nullptr;
  return Builder(*node.parent(), &node).scalar(static_cast<int64_t>(sequence->operand_count()));
}

Value* simplify_concat_from_sequence(Node& node) {
  const Node* sequence = made_by(node.operand(0), Op::sequence_construct);
  if (!sequence) return nullptr;
  Builder builder(*node.parent(), &node);
  std::vector<Value*> parts = sequence->operands();
  const int64_t axis = node.integer(AttributeName::axis);
  if (node.flag(AttributeName::new_axis)) {
    Value* axes = builder.ints({axis});
    for (Value*& part : parts) part = builder.op(Op::unsqueeze, {part, axes});
  }
  return builder.create(Op::concat, parts, {{AttributeName::axis, axis}})->result();
}

// The only element of an axis, by a constant index.
Value* simplify_gather(Node& node) {
  const Shape& shape = node.operand(0)->type().shape;
  const TensorPtr index = constant_tensor(node.operand(1));
  if (!index || index->rank() != 0 || !shape.ranked() || shape.rank() == 0) return nullptr;
  const size_t axis = normalize_axis(node.integer(AttributeName::axis), shape.rank());
  const int64_t position = index->view().as_ints()[0];
  if (shape[axis] != Dim(1) || (position != 0 && position != -1)) return nullptr;
  return Builder(*node.parent(), &node).squeeze(node.operand(0), {static_cast<int64_t>(axis)});
}

Value* simplify_has_element(Node& node) {
  if (!made_by(node.operand(0), Op::optional) && node.operand(0)->type().optional) return nullptr;
  const Node* optional = made_by(node.operand(0), Op::optional);
  return Builder(*node.parent(), &node).scalar(!optional || optional->operand_count() > 0);
}

Value* simplify_get_element(Node& node) {
  if (!node.operand(0)->type().optional) return node.operand(0);
  const Node* optional = made_by(node.operand(0), Op::optional);
  return optional ? optional->operand(0) : nullptr;
}

Rule find_rule(Op op) {
  switch (op) {
    case Op::add:
    case Op::sub:
      return [](Node& node) {
        Value* other = drop_neutral(node);
        return other ? other : drop_negation(node);
      };
    case Op::mul:
    case Op::div:
    case Op::logical_xor:
      return drop_neutral;
    case Op::pow:
      return [](Node& node) {
        Value* same = drop_neutral(node);
        return same ? same : square(node);
      };
    case Op::logical_and:
    case Op::logical_or:
      return [](Node& node) {
        Value* same = drop_equal_operands(node);
        return same ? same : drop_neutral(node);
      };
    case Op::min:
    case Op::max:
      return drop_equal_operands;
    case Op::neg:
    case Op::logical_not:
      return drop_involution;
    case Op::abs:
    case Op::relu:
    case Op::sign:
    case Op::floor:
    case Op::ceil:
    case Op::round:
      return drop_repetition;
    case Op::cast:
      return simplify_cast;
    case Op::where:
      return simplify_where;
    case Op::reshape:
      return simplify_reshape;
    case Op::squeeze:
    case Op::unsqueeze:
      return simplify_squeeze;
    case Op::transpose:
      return simplify_transpose;
    case Op::expand:
      return simplify_expand;
    case Op::tile:
      return simplify_tile;
    case Op::slice:
      return simplify_slice;
    case Op::gather:
      return simplify_gather;
    case Op::pad:
      return simplify_pad;
    case Op::concat:
      return simplify_concat;
    case Op::split:
      return simplify_split;
    case Op::sequence_at:
      return simplify_sequence_at;
    case Op::sequence_length:
      return simplify_sequence_length;
    case Op::concat_from_sequence:
      return simplify_concat_from_sequence;
    case Op::has_element:
      return simplify_has_element;
    case Op::get_element:
      return simplify_get_element;
    default:
      return nullptr;
  }
}

// A state that its body only passes on ends as it began.
bool drop_constant_states(Node& node) {
  size_t states = 0, first_argument = 0, first_result = 0, first_operand = 0;
  if (node.op() == Op::scan) {
    const ScanView scan(node);
    states = scan.states(), first_argument = scan.invariants(),
    first_operand = scan.state_operand(0);
  } else if (node.op() == Op::loop) {
    const LoopView loop(node);
    states = loop.states(), first_argument = 1 + loop.invariants(),
    first_operand = loop.state_operand(0);
    first_result = 1;
  }
  bool changed = false;
  for (size_t i = 0; i < states; ++i) {
    if (node.region().result(first_result + i) != node.region().argument(first_argument + i))
      continue;
    if (node.result(i)->unused()) continue;
    changed |= internal::replace_value(node.result(i), node.operand(first_operand + i));
  }
  return changed;
}

bool simplify(Region& region) {
  bool changed = false;
  for (Node* node = region.first(); node;) {
    Node* next = node->next();
    if (node->op() == Op::yield) break;
    changed |= internal::refine_types(*node);
    if (node->region_count() > 0) {
      for (size_t i = 0; i < node->region_count(); ++i) {
        // What the body's results have become may make its states' types more specific, and so on.
        while (simplify(node->region(i))) {
          internal::refine_types(*node);
          changed = true;
        }
      }
      changed |= drop_constant_states(*node);
    } else if (const Rule rule = find_rule(node->op()); rule && !node->unused()) {
      Node* previous = node->previous();
      if (Value* value = rule(*node)) {
        if (internal::replace_value(node->result(), value)) {
          changed = true;
          region.erase(node);
          next =
              previous ? previous->next() : region.first();  // the rule's own nodes, if it made any
        } else {
          // The rule's own nodes, which nobody uses, go again.
          while (node->previous() != previous) region.erase(node->previous());
        }
      }
    }
    node = next;
  }
  return changed;
}

}  // namespace

bool simplify_algebra(Graph& graph, const PassContext&) {
  const bool changed = simplify(graph.body());
  if (changed) internal::refine_types(graph);
  return changed;
}

}  // namespace refrain::passes
