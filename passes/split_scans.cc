// Makes several scans, one after the other, of one whose states don't all depend on one another:
// stacked cells that one loop steps. What a later scan multiplies of an earlier one's results is
// then one product over all steps. Where such a product is in the earlier scan, as what a trace
// reads of its states, it goes to the later one, so that all forms of a model become the same.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/builder.h"
#include "ir/clone.h"
#include "ir/control.h"
#include "passes/join_scans.h"
#include "passes/passes.h"
#include "passes/refine.h"

namespace refrain::passes {
namespace {

// One bit a state.
using States = uint64_t;
constexpr size_t kMaxStates = internal::kMaxJoinedStates;

constexpr States bit(size_t i) { return States{1} << i; }

bool is_product(Op op) { return op == Op::matmul || op == Op::einsum; }

class Splitter {
 public:
  explicit Splitter(Node& node) : node_(node), scan_(node) {}

  // Cuts off the first states that depend on themselves only, if a product gains by it. Returns the
  // scan of the rest, or null with nothing done. Costs O(nodes of the body * groups of states).
  Node* split() {
    if (scan_.has_lengths() || scan_.states() < 2 || scan_.states() > kMaxStates) return nullptr;
    find_dependence();
    States seen = 0;
    for (size_t i = 0; i < scan_.states(); ++i) {
      if (seen & bit(i)) continue;
      const States group = group_of(i);
      seen |= group;
      if ((reach_[i] | group) == group && group != all() && plan_states(group) && plan_crossing())
        return emit();
    }
    return nullptr;
  }

  // Cuts off the first `states` states, which depend on themselves only. All that crosses is
  // ranked.
  void split_off(size_t states) {
    find_dependence();
    plan_states(bit(states) - 1);
    plan_crossing();
    emit();
  }

 private:
  States all() const { return scan_.states() == kMaxStates ? ~States{0} : bit(scan_.states()) - 1; }

  States mask(const Value* value) const {
    const auto it = mask_.find(value);
    return it == mask_.end() ? 0 : it->second;
  }

  // mask_: the states that a value is computed from in one step; reach_: over all steps.
  void find_dependence() {
    for (size_t i = 0; i < scan_.states(); ++i) mask_[scan_.state_argument(i)] = bit(i);
    for (const Node* node = scan_.body().first(); node; node = node->next()) {
      States states = 0;
      for (const Value* operand : node->operands()) states |= mask(operand);
      for (size_t i = 0; states != 0 && i < node->result_count(); ++i)
        mask_[node->result(i)] = states;
    }
    for (size_t i = 0; i < scan_.states(); ++i) reach_.push_back(mask(scan_.next_state(i)));
    for (size_t k = 0; k < reach_.size(); ++k) {
      for (States& reached : reach_) {
        if (reached & bit(k)) reached |= reach_[k];
      }
    }
  }

  // The states that the state depends on and that depend on it.
  States group_of(size_t state) const {
    States group = bit(state);
    for (size_t k = 0; k < reach_.size(); ++k) {
      if ((reach_[state] & bit(k)) && (reach_[k] & bit(state))) group |= bit(k);
    }
    return group;
  }

  using Values = std::unordered_set<const Value*>;

  // Adds what the value is computed from, itself included, up to values that `stop` holds.
  static void need(Value* root, const Values& stop, Values& needed) {
    std::vector<Value*> work = {root};
    while (!work.empty()) {
      Value* value = work.back();
      work.pop_back();
      if (!value || !needed.insert(value).second || value->is_argument() || stop.contains(value))
        continue;
      for (Value* operand : value->node()->operands()) work.push_back(operand);
    }
  }

  // What the states need if `group` is a scan of its own; whether a product gains by that.
  bool plan_states(States group) {
    group_ = group;
    first_.clear();
    rest_.clear();
    given_.clear();
    crossing_.clear();
    Values first_states;
    for (size_t i = 0; i < scan_.states(); ++i) {
      if (!(group & bit(i))) continue;
      first_states.insert(scan_.state_argument(i));
      need(scan_.next_state(i), {}, first_);
    }
    for (const Value* value : first_) {
      if (mask(value) != 0) given_.insert(value);
    }
    given_.insert(first_states.begin(), first_states.end());
    for (size_t i = 0; i < scan_.states(); ++i) {
      if (!(group & bit(i))) need(scan_.next_state(i), given_, rest_);
    }
    return gains();
  }

