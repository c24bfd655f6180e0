#include "backends/executable/lowering.h"

#include <algorithm>
#include <utility>

#include "backends/executable/basic_steps.h"
#include "backends/executable/einsum_step.h"
#include "backends/executable/gather_step.h"
#include "backends/executable/lower_copy.h"
#include "backends/executable/lower_scan.h"
#include "backends/executable/matmul_step.h"
#include "backends/executable/move_step.h"
#include "backends/highway/axis.h"
#include "backends/highway/vector_product.h"
#include "backends/onednn/kernels.h"
#include "ir/builder.h"
#include "ir/control.h"
#include "ir/error.h"

namespace refrain::executable {
namespace {

constexpr int64_t kMostVectorBytes = 1 << 20;

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

// Whether the elements of an operand may tell the results' types: not those of what is moved,
// added up or multiplied, nor indices into an axis.
bool tells_types(Op op, size_t operand) {
  switch (op) {
    case Op::concat:
    case Op::matmul:
    case Op::einsum:
    case Op::gather:
    case Op::gather_elements:
    case Op::gather_nd:
    case Op::scatter_elements:
    case Op::scatter_nd:
      return false;
    case Op::range:
    case Op::fill:
      return true;
    default:
      return operand > 0;
  }
}

// Whether inference must see the operands' elements to know that they fit the op.
bool depends_on_elements(const Node& node, const Lowering& lowering) {
  if (is_elementwise(node.op())) return false;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Value* operand = node.operand(i);
    if (operand && is_integer(operand->type().element) && tells_types(node.op(), i) &&
        !lowering.constant(operand)) {
      return true;
    }
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

RowForm row_form(const Value& value) {
  const std::vector<int64_t> extents = extents_of(value);
  RowForm form;
  if (extents.empty()) return form;
  form.width = extents.back();
  for (size_t i = 0; i + 1 < extents.size(); ++i) form.rows *= extents[i];
  return form;
}

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
  std::unordered_set<const Node*> live = live_nodes(region);
  if (options_.kernels != KernelChoice::onednn) find_convolutions(region, live);
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

// What lies inside chains is not lowered node by node.
void Lowering::find_convolutions(const Region& region, std::unordered_set<const Node*>& live) {
  for (const Node* node = region.first(); node; node = node->next()) {
    if (node->op() != Op::transpose || !live.contains(node)) continue;
    if (std::optional<DepthwiseChain> chain = depthwise_chain(*node)) {
      for (const Node* inner : chain->inner) live.erase(inner);
      convolutions_.emplace(node, std::move(*chain));
    } else if (std::optional<WindowChain> window = window_chain(*node)) {
      for (const Node* inner : window->inner) live.erase(inner);
      windows_.emplace(node, std::move(*window));
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
  if (const auto chain = convolutions_.find(&node); chain != convolutions_.end()) {
    return start_convolution(chain->second, steps);
  }
  if (const auto chain = windows_.find(&node); chain != windows_.end()) {
    return start_window(chain->second, steps);
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
  if (lower_gather(node, steps) || lower_by_highway(node, steps)) return;
  if (lower_by_onednn(node, steps) || lower_broadcast(node, steps) || lower_move(node, steps)) {
    return;
  }
  lower_by_reference(node, steps);
}

// Slots for the node's operands and results.
void Lowering::append_for(const Node& node, std::unique_ptr<Step> step, Steps& steps) {
  for (size_t i = 0; i < node.operand_count(); ++i) step->reads(place(node.operand(i)));
  for (size_t i = 0; i < node.result_count(); ++i) step->writes(allocate(node.result(i)));
  append(steps, std::move(step));
}

std::vector<const Tensor*> Lowering::constants_of(const Node& node) const {
  std::vector<const Tensor*> constants;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    constants.push_back(node.operand(i) ? constant(node.operand(i)) : nullptr);
    if (constants.back() && options_.weights) options_.weights->check(constants.back()->raw());
  }
  return constants;
}

bool Lowering::lower_by_onednn(const Node& node, Steps& steps) {
  // It allocates at each run.
  if (options_.kernels == KernelChoice::highway) return false;
  std::unique_ptr<StepKernel> kernel = onednn::make_kernel(node, constants_of(node));
  if (!kernel) return false;
  append_for(node, std::make_unique<KernelStep>(node, std::move(kernel)), steps);
  return true;
}

bool Lowering::lower_by_highway(const Node& node, Steps& steps) {
  std::unique_ptr<StepKernel> kernel = highway::make_axis_kernel(node, constants_of(node));
  // One thread reads the matrix once; beyond the caches' size others are worth having.
  const bool small = node.op() == Op::matmul && bytes_of(*node.operand(0)) <= kMostVectorBytes &&
                     bytes_of(*node.operand(1)) <= kMostVectorBytes;
  if (!kernel && small && options_.kernels != KernelChoice::onednn)
    kernel = highway::make_vector_product(node);
  if (!kernel) return false;
  append_for(node, std::make_unique<KernelStep>(node, std::move(kernel)), steps);
  return true;
}

bool Lowering::lower_gather(const Node& node, Steps& steps) {
  if (node.op() != Op::gather) return false;
  const ElementType indices = node.operand(1)->type().element;
  if (indices != ElementType::i64 && indices != ElementType::i32) return false;
  if (bytes_of(*node.operand(0)) == 0) return false;
  append_for(node, std::make_unique<GatherStep>(node), steps);
  return true;
}

// An element-wise node with operands that move over some axes in the midst of others: those are
// expanded.
bool Lowering::lower_broadcast(const Node& node, Steps& steps) {
  const std::optional<highway::Instruction> instruction = instruction_of(node);
  if (!instruction) return false;
  const std::vector<int64_t> extents = extents_of(*node.result());
  const auto element = static_cast<int64_t>(sizeof(float));
  highway::Program program;
  std::vector<ProgramStep::Input> strides;
  std::vector<Place> places;
  program.inputs = node.operand_count();
  program.code = {*instruction};
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const std::vector<int64_t> from = extents_of(*node.operand(i));
    program.code[0].operands[i] = static_cast<uint8_t>(i);
    Place from_place = place(node.operand(i));
    if (element_count(from) == 1) {
      strides.push_back({0, 0});
    } else {
      strides.push_back({0, 1});
    }
    if (element_count(from) != 1 && element_count(from) != element_count(extents)) {
      std::vector<StridedCopyStep::Axis> axes(extents.size());
      int64_t from_stride = element, to_stride = element;
      for (size_t k = extents.size(); k-- > 0;) {
        const size_t missing = extents.size() - from.size();
        const int64_t extent = k >= missing ? from[k - missing] : 1;
        axes[k] = {extents[k], extent == 1 ? 0 : from_stride, to_stride};
        from_stride *= extent;
        to_stride *= extents[k];
      }
      const Place expanded = storage_.arena(to_stride);
      auto copy = std::make_unique<StridedCopyStep>("expand", std::move(axes), element);
      copy->reads(from_place);
      copy->writes(expanded);
      append(steps, std::move(copy));
      from_place = expanded;
    }
    places.push_back(from_place);
  }
  program.code[0].result = static_cast<uint8_t>(program.inputs);
  program.outputs = {program.code[0].result};
  auto step = std::make_unique<ProgramStep>(std::move(program), 1, element_count(extents), strides,
                                            options_.threads);
  for (const Place from_place : places) step->reads(from_place);
  step->writes(allocate(node.result()));
  append(steps, std::move(step));
  return true;
}

bool Lowering::lower_move(const Node& node, Steps& steps) {
  std::unique_ptr<MoveStep> step = make_move(*this, node);
  if (!step) return false;
  step->reads(place(node.operand(0)));
  step->reads(node.op() == Op::pad ? place(node.operand(2)) : Place());
  step->writes(allocate(node.result()));
  append(steps, std::move(step));
  return true;
}

void Lowering::lower_by_reference(const Node& node, Steps& steps) {
  const bool f32 = node.result()->type().element == ElementType::f32;
  if (node.op() == Op::einsum && f32) {
    return append_for(node, std::make_unique<EinsumStep>(node), steps);
  }
  if (node.op() == Op::matmul && f32) {
    return append_for(node, std::make_unique<MatmulStep>(node, options_.threads), steps);
  }
  append_for(node, std::make_unique<ReferenceStep>(node, depends_on_elements(node, *this)), steps);
}

}  // namespace refrain::executable
