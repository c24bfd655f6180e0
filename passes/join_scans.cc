#include "passes/join_scans.h"

#include <memory>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ir/builder.h"
#include "ir/clone.h"
#include "ir/control.h"
#include "passes/refine.h"

namespace refrain::passes::internal {
namespace {

using Values = std::unordered_set<const Value*>;

bool reads_any(const Node& node, const Values& values) {
  for (const Value* operand : node.operands()) {
    if (operand && values.contains(operand)) return true;
  }
  return false;
}

void add_results(const Node& node, Values& values) {
  for (size_t i = 0; i < node.result_count(); ++i) values.insert(node.result(i));
}

class Joiner {
 public:
  explicit Joiner(Node& first) : node_(first), first_(first) {}

  JoinedScans join() {
    if (first_.has_lengths() || first_.states() == 0 || !all_ranked()) return {};
    find_products();
    for (size_t i = 0; i < first_.stacked(); ++i) {
      if (!products_.contains(first_.stacked_slice(i))) continue;
      for (const Use* use = first_.stacked_result(i)->first_use(); use; use = use->next()) {
        Node* reader = use->user();
        if (reader->op() == Op::scan && reader->parent() == node_.parent() &&
            reads_slices_only(*reader))
          return {emit(*reader), first_.states()};
      }
    }
    return {};
  }

 private:
  bool all_ranked() const {
    const auto ranked = [](const Value* value) {
      return value->type().is_tensor() && value->type().shape.ranked();
    };
    const Region& body = first_.body();
    for (size_t i = 0; i < body.argument_count(); ++i) {
      if (!ranked(body.argument(i))) return false;
    }
    for (const Node* node = body.first(); node; node = node->next()) {
      for (size_t i = 0; i < node->result_count(); ++i) {
        if (!ranked(node->result(i))) return false;
      }
    }
    return true;
  }

  // What is computed from products by weights that the states don't need.
  void find_products() {
    Values varying, needed;
    for (size_t i = 0; i < first_.states(); ++i) {
      varying.insert(first_.state_argument(i));
      needed.insert(first_.next_state(i));
    }
    for (const Node* node = first_.body().first(); node; node = node->next()) {
      if (reads_any(*node, varying)) add_results(*node, varying);
    }
    for (const Node* node = first_.body().last(); node; node = node->previous()) {
      bool wanted = false;
      for (size_t i = 0; i < node->result_count(); ++i) wanted |= needed.contains(node->result(i));
      if (!wanted) continue;
      for (const Value* operand : node->operands()) {
        if (operand) needed.insert(operand);
      }
    }
    for (const Node* node = first_.body().first(); node; node = node->next()) {
      if (node->result_count() == 0 || needed.contains(node->result(0))) continue;
      bool product = false;
      if (node->op() == Op::matmul || node->op() == Op::einsum) {
        for (const Value* operand : node->operands())
          product |= operand && !varying.contains(operand);
        product = product && reads_any(*node, varying);
      }
      if (product || reads_any(*node, products_)) add_results(*node, products_);
    }
  }

  // The stacked result of the first scan that the operand is, step by step, or null.
  const Value* slice_of(const ScanView& second, size_t scanned) const {
    const Value* operand = second.body().owner()->operand(second.scanned_operand(scanned));
    const ScanSlot read = second.scan_slot(scanned);
    for (size_t i = 0; i < first_.stacked(); ++i) {
      const ScanSlot written = first_.stack_slot(i);
      if (first_.stacked_result(i) == operand && written.axis == read.axis &&
          written.reverse == read.reverse)
        return first_.stacked_slice(i);
    }
    return nullptr;
  }

  // Whether the second depends on the first through slices alone. Then also what lies between them
  // and depends on the first.
  bool reads_slices_only(Node& reader) {
    const ScanView second(reader);
    if (second.has_lengths() || second.states() == 0 ||
        first_.states() + second.states() > kMaxJoinedStates)
      return false;
    Values tainted;
    add_results(node_, tainted);
    between_.clear();
    for (Node* node = node_.next(); node != &reader; node = node->next()) {
      if (!reads_any(*node, tainted)) continue;
      add_results(*node, tainted);
      between_.push_back(node);
    }
    for (size_t i = 0; i < second.scanned_operand(0); ++i) {
      if (reader.operand(i) && tainted.contains(reader.operand(i))) return false;
    }
    for (size_t i = 0; i < second.scanned(); ++i) {
      if (tainted.contains(reader.operand(second.scanned_operand(i))) && !slice_of(second, i))
        return false;
    }
    return true;
  }

