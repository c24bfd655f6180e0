#include <vector>

#include "ir/builder.h"
#include "ir/control.h"
#include "passes/add_slots.h"
#include "passes/passes.h"
#include "passes/refine.h"
#include "passes/slots.h"

namespace refrain::passes {
namespace {

void take_place(Value* old, Value* with) {
  // An argument, whose type stays as it is, may know less.
  if (!internal::replace_value(old, with)) old->replace_all_uses_with(with);
}

// Puts the body of a scan of one step in its place. Returns the node to go on with.
Node* inline_step(Node* node) {
  const ScanView scan(*node);
  Region& parent = *node->parent();
  Node* before = node->previous();
  Builder builder(parent, node);
  builder.set_node_name(node->name());
  std::vector<Value*> arguments;
  for (size_t i = 0; i < scan.invariants() + scan.states(); ++i)
    arguments.push_back(node->operand(scan.invariant_operand(i)));
  for (size_t i = 0; i < scan.scanned(); ++i) {
    Value* slice =
        builder.squeeze(node->operand(scan.scanned_operand(i)), {scan.scan_slot(i).axis});
    slice->set_type(internal::more_specific(slice->type(), scan.slice_argument(i)->type()));
    slice->set_name(scan.slice_argument(i)->name());
    arguments.push_back(slice);
  }
  const std::vector<Value*> results = internal::move_nodes(scan.body(), arguments, parent, node);
  for (size_t i = 0; i < scan.states(); ++i) take_place(node->result(i), results[i]);
  for (size_t i = 0; i < scan.stacked(); ++i) {
    const size_t k = scan.states() + i;
    take_place(node->result(k), builder.unsqueeze(results[k], {scan.stack_slot(i).axis}));
  }
  parent.erase(node);
  return before ? before->next() : parent.first();
}

bool is_one_step(const Node& node) {
  if (node.op() != Op::scan) return false;
  const ScanView scan(node);
  return !scan.has_lengths() && scan.scanned() > 0 && internal::scan_extent(scan) == Dim(1);
}

bool inline_steps(Region& region, bool in_loop) {
  bool changed = false;
  for (Node* node = region.first(); node;) {
    const bool loops = node->op() == Op::scan || node->op() == Op::loop;
    for (size_t i = 0; i < node->region_count(); ++i)
      changed |= inline_steps(node->region(i), in_loop || loops);
    if (in_loop && is_one_step(*node)) {
      node = inline_step(node);
      changed = true;
    } else {
      node = node->next();
    }
  }
  return changed;
}

}  // namespace

bool inline_steps(Graph& graph, const PassContext&) {
  const bool changed = inline_steps(graph.body(), false);
  if (changed) internal::refine_types(graph);
  return changed;
}

}  // namespace refrain::passes
