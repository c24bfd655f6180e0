#include <algorithm>
#include <functional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/builder.h"
#include "ir/control.h"
#include "ir/hash.h"
#include "passes/element.h"
#include "passes/passes.h"
#include "passes/refine.h"
#include "passes/slots.h"

namespace refrain::passes {
namespace {

struct Hash {
  size_t operator()(const Node* node) const {
    size_t seed = hash_combine(static_cast<size_t>(node->op()), node->result_count());
    for (size_t i = 0; i < node->operand_count(); ++i) {
      seed = hash_combine(seed, std::hash<const Value*>{}(node->operand(i)));
    }
    // Two nodes may list the same attributes in different orders.
    size_t attributes = 0;
    for (const Attribute& attribute : node->attributes()) attributes += hash(attribute);
    return hash_combine(seed, attributes);
  }
};

struct Equal {
  bool operator()(const Node* a, const Node* b) const {
    if (a->op() != b->op() || a->result_count() != b->result_count() ||
        a->operand_count() != b->operand_count() ||
        a->attributes().size() != b->attributes().size()) {
      return false;
    }
    for (size_t i = 0; i < a->operand_count(); ++i) {
      if (a->operand(i) != b->operand(i)) return false;
    }
    return std::is_permutation(a->attributes().begin(), a->attributes().end(),
                               b->attributes().begin());
  }
};

// Arguments of one region that stand for the same: invariants and captures of one operand, slices
// of one operand cut alike.
bool merge_arguments(Node& node, Region& region) {
  size_t states_begin = 0, states_end = 0;
  if (node.op() == Op::scan) {
    const ScanView scan(node);
    states_begin = scan.invariants();
    states_end = states_begin + scan.states();
  } else if (node.op() == Op::loop) {
    const LoopView loop(node);
    states_begin = 1 + loop.invariants();
    states_end = states_begin + loop.states();
  }
  struct Source {
    Value* operand;
    int64_t axis;
    bool reverse;
    bool operator==(const Source&) const = default;
  };
  const auto hash_source = [](const Source& source) {
    return hash_combine(std::hash<Value*>{}(source.operand),
                        static_cast<size_t>(2 * source.axis + source.reverse));
  };
  std::unordered_map<Source, Value*, decltype(hash_source)> first_of(0, hash_source);
  bool changed = false;
  for (size_t i = node.op() == Op::loop ? 1 : 0; i < region.argument_count(); ++i) {
    if (i >= states_begin && i < states_end) continue;
    Source source = {node.operand(internal::operand_of_argument(node, i)), 0, false};
    if (node.op() == Op::scan && i >= states_end) {
      const ScanSlot slot = ScanView(node).scan_slot(i - states_end);
      // Told apart from an invariant of the same operand, which is the whole of it.
      source.axis = slot.axis < 0 ? 2 * slot.axis : 2 * slot.axis + 1;
      source.reverse = slot.reverse;
    }
    Value* argument = region.argument(i);
    const auto [it, inserted] = first_of.emplace(source, argument);
    if (inserted || argument->unused() || !refines(it->second->type(), argument->type())) continue;
    argument->replace_all_uses_with(it->second);
    changed = true;
  }
  return changed;
}

bool merge(Region& region, bool (*may_merge)(const Node& node)) {
  std::unordered_set<Node*, Hash, Equal> seen;
  bool changed = false;
  for (Node* node = region.first(); node;) {
    Node* next = node->next();
    for (size_t i = 0; i < node->region_count(); ++i) {
      changed |= merge_arguments(*node, node->region(i));
      changed |= merge(node->region(i), may_merge);
    }
    if (node->region_count() == 0 && node->op() != Op::yield && may_merge(*node)) {
      const auto [it, inserted] = seen.insert(node);
      if (!inserted) {
        bool all = true;
        for (size_t i = 0; i < node->result_count(); ++i) {
          if (node->result(i)->unused()) continue;
          const bool replaced = internal::replace_value(node->result(i), (*it)->result(i));
          changed |= replaced;
          all &= replaced;
        }
        if (all) {
          region.erase(node);
          changed = true;
        }
      }
    }
    node = next;
  }
  return changed;
}

bool of_constants(const Node& node) {
  for (size_t i = 0; i < node.operand_count(); ++i) {
    if (node.operand(i) && !constant_tensor(node.operand(i))) return false;
  }
  return true;
}

bool merge(Graph& graph, bool (*may_merge)(const Node& node)) {
  const bool changed = merge(graph.body(), may_merge);
  if (changed) internal::refine_types(graph);
  return changed;
}

}  // namespace

bool cse(Graph& graph, const PassContext&) {
  return merge(graph, [](const Node&) { return true; });
}

bool merge_leaves(Graph& graph, const PassContext&) {
  return merge(graph, [](const Node& node) {
    return of_constants(node) || internal::element_of(node.result());
  });
}

}  // namespace refrain::passes
