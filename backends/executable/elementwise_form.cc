#include "backends/executable/elementwise_form.h"

#include <algorithm>
#include <set>
#include <utility>

#include "backends/executable/elementwise_finder.h"
#include "backends/executable/pointwise.h"

namespace refrain::executable {

using highway::Operation;

const Tensor* ElementwiseFinder::constant(const Value* value) const {
  if (!value) return nullptr;
  if (value->node() && value->node()->op() == Op::constant) {
    return value->node()->attribute<TensorPtr>(AttributeName::value).get();
  }
  if (value->is_argument() && value->index() < view_.invariants()) {
    return lowering_.constant(node_.operand(view_.invariant_operand(value->index())));
  }
  return nullptr;
}

// Of what memory is a view of: a value before the loop, or a constant of the body.
const Tensor* ElementwiseFinder::constant_memory(const Value* whole) const {
  if (whole->region() != &view_.body()) return lowering_.constant(whole);
  return whole->node()->attribute<TensorPtr>(AttributeName::value).get();
}

std::optional<std::vector<int64_t>> ElementwiseFinder::ints(const Value* value) const {
  const Tensor* tensor = constant(value);
  if (!tensor || !is_integer(tensor->type())) return {};
  return tensor->view().as_ints();
}

bool ElementwiseFinder::set(const Value* value, ElementwiseView view) {
  views_[value] = std::move(view);
  return true;
}

// How one slice of a scanned or stacked tensor lies in it.
Memory ElementwiseFinder::slot_memory(const Value* whole, ScanSlot slot) const {
  const std::vector<int64_t> extents = extents_of(*whole);
  const size_t axis = normalize_axis(slot.axis, extents.size());
  Memory memory;
  memory.whole = whole;
  memory.strides = dense_strides(extents);
  memory.time_stride = memory.strides[axis];
  memory.strides.erase(memory.strides.begin() + static_cast<std::ptrdiff_t>(axis));
  // With lengths the loop itself runs backward.
  if (slot.reverse && !view_.has_lengths()) {
    memory.offset = (steps_ - 1) * memory.time_stride;
    memory.time_stride = -memory.time_stride;
  }
  return memory;
}

bool ElementwiseFinder::find_arguments() {
  for (size_t i = 0; i < view_.body().argument_count(); ++i) {
    const Value* argument = view_.body().argument(i);
    if (argument->unused()) continue;
    if (!argument->type().is_tensor()) return false;
    ElementwiseView view;
    view.extents = extents_of(*argument);
    view.axes = axes_.add(view.extents);
    if (i < view_.invariants()) {
      view.memory.whole = node_.operand(view_.invariant_operand(i));
      view.memory.strides = dense_strides(view.extents);
    } else if (i >= view_.invariants() + view_.states()) {
      const size_t slot = i - view_.invariants() - view_.states();
      view.memory = slot_memory(node_.operand(view_.scanned_operand(slot)), view_.scan_slot(slot));
    } else {
      continue;
    }
    views_[argument] = std::move(view);
  }
  for (size_t i = 0; i < view_.states(); ++i) {
    const Value* argument = view_.state_argument(i);
    if (argument->type().element != ElementType::f32) return false;
    ElementwiseView view;
    view.extents = extents_of(*argument);
    if (element_count(view.extents) == 0) return false;
    view.axes = axes_.add(view.extents);
    view.value = registers_.size();
    registers_.push_back({Register::Kind::state, i});
    SpaceTensor& initial = initial_.emplace_back();
    initial.memory.whole = node_.operand(view_.state_operand(i));
    initial.memory.strides = dense_strides(view.extents);
    initial.axes = view.axes;
    views_[argument] = std::move(view);
  }
  return true;
}

std::optional<size_t> ElementwiseFinder::register_of(const Value* value) {
  if (!value || value->type().element != ElementType::f32) return {};
  const auto found = views_.find(value);
  if (found == views_.end()) return {};
  ElementwiseView& view = found->second;
  if (view.value) return view.value;
  if (const auto number = single_element(constant_memory(view.memory.whole))) {
    const auto [known, fresh] = numbers_.try_emplace(*number, 0);
    if (fresh) known->second = add_code({Operation::constant, 0, {0, 0, 0}, *number, 0}, {}, {});
    return view.value = known->second;
  }
  if (element_count(view.extents) == 0) return {};
  view.value = registers_.size();
  registers_.push_back({Register::Kind::input, inputs_.size()});
  inputs_.push_back({view.memory, view.axes});
  return view.value;
}

size_t ElementwiseFinder::add_code(const highway::Instruction& instruction,
                                   std::vector<size_t> operands, std::vector<int> axes, bool sums) {
  registers_.push_back({Register::Kind::code, code_.size()});
  code_.push_back({instruction, std::move(operands), std::move(axes), sums});
  return registers_.size() - 1;
}

// Where states and stacked slices go.
bool ElementwiseFinder::yielded() {
  const auto add = [&](const Value* value, Memory memory, std::vector<Yielded>& to) {
    const auto index = register_of(value);
    if (index) to.push_back({*index, {std::move(memory), views_.at(value).axes}});
    return index.has_value();
  };
  for (size_t i = 0; i < view_.states(); ++i) {
    const Value* next = view_.next_state(i);
    const Memory memory{view_.final_state(i), 0, 0, dense_strides(extents_of(*next))};
    if (!add(next, memory, next_)) return false;
    // A next state of few axes is spread over all of the state's.
    SpaceTensor& to = next_.back().to;
    for (size_t k = 0; k < to.axes.size(); ++k) {
      if (!axes_.join(initial_[i].axes[k], to.axes[k])) return false;
    }
  }
  for (size_t i = 0; i < view_.stacked(); ++i) {
    const Value* whole = view_.stacked_result(i);
    if (whole->unused()) continue;
    if (!add(view_.stacked_slice(i), slot_memory(whole, view_.stack_slot(i)), outputs_)) {
      return false;
    }
  }
  if (!view_.has_lengths()) return true;
  for (size_t i = 0; i < view_.scanned(); ++i) form_.backward |= view_.scan_slot(i).reverse;
  for (size_t i = 0; i < view_.stacked(); ++i) form_.backward |= view_.stack_slot(i).reverse;
  if (element_count(extents_of(*view_.lengths())) == 1) return true;
  for (const std::vector<Yielded>* all : {&next_, &outputs_}) {
    for (const Yielded& one : *all) {
      const int found = one.to.axes[normalize_axis(view_.batch_axis(), one.to.axes.size())];
      if (batch_ == kNoAxis) batch_ = found;
      if (!axes_.join(batch_, found)) return false;
    }
  }
  return axes_.find(batch_) != axes_.find(summed_);
}

// Whether each value has a place of the space for each of its elements.
bool ElementwiseFinder::has_form() const {
  bool fits = registers_.size() <= highway::kMaxRegisters;
  const auto check = [&](const std::vector<int>& axes) {
    fits = fits && !axes_.any_twice(axes);
    for (const int axis : axes) fits = fits && (axis == kNoAxis || axes_.extent(axis) > 0);
  };
  for (const SpaceTensor& input : inputs_) check(input.axes);
  for (const SpaceTensor& state : initial_) check(state.axes);
  for (const Code& code : code_) check(code.axes);
  for (const Yielded& output : outputs_) check(output.to.axes);
  return fits;
}

highway::SpacePlace ElementwiseFinder::place(const Space& space, const SpaceTensor& tensor,
                                             bool written) {
  highway::SpacePlace place = space.place(tensor);
  const auto known = std::find_if(
      form_.buffers.begin(), form_.buffers.end(),
      [&](const SpaceBuffer& b) { return b.value == tensor.memory.whole && b.written == written; });
  place.buffer = static_cast<size_t>(known - form_.buffers.begin());
  if (known == form_.buffers.end()) form_.buffers.push_back({tensor.memory.whole, written});
  return place;
}

ElementwiseForm ElementwiseFinder::write() {
  std::vector<const SpaceTensor*> tensors;
  for (const SpaceTensor& input : inputs_) tensors.push_back(&input);
  for (const SpaceTensor& state : initial_) tensors.push_back(&state);
  for (const Yielded& output : outputs_) tensors.push_back(&output.to);
  const Space space(axes_, std::move(tensors), summed_, batch_);
  highway::ElementwiseLoopSpec& spec = form_.spec;
  space.fill_in(spec);
  const auto number = [&](size_t value) {
    const Register& r = registers_[value];
    if (r.kind == Register::Kind::input) return r.index;
    if (r.kind == Register::Kind::state) return inputs_.size() + r.index;
    return inputs_.size() + initial_.size() + r.index;
  };
  for (const SpaceTensor& input : inputs_) spec.inputs.push_back(place(space, input, false));
  for (size_t i = 0; i < initial_.size(); ++i) {
    const SpaceTensor final{next_[i].to.memory, initial_[i].axes};
    spec.states.push_back(
        {place(space, initial_[i], false), place(space, final, true), number(next_[i].value)});
  }
  for (size_t i = 0; i < code_.size(); ++i) {
    highway::Instruction instruction = code_[i].instruction;
    instruction.result = static_cast<uint8_t>(inputs_.size() + initial_.size() + i);
    for (size_t k = 0; k < code_[i].operands.size(); ++k) {
      instruction.operands[k] = static_cast<uint8_t>(number(code_[i].operands[k]));
    }
    spec.code.push_back({instruction, code_[i].sums});
  }
  for (const Yielded& output : outputs_) {
    spec.outputs.push_back({number(output.value), place(space, output.to, true)});
  }
  if (view_.has_lengths() && spec.lengths_axis < 0) add_sequence_axis(spec);
  return std::move(form_);
}

// The one sequence of all.
void ElementwiseFinder::add_sequence_axis(highway::ElementwiseLoopSpec& spec) {
  spec.lengths_axis = static_cast<int>(spec.outer.size());
  spec.outer.push_back(1);
  const auto widen = [](highway::SpacePlace& place) { place.outer_strides.push_back(0); };
  for (highway::SpacePlace& input : spec.inputs) widen(input);
  for (highway::ElementwiseLoopSpec::State& state : spec.states) {
    widen(state.initial);
    widen(state.final);
  }
  for (highway::ElementwiseLoopSpec::Output& output : spec.outputs) widen(output.place);
}

std::optional<ElementwiseForm> ElementwiseFinder::run() {
  if (view_.states() == 0 || !find_arguments()) return {};
  // What nothing yielded is made of need not have the form.
  std::set<const Node*> live;
  for (const Node* node = view_.body().last(); node; node = node->previous()) {
    bool used = node->op() == Op::yield;
    for (size_t i = 0; i < node->result_count() && !used; ++i) {
      for (const Use* use = node->result(i)->first_use(); use && !used; use = use->next()) {
        used = live.contains(use->user());
      }
    }
    if (used) live.insert(node);
  }
  for (const Node* node = view_.body().first(); node->op() != Op::yield; node = node->next()) {
    if (live.contains(node) && !find_node(*node)) return {};
  }
  if (!yielded() || !has_form()) return {};
  return write();
}

std::optional<ElementwiseForm> find_elementwise_form(const Lowering& lowering, const Node& node,
                                                     int64_t steps) {
  return ElementwiseFinder(lowering, node, steps).run();
}

}  // namespace refrain::executable