  // And what the first scan gives the rest; whether it can.
  bool plan_crossing() {
    for (size_t i = 0; i < scan_.stacked(); ++i) {
      if (!given_.contains(scan_.stacked_slice(i))) need(scan_.stacked_slice(i), given_, rest_);
    }
    const auto crosses = [&](Value* value) {
      if (given_.contains(value) && rest_.contains(value)) crossing_.push_back(value);
    };
    for (size_t i = 0; i < scan_.states(); ++i) crosses(scan_.state_argument(i));
    for (Node* node = scan_.body().first(); node; node = node->next()) {
      for (size_t i = 0; i < node->result_count(); ++i) crosses(node->result(i));
    }
    return std::all_of(crossing_.begin(), crossing_.end(), [](const Value* value) {
      return value->type().is_tensor() && value->type().shape.ranked();
    });
  }

  // Whether the other states need a product of what the group gives by weights.
  bool gains() const {
    for (const Node* node = scan_.body().first(); node; node = node->next()) {
      if (!is_product(node->op()) || !rest_.contains(node->result()) ||
          given_.contains(node->result()))
        continue;
      bool weights = false, left = false;
      for (const Value* operand : node->operands()) {
        weights |= operand && mask(operand) == 0;
        left |= operand && is_given(operand);
        if (!operand || !operand->node() || operand->node()->op() != Op::concat) continue;
        for (const Value* part : operand->node()->operands()) left |= is_given(part);
      }
      if (weights && left) return true;
    }
    return false;
  }

  bool is_given(const Value* value) const {
    return mask(value) != 0 && (mask(value) & ~group_) == 0;
  }

  bool reverse() const {
    if (scan_.scanned() > 0) return scan_.scan_slot(0).reverse;
    return scan_.stacked() > 0 && scan_.stack_slot(0).reverse;
  }

  Node* emit() {
    const ScanSlot slot = {0, reverse()};
    std::vector<size_t> first_slots, rest_slots;
    for (size_t i = 0; i < scan_.stacked(); ++i) {
      (given_.contains(scan_.stacked_slice(i)) ? first_slots : rest_slots).push_back(i);
    }
    const size_t states = static_cast<size_t>(std::popcount(group_));
    std::vector<Value*> more;
    std::vector<size_t> places;  // of the crossing values among the first scan's results
    for (Value* value : crossing_) {
      const auto stacked = std::find_if(first_slots.begin(), first_slots.end(), [&](size_t i) {
        const ScanSlot other = scan_.stack_slot(i);
        return scan_.stacked_slice(i) == value && other.axis == 0 && other.reverse == slot.reverse;
      });
      places.push_back(states + static_cast<size_t>(stacked - first_slots.begin()));
      if (stacked != first_slots.end()) continue;
      places.back() += more.size();
      more.push_back(value);
    }
    Node* first = make_scan(group_, first_, first_slots, more, {}, slot);
    std::vector<Value*> stacks;
    for (size_t place : places) stacks.push_back(first->result(place));
    Node* rest = make_scan(all() & ~group_, rest_, rest_slots, {}, stacks, slot);
    node_.parent()->erase(&node_);
    return rest;
  }