  static bool only_read_by(const Node& reader, const Value* value) {
    for (const Use* use = value->first_use(); use; use = use->next()) {
      if (use->user() != &reader) return false;
    }
    return true;
  }

  Node* emit(Node& reader) {
    const ScanView second(reader);
    ScanSpec spec;
    spec.trip_count = first_.trip_count() ? first_.trip_count() : second.trip_count();
    auto body = std::make_unique<Region>();
    ValueMap map;
    const auto add = [&](const Node& scan, size_t operand, const Value* argument,
                         std::vector<Value*>& operands) {
      operands.push_back(scan.operand(operand));
      map[argument] = body->add_argument(argument->type(), argument->name());
    };
    for (const ScanView* scan : {&first_, &second}) {
      for (size_t i = 0; i < scan->invariants(); ++i)
        add(*scan->body().owner(), scan->invariant_operand(i), scan->invariant_argument(i),
            spec.invariants);
    }
    std::vector<Value*> states, slices, old_states, old_stacks;
    for (const ScanView* scan : {&first_, &second}) {
      for (size_t i = 0; i < scan->states(); ++i) {
        add(*scan->body().owner(), scan->state_operand(i), scan->state_argument(i), spec.states);
        states.push_back(scan->next_state(i));
        old_states.push_back(scan->final_state(i));
      }
    }
    std::vector<std::pair<const Value*, const Value*>> given;  // slice arguments and what they are
    for (const ScanView* scan : {&first_, &second}) {
      for (size_t i = 0; i < scan->scanned(); ++i) {
        const Value* slice = scan == &second ? slice_of(second, i) : nullptr;
        if (slice) {
          given.emplace_back(scan->slice_argument(i), slice);
          continue;
        }
        add(*scan->body().owner(), scan->scanned_operand(i), scan->slice_argument(i), spec.scanned);
        spec.scan_slots.push_back(scan->scan_slot(i));
      }
      for (size_t i = 0; i < scan->stacked(); ++i) {
        if (scan == &first_ && only_read_by(reader, scan->stacked_result(i))) continue;
        spec.stack_slots.push_back(scan->stack_slot(i));
        slices.push_back(scan->stacked_slice(i));
        old_stacks.push_back(scan->stacked_result(i));
      }
    }
    clone_body(first_, *body, map);
    for (const auto& [argument, slice] : given) map[argument] = map.at(slice);
    clone_body(second, *body, map);
    std::vector<Value*> yielded;
    for (const std::vector<Value*>* values : {&states, &slices}) {
      for (const Value* value : *values) yielded.push_back(map.at(value));
    }
    Builder(*body).yield(yielded);
    Builder builder(*node_.parent(), &reader);
    builder.set_node_name(reader.name());
    Node* joined = builder.scan(spec, std::move(body));
    size_t result = 0;
    for (const std::vector<Value*>* values : {&old_states, &old_stacks}) {
      for (Value* old : *values) {
        Value* value = joined->result(result++);
        value->set_type(more_specific(value->type(), old->type()));
        value->set_name(old->name());
      }
    }
    Region& region = *node_.parent();
    for (Node* node : between_) region.insert(region.remove(node), &reader);
    result = 0;
    for (const std::vector<Value*>* values : {&old_states, &old_stacks}) {
      for (Value* old : *values) old->replace_all_uses_with(joined->result(result++));
    }
    region.erase(&reader);
    region.erase(&node_);
    return joined;
  }

  static void clone_body(const ScanView& scan, Region& body, ValueMap& map) {
    for (const Node* node = scan.body().first(); node; node = node->next()) {
      if (node->op() != Op::yield) clone_node(*node, body, nullptr, map);
    }
  }

  Node& node_;
  const ScanView first_;
  Values products_;
  std::vector<Node*> between_;  // in order
};

}  // namespace

JoinedScans join_with_reader(Node& first) { return Joiner(first).join(); }

}  // namespace refrain::passes::internal
