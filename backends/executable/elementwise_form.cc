#include "backends/executable/elementwise_form.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "backends/executable/elementwise_space.h"
#include "backends/executable/pointwise.h"
#include "ir/control.h"
#include "ir/einsum.h"
#include "ir/error.h"
#include "ir/slice.h"

namespace refrain::executable {
namespace {

using highway::Operation;
using highway::SpacePlace;

// What a value of the body is, as far as the loop goes: a register, or memory that becomes one when
// it is computed with; and which axis of the space each of its axes is, none for extents of 1.
struct View {
  std::optional<size_t> value;  // index among Finder::values_
  Memory memory;                // if it is none yet
  std::vector<int64_t> extents;
  std::vector<int> axes;
};

class Finder {
 public:
  Finder(const Lowering& lowering, const Node& node, int64_t steps)
      : lowering_(lowering), node_(node), view_(node), steps_(steps) {}

  std::optional<ElementwiseForm> run();

 private:
  // What a register of the loop is; registers are numbered once all are known.
  struct Register {
    enum class Kind : uint8_t { input, state, code } kind;
    size_t index = 0;  // among those of its kind
  };
  struct Code {
    highway::Instruction instruction;
    std::vector<size_t> operands;
    std::vector<int> axes;  // with those that are summed over
    bool sums = false;
  };
  struct Yielded {
    size_t value;
    SpaceTensor to;
  };

  const Tensor* constant(const Value* value) const;
  const Tensor* constant_memory(const Value* whole) const;
  std::optional<std::vector<int64_t>> ints(const Value* value) const;
  bool find_arguments();
  bool find_node(const Node& node);
  bool set(const Value* value, View view);
  std::optional<size_t> register_of(const Value* value);
  size_t add_code(const highway::Instruction& instruction, std::vector<size_t> operands,
                  std::vector<int> axes, bool sums = false);
  size_t add_sum(size_t of, std::vector<int> axes) {
    return add_code({}, {of}, std::move(axes), true);
  }

  bool elementwise(const Node& node);
  bool matmul(const Node& node);
  bool einsum(const Node& node);
  bool reduction(const Node& node);
  bool sum_over(int axis);
  bool take_axes(const Node& node, const std::vector<int>& from);
  bool reshape(const Node& node);
  bool transpose(const Node& node);
  bool expand(const Node& node);
  bool split(const Node& node);
  bool slice(const Node& node);
  bool part(const Value* from, const Value* to, size_t along, int64_t begin, int64_t step);
  bool yielded();
  Memory slot_memory(const Value* whole, ScanSlot slot) const;

  bool has_form() const;
  highway::SpacePlace place(const Space& space, const SpaceTensor& tensor, bool written);
  ElementwiseForm write();
  static void add_sequence_axis(highway::ElementwiseLoopSpec& spec);

  const Lowering& lowering_;
  const Node& node_;
  const ScanView view_;
  const int64_t steps_;

