#include "passes/recurrence.h"

#include <algorithm>

#include "ir/builder.h"

namespace refrain::passes::internal {
namespace {

using Kind = MemberOperand::Kind;

// Most members of a recurrence; a body of more is none.
constexpr size_t kMaxMembers = 10'000;
// Most nodes that one that follows from the recurrence may need besides it.
constexpr size_t kMaxReaderNodes = 200;
// Nodes of a chain that is looked at from more than one place.
constexpr size_t kShortChain = 16;
// Most readers of one value that are looked at for going on with it.
constexpr int kMaxReaders = 64;

bool same_region(const Region& a, const Region& b);

bool same_attributes(const Node& a, const Node& b) {
  return a.attributes().size() == b.attributes().size() &&
         std::is_permutation(a.attributes().begin(), a.attributes().end(), b.attributes().begin());
}

bool same_node(const Node& a, const Node& b) {
  if (a.op() != b.op() || a.operand_count() != b.operand_count() ||
      a.result_count() != b.result_count() || a.region_count() != b.region_count() ||
      !same_attributes(a, b)) {
    return false;
  }
  for (size_t i = 0; i < a.result_count(); ++i) {
    if (a.result(i)->type() != b.result(i)->type()) return false;
  }
  for (size_t i = 0; i < a.region_count(); ++i) {
    if (!same_region(a.region(i), b.region(i))) return false;
  }
  return true;
}

// Node by node in the same order. Regions are closed, so that they depend on nothing else.
bool same_region(const Region& a, const Region& b) {
  if (a.argument_count() != b.argument_count() || a.size() != b.size()) return false;
  std::unordered_map<const Value*, const Value*> twin;
  for (size_t i = 0; i < a.argument_count(); ++i) {
    if (a.argument(i)->type() != b.argument(i)->type()) return false;
    twin[a.argument(i)] = b.argument(i);
  }
  for (const Node *x = a.first(), *y = b.first(); x; x = x->next(), y = y->next()) {
    if (!same_node(*x, *y)) return false;
    for (size_t i = 0; i < x->operand_count(); ++i) {
      const Value *p = x->operand(i), *q = y->operand(i);
      if (!p != !q || (p && twin.at(p) != q)) return false;
    }
    for (size_t i = 0; i < x->result_count(); ++i) twin[x->result(i)] = y->result(i);
  }
  return true;
}

bool is_leaf(const Node& node) { return node.schema().kind == OpKind::leaf; }

// Nodes that only show a value in another form, on the way to being stacked.
bool is_view(Op op) { return op == Op::unsqueeze || op == Op::reshape || op == Op::squeeze; }

bool only_stacked(const Node& node) {
  if (!is_view(node.op())) return false;
  for (const Use* use = node.result()->first_use(); use; use = use->next()) {
    const Op op = use->user()->op();
    if (op != Op::concat && op != Op::yield) return false;
  }
  return true;
}

}  // namespace

bool same_kind(const Node& a, const Node& b) {
  return !is_leaf(a) && a.op() != Op::yield && same_node(a, b);
}

const Recurrence::Place* Recurrence::place(const Node* node) const {
  const auto found = node ? places_.find(node) : places_.end();
  return found == places_.end() ? nullptr : &found->second;
}

size_t Recurrence::add_member(Node* a, Node* b) {
  Member& member = members_.emplace_back();
  member.operands.resize(a->operand_count());
  member.first = bulk_;
  member.nodes = {a, b};
  readers_.emplace_back();
  const size_t index = members_.size() - 1;
  places_[a] = {index, bulk_};
  places_[b] = {index, bulk_ + 1};
  return index;
}

// Makes the node the occurrence before the first or after the last.
bool Recurrence::put(size_t index, int64_t number, Node* node) {
  Member& member = members_[index];
  if (number == member.end()) {
    member.nodes.push_back(node);
  } else if (number == member.first - 1) {
    member.nodes.push_front(node);
    --member.first;
  } else {
    return false;
  }
  places_[node] = {index, number};
  return true;
}

// Operands that come from outside the recurrence for certain.
bool Recurrence::classify_outer(const Value* a, const Value* b, MemberOperand& found) const {
  if (a == b) {
    found.kind = a ? Kind::invariant : Kind::absent;
    found.value = const_cast<Value*>(a);
    return true;
  }
  if (!a || !b || a->type() != b->type()) return false;
  if (constant_tensor(a) && constant_tensor(b)) {
    found.kind = Kind::constant;
    return true;
  }
  const auto x = element_of(a), y = element_of(b);
  if (x && y && x->whole == y->whole && x->axis == y->axis && x->keeps_axis == y->keeps_axis) {
    found.kind = Kind::element;
    found.element = *x;
    return true;
  }
  return false;
}

std::string Recurrence::classify(size_t index, size_t operand) {
  Value* a = members_[index].at(bulk_)->operand(operand);
  Value* b = members_[index].at(bulk_ + 1)->operand(operand);
  MemberOperand found;
  if (classify_outer(a, b, found)) {
    members_[index].operands[operand] = found;
    return {};
  }
  if (!a || !b || a->type() != b->type()) return "operands of different types";
  Node *p = a->node(), *q = b->node();
  found.kind = Kind::outside;
  if (p && q && p != q && a->index() == b->index() && same_kind(*p, *q)) {
    const Place *first = place(p), *second = place(q);
    if (!first && !second && free(p) && free(q)) {
      if (members_.size() >= kMaxMembers) return "a body of too many nodes";
      found.member = add_member(p, q);
      found.distance = 0;
      found.kind = Kind::member;
    } else if (first || second) {
      found.member = first ? first->member : second->member;
      found.distance = first ? bulk_ - first->number : bulk_ + 1 - second->number;
      if (!first) {
        if (!free(p) || !put(found.member, bulk_ - found.distance, p)) return "an irregular chain";
      } else if (!second) {
        if (!free(q) || !put(found.member, bulk_ + 1 - found.distance, q))
          return "an irregular chain";
      } else if (second->member != found.member || second->number != first->number + 1) {
        return "operands at different distances";
      }
      found.kind = Kind::member;
    }
    found.result = a->index();
  }
  if (found.kind == Kind::member) readers_[found.member].emplace_back(index, operand);
  members_[index].operands[operand] = found;
  return {};
}

// Two nodes alike and all that they need besides the recurrence and what is outside for certain.
// False if that has no end or goes over from one iteration to the next: then they belong to
// another recurrence.
bool Recurrence::collect(Node* a, Node* b, Pairs& pairs) const {
  std::unordered_set<const Node*> first, second;
  const auto add = [&](Node* p, Node* q) {
    if (first.contains(p) && second.contains(q)) return true;
    if (p == q || pairs.size() >= kMaxReaderNodes || !free(p) || !free(q) || !same_kind(*p, *q))
      return false;
    first.insert(p);
    second.insert(q);
    pairs.emplace_back(p, q);
    return !first.contains(q) && !second.contains(p);
  };
  if (!add(a, b)) return false;
  for (size_t k = 0; k < pairs.size(); ++k) {
    const auto [p, q] = pairs[k];
    for (size_t i = 0; i < p->operand_count(); ++i) {
      MemberOperand found;
      if (classify_outer(p->operand(i), q->operand(i), found)) continue;
      const Value *x = p->operand(i), *y = q->operand(i);
      if (!x || !y || !x->node() || !y->node() || x->index() != y->index()) return false;
      const Place *at = place(x->node()), *then = place(y->node());
      if (at && then && at->member == then->member && then->number == at->number + 1) continue;
      if (at || then || !add(x->node(), y->node())) return false;
    }
  }
  return true;
}

// What follows in each iteration from what is there, without being needed by the next ones.
void Recurrence::add_readers() {
  for (size_t index = 0; index < members_.size() && members_.size() < kMaxMembers; ++index) {
    const Node *a = members_[index].at(bulk_), *b = members_[index].at(bulk_ + 1);
    for (size_t r = 0; r < a->result_count(); ++r) {
      int looked_at = 0;
      for (const Use* use = a->result(r)->first_use(); use; use = use->next()) {
        if (++looked_at > kMaxReaders) break;
        Node* reader = use->user();
        if (is_leaf(*reader) || reader->op() == Op::yield || !free(reader)) continue;
        int others = 0;
        for (const Use* other = b->result(r)->first_use(); other; other = other->next()) {
          if (++others > kMaxReaders) break;
          Node* twin = other->user();
          if (other->index() != use->index() || twin == reader || !free(twin)) continue;
          if (!same_kind(*reader, *twin) || only_stacked(*reader)) continue;
          Pairs pairs;
          if (!collect(reader, twin, pairs)) continue;
          const size_t added = members_.size();
          for (const auto& [p, q] : pairs) add_member(p, q);
          for (size_t k = added; k < members_.size(); ++k) {
            for (size_t i = 0; i < members_[k].operands.size(); ++i) classify(k, i);
          }
          break;
        }
      }
    }
  }
}

// Whether a node may be the occurrence with this number.
bool Recurrence::fits(const Member& member, int64_t number, const Node& node) const {
  if (!same_kind(*member.nodes.front(), node)) return false;
  const ValueType* type = nullptr;
  for (size_t i = 0; i < member.operands.size(); ++i) {
    const MemberOperand& operand = member.operands[i];
    Value* value = node.operand(i);
    if (!value != (operand.kind == Kind::absent)) return false;
    if (!value) continue;
    type = &member.nodes.front()->operand(i)->type();
    switch (operand.kind) {
      case Kind::absent:
        break;
      case Kind::invariant:
        if (value != operand.value) return false;
        break;
      case Kind::element: {
        const auto element = element_of(value);
        if (!element || element->whole != operand.element.whole ||
            element->axis != operand.element.axis ||
            element->keeps_axis != operand.element.keeps_axis) {
          return false;
        }
        break;
      }
      case Kind::constant:
        if (!constant_tensor(value) || value->type() != *type) return false;
        break;
      case Kind::outside:
        if (value->type() != *type) return false;
        break;
      case Kind::member: {
        const Member& other = members_[operand.member];
        const int64_t at = number - operand.distance;
        if (other.has(at)) {
          if (value != other.at(at)->result(operand.result)) return false;
        } else if (const Place* found = place(value->node())) {
          // Another occurrence than the one that it should be.
          if (found->member == operand.member) return false;
        }
        break;
      }
    }
  }
  return true;
}

// The node that the neighbours know as the member's occurrence with this number.
Node* Recurrence::candidate(size_t index, int64_t number) const {
  const Member& member = members_[index];
  for (const auto& [reader, operand] : readers_[index]) {
    const Member& by = members_[reader];
    const MemberOperand& read = by.operands[operand];
    const int64_t at = number + read.distance;
    if (!by.has(at)) continue;
    const Value* value = by.at(at)->operand(operand);
    if (!value || !value->node() || value->index() != read.result) return nullptr;
    return free(value->node()) ? value->node() : nullptr;
  }
  for (size_t i = 0; i < member.operands.size(); ++i) {
    const MemberOperand& read = member.operands[i];
    if (read.kind != Kind::member) continue;
    const Member& from = members_[read.member];
    const int64_t at = number - read.distance;
    if (!from.has(at)) continue;
    int looked_at = 0;
    for (const Use* use = from.at(at)->result(read.result)->first_use(); use; use = use->next()) {
      if (++looked_at > kMaxReaders) break;
      if (use->index() == i && free(use->user()) && fits(member, number, *use->user()))
        return use->user();
    }
    return nullptr;
  }
  return nullptr;
}

void Recurrence::extend() {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t index = 0; index < members_.size(); ++index) {
      const auto take = [&](int64_t number) {
        Node* node = candidate(index, number);
        if (!node || !fits(members_[index], number, *node) || !put(index, number, node))
          return false;
        return changed = true;
      };
      while (take(members_[index].end())) {
      }
      while (take(members_[index].first - 1)) {
      }
    }
  }
}

