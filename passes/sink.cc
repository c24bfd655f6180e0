// Takes out of the bodies of scans what only their stacked results depend on.
#include <array>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ir/builder.h"
#include "ir/control.h"
#include "ir/error.h"
#include "passes/add_slots.h"
#include "passes/body_lifter.h"
#include "passes/passes.h"
#include "passes/refine.h"
#include "passes/slots.h"

namespace refrain::passes {
namespace {

using internal::BodyLifter;
using internal::Dependence;
using internal::is_fixed;
using internal::is_lifted;

// What of one scan's body moves behind it.
class Plan {
 public:
  Plan(Node& node, const internal::BoundSymbols& symbols) : scan_(node), lifter_(node, symbols) {
    for (size_t i = 0; i < scan_.stacked(); ++i) {
      slots_[scan_.stacked_slice(i)][scan_.stack_slot(i).reverse].push_back(i);
    }
    find_exits();
    find_sunk();
    find_needs();
  }

  // Stacked results that are computed behind the scan, from others or from scanned operands.
  const std::vector<size_t>& replaced() const { return replaced_; }
  // What must be stacked for that and is not.
  const std::vector<internal::AddedSlots::Stacked>& missing() const { return missing_; }

  // Makes what moved behind the scan; all that it needs is stacked. Returns false, with nothing
  // done, if it does not fit the types there.
  bool emit() {
    Node* scan = scan_.body().owner();
    Node* after = scan->next();
    lifter_.begin(after);
    std::vector<Value*> values;
    try {
      Builder builder(*scan->parent(), after);
      builder.set_node_name(scan->name());
      for (const auto& [value, slot] : stacked_) {
        lifter_.set_lifted(
            value, internal::move_axis(builder, scan_.stacked_result(slot), place(slot), 0));
      }
      for (const Node* node = scan_.body().first(); node; node = node->next()) {
        if (moves(*node)) lifter_.emit(*node);
      }
      for (size_t slot : replaced_) {
        Value* lifted = lifter_.outside(scan_.stacked_slice(slot));
        Value* value = internal::move_axis(builder, lifted, 0, place(slot));
        const ValueType& expected = scan_.stacked_result(slot)->type();
        const ValueType type =
            value->is_argument() ? value->type() : internal::more_specific(value->type(), expected);
        if (!refines(type, expected))
          throw Error("wrong type of a stacked result", to_string(expected), to_string(type));
        values.push_back(value);
      }
    } catch (const Error&) {
      lifter_.undo();
      return false;
    }
    for (size_t i = 0; i < replaced_.size(); ++i) {
      Value* result = scan_.stacked_result(replaced_[i]);
      internal::specify(*values[i], result->type());
      if (values[i]->name().empty()) values[i]->set_name(result->name());
      result->replace_all_uses_with(values[i]);
    }
    lifter_.finish(after);
    return true;
  }

 private:
  // The stacked axis from the front, in the stacked tensor.
  size_t place(size_t slot) const {
    return normalize_axis(scan_.stack_slot(slot).axis,
                          scan_.stacked_slice(slot)->type().shape.rank() + 1);
  }

  static Dependence direction(bool reverse) {
    return reverse ? Dependence::backward : Dependence::forward;
  }

  // Nodes that can be lifted and whose results go to stacked results of one direction only, perhaps
  // by way of other such nodes. Uses that nobody needs don't count: they may be gone the next time.
  void find_exits() {
    std::unordered_set<const Node*> dead;
    for (const Node* node = scan_.body().last(); node; node = node->previous()) {
      if (node->op() == Op::yield) continue;
      std::optional<Dependence> exit;
      bool fits = true, live = false;
      for (size_t i = 0; i < node->result_count(); ++i) {
        for (const Use* use = node->result(i)->first_use(); use; use = use->next()) {
          if (dead.contains(use->user())) continue;
          const std::optional<Dependence> there = exit_of(*use);
          fits = fits && there && (!exit || *exit == *there);
          exit = there;
          live = true;
        }
      }
      if (!live) dead.insert(node);
      if (!live || !fits || lifter_.dependence(*node) != Dependence::varying) continue;
      for (size_t i = 0; fits && i < node->operand_count(); ++i) {
        if (!node->operand(i)) continue;
        const Dependence operand = lifter_.dependence(node->operand(i));
        fits = !is_lifted(operand) || operand == *exit;
      }
      if (fits && lifter_.can_lift(*node)) exits_.emplace(node, *exit);
    }
  }

  std::optional<Dependence> exit_of(const Use& use) const {
    if (use.user()->op() != Op::yield) {
      const auto it = exits_.find(use.user());
      return it == exits_.end() ? std::nullopt : std::optional(it->second);
    }
    if (use.index() < scan_.states()) return std::nullopt;
    return direction(scan_.stack_slot(use.index() - scan_.states()).reverse);
  }

  // A product with the same matrix in every step gains by leaving: it reads the matrix once. So
  // does what goes over whole rows, as an element-wise body keeps its values in registers: a
  // softmax, which is as large as what it reads, and a reduction of a state. What follows goes
  // along. Anything else would only be written and read once more.
  void find_sunk() {
    std::unordered_set<const Value*> states;
    for (size_t i = 0; i < scan_.states(); ++i) {
      states.insert(scan_.state_argument(i));
      states.insert(scan_.next_state(i));
    }
    for (const Node* node = scan_.body().first(); node; node = node->next()) {
      if (!exits_.contains(node)) continue;
      bool sinks =
          node->op() == Op::softmax || node->op() == Op::log_softmax ||
          (is_reduction(node->op()) && states.contains(node->operand(0)) && !stays_inside(*node));
      const bool product = node->op() == Op::matmul || node->op() == Op::einsum;
      for (size_t i = 0; i < node->operand_count(); ++i) {
        const Value* operand = node->operand(i);
        if (!operand) continue;
        sinks |= product && is_fixed(lifter_.dependence(operand));
        sinks |= operand->node() && sunk_.contains(operand->node());
      }
      if (sinks) sunk_.insert(node);
    }
  }

