#include "passes/body_lifter.h"

#include <unordered_set>

#include "ir/control.h"
#include "passes/add_slots.h"

namespace refrain::passes::internal {
namespace {

bool runs_once(const Node& control, Dim extent) {
  if (control.op() == Op::scan) return extent.is_constant() && extent.extent() > 0;
  const LoopView loop(control);
  const TensorPtr trips = constant_tensor(loop.trip_count()),
                  condition = constant_tensor(loop.condition());
  return trips && trips->view().as_ints()[0] > 0 && condition &&
         condition->view().as_ints()[0] != 0;
}

// Rough size of a value in one step; symbols and unknown extents count as a small batch.
double weight(const Value& value) {
  constexpr double kTypicalExtent = 64;
  double product = 1;
  for (Dim dim : value.type().shape.dims())
    product *= dim.is_constant() ? static_cast<double>(dim.extent()) : kTypicalExtent;
  return product;
}

bool is_view(Op op) {
  return op == Op::reshape || op == Op::squeeze || op == Op::unsqueeze || op == Op::transpose ||
         op == Op::expand || op == Op::split || op == Op::slice;
}

// A value without what only repeated its elements.
const Value* source_of(const Value* value) {
  while (value->node() && is_view(value->node()->op()) && value->node()->op() != Op::split &&
         value->node()->op() != Op::slice && value->node()->operand(0)) {
    value = value->node()->operand(0);
  }
  return value;
}

}  // namespace

BodyLifter::BodyLifter(Node& control, const BoundSymbols& symbols) : control_(control) {
  Region& body = control.region();
  size_t first_invariant = 1, invariants = 0, first_scanned = body.argument_count();
  axis_.symbols = &symbols;
  if (control.op() == Op::scan) {
    const ScanView scan(control);
    axis_.extent = scan_extent(scan);
    first_invariant = 0;
    invariants = scan.invariants();
    first_scanned = invariants + scan.states();
  } else {
    invariants = LoopView(control).invariants();
  }
  runs_ = runs_once(control, axis_.extent);
  for (size_t i = 0; i < body.argument_count(); ++i) {
    Dependence& dependence = dependence_[body.argument(i)];
    dependence = Dependence::varying;
    if (i >= first_invariant && i < first_invariant + invariants) dependence = Dependence::fixed;
    if (i < first_scanned || !body.argument(i)->type().shape.ranked()) continue;
    const ScanSlot slot = ScanView(control).scan_slot(i - first_scanned);
    dependence = slot.reverse ? Dependence::backward : Dependence::forward;
  }
  elementwise_ = control.op() == Op::scan && find_elementwise();
  for (const Node* node = body.first(); node; node = node->next()) {
    const Dependence dependence = classify(*node);
    for (size_t i = 0; i < node->result_count(); ++i) dependence_[node->result(i)] = dependence;
  }
}

Dependence BodyLifter::classify(const Node& node) const {
  if (node.op() == Op::constant) return Dependence::constant;
  if (node.op() == Op::dims) return Dependence::fixed;
  if (node.region_count() > 0 || node.operand_count() == 0) return Dependence::varying;
  Dependence result = Dependence::constant;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    if (!node.operand(i)) continue;
    if (!node.operand(i)->type().is_tensor()) return Dependence::varying;
    const Dependence operand = dependence(node.operand(i));
    if (operand == Dependence::varying) return operand;
    if (is_lifted(result) && is_lifted(operand) && operand != result) return Dependence::varying;
    if (operand > result) result = operand;
  }
  for (size_t i = 0; i < node.result_count(); ++i) {
    if (!node.result(i)->type().is_tensor()) return Dependence::varying;
  }
  const bool possible =
      is_lifted(result) ? can_lift(node) && !expands(node) : runs_ || !may_fail(node);
  return possible ? result : Dependence::varying;
}