  SpaceAxes axes_;
  std::unordered_map<const Value*, View> views_;
  std::vector<Register> registers_;
  std::vector<SpaceTensor> inputs_, initial_;
  std::vector<Yielded> next_, outputs_;
  std::vector<Code> code_;
  std::map<float, size_t> numbers_;
  int summed_ = kNoAxis, batch_ = kNoAxis;
  ElementwiseForm form_;
};

const Tensor* Finder::constant(const Value* value) const {
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
const Tensor* Finder::constant_memory(const Value* whole) const {
  if (whole->region() != &view_.body()) return lowering_.constant(whole);
  return whole->node()->attribute<TensorPtr>(AttributeName::value).get();
}

std::optional<std::vector<int64_t>> Finder::ints(const Value* value) const {
  const Tensor* tensor = constant(value);
  if (!tensor || !is_integer(tensor->type())) return {};
  return tensor->view().as_ints();
}

bool Finder::set(const Value* value, View view) {
  views_[value] = std::move(view);
  return true;
}

// How one slice of a scanned or stacked tensor lies in it.
Memory Finder::slot_memory(const Value* whole, ScanSlot slot) const {
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

bool Finder::find_arguments() {
  for (size_t i = 0; i < view_.body().argument_count(); ++i) {
    const Value* argument = view_.body().argument(i);
    if (argument->unused()) continue;
    if (!argument->type().is_tensor()) return false;
    View view;
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
    View view;
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

std::optional<size_t> Finder::register_of(const Value* value) {
  if (!value || value->type().element != ElementType::f32) return {};
  const auto found = views_.find(value);
  if (found == views_.end()) return {};
  View& view = found->second;
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

size_t Finder::add_code(const highway::Instruction& instruction, std::vector<size_t> operands,
                        std::vector<int> axes, bool sums) {
  registers_.push_back({Register::Kind::code, code_.size()});
  code_.push_back({instruction, std::move(operands), std::move(axes), sums});
  return registers_.size() - 1;
}

// Broadcasts operands' axes, which meet at the end, into the result's.
bool Finder::elementwise(const Node& node) {
  const auto instruction = instruction_of(node);
  if (!instruction) return false;
  View result;
  result.extents = extents_of(*node.result());
  result.axes.assign(result.extents.size(), kNoAxis);
  std::vector<size_t> operands;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const auto operand = register_of(node.operand(i));
    if (!operand) return false;
    operands.push_back(*operand);
    const View& view = views_.at(node.operand(i));
    for (size_t k = 0; k < view.axes.size(); ++k) {
      int& to = result.axes[result.axes.size() - view.axes.size() + k];
      if (view.axes[k] == kNoAxis) continue;
      if (to == kNoAxis) to = view.axes[k];
      if (!axes_.join(to, view.axes[k])) return false;
    }
  }
  result.value = add_code(*instruction, std::move(operands), result.axes);
  return set(node.result(), std::move(result));
}

// What is summed over is one axis, even if it has several names.
bool Finder::sum_over(int axis) {
  if (summed_ == kNoAxis) summed_ = axis;
  return axes_.join(summed_, axis);
}

bool Finder::matmul(const Node& node) {
  const auto left = register_of(node.operand(0)), right = register_of(node.operand(1));
  if (!left || !right) return false;
  std::vector<int> a = views_.at(node.operand(0)).axes, b = views_.at(node.operand(1)).axes;
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) a.insert(a.begin(), kNoAxis);
  if (column) b.push_back(kNoAxis);
  View result;
  result.extents = extents_of(*node.result());
  const int inner = a.back();
  if (!axes_.join(inner, b[b.size() - 2])) return false;
  std::vector<int> batch(std::max(a.size(), b.size()) - 2, kNoAxis);
  for (const std::vector<int>* side : {&a, &b}) {
    for (size_t k = 0; k + 2 < side->size(); ++k) {
      int& to = batch[batch.size() + 2 - side->size() + k];
      if ((*side)[k] == kNoAxis) continue;
      if (to == kNoAxis) to = (*side)[k];
      if (!axes_.join(to, (*side)[k])) return false;
    }
  }
  result.axes = batch;
  if (!row) result.axes.push_back(a[a.size() - 2]);
  if (!column) result.axes.push_back(b.back());
  std::vector<int> all = result.axes;
  all.push_back(inner);
  result.value = add_code({Operation::mul, 0, {0, 0, 0}, 0, 0}, {*left, *right}, std::move(all));
  if (inner != kNoAxis) {
    if (!sum_over(inner)) return false;
    result.value = add_sum(*result.value, result.axes);
  }
  return set(node.result(), std::move(result));
}

bool Finder::einsum(const Node& node) {
  if (node.operand_count() == 0 || node.operand_count() > 2) return false;
  std::vector<size_t> ranks, operands;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const auto operand = register_of(node.operand(i));
    if (!operand) return false;
    operands.push_back(*operand);
    ranks.push_back(views_.at(node.operand(i)).axes.size());
  }
  const EinsumPlan plan = parse_einsum(node.string(AttributeName::equation), ranks);
  std::vector<int> labels(static_cast<size_t>(plan.labels), kNoAxis);
  for (size_t i = 0; i < operands.size(); ++i) {
    const std::vector<int>& axes = views_.at(node.operand(i)).axes;
    for (size_t k = 0; k < axes.size(); ++k) {
      int& label = labels[static_cast<size_t>(plan.operands[i][k])];
      if (axes[k] == kNoAxis) continue;
      if (label == kNoAxis) label = axes[k];
      if (!axes_.join(label, axes[k])) return false;
    }
  }
  View result;
  result.extents = extents_of(*node.result());
  std::vector<bool> kept(labels.size());
  for (const int label : plan.result) {
    kept[static_cast<size_t>(label)] = true;
    result.axes.push_back(labels[static_cast<size_t>(label)]);
  }
  result.value = operands.size() == 1
                     ? operands[0]
                     : add_code({Operation::mul, 0, {0, 0, 0}, 0, 0}, std::move(operands), labels);
  int sums = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (kept[i] || labels[i] == kNoAxis) continue;
    if (++sums > 1 || !sum_over(labels[i])) return false;
    result.value = add_sum(*result.value, result.axes);
  }
  return set(node.result(), std::move(result));
}

bool Finder::reduction(const Node& node) {
  const auto operand = register_of(node.operand(0));
  if (!operand) return false;
  const View& view = views_.at(node.operand(0));
  std::vector<int64_t> axes;
  if (node.operand(1)) {
    const auto given = ints(node.operand(1));
    if (!given) return false;
    axes = *given;
  }
  std::vector<bool> reduced(view.axes.size(),
                            axes.empty() && !node.flag(AttributeName::noop_with_empty_axes));
  for (const int64_t i : axes) reduced[normalize_axis(i, reduced.size())] = true;
  View result;
  result.extents = extents_of(*node.result());
  result.value = operand;
  int64_t count = 1;
  for (size_t i = 0; i < reduced.size(); ++i) {
    if (!reduced[i]) {
      result.axes.push_back(view.axes[i]);
      continue;
    }
    if (node.flag(AttributeName::keep_dims)) result.axes.push_back(kNoAxis);
    if (view.axes[i] == kNoAxis) continue;
    if (count > 1 || !sum_over(view.axes[i])) return false;
    count = view.extents[i];
  }
  if (count > 1) result.value = add_sum(*result.value, result.axes);
  if (node.op() == Op::reduce_mean && count > 1) {
    const size_t number =
        add_code({Operation::constant, 0, {0, 0, 0}, static_cast<float>(count), 0}, {}, {});
    result.value =
        add_code({Operation::div, 0, {0, 0, 0}, 0, 0}, {*result.value, number}, result.axes);
  }
  return set(node.result(), std::move(result));
}

// A result with the operand's axes in another order, or others of extent 1: axis i is the operand's
// from[i], or new.
bool Finder::take_axes(const Node& node, const std::vector<int>& from) {
  const View& view = views_.at(node.operand(0));
  View result;
  result.value = view.value;
  result.memory = view.memory;
  result.memory.strides.clear();
  result.extents = extents_of(*node.result());
  for (const int i : from) {
    const auto k = static_cast<size_t>(i);
    result.axes.push_back(i < 0 ? kNoAxis : view.axes[k]);
    if (!view.value) result.memory.strides.push_back(i < 0 ? 0 : view.memory.strides[k]);
  }
  // Memory may be seen in several ways at once, along other axes each time.
  if (!view.value) result.axes = axes_.add(result.extents);
  return set(node.result(), std::move(result));
}

// Squeezes, unsqueezes and reshapes: extents of 1 come and go; dense memory takes any shape.
bool Finder::reshape(const Node& node) {
  const View& view = views_.at(node.operand(0));
  const std::vector<int64_t> to = extents_of(*node.result());
  std::vector<int> from;
  size_t next = 0;
  bool same = true;
  for (const int64_t extent : to) {
    if (extent == 1) {
      from.push_back(-1);
      continue;
    }
    while (next < view.extents.size() && view.extents[next] == 1) ++next;
    same = same && next < view.extents.size() && view.extents[next] == extent;
    from.push_back(static_cast<int>(next++));
  }
  while (next < view.extents.size() && view.extents[next] == 1) ++next;
  if (same && next == view.extents.size()) return take_axes(node, from);
  if (view.value) return false;
  const std::vector<int64_t> dense = dense_strides(view.extents);
  for (size_t i = 0; i < dense.size(); ++i) {
    if (view.extents[i] != 1 && view.memory.strides[i] != dense[i]) return false;
  }
  View result;
  result.memory = view.memory;
  result.memory.strides = dense_strides(to);
  result.extents = to;
  result.axes = axes_.add(to);
  return set(node.result(), std::move(result));
}

bool Finder::transpose(const Node& node) {
  const size_t rank = views_.at(node.operand(0)).axes.size();
  std::vector<int> from;
  for (const int64_t i : node.integers(AttributeName::perm)) {
    from.push_back(static_cast<int>(normalize_axis(i, rank)));
  }
  return take_axes(node, from);
}

bool Finder::expand(const Node& node) {
  const View& view = views_.at(node.operand(0));
  const std::vector<int64_t> to = extents_of(*node.result());
  View result;
  result.value = view.value;
  result.memory = view.memory;
  result.memory.strides.assign(to.size(), 0);
  result.extents = to;
  const size_t added = to.size() - view.extents.size();
  for (size_t i = 0; i < to.size(); ++i) {
    const bool there = i >= added && view.extents[i - added] == to[i];
    result.axes.push_back(there ? view.axes[i - added] : axes_.add(to[i]));
    if (there && !view.value) result.memory.strides[i] = view.memory.strides[i - added];
  }
  return set(node.result(), std::move(result));
}

// `to` is every `step`-th element of memory along one axis, from `begin` on.
bool Finder::part(const Value* from, const Value* to, size_t along, int64_t begin, int64_t step) {
  const View& view = views_.at(from);
  View result = view;
  result.extents = extents_of(*to);
  if (result.extents == view.extents && begin == 0 && step == 1) return set(to, std::move(result));
  if (view.value || element_count(result.extents) == 0) return false;
  result.memory.offset += begin * view.memory.strides[along];
  result.memory.strides[along] = result.extents[along] > 1 ? view.memory.strides[along] * step : 0;
  result.axes[along] = axes_.add(result.extents[along]);
  return set(to, std::move(result));
}

bool Finder::split(const Node& node) {
  const View& view = views_.at(node.operand(0));
  const size_t along = normalize_axis(node.integer(AttributeName::axis), view.extents.size());
  int64_t begin = 0;
  for (size_t i = 0; i < node.result_count(); ++i) {
    if (!node.result(i)->unused() && !part(node.operand(0), node.result(i), along, begin, 1)) {
      return false;
    }
    begin += extents_of(*node.result(i))[along];
  }
  return true;
}

bool Finder::slice(const Node& node) {
  const auto begins = ints(node.operand(1)), ends = ints(node.operand(2));
  if (!begins || !ends || begins->size() != 1) return false;
  const View& view = views_.at(node.operand(0));
  int64_t along = 0, step = 1;
  if (node.operand(3)) {
    const auto axes = ints(node.operand(3));
    if (!axes) return false;
    along = (*axes)[0];
  }
  if (node.operand(4)) {
    const auto steps = ints(node.operand(4));
    if (!steps) return false;
    step = (*steps)[0];
  }
  const size_t at = normalize_axis(along, view.extents.size());
  const SliceBounds bounds = clamp_slice(view.extents[at], (*begins)[0], (*ends)[0], step);
  return part(node.operand(0), node.result(), at, bounds.begin, bounds.count > 1 ? bounds.step : 1);
}

bool Finder::find_node(const Node& node) {
  switch (node.op()) {
    case Op::constant: {
      View view;
      view.memory.whole = node.result();
      view.extents = extents_of(*node.result());
      view.memory.strides = dense_strides(view.extents);
      view.axes = axes_.add(view.extents);
      return set(node.result(), std::move(view));
    }
    case Op::matmul:
      return matmul(node);
    case Op::einsum:
      return einsum(node);
    case Op::reduce_sum:
    case Op::reduce_mean:
      return reduction(node);
    default:
      break;
  }
  if (is_elementwise(node.op())) return elementwise(node);
  if (!views_.contains(node.operand(0))) return false;
  switch (node.op()) {
    case Op::reshape:
    case Op::squeeze:
    case Op::unsqueeze:
      return reshape(node);
    case Op::transpose:
      return transpose(node);
    case Op::expand:
      return expand(node);
    case Op::split:
      return split(node);
    case Op::slice:
      return slice(node);
    default:
      return false;
  }
}

// Where states and stacked slices go.
bool Finder::yielded() {
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
bool Finder::has_form() const {
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

highway::SpacePlace Finder::place(const Space& space, const SpaceTensor& tensor, bool written) {
  highway::SpacePlace place = space.place(tensor);
  const auto known = std::find_if(
      form_.buffers.begin(), form_.buffers.end(),
      [&](const SpaceBuffer& b) { return b.value == tensor.memory.whole && b.written == written; });
  place.buffer = static_cast<size_t>(known - form_.buffers.begin());
  if (known == form_.buffers.end()) form_.buffers.push_back({tensor.memory.whole, written});
  return place;
}

ElementwiseForm Finder::write() {
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
void Finder::add_sequence_axis(highway::ElementwiseLoopSpec& spec) {
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

std::optional<ElementwiseForm> Finder::run() {
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

}  // namespace

std::optional<ElementwiseForm> find_elementwise_form(const Lowering& lowering, const Node& node,
                                                     int64_t steps) {
  return Finder(lowering, node, steps).run();
}

}  // namespace refrain::executable
