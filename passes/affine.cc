#include "passes/affine.h"

#include <algorithm>

namespace refrain::passes::internal {
namespace {

// Longest chain of sums that is followed; a longer one is taken for a value of its own.
constexpr int kMaxDepth = 32;

std::optional<Affine> sum(const Affine& a, const Affine& b) {
  if (a.has_base() && b.has_base()) return {};
  Affine result = a.has_base() ? a : b;
  if (__builtin_add_overflow(a.rate, b.rate, &result.rate) ||
      __builtin_add_overflow(a.constant, b.constant, &result.constant)) {
    return {};
  }
  return result;
}

std::optional<Affine> negated(const Affine& a) {
  Affine result;
  if (a.has_base() || __builtin_sub_overflow(0, a.rate, &result.rate) ||
      __builtin_sub_overflow(0, a.constant, &result.constant)) {
    return {};
  }
  return result;
}

bool is_integer(const ValueType& type) {
  return type.is_tensor() && type.element == ElementType::i64 && type.shape.is_static() && [&] {
    for (Dim dim : type.shape.dims()) {
      if (dim.extent() != 1) return false;
    }
    return true;
  }();
}

}  // namespace

std::optional<Affine> difference(const Affine& a, const Affine& b) {
  if (b.has_base()) {
    if (!a.same_base(b)) return {};
    return difference({.rate = a.rate, .constant = a.constant},
                      {.rate = b.rate, .constant = b.constant});
  }
  const std::optional<Affine> minus = negated(b);
  return minus ? sum(a, *minus) : std::nullopt;
}

std::optional<int64_t> constant_difference(const Affine& a, const Affine& b) {
  int64_t constant = 0;
  if (a.rate != b.rate || !a.same_base(b) ||
      __builtin_sub_overflow(a.constant, b.constant, &constant)) {
    return {};
  }
  return constant;
}

std::optional<Affine> plus(const Affine& a, int64_t constant) {
  return sum(a, {.constant = constant});
}

std::optional<Affine> AffineReader::read(Value* value, int depth) const {
  if (!value || !is_integer(value->type())) return {};
  if (const TensorPtr tensor = constant_tensor(value)) {
    return Affine{.constant = tensor->view().as_ints()[0]};
  }
  const bool inside = value->region() == &loop_.body();
  // What happens before the loop is at least a value that does not change in it.
  const std::optional<Affine> unread =
      inside ? std::nullopt : std::optional(Affine{.value = value});
  if (depth > kMaxDepth) return unread;
  if (value->is_argument()) return inside ? read_argument(value, depth) : unread;
  const Node& node = *value->node();
  const auto operand = [&](size_t i) { return read(node.operand(i), depth + 1); };
  std::optional<Affine> result;
  switch (node.op()) {
    case Op::dims: {
      const Dim dim = node.attribute<std::vector<Dim>>(AttributeName::dims).front();
      if (dim.is_constant()) return Affine{.constant = dim.extent()};
      return Affine{.symbol = dim};
    }
    case Op::shape: {
      const Shape& shape = node.operand(0)->type().shape;
      if (inside || !shape.ranked()) break;
      const auto rank = static_cast<int64_t>(shape.rank());
      const int64_t start = node.integer(AttributeName::start);
      const Dim dim = shape[static_cast<size_t>(std::max<int64_t>(
          start < 0 ? start + rank : start, 0))];  // which exists: the result has one element
      if (dim.is_constant()) return Affine{.constant = dim.extent()};
      if (dim.is_symbol()) return Affine{.symbol = dim, .source = value};
      break;
    }
    case Op::reshape:
    case Op::squeeze:
    case Op::unsqueeze:
      result = operand(0);
      break;
    case Op::neg:
      if (const auto a = operand(0)) result = negated(*a);
      break;
    case Op::add:
    case Op::sub: {
      const auto a = operand(0), b = operand(1);
      if (a && b) result = node.op() == Op::add ? sum(*a, *b) : difference(*a, *b);
      break;
    }
    default:
      break;
  }
  return result ? result : unread;
}

std::optional<Affine> AffineReader::read_argument(Value* argument, int depth) const {
  const Node& loop = *loop_.body().owner();
  if (argument == loop_.iteration_argument()) return Affine{.rate = 1};
  const size_t slot = argument->index() - 1;
  if (slot < loop_.invariants()) return read(loop.operand(loop_.invariant_operand(slot)), depth);
  const size_t state = slot - loop_.invariants();
  const Node* next = loop_.next_state(state)->node();
  if (!next || (next->op() != Op::add && next->op() != Op::sub)) return {};
  const bool first = next->operand(0) == argument;
  if (!first && (next->op() == Op::sub || next->operand(1) != argument)) return {};
  const TensorPtr step = constant_tensor(next->operand(first ? 1 : 0));
  if (!step || step->size() != 1) return {};
  std::optional<Affine> counter = Affine{.rate = step->view().as_ints()[0]};
  if (next->op() == Op::sub) counter = negated(*counter);
  const auto start = read(loop.operand(loop_.state_operand(state)), depth + 1);
  return counter && start ? sum(*counter, *start) : std::nullopt;
}

Value* AffineReader::make(Builder& builder, const Affine& number) {
  if (!number.has_base()) return builder.scalar(number.constant);
  Value* base = number.value ? number.value : number.source;
  if (!base) {
    base = builder.op(Op::dims, {},
                      {{AttributeName::dims, std::vector<Dim>{number.symbol}},
                       {AttributeName::keep_dims, false}});
  } else if (base->type().shape.rank() != 0) {
    base = builder.reshape(base, {});
  }
  if (number.constant == 0) return base;
  return builder.op(Op::add, {base, builder.scalar(number.constant)});
}

}  // namespace refrain::passes::internal