// Members that are cut off somewhere are in the same iteration as their neighbours.
void Recurrence::align_rest(std::vector<bool>& aligned) {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t index = 0; index < members_.size(); ++index) {
      for (const MemberOperand& operand : members_[index].operands) {
        if (operand.kind != Kind::member || aligned[index] == aligned[operand.member]) continue;
        Member &reader = members_[index], &read = members_[operand.member];
        if (aligned[index]) {
          read.shift = reader.shift + operand.distance;
        } else {
          reader.shift = read.shift - operand.distance;
        }
        aligned[index] = aligned[operand.member] = changed = true;
      }
    }
  }
}

// Members that only folded ones read, and so lack their first occurrences as well, are in the same
// iterations as those.
void Recurrence::delay_folded(int64_t iterations) {
  std::vector<size_t> folded;
  for (size_t index = 0; index < members_.size(); ++index) {
    const Member& member = members_[index];
    if (member.first + member.shift >= 1 && member.end() + member.shift == iterations)
      folded.push_back(index);
  }
  for (size_t k = 0; k < folded.size(); ++k) {
    for (const MemberOperand& operand : members_[folded[k]].operands) {
      if (operand.kind != Kind::member) continue;
      Member& read = members_[operand.member];
      // No later than the last iteration and the first that reads it.
      int64_t later = iterations - (read.end() + read.shift);
      for (const auto& [reader, i] : readers_[operand.member])
        later = std::min(later, delay(members_[reader], members_[reader].operands[i]));
      if (later <= 0) continue;
      read.shift += later;
      if (read.end() + read.shift == iterations) folded.push_back(operand.member);
    }
  }
}