bool BodyLifter::find_elementwise() const {
  std::unordered_set<const Value*> fixed, varying, needed;
  const ScanView scan(control_);
  for (size_t i = 0; i < scan.states(); ++i) needed.insert(scan.next_state(i));
  for (const Node* node = scan.body().last(); node; node = node->previous()) {
    bool used = false;
    for (size_t i = 0; i < node->result_count(); ++i) used |= needed.contains(node->result(i));
    for (size_t i = 0; used && i < node->operand_count(); ++i) needed.insert(node->operand(i));
  }
  for (size_t i = 0; i < scan.invariants(); ++i) fixed.insert(scan.invariant_argument(i));
  for (size_t i = 0; i < scan.states(); ++i) varying.insert(scan.state_argument(i));
  for (const Node* node = scan.body().first(); node; node = node->next()) {
    bool depends = false, all_fixed = true, any_fixed = false, counts = false;
    for (size_t i = 0; i < node->operand_count(); ++i) {
      const Value* operand = node->operand(i);
      if (!operand) continue;
      depends |= varying.contains(operand);
      (fixed.contains(operand) ? any_fixed : all_fixed) = fixed.contains(operand);
    }
    for (size_t i = 0; i < node->result_count(); ++i) {
      if (depends) varying.insert(node->result(i));
      if (all_fixed && node->region_count() == 0) fixed.insert(node->result(i));
      counts |= depends && needed.contains(node->result(i));
    }
    if (!counts) continue;
    const bool product = node->op() == Op::matmul || node->op() == Op::einsum;
    const bool sum = node->op() == Op::reduce_sum || node->op() == Op::reduce_mean;
    if (!is_elementwise(node->op()) && !is_view(node->op()) && !sum && (!product || any_fixed)) {
      return false;
    }
  }
  return true;
}

bool BodyLifter::expands(const Node& node) const {
  // What a table of constants makes of a slice may leave if it isn't much more, as one pass over
  // all steps is quicker than many; not from an element-wise body, which is one pass anyway.
  // Conditions leave in any case: few kernels for loops have them.
  const double most = elementwise_ ? 1 : 4;
  size_t lifted = 0;
  double read = 0, made = 0;
  const bool broadcasts = is_elementwise(node.op()) && is_float(node.result()->type().element);
  for (size_t i = 0; i < node.operand_count(); ++i) {
    if (!node.operand(i) || !is_lifted(dependence(node.operand(i)))) continue;
    read += weight(broadcasts && elementwise_ ? *source_of(node.operand(i)) : *node.operand(i));
    ++lifted;
  }
  for (size_t i = 0; i < node.result_count(); ++i) made += weight(*node.result(i));
  return lifted > 1 ? made > read : broadcasts && made > most * read;
}

std::vector<bool> BodyLifter::lifted_operands(const Node& node) const {
  std::vector<bool> lifted(node.operand_count());
  for (size_t i = 0; i < lifted.size(); ++i) {
    lifted[i] = node.operand(i) && !is_fixed(dependence(node.operand(i)));
  }
  return lifted;
}

bool BodyLifter::can_lift(const Node& node) const {
  return internal::can_lift(node, lifted_operands(node), axis_);
}

void BodyLifter::begin(Node* before) {
  before_ = before;
  last_kept_ = before->previous();
}

Value* BodyLifter::outside(const Value* value) {
  Value*& known = outside_[value];
  if (known || !value->is_argument()) return known;
  if (control_.op() == Op::loop) {
    return known = control_.operand(LoopView(control_).invariant_operand(value->index() - 1));
  }
  const ScanView scan(control_);
  known = control_.operand(scan.invariant_operand(value->index()));
  if (value->index() < scan.invariants()) return known;
  const size_t slot = value->index() - scan.invariants() - scan.states();
  const Shape& shape = known->type().shape;
  // The operand's rank is known wherever the slice's is, unless its type says less.
  if (!shape.ranked()) throw Error("rank of a scanned operand is not known");
  Builder builder(*control_.parent(), before_);
  builder.set_node_name(control_.name());
  return known =
             move_axis(builder, known, normalize_axis(scan.scan_slot(slot).axis, shape.rank()), 0);
}

void BodyLifter::emit(const Node& node) {
  std::vector<Value*> operands = node.operands();
  for (Value*& operand : operands) operand = operand ? outside(operand) : nullptr;
  const std::vector<bool> lifted = lifted_operands(node);
  bool any = false;
  for (bool one : lifted) any |= one;
  if (!any) {
    clone_node(node, *control_.parent(), before_, outside_);
    return;
  }
  Builder builder(*control_.parent(), before_);
  const std::vector<Value*> results = lift(node, operands, lifted, axis_, builder);
  for (size_t i = 0; i < results.size(); ++i) outside_[node.result(i)] = results[i];
}

void BodyLifter::undo() {
  while (before_->previous() != last_kept_) control_.parent()->erase(before_->previous());
}

void BodyLifter::finish(Node* before) {
  for (Node* node = before->previous(); node != last_kept_;) {
    Node* previous = node->previous();
    if (node->unused()) before->parent()->erase(node);
    node = previous;
  }
}

}  // namespace refrain::passes::internal