  // A scan of these states with the nodes that `needed` has, which takes the results of the old one
  // that it has, too. `more` is stacked behind them; `given`, if any, has the crossing values.
  Node* make_scan(States states, const Values& needed, const std::vector<size_t>& slots,
                  const std::vector<Value*>& more, const std::vector<Value*>& given,
                  ScanSlot slot) {
    ScanSpec spec;
    spec.trip_count = scan_.trip_count();
    auto body = std::make_unique<Region>();
    ValueMap map;
    const auto add_argument = [&](const Value* argument) {
      map[argument] = body->add_argument(argument->type(), argument->name());
    };
    for (size_t i = 0; i < scan_.invariants(); ++i) {
      if (!needed.contains(scan_.invariant_argument(i))) continue;
      spec.invariants.push_back(node_.operand(scan_.invariant_operand(i)));
      add_argument(scan_.invariant_argument(i));
    }
    std::vector<Value*> yielded;
    std::vector<Value*> old_results;
    for (size_t i = 0; i < scan_.states(); ++i) {
      if (!(states & bit(i))) continue;
      spec.states.push_back(node_.operand(scan_.state_operand(i)));
      add_argument(scan_.state_argument(i));
      yielded.push_back(scan_.next_state(i));
      old_results.push_back(scan_.final_state(i));
    }
    // Without a trip count the first scanned operand tells the number of steps.
    for (size_t i = 0; i < scan_.scanned(); ++i) {
      const bool counts = i == 0 && !spec.trip_count && given.empty();
      if (!counts && !needed.contains(scan_.slice_argument(i))) continue;
      spec.scanned.push_back(node_.operand(scan_.scanned_operand(i)));
      spec.scan_slots.push_back(scan_.scan_slot(i));
      add_argument(scan_.slice_argument(i));
    }
    for (size_t i = 0; i < given.size(); ++i) {
      spec.scanned.push_back(given[i]);
      spec.scan_slots.push_back(slot);
      add_argument(crossing_[i]);
    }
    for (size_t i : slots) {
      spec.stack_slots.push_back(scan_.stack_slot(i));
      yielded.push_back(scan_.stacked_slice(i));
      old_results.push_back(scan_.stacked_result(i));
    }
    for (Value* value : more) {
      spec.stack_slots.push_back(slot);
      yielded.push_back(value);
    }
    for (const Node* node = scan_.body().first(); node; node = node->next()) {
      bool wanted = false;
      for (size_t i = 0; i < node->result_count(); ++i)
        wanted |= needed.contains(node->result(i)) && !map.contains(node->result(i));
      if (wanted) clone_node(*node, *body, nullptr, map);
    }
    for (Value*& value : yielded) value = map.at(value);
    Builder(*body).yield(yielded);
    Builder builder(*node_.parent(), &node_);
    builder.set_node_name(node_.name());
    Node* scan = builder.scan(spec, std::move(body));
    for (size_t i = 0; i < old_results.size(); ++i) {
      Value* result = scan->result(i);
      result->set_type(internal::more_specific(result->type(), old_results[i]->type()));
      result->set_name(old_results[i]->name());
      old_results[i]->replace_all_uses_with(result);
    }
    return scan;
  }

  Node& node_;
  const ScanView scan_;
  std::unordered_map<const Value*, States> mask_;
  std::vector<States> reach_;
  // The plan: the group's states, what they are computed from, what the rest is computed from, what
  // of the group's values the rest may be given and is given.
  States group_ = 0;
  Values first_, rest_, given_;
  std::vector<Value*> crossing_;
};

// Products of the states of one scan that only another one reads become the other's.
bool move_products(Region& region) {
  bool changed = false;
  for (Node* node = region.first(); node;) {
    const internal::JoinedScans joined =
        node->op() == Op::scan ? internal::join_with_reader(*node) : internal::JoinedScans();
    if (!joined.scan) {
      node = node->next();
      continue;
    }
    Splitter(*joined.scan).split_off(joined.first_states);
    changed = true;
    node = region.first();  // what lay between the two comes behind them now
  }
  return changed;
}

bool split_scans(Region& region) {
  bool changed = move_products(region);
  for (Node* node = region.first(); node;) {
    for (size_t i = 0; i < node->region_count(); ++i) changed |= split_scans(node->region(i));
    Node* rest = node->op() == Op::scan ? Splitter(*node).split() : nullptr;
    changed |= rest != nullptr;
    node = rest ? rest : node->next();
  }
  return changed;
}

}  // namespace

bool split_scans(Graph& graph, const PassContext&) {
  const bool changed = split_scans(graph.body());
  if (changed) internal::refine_types(graph);
  return changed;
}

}  // namespace refrain::passes
