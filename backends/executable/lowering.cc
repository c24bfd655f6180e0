#include "backends/executable/lowering.h"

#include <algorithm>
#include <utility>

#include "backends/executable/basic_steps.h"
#include "backends/executable/loop_step.h"
#include "backends/executable/lower_copy.h"
#include "backends/executable/lower_scan.h"
#include "backends/onednn/kernels.h"
#include "ir/builder.h"
#include "ir/control.h"
#include "ir/error.h"

namespace refrain::executable {
namespace {

// Nodes that something needs, the yield above all.
std::unordered_set<const Node*> live_nodes(const Region& region) {
  std::unordered_set<const Node*> live;
  for (const Node* node = region.last(); node; node = node->previous()) {
    bool used = node->op() == Op::yield;
    for (size_t i = 0; i < node->result_count() && !used; ++i) {
      for (const Use* use = node->result(i)->first_use(); use && !used; use = use->next()) {
        used = live.contains(use->user());
      }
    }
    if (used) live.insert(node);
  }
  return live;
}

bool is_constant_op(Op op) { return op == Op::constant || op == Op::dims; }

TensorPtr tensor_of_dims(const Node& node) {
  std::vector<int64_t> extents;
  for (const Dim dim : node.attribute<std::vector<Dim>>(AttributeName::dims)) {
    if (!dim.is_constant()) {
      throw Error("an extent is not known before the run", "a constant", to_string(dim));
    }
    extents.push_back(dim.extent());
  }
  return std::make_shared<const Tensor>(Tensor::of_ints(extents));
}

// Whether inference must see the operands' elements to know that they fit the op.
bool depends_on_elements(const Node& node, const Lowering& lowering) {
  if (is_elementwise(node.op())) return false;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Value* operand = node.operand(i);
    if (operand && is_integer(operand->type().element) && !lowering.constant(operand)) return true;
  }
  return false;
}

}  // namespace

bool may_be_fed(const Node& node, size_t operand) {
  if (node.op() != Op::scan) return false;
  const ScanView view(node);
  const size_t first = view.scanned_operand(0);
  return operand >= first && view.scan_slot(operand - first).axis == 0;
}

std::vector<int64_t> extents_of(const Value& value) { return value.type().shape.extents(); }

int64_t bytes_of(const Value& value) { return byte_count(value.type().element, extents_of(value)); }

Place Lowering::place(const Value* value) const { return value ? places_.at(value) : Place(); }

Place Lowering::allocate(const Value* value) {
  const Place place = storage_.arena(bytes_of(*value));
  set_place(value, place);
  return place;
}

const Tensor* Lowering::constant(const Value* value) const {
  const auto found = constants_.find(value);
  return found == constants_.end() ? nullptr : found->second;
}

void Lowering::alias(const Value* argument, const Value* outside) {
  set_place(argument, place(outside));
  if (const Tensor* tensor = constant(outside)) constants_[argument] = tensor;
}

void Lowering::order(Step& step) {
  for (const Step::Slot& slot : step.slots()) storage_.touch(slot.place, position_);
  ordered_.push_back({&step, position_++, top_});
}

void Lowering::append(Steps& steps, std::unique_ptr<Step> step) {
  order(*step);
  storage_.reserve(step->own_bytes(), options_.max_bytes);
  steps.push_back(std::move(step));
  if (depth_ == 0) ++top_;
}

void Lowering::lower(const Region& region, Steps& steps) {
  const std::unordered_set<const Node*> live = live_nodes(region);
  for (const Node* node = region.first(); node; node = node->next()) {
    if (!live.contains(node)) continue;
    try {
      lower_node(*node, steps);
    } catch (Error& error) {
      error.at_node(node->display_name(), std::string(name(node->op())));
      throw;
    }
  }
}

void Lowering::lower_node(const Node& node, Steps& steps) {
  if (is_constant_op(node.op())) {
    TensorPtr tensor = node.op() == Op::dims ? tensor_of_dims(node)
                                             : node.attribute<TensorPtr>(AttributeName::value);
    constants_[node.result()] = tensor.get();
    set_place(node.result(), storage_.constant(std::move(tensor)));
    return;
  }
  if (lower_rows(node, steps) || lower_pointwise(node, steps)) return;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    if (!may_be_fed(node, i) || !feed_of(node.operand(i))) need(node.operand(i), steps);
  }
  if (node.op() == Op::yield) return;
  const bool control = node.op() == Op::scan;
  bool empty = !control;
  for (size_t i = 0; i < node.result_count(); ++i) empty = empty && bytes_of(*node.result(i)) == 0;
  if (empty) {
    for (size_t i = 0; i < node.result_count(); ++i) allocate(node.result(i));
    return;
  }
  if (control) return lower_scan(*this, node, steps);
  if (lower_as_copy(*this, node, steps)) return;
  if (start_product(node, steps)) return;
  if (lower_by_onednn(node, steps)) return;
  lower_by_reference(node, steps);
}

bool Lowering::lower_by_onednn(const Node& node, Steps& steps) {
  std::vector<const Tensor*> constants;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    constants.push_back(node.operand(i) ? constant(node.operand(i)) : nullptr);
  }
  std::unique_ptr<StepKernel> kernel = onednn::make_kernel(node, constants);
  if (!kernel) return false;
  auto step = std::make_unique<KernelStep>(node, std::move(kernel));
  for (size_t i = 0; i < node.operand_count(); ++i) step->reads(place(node.operand(i)));
  for (size_t i = 0; i < node.result_count(); ++i) step->writes(allocate(node.result(i)));
  append(steps, std::move(step));
  return true;
}

void Lowering::lower_by_reference(const Node& node, Steps& steps) {
  auto step = std::make_unique<ReferenceStep>(node, depends_on_elements(node, *this));
  for (size_t i = 0; i < node.operand_count(); ++i) step->reads(place(node.operand(i)));
  for (size_t i = 0; i < node.result_count(); ++i) step->writes(allocate(node.result(i)));
  append(steps, std::move(step));
}

}  // namespace refrain::executable