// Members with as many occurrences as there are iterations begin with the first of them. Others
// lack the last, which nothing needed, or the first ones, which constants took the place of.
std::string Recurrence::align() {
  size_t most = 0;
  for (const Member& member : members_) most = std::max(most, member.nodes.size());
  const auto iterations = static_cast<int64_t>(most);
  std::vector<bool> aligned(members_.size());
  for (size_t index = 0; index < members_.size(); ++index) {
    Member& member = members_[index];
    aligned[index] = member.nodes.size() + 1 >= most;
    member.shift = -member.first;
    for (const auto& [reader, operand] : readers_[index]) {
      const Member& by = members_[reader];
      const int64_t at = member.first - 1 + by.operands[operand].distance;
      if (by.has(at) && constant_tensor(by.at(at)->operand(operand))) {
        member.shift = iterations - member.end();
        aligned[index] = true;
      }
    }
  }
  align_rest(aligned);
  delay_folded(iterations);
  // What reads a value before it is made comes later, if it lacks its first occurrence.
  for (bool changed = true; changed;) {
    changed = false;
    for (Member& member : members_) {
      for (const MemberOperand& operand : member.operands) {
        if (operand.kind != Kind::member || delay(member, operand) >= 0) continue;
        const int64_t later = member.shift - delay(member, operand);
        if (member.end() + later > iterations) return "values that are read before they are made";
        member.shift = later;
        changed = true;
      }
    }
  }
  return {};
}

