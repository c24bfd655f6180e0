// Takes out of the bodies of scans and loops what does not depend on their states.
#include <unordered_set>
#include <vector>

#include "ir/control.h"
#include "ir/error.h"
#include "passes/add_slots.h"
#include "passes/body_lifter.h"
#include "passes/passes.h"
#include "passes/refine.h"

namespace refrain::passes {
namespace {

using internal::BodyLifter;
using internal::Dependence;
using internal::is_fixed;
using internal::is_lifted;

class Hoister {
 public:
  Hoister(Node& control, const internal::BoundSymbols& symbols)
      : control_(control), lifter_(control, symbols) {}

  bool run() {
    find_what_leaves();
    if (leaving_.empty() || !emit()) return false;
    internal::AddedSlots added;
    for (size_t i = leaving_.size(); i-- > 0;) {
      Value* value = leaving_[i];
      const Dependence dependence = lifter_.dependence(value);
      const ScanSlot slot = {0, dependence == Dependence::backward};
      (is_fixed(dependence) ? added.invariants : added.scanned)
          .push_back({lifter_.outside(value), value, slot});
    }
    Node* wider = internal::add_slots(&control_, added);
    internal::erase_unused(wider->region());
    lifter_.finish(wider);
    return true;
  }

 private:
  // Walks the body from its end: what stays in it needs its operands inside; a value that can be
  // had from outside ends the walk there and goes on with what computes it outside.
  void find_what_leaves() {
    Region& body = control_.region();
    find_computed(body);
    for (Node* node = body.last(); node; node = node->previous()) {
      bool used_inside = node->op() == Op::yield;
      for (size_t i = 0; i < node->result_count(); ++i)
        used_inside |= inside_.contains(node->result(i));
      if (used_inside && stays(*node)) {
        need_operands(*node, inside_);
      } else if (used_inside) {
        for (size_t i = node->result_count(); i-- > 0;) {
          if (!inside_.contains(node->result(i))) continue;
          leaving_.push_back(node->result(i));
          outside_.insert(node->result(i));
        }
      }
      for (size_t i = 0; i < node->result_count(); ++i) {
        if (!outside_.contains(node->result(i))) continue;
        need_operands(*node, outside_);
        break;
      }
    }
  }

  static void need_operands(const Node& node, std::unordered_set<const Value*>& where) {
    for (size_t i = 0; i < node.operand_count(); ++i) {
      if (node.operand(i)) where.insert(node.operand(i));
    }
  }

  // Lifted values that some arithmetic went into; the rest is slices seen in another form.
  void find_computed(const Region& body) {
    for (const Node* node = body.first(); node->op() != Op::yield; node = node->next()) {
      if (!is_lifted(lifter_.dependence(*node))) continue;
      bool computed = !rearranges(*node);
      for (size_t i = 0; i < node->operand_count(); ++i)
        computed |= node->operand(i) && computed_.contains(node->operand(i));
      if (!computed) continue;
      for (size_t i = 0; i < node->result_count(); ++i) computed_.insert(node->result(i));
    }
  }

  static bool is_view(Op op) {
    return op == Op::split || op == Op::slice || op == Op::squeeze || op == Op::unsqueeze ||
           op == Op::reshape || op == Op::expand;
  }

  bool rearranges(const Node& node) const {
    return is_view(node.op()) || node.op() == Op::transpose ||
           (node.op() == Op::gather && is_fixed(lifter_.dependence(node.operand(1))));
  }

  // Constants are cheap to have twice. The body reads parts of a slice by offset: better one wide
  // scanned operand than one for each of them, and no copy of what is scanned already.
  bool stays(const Node& node) const {
    const Dependence dependence = lifter_.dependence(node);
    if (dependence == Dependence::varying) return true;
    if (dependence == Dependence::constant) return true;
    if (dependence == Dependence::fixed) return node.operand_count() == 0;
    return is_view(node.op()) || (rearranges(node) && !computed_.contains(node.result()));
  }

  bool emit() {
    lifter_.begin(&control_);
    try {
      for (const Node* node = control_.region().first(); node; node = node->next()) {
        for (size_t i = 0; i < node->result_count(); ++i) {
          if (!outside_.contains(node->result(i))) continue;
          lifter_.emit(*node);
          break;
        }
      }
    } catch (const Error&) {
      // A body that never runs may not fit its operands' types; that is its own affair.
      lifter_.undo();
      return false;
    }
    return true;
  }

  Node& control_;
  BodyLifter lifter_;
  std::unordered_set<const Value*> inside_, outside_, computed_;
  std::vector<Value*> leaving_;  // last first
};

bool hoist(Region& region, const internal::BoundSymbols& symbols) {
  bool changed = false;
  for (Node* node = region.first(); node;) {
    Node* next = node->next();
    // Inner loops first: what leaves them may leave the outer ones too.
    for (size_t i = 0; i < node->region_count(); ++i) changed |= hoist(node->region(i), symbols);
    if (node->op() == Op::scan || node->op() == Op::loop) changed |= Hoister(*node, symbols).run();
    node = next;
  }
  return changed;
}

}  // namespace

bool hoist(Graph& graph, const PassContext&) {
  const bool changed = hoist(graph.body(), internal::bound_symbols(graph));
  if (changed) internal::refine_types(graph);
  return changed;
}

}  // namespace refrain::passes
