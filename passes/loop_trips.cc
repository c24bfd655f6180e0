#include "passes/loop_trips.h"

#include <algorithm>

namespace refrain::passes::internal {
namespace {

// A constant trip count beyond this stands for "until the condition says so".
constexpr int64_t kEndless = int64_t{1} << 28;

bool is_true(const Value* value) {
  const TensorPtr tensor = constant_tensor(value);
  return tensor && tensor->size() == 1 && tensor->view().as_ints()[0] != 0;
}

// A comparison that holds where rate * iteration < difference.
struct Condition {
  int64_t rate;
  Affine difference;
};

std::optional<Condition> read_condition(Value* value, const AffineReader& reader) {
  bool negate = false;
  const Node* node = value->node();
  while (node && (node->op() == Op::logical_not || node->op() == Op::reshape ||
                  node->op() == Op::squeeze || node->op() == Op::unsqueeze)) {
    negate ^= node->op() == Op::logical_not;
    node = node->operand(0)->node();
  }
  if (!node) return {};
  bool swap = false, equal = false;  // greater; or equal
  switch (node->op()) {
    case Op::less:
      break;
    case Op::less_equal:
      equal = true;
      break;
    case Op::greater:
      swap = true;
      break;
    case Op::greater_equal:
      swap = equal = true;
      break;
    default:
      return {};
  }
  auto low = reader.read(node->operand(0)), high = reader.read(node->operand(1));
  if (!low || !high) return {};
  if (swap != negate) std::swap(low, high);
  if (equal != negate) high = plus(*high, 1);  // in integers, a <= b is a < b + 1
  if (!high) return {};
  const std::optional<Affine> over = difference(*high, *low);
  if (!over) return {};
  // Anything but 1 and 0 is of no interest, nor then what it would be negated.
  if (over->rate != 0 && over->rate != -1) return {};
  Condition condition{-over->rate, *over};
  condition.difference.rate = 0;
  return condition;
}

Value* at_least_zero(Builder& builder, const Affine& number) {
  if (number.is_constant()) return builder.scalar(std::max<int64_t>(number.constant, 0));
  Value* value = AffineReader::make(builder, number);
  if (!number.value && number.constant >= 0) return value;  // an extent and more
  return builder.op(Op::max, {value, builder.scalar(int64_t{0})});
}

}  // namespace

std::optional<Trips> trips_of(const LoopView& loop, const AffineReader& reader) {
  const std::optional<Affine> most = reader.read(loop.trip_count());
  if (!most || most->rate != 0) return {};
  Trips trips;
  trips.most = *most;
  trips.bounded = !most->is_constant() || most->constant < kEndless;
  if (!is_true(loop.condition())) trips.gate = loop.condition();

  Value* next = loop.next_condition();
  bool same_as_first = false;
  if (next->is_argument() && next->index() > 0 && next->index() - 1 < loop.invariants()) {
    const Node& node = *loop.body().owner();
    same_as_first = node.operand(loop.invariant_operand(next->index() - 1)) == loop.condition();
  }
  if (is_true(next) || same_as_first) {
    if (!trips.bounded) return {};
    if (!trips.gate) trips.number = trips.most;
    return trips;
  }

  const std::optional<Condition> condition = read_condition(next, reader);
  if (!condition || condition->rate != 1) return {};
  const Affine until = condition->difference;
  if (until.is_constant() && until.constant >= kEndless && !trips.bounded) return {};
  // `while i < n` asks the same question before the first iteration.
  const std::optional<Condition> first =
      trips.gate ? read_condition(trips.gate, reader) : std::nullopt;
  const bool asks_first =
      first && first->rate == 0 && plus(until, 1) == std::optional(first->difference);
  if (asks_first && (!trips.bounded || (until.is_constant() && most->is_constant()))) {
    trips.gate = nullptr;
    trips.number = first->difference;
    if (trips.bounded) {
      trips.number->constant = std::min(trips.number->constant, most->constant);
    }
    return trips;
  }
  trips.until = until;
  if (trips.gate || !until.is_constant() || (trips.bounded && !most->is_constant())) return trips;
  int64_t number = std::clamp<int64_t>(until.constant, 0, kEndless) + 1;
  if (trips.bounded) number = std::min(number, most->constant);  // which is below kEndless
  trips.number = Affine{.constant = number};
  return trips;
}

Value* make_trips(Builder& builder, const Trips& trips) {
  if (trips.number) return at_least_zero(builder, *trips.number);
  Value* count = trips.bounded ? at_least_zero(builder, trips.most) : nullptr;
  if (trips.until) {
    Value* until =
        builder.op(Op::add, {at_least_zero(builder, *trips.until), builder.scalar(int64_t{1})});
    count = count ? builder.op(Op::min, {count, until}) : until;
  }
  if (!trips.gate) return count;
  return builder.op(Op::where, {trips.gate, count, builder.scalar(int64_t{0})});
}

}  // namespace refrain::passes::internal
