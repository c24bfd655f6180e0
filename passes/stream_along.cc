// Ops that work along the time axis, made to work on a block of it.
#include <algorithm>
#include <limits>
#include <optional>

#include "ir/error.h"
#include "ir/window.h"
#include "passes/element.h"
#include "passes/stream_initial.h"
#include "passes/stream_time.h"

namespace refrain::passes::internal {
namespace {

using Kind = TimeTrace::Kind;

constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();
// What is not less than this is the end of any axis.
constexpr int64_t kFar = int64_t{1} << 30;
// Most steps of a window, so that their number does not overflow.
constexpr int64_t kMaxWindow = int64_t{1} << 40;

std::string steps(int64_t count) {
  return std::to_string(count) + (count == 1 ? " step" : " steps");
}

[[noreturn]] void reads_future(int64_t count) {
  throw Error("the future is read: each step needs " + steps(count) + " after it");
}

int64_t time_attribute(const Node& node) { return node.integer(AttributeName::axis); }

}  // namespace

void TimeStream::visit_along(Node& node, const TimeTrace& x) {
  switch (node.op()) {
    case Op::slice:
      return visit_slice(node, x);
    case Op::gather:
      return visit_gather(node, x);
    case Op::pad:
      return visit_pad(node, x);
    case Op::concat:
      return visit_concat(node, x);
    case Op::conv:
    case Op::max_pool:
    case Op::average_pool:
      return visit_window(node, x);
    case Op::cum_sum:
      return visit_cum_sum(node, x);
    case Op::reduce_sum:
    case Op::reduce_mean:
    case Op::reduce_prod:
    case Op::reduce_max:
    case Op::reduce_min:
      return visit_reduction(node, x);
    default:
      throw Error("the future is read: it needs all steps at once");
  }
}

void TimeStream::visit_slice(Node& node, const TimeTrace& x) {
  const auto slice = constant_slice(node);
  if (!slice || slice->axis != x.axis)
    throw Error("the bounds of a slice of the steps are not known");
  if (slice->step < 0) throw Error("the future is read: it turns the steps around");
  if (slice->step != 1) throw Error("it takes every " + steps(slice->step) + " one");
  Value* whole = node.operand(0);
  const auto axis = static_cast<int64_t>(x.axis);
  Builder builder(graph_.body(), &node);
  if (slice->begin == -1 && slice->end >= kFar) {
    if (x.whole > x.block) reads_future(x.whole - x.block);
    const int64_t behind = x.block - x.whole;
    Value* last = builder.slice(whole, axis, -1 - behind, behind > 0 ? -behind : kEnd);
    last->set_type(node.result()->type());
    return replace(node, last, {Kind::latest});
  }
  if (slice->begin < 0)
    throw Error("it takes the last " + steps(-slice->begin) + ", of more than one");
  if (slice->begin >= kFar) throw Error("it takes no steps");
  if (slice->end >= 0 && slice->end < kFar)
    throw Error("it takes the first " + steps(slice->end) + " of all");
  const int64_t dropped = slice->end >= kFar ? 0 : -slice->end;
  if (dropped >= kFar) throw Error("it takes no steps");
  TimeTrace result = x;
  result.whole -= slice->begin + dropped;
  result.block = std::min(x.block - slice->begin, result.whole + look_ahead_);
  if (result.block < 0) reads_future(-result.block);
  const int64_t rest = x.block - slice->begin - result.block;
  if (slice->begin == 0 && rest == 0) return replace(node, whole, result);
  replace(node, builder.slice(whole, axis, slice->begin, rest > 0 ? -rest : kEnd), result);
}

void TimeStream::visit_gather(Node& node, const TimeTrace& x) {
  const auto indices = constant_ints(node.operand(1));
  if (!indices || indices->size() != 1 || indices->front() != -1) {
    const bool first = indices && indices->size() == 1 && indices->front() == 0;
    throw Error(first ? "it reads the first step, wherever the stream is"
                      : "it reads steps by their numbers");
  }
  if (x.whole > x.block) reads_future(x.whole - x.block);
  if (x.block > x.whole) {
    const int64_t last = -1 - (x.block - x.whole);
    Builder builder(graph_.body(), &node);
    node.set_operand(
        1, node.operand(1)->type().shape.rank() == 0 ? builder.scalar(last) : builder.ints({last}));
  }
  traces_[node.result()] = {Kind::latest};
}

void TimeStream::visit_pad(Node& node, const TimeTrace& x) {
  if (node.string(AttributeName::mode) != "constant")
    throw Error("the padding of the steps is made of other steps");
  std::vector<int64_t> pads = constant_ints(node.operand(1)).value();
  const size_t rank = node.operand(0)->type().shape.rank();
  size_t at = x.axis;
  if (node.operand(3)) {
    const std::vector<int64_t> axes = constant_ints(node.operand(3)).value();
    for (at = 0; normalize_axis(axes.at(at), rank) != x.axis;) ++at;
  }
  const size_t count = pads.size() / 2;
  const int64_t front = pads.at(at), behind = pads.at(at + count);
  if (front < 0 || behind < 0 || front >= kFar || behind >= kFar)
    throw Error("padding of the steps out of range", "0 or more",
                std::to_string(std::min(front, behind)));
  TensorPtr initial;
  if (node.operand(2)) {
    const auto value = initial_value(node.operand(2));
    if (!value) throw Error("the value of the padding is computed");
    initial = value->tensor;
  }
  Value* longer = with_history(node, node.operand(0), front, initial);
  TimeTrace result = trace(longer);
  result.whole += behind;
  pads[at] = pads[at + count] = 0;
  if (std::all_of(pads.begin(), pads.end(), [](int64_t pad) { return pad == 0; }))
    return replace(node, longer, result);
  Builder builder(graph_.body(), &node);
  node.set_operand(0, longer);
  node.set_operand(1, builder.ints(pads));
  set_steps(node.result(), result.axis, result.whole, result.block);
}

// Something in front of the steps is what a stream starts with; behind them, it never comes to it.
void TimeStream::visit_concat(Node& node, const TimeTrace& x) {
  const size_t axis = normalize_axis(time_attribute(node), node.result()->type().shape.rank());
  Value *before = nullptr, *over_time = nullptr;
  int64_t behind = 0;
  for (Value* operand : node.operands()) {
    const Dim extent = operand->type().shape[axis];
    if (trace(operand).is_steps()) {
      if (over_time) throw Error("it puts steps behind all steps");
      over_time = operand;
    } else if (!extent.is_constant() || extent.extent() >= kFar) {
      throw Error("something of unknown length is put before or behind the steps");
    } else if (over_time) {
      behind += extent.extent();
    } else {
      if (before) throw Error("several parts are put before the steps");
      before = operand;
    }
  }
  Value* longer = over_time;
  if (before) {
    const auto initial = initial_value(before);
    if (!initial) throw Error("what is put before the steps is computed");
    longer = with_history(node, over_time, before->type().shape[axis].extent(), initial->tensor);
  }
  TimeTrace result = before ? trace(longer) : x;
  result.whole += behind;
  replace(node, longer, result);
}

void TimeStream::visit_window(Node& node, const TimeTrace& x) {
  Value* input = node.operand(0);
  const size_t rank = input->type().shape.rank();
  if (x.axis < 2) throw Error("the future is read: it needs all steps at once");
  const size_t i = x.axis - 2;
  WindowAttributes attributes = window_attributes(node, rank - 2);
  const Dim kernel = node.op() == Op::conv ? node.operand(1)->type().shape[x.axis]
                                           : Dim(node.integers(AttributeName::kernel).at(i));
  if (!kernel.is_constant() || kernel.extent() < 1) throw Error("the kernel's extent is not known");
  if (attributes.strides[i] != 1)
    throw Error("it takes " + steps(attributes.strides[i]) + " for one of its own");
  if (kernel.extent() >= kFar || attributes.dilations[i] > kMaxWindow / kernel.extent())
    throw Error("a window out of range");
  const int64_t span = (kernel.extent() - 1) * attributes.dilations[i];  // steps besides its own
  const bool explicit_pads = attributes.auto_pad == WindowAttributes::AutoPad::none;
  if (!explicit_pads) {
    for (size_t k = 0; k < rank - 2; ++k) {
      if (k != i) throw Error("padding that depends on extents, over time and another axis");
    }
    const bool upper = attributes.auto_pad == WindowAttributes::AutoPad::same_upper;
    attributes.pad_begin[i] = upper ? span / 2 : span - span / 2;
    attributes.pad_end[i] = span - attributes.pad_begin[i];
  }
  const int64_t front = attributes.pad_begin[i], behind = attributes.pad_end[i];
  TimeTrace result = x;
  result.whole += front + behind - span;
  result.block += front - span;
  if (result.block < 0 && result.whole >= 0) reads_future(-result.block);
  if (result.whole < 0)
    throw Error("its window needs " + steps(-result.whole) + " before the first result");
  if (node.op() == Op::average_pool && front > 0 && !node.flag(AttributeName::count_include_pad))
    throw Error("it averages over fewer steps at the start");
  TensorPtr initial;
  const ElementType element = input->type().element;
  if (node.op() == Op::max_pool && front > 0) {
    if (!is_float(element)) throw Error("the padding of a maximum of integers");
    initial = one_element(element, -std::numeric_limits<double>::infinity());
  }
  node.set_operand(0, with_history(node, input, front, initial));
  attributes.pad_begin[i] = attributes.pad_end[i] = 0;
  std::vector<int64_t> pads = attributes.pad_begin;
  pads.insert(pads.end(), attributes.pad_end.begin(), attributes.pad_end.end());
  node.set_attribute(AttributeName::pads, pads);
  node.set_attribute(AttributeName::auto_pad, std::string("none"));
  set_steps(node.result(), result.axis, result.whole, result.block);
}

void TimeStream::visit_cum_sum(Node& node, const TimeTrace& x) {
  if (node.flag(AttributeName::reverse)) throw Error("the future is read: it adds up from the end");
  if (x.whole != 0) throw Error("it adds up another number of steps than the inputs have");
  Value* input = node.operand(0);
  const auto axis = static_cast<int64_t>(x.axis);
  windows_ = true;
  Value* sum = add_hidden(node, input, x.axis, 1, nullptr);
  Builder builder(graph_.body(), &node);
  builder.set_node_name(node.name());
  Value* longer = builder.op(Op::concat, {sum, input}, {{AttributeName::axis, axis}});
  Value* sums = builder.op(Op::cum_sum, {longer, node.operand(1)});
  Value* next = builder.slice(sums, axis, -1 - x.block, x.block > 0 ? -x.block : kEnd);
  next->set_type(sum->type());
  hidden_.back().next = next;
  const bool exclusive = node.flag(AttributeName::exclusive);
  replace(node, builder.slice(sums, axis, exclusive ? 0 : 1, exclusive ? -1 : kEnd), x);
}

// Over the steps so far.
void TimeStream::visit_reduction(Node& node, const TimeTrace& x) {
  if (x.whole != 0) throw Error("it goes over another number of steps than the inputs have");
  Builder builder(graph_.body(), &node);
  builder.set_node_name(node.name());
  Value* input = shortened(builder, node.operand(0), 0);
  const ElementType element = input->type().element;
  TensorPtr start;
  if (node.op() == Op::reduce_prod) start = one_element(element, 1);
  if (node.op() == Op::reduce_max || node.op() == Op::reduce_min) {
    if (!is_float(element)) throw Error("an extreme of integers is none before the first step");
    const double infinity = std::numeric_limits<double>::infinity();
    start = one_element(element, node.op() == Op::reduce_max ? -infinity : infinity);
  }
  const bool mean = node.op() == Op::reduce_mean;
  if (mean && !is_float(element)) throw Error("a mean of integers, rounded");
  const auto axis = static_cast<int64_t>(x.axis);
  Value* so_far = add_hidden(node, input, x.axis, 1, start);
  Value* longer = builder.op(Op::concat, {so_far, input}, {{AttributeName::axis, axis}});
  Value* next = builder.op(mean ? Op::reduce_sum : node.op(), {longer, builder.ints({axis})});
  next->set_type(so_far->type());
  hidden_.back().next = next;
  if (mean) {
    count_steps_so_far(node);
    next = builder.op(Op::div, {next, builder.cast(steps_after_, element)});
  }
  // Other axes go, or all stay, as they did: this one has one element now.
  node.set_operand(0, next);
  traces_[next] = {Kind::latest};
  traces_[node.result()] = {Kind::latest};
}

void TimeStream::count_steps_so_far(Node& position) {
  if (steps_before_) return;
  HiddenState state;
  state.name = unique_name("steps");
  state.input = steps_before_ =
      graph_.add_input(ValueType::tensor(ElementType::i64, {}), state.name);
  Builder builder(graph_.body(), &position);
  Value* block = builder.op(
      Op::dims, {},
      {{AttributeName::dims, std::vector<Dim>{time_}}, {AttributeName::keep_dims, false}});
  if (look_ahead_ > 0) block = builder.op(Op::sub, {block, builder.scalar(look_ahead_)});
  state.next = steps_after_ = builder.op(Op::add, {steps_before_, block});
  hidden_.push_back(std::move(state));
}

void TimeStream::visit_range(Node& node) {
  Value* limit = node.operand(1);
  const Node* counts = limit->node();
  if (counts && (counts->op() == Op::squeeze || counts->op() == Op::reshape))
    counts = counts->operand(0)->node();
  const bool all = counts && counts->op() == Op::dims &&
                   counts->attribute<std::vector<Dim>>(AttributeName::dims) == std::vector{time_};
  if (!all || constant_int(node.operand(0)) != 0 || constant_int(node.operand(2)) != 1 ||
      limit->type() != ValueType::tensor(ElementType::i64, {}))
    throw Error("it numbers the steps otherwise than by 0, 1, 2...");
  count_steps_so_far(node);
  Builder after(graph_.body(), node.next());
  after.set_node_name(node.name());
  Value* first = after.op(Op::add, {node.result(), node.result()});
  node.result()->replace_all_uses_with(first);
  first->node()->set_operand(0, node.result());
  first->node()->set_operand(1, steps_before_);
  set_steps(node.result(), 0, 0, look_ahead_);
  set_steps(first, 0, 0, look_ahead_);
}

}  // namespace refrain::passes::internal