std::string Recurrence::find_order() {
  enum class Mark : uint8_t { none, open, done };
  std::vector<Mark> marks(members_.size(), Mark::none);
  std::vector<std::pair<size_t, size_t>> stack;
  for (size_t root = 0; root < members_.size(); ++root) {
    if (marks[root] != Mark::none) continue;
    stack.emplace_back(root, 0);
    marks[root] = Mark::open;
    while (!stack.empty()) {
      auto& [index, next] = stack.back();
      const Member& member = members_[index];
      if (next == member.operands.size()) {
        marks[index] = Mark::done;
        order_.push_back(index);
        stack.pop_back();
        continue;
      }
      const MemberOperand& operand = member.operands[next++];
      if (operand.kind != Kind::member || delay(member, operand) != 0) continue;
      if (marks[operand.member] == Mark::open) return "a cycle within one iteration";
      if (marks[operand.member] == Mark::none) {
        marks[operand.member] = Mark::open;
        stack.emplace_back(operand.member, 0);
      }
    }
  }
  return {};
}

// Whether some occurrence reads the member's result of an iteration.
bool Recurrence::read_in(size_t index, int64_t iteration) const {
  for (const auto& [reader, operand] : readers_[index]) {
    const Member& by = members_[reader];
    if (by.in(iteration + delay(by, by.operands[operand]))) return true;
  }
  return false;
}