  // A sum over an axis of a state that is stacked for nothing else costs an element-wise body a
  // register's addition an element, where the rest of the result fills its registers.
  bool stays_inside(const Node& node) const {
    constexpr int64_t kFew = 16;
    if (!lifter_.elementwise() || slots_.contains(node.operand(0))) return false;
    if (node.op() != Op::reduce_sum && node.op() != Op::reduce_mean) return false;
    int64_t known = 1;
    for (const Dim dim : node.result()->type().shape.dims()) {
      if (dim.is_constant() && known < kFew) known *= dim.extent();
    }
    return known >= kFew;
  }

  static bool is_reduction(Op op) {
    return op == Op::reduce_sum || op == Op::reduce_mean || op == Op::reduce_max ||
           op == Op::reduce_min || op == Op::reduce_prod || op == Op::arg_max || op == Op::arg_min;
  }

  void find_needs() {
    for (size_t i = 0; i < scan_.stacked(); ++i) {
      const Value* slice = scan_.stacked_slice(i);
      const bool scanned = lifter_.dependence(slice) == direction(scan_.stack_slot(i).reverse);
      const bool sunk = slice->node() && sunk_.contains(slice->node());
      if (scan_.stacked_result(i)->unused() || (!scanned && !sunk)) continue;
      replaced_.push_back(i);
      outside_.insert(slice);
    }
    for (Node* node = scan_.body().last(); node; node = node->previous()) {
      if (!moves(*node)) continue;
      for (size_t i = 0; i < node->operand_count(); ++i) {
        Value* operand = node->operand(i);
        if (!operand) continue;
        outside_.insert(operand);
        if (lifter_.dependence(operand) == Dependence::varying &&
            !(operand->node() && sunk_.contains(operand->node()))) {
          need_stacked(operand, exits_.at(node) == Dependence::backward);
        }
      }
    }
    if (both_ways_) replaced_.clear();
  }

  // Whether a node is made again behind the scan.
  bool moves(const Node& node) const {
    if (lifter_.dependence(node) == Dependence::varying && !sunk_.contains(&node)) return false;
    for (size_t i = 0; i < node.result_count(); ++i) {
      if (outside_.contains(node.result(i))) return true;
    }
    return false;
  }

  void need_stacked(Value* value, bool reverse) {
    const auto [wanted, inserted] = wanted_.emplace(value, reverse);
    if (!inserted) {
      both_ways_ |= wanted->second != reverse;
      return;
    }
    const auto it = slots_.find(value);
    if (it != slots_.end() && !it->second[reverse].empty()) {
      stacked_.emplace_back(value, it->second[reverse].front());
    } else {
      missing_.push_back({value, {0, reverse}});
    }
  }

  ScanView scan_;
  BodyLifter lifter_;
  // By slice, forward and backward: the slots that stack it.
  std::unordered_map<const Value*, std::array<std::vector<size_t>, 2>> slots_;
  std::unordered_map<const Node*, Dependence> exits_;  // with their direction
  std::unordered_set<const Node*> sunk_;
  std::unordered_set<const Value*> outside_;        // needed behind the scan
  std::unordered_map<const Value*, bool> wanted_;   // stacked, and whether backward
  bool both_ways_ = false;                          // something would be wanted either way
  std::vector<std::pair<Value*, size_t>> stacked_;  // and its slot
  std::vector<size_t> replaced_;
  std::vector<internal::AddedSlots::Stacked> missing_;
};

void drop_results(Node* scan, const std::vector<size_t>& stacked) {
  const ScanView view(*scan);
  internal::KeptSlots kept;
  kept.arguments.assign(view.body().argument_count(), true);
  kept.results.assign(scan->result_count(), true);
  for (size_t slot : stacked) kept.results[view.states() + slot] = false;
  if (stacked.size() == scan->result_count()) {
    scan->parent()->erase(scan);
    return;
  }
  internal::erase_unused(internal::keep_slots(scan, kept)->region());
}

bool sink(Node* scan, const internal::BoundSymbols& symbols) {
  // Beyond a sequence's length its stacked slices are zero, which what is computed from them
  // need not be.
  if (ScanView(*scan).has_lengths()) return false;
  Plan plan(*scan, symbols);
  if (plan.replaced().empty()) return false;
  if (plan.missing().empty()) {
    if (!plan.emit()) return false;
    drop_results(scan, plan.replaced());
    return true;
  }
  internal::AddedSlots added;
  added.stacked = plan.missing();
  Node* wider = internal::add_slots(scan, added);
  Plan again(*wider, symbols);
  if (again.emit()) drop_results(wider, again.replaced());
  return true;
}

bool sink(Region& region, const internal::BoundSymbols& symbols) {
  bool changed = false;
  for (Node* node = region.first(); node;) {
    Node* next = node->next();
    // Inner scans first: what leaves them may leave the outer ones too.
    for (size_t i = 0; i < node->region_count(); ++i) changed |= sink(node->region(i), symbols);
    if (node->op() == Op::scan) changed |= sink(node, symbols);
    node = next;
  }
  return changed;
}

}  // namespace

bool sink(Graph& graph, const PassContext&) {
  const bool changed = sink(graph.body(), internal::bound_symbols(graph));
  if (changed) internal::refine_types(graph);
  return changed;
}

}  // namespace refrain::passes
