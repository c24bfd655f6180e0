#include "frontend/decompile/decoder.h"

#include "frontend/decompile/node_kinds.h"
#include "ir/control.h"

namespace refrain::decompile {
namespace {

bool is(const Value* value, Op op) { return value->node() && value->node()->op() == op; }

// The scores whose best token a value is.
const Value* scores_of(const Value* value) {
  if (!is(value, Op::arg_max)) return nullptr;
  const Node& best = *value->node();
  const Value* scores = best.operand(0);
  if (!scores->type().shape.ranked()) return nullptr;
  const auto rank = static_cast<int64_t>(scores->type().shape.rank());
  const int64_t axis = best.integer(AttributeName::axis);
  const bool last = (axis < 0 ? axis + rank : axis) == rank - 1;
  const bool plain = !best.flag(AttributeName::keep_dims) && !best.flag(AttributeName::select_last);
  return last && plain && is_float(scores->type().element) ? scores : nullptr;
}

// token = where(done, end, argmax(scores)), done = done or token == end.
bool find_end(const ScanView& scan, Decoder& decoder) {
  const Node& choice = *decoder.chosen->node();
  const std::optional<double> end = uniform(choice.operand(1));
  decoder.scores = scores_of(choice.operand(2));
  if (!end || !decoder.scores) return false;
  for (size_t i = 0; i < scan.states(); ++i) {
    const Value* next = scan.next_state(i);
    if (choice.operand(0) != scan.state_argument(i) || !is(next, Op::logical_or)) continue;
    for (size_t side = 0; side < 2; ++side) {
      const Value *before = next->node()->operand(side), *now = next->node()->operand(1 - side);
      if (before != scan.state_argument(i) || !is(now, Op::equal)) continue;
      const Node& equal = *now->node();
      const size_t at = equal.operand(0) == decoder.chosen ? 0 : 1;
      if (equal.operand(at) != decoder.chosen || uniform(equal.operand(1 - at)) != end) continue;
      decoder.done = i;
      decoder.until = static_cast<int64_t>(*end);
      decoder.choice = {&choice, choice.operand(2)->node(), next->node(), &equal};
      return true;
    }
  }
  return false;
}

// Whether nothing but the choice reads what it is made of, and the loop's results its token.
bool is_closed(const Node& node, const ScanView& scan, Decoder& decoder) {
  for (const Node* part : decoder.choice) {
    for (const Use* use = part->result()->first_use(); use; use = use->next()) {
      if (decoder.choice.contains(use->user())) continue;
      if (use->user()->op() != Op::yield) return false;
      const bool token = use->index() == decoder.token, done = decoder.done == use->index();
      if (token || done) continue;
      if (part->result() != decoder.chosen || use->index() < scan.states() || decoder.stacked)
        return false;
      decoder.stacked = use->index() - scan.states();
    }
  }
  if (decoder.done) {
    for (const Use* use = scan.state_argument(*decoder.done)->first_use(); use; use = use->next()) {
      if (!decoder.choice.contains(use->user())) return false;
    }
    if (!node.result(*decoder.done)->unused()) return false;
    if (uniform(node.operand(scan.state_operand(*decoder.done))) != 0.0) return false;
  }
  return node.result(decoder.token)->unused();
}

}  // namespace

std::optional<Decoder> find_decoder(const Node& node) {
  const ScanView scan(node);
  if (scan.scanned() > 0 || !scan.has_trip_count() || scan.has_lengths()) return std::nullopt;
  for (size_t i = 0; i < scan.states(); ++i) {
    if (scan.state_argument(i)->type().element != ElementType::i64) continue;
    Decoder decoder;
    decoder.token = i;
    decoder.chosen = scan.next_state(i);
    decoder.scores = scores_of(decoder.chosen);
    if (decoder.scores) {
      decoder.choice = {decoder.chosen->node()};
    } else if (!is(decoder.chosen, Op::where) || !find_end(scan, decoder)) {
      continue;
    }
    if (!is_closed(node, scan, decoder)) continue;
    if (const auto length = uniform(scan.trip_count()); length && *length >= 1)
      decoder.length = static_cast<int64_t>(*length);
    return decoder;
  }
  return std::nullopt;
}

}  // namespace refrain::decompile