void Recurrence::find_iterations() {
  begin_ = 0;
  end_ = 0;
  for (const Member& member : members_) end_ = std::max(end_, member.end() + member.shift);
  for (size_t index = 0; index < members_.size(); ++index) {
    const Member& member = members_[index];
    const int64_t end = member.end() + member.shift;
    for (int64_t i = end; i < end_; ++i) {
      if (i + 1 < end_ || read_in(index, i)) end_ = std::min(end_, i);
    }
  }
  folded_ = false;
  for (const Member& member : members_) {
    const int64_t first = member.first + member.shift;
    folded_ |= first > begin_;
    if (first >= end_) end_ = begin_;  // it is in none of them
  }
}

bool Recurrence::covers(const Node* node) const {
  const Place* found = place(node);
  if (!found) return false;
  const int64_t iteration = found->number + members_[found->member].shift;
  return iteration >= begin_ && iteration < end_;
}

void Recurrence::drop_first() {
  if (!folded_) ++begin_;
  for (const Member& member : members_) begin_ = std::max(begin_, member.first + member.shift);
  folded_ = false;
}

// Whether an iteration of the two in the middle reads something else than the other where both read
// from outside: what it begins with, or a constant where that was folded.
bool Recurrence::meets_an_end() const {
  for (const Member& member : members_) {
    for (size_t i = 0; i < member.operands.size(); ++i) {
      if (member.operands[i].kind != Kind::outside) continue;
      const Node *a = member.at(bulk_)->operand(i)->node(),
                 *b = member.at(bulk_ + 1)->operand(i)->node();
      if (!a != !b || (a && !same_node(*a, *b))) return true;
    }
  }
  return false;
}

std::string Recurrence::find_around(const std::vector<Node*>& chain, size_t middle, size_t period) {
  members_.clear();
  places_.clear();
  readers_.clear();
  order_.clear();
  bulk_ = static_cast<int64_t>(middle);
  add_member(chain[middle], chain[middle + 1]);
  // What these depend on is known again as the same member's.
  for (size_t ago = 1; ago < period && ago <= middle; ++ago)
    put(0, bulk_ - static_cast<int64_t>(ago), chain[middle - ago]);
  for (size_t index = 0; index < members_.size(); ++index) {
    for (size_t i = 0; i < members_[index].operands.size(); ++i) {
      if (std::string why = classify(index, i); !why.empty()) return why;
    }
  }
  // Before what follows from it: that is to know all of these.
  extend();
  add_readers();
  extend();
  if (std::string why = align(); !why.empty()) return why;
  if (std::string why = find_order(); !why.empty()) return why;
  find_iterations();
  return {};
}

std::string Recurrence::find(const std::vector<Node*>& chain, size_t period) {
  const size_t middle = (chain.size() - 1) / 2;
  std::string why = find_around(chain, middle, period);
  if (chain.size() > kShortChain || (why.empty() && !meets_an_end())) return why;
  // What two neighbours depend on lies an iteration or more before them: in the middle of a short
  // chain that may be where it begins.
  for (size_t later = middle + 1; later + 1 < chain.size(); ++later) {
    if (find_around(chain, later, period).empty() && !meets_an_end()) return {};
  }
  return find_around(chain, middle, period);
}

}  // namespace refrain::passes::internal
