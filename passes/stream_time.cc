#include "passes/stream_time.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "ir/clone.h"
#include "ir/control.h"
#include "ir/error.h"
#include "passes/refine.h"

namespace refrain::passes::internal {
namespace {

using Kind = TimeTrace::Kind;

constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();

}  // namespace

TimeStream::TimeStream(Graph& graph, Dim time, bool blocks, int64_t look_ahead)
    : graph_(graph), time_(time), blocks_(blocks), look_ahead_(look_ahead) {
  for (size_t i = 0; i < graph.input_count(); ++i) {
    const Value* input = graph.input(i);
    names_.insert(input->name());
    if (!input->type().is_tensor() || !input->type().shape.ranked())
      throw Error("input " + input->name() + " is no tensor of known rank", "a tensor",
                  to_string(input->type()));
    const std::vector<Dim>& dims = input->type().shape.dims();
    const auto found = std::find(dims.begin(), dims.end(), time);
    if (found == dims.end()) continue;
    if (std::find(found + 1, dims.end(), time) != dims.end())
      throw Error("input " + input->name() + " has time along two axes", "one",
                  to_string(input->type()));
    traces_[input] = {Kind::steps, static_cast<size_t>(found - dims.begin()), 0, look_ahead};
  }
  for (const std::string& name : graph.output_names()) names_.insert(name);
}

TimeTrace TimeStream::trace(const Value* value) const {
  const auto found = traces_.find(value);
  return found == traces_.end() ? TimeTrace{} : found->second;
}

std::optional<size_t> TimeStream::time_axis(const Value* value) const {
  const TimeTrace found = trace(value);
  return found.is_steps() ? std::optional(found.axis) : std::nullopt;
}

// The type follows: T means a block and its look-ahead, other lengths have no name.
void TimeStream::set_steps(Value* value, size_t axis, int64_t whole, int64_t block) {
  traces_[value] = {Kind::steps, axis, whole, block};
  ValueType type = value->type();
  const ValueType inferred = infer_types(*value->node())[value->index()];
  if (!type.shape.ranked()) type = inferred;
  if (!type.shape.ranked()) throw Error("a result's rank is not known");
  if (block == look_ahead_) {
    type.shape[axis] = time_;
  } else {
    type.shape[axis] = inferred.shape.ranked() ? inferred.shape[axis] : Dim::unknown();
  }
  value->set_type(std::move(type));
}

void TimeStream::run() {
  if (blocks_ && look_ahead_ > 0) find_what_reads_ahead();
  for (Node* node = graph_.body().first(); node && node->op() != Op::yield;) {
    Node* next = node->next();
    try {
      visit(*node);
    } catch (Error& error) {
      error.at_node(node->display_name(), std::string(name(node->op())));
      throw;
    }
    node = next;
  }
  finish_outputs();
  refine_types(graph_);
}

void TimeStream::visit(Node& node) {
  bool steps = false, latest = false, extent = node.op() == Op::dims;
  for (const Value* operand : node.operands()) {
    const Kind kind = operand ? trace(operand).kind : Kind::fixed;
    steps = steps || kind == Kind::steps;
    latest = latest || kind == Kind::latest;
    extent = extent || kind == Kind::extent;
  }
  if (!steps && !extent) {
    for (size_t i = 0; latest && i < node.result_count(); ++i)
      traces_[node.result(i)] = {Kind::latest};
    return;
  }
  if (latest) throw Error("the future is read: every step needs what the last one gives");
  if (node.op() == Op::scan) {
    const ScanView scan(node);
    bool over_time = scan.has_trip_count() && trace(scan.trip_count()).kind == Kind::extent;
    for (size_t i = 0; i < scan.scanned(); ++i) {
      const Value* whole = node.operand(scan.scanned_operand(i));
      const TimeTrace x = trace(whole);
      over_time = over_time ||
                  (x.is_steps() &&
                   x.axis == normalize_axis(scan.scan_slot(i).axis, whole->type().shape.rank()));
    }
    if (over_time) return visit_scan(node);
  }
  if (node.region_count() > 0) return visit_control(node);
  if (node.op() == Op::range) return visit_range(node);
  visit_plain(node);
}

void TimeStream::visit_plain(Node& node) {
  std::vector<AxisTrace> operands;
  TimeTrace x;
  bool extents = false;
  for (const Value* operand : node.operands()) {
    const TimeTrace own = operand ? trace(operand) : TimeTrace{};
    operands.emplace_back();
    if (own.kind == Kind::extent) operands.back() = AxisTrace::of_extent(), extents = true;
    if (!own.is_steps()) continue;
    operands.back() = AxisTrace::along(own.axis);
    if (x.is_steps() && x.whole != own.whole)
      throw Error("values that have different numbers of steps go together");
    x = x.is_steps() ? TimeTrace{Kind::steps, own.axis, own.whole, std::min(x.block, own.block)}
                     : own;
  }
  const AxisResults results = trace_results(node, operands, {time_, "steps"});
  if (results.along) return visit_along(node, x);
  if (!x.is_steps()) x.block = look_ahead_;  // made by the number of steps
  if (extents && (x.whole != 0 || x.block != look_ahead_))
    throw Error("it depends on the number of steps");
  align(node, x.block);
  for (size_t i = 0; i < node.result_count(); ++i) {
    const AxisTrace& result = results.results[i];
    if (result.is_extent()) traces_[node.result(i)] = {Kind::extent};
    if (result.has_axis()) set_steps(node.result(i), result.axis, x.whole, x.block);
  }
}

// A loop that does not run over time, for each step by itself.
void TimeStream::visit_control(Node& node) {
  AxisFlow flow({time_, "steps"});
  int64_t whole = 0;
  for (const Value* operand : node.operands()) {
    const TimeTrace own = trace(operand);
    if (own.kind == Kind::extent) flow.set(operand, AxisTrace::of_extent());
    if (!own.is_steps()) continue;
    flow.set(operand, AxisTrace::along(own.axis));
    // The types in its regions say that there are as many steps as in the inputs.
    whole = own.whole;
    if (own.whole != 0 || own.block != look_ahead_)
      throw Error("a loop or branch over each of another number of steps than the inputs have");
  }
  flow.follow(node);
  for (size_t i = 0; i < node.result_count(); ++i) {
    const AxisTrace result = flow[node.result(i)];
    if (result.is_extent()) traces_[node.result(i)] = {Kind::extent};
    if (result.has_axis()) set_steps(node.result(i), result.axis, whole, look_ahead_);
  }
}

void TimeStream::visit_scan(Node& node) {
  const ScanView scan(node);
  if (scan.has_lengths()) throw Error("its sequences end by lengths that a stream does not know");
  for (size_t i = 0; i < scan.invariants(); ++i) {
    if (trace(node.operand(scan.invariant_operand(i))).kind != Kind::fixed)
      throw Error("the future is read: each step reads something of all steps");
  }
  for (size_t i = 0; i < scan.states(); ++i) {
    if (trace(node.operand(scan.state_operand(i))).kind != Kind::fixed)
      throw Error("a state starts with something that depends on the steps");
  }
  std::optional<bool> reverse;
  const auto direction = [&](ScanSlot slot) {
    if (reverse && *reverse != slot.reverse)
      throw Error("the future is read: it reads or writes the steps in two directions");
    reverse = slot.reverse;
  };
  int64_t ahead = look_ahead_;
  for (size_t i = 0; i < scan.scanned(); ++i) {
    const Value* whole = node.operand(scan.scanned_operand(i));
    const TimeTrace x = trace(whole);
    if (!x.is_steps() ||
        x.axis != normalize_axis(scan.scan_slot(i).axis, whole->type().shape.rank()))
      throw Error("it reads something of its own length step by step");
    if (x.whole != 0) throw Error("it runs over another number of steps than the inputs have");
    ahead = std::min(ahead, x.block);
    direction(scan.scan_slot(i));
  }
  for (size_t i = 0; i < scan.stacked(); ++i) direction(scan.stack_slot(i));
  if (scan.has_trip_count() && (trace(scan.trip_count()).kind != Kind::extent ||
                                scan.trip_count()->node()->op() != Op::dims))
    throw Error("its number of steps is computed");
  const bool backward = reverse.value_or(false);
  if (backward && !blocks_) throw Error("the future is read: it runs backward over the steps");
  // Steps that nothing looks ahead for need not run.
  if (!backward && !feeds_the_future(node)) ahead = 0;
  align(node, ahead);
  if (ahead < look_ahead_) count_steps(node, look_ahead_ - ahead);
  for (size_t i = 0; i < scan.states(); ++i) traces_[scan.final_state(i)] = {Kind::latest};
  for (size_t i = 0; i < scan.stacked(); ++i) {
    Value* result = scan.stacked_result(i);
    const size_t axis = normalize_axis(scan.stack_slot(i).axis, result->type().shape.rank());
    set_steps(result, axis, 0, ahead);
  }
  if (backward) return;
  for (size_t i = 0; i < scan.states(); ++i) {
    const std::string& own = scan.state_argument(i)->name();
    carried_.push_back({state_name(node, own.empty() ? "state" + std::to_string(i) : own), &node,
                        scan.state_operand(i), scan.final_state(i)});
  }
  if (ahead > 0) split_scan(node, ahead);
}

// Fewer steps by a trip count, if the scan has one.
void TimeStream::count_steps(Node& node, int64_t less) {
  const ScanView scan(node);
  if (!scan.has_trip_count()) return;
  Builder builder(graph_.body(), &node);
  Value* count = builder.op(Op::sub, {scan.trip_count(), builder.scalar(less)});
  traces_[count] = {Kind::extent};
  node.set_operand(0, count);  // there are no lengths before it
}

// The block's own steps, whose final states go on to the next block, and what is ahead of it.
void TimeStream::split_scan(Node& node, int64_t ahead) {
  const ScanView scan(node);
  ValueMap map;
  for (Value* operand : node.operands()) map[operand] = operand;
  Node* rest = clone_node(node, graph_.body(), node.next(), map);
  for (size_t i = 0; i < scan.states(); ++i)
    rest->set_operand(scan.state_operand(i), scan.final_state(i));
  count_steps(node, ahead);
  Builder before(graph_.body(), &node);
  if (scan.has_trip_count()) rest->set_operand(0, before.scalar(ahead));
  for (size_t i = 0; i < scan.scanned(); ++i) {
    Value* whole = node.operand(scan.scanned_operand(i));
    const TimeTrace x = trace(whole);
    node.set_operand(scan.scanned_operand(i), shortened(before, whole, 0));
    rest->set_operand(scan.scanned_operand(i),
                      before.slice(whole, static_cast<int64_t>(x.axis), -ahead, kEnd));
  }
  Builder after(graph_.body(), rest->next());
  after.set_node_name(node.name());
  for (size_t i = 0; i < scan.stacked(); ++i) {
    Value *first = scan.stacked_result(i), *second = rest->result(first->index());
    const TimeTrace x = trace(first);
    for (Value* part : {first, second}) {
      ValueType type = part->type();
      type.shape[x.axis] = infer_types(*part->node())[part->index()].shape[x.axis];
      part->set_type(std::move(type));
    }
    const std::vector<Attribute> axis = {{AttributeName::axis, static_cast<int64_t>(x.axis)}};
    Node* both = after.create(Op::concat, std::vector<Value*>{second, second}, axis);
    first->replace_all_uses_with(both->result());
    both->set_operand(0, first);
    set_steps(first, x.axis, 0, 0);
    set_steps(both->result(), x.axis, 0, ahead);
  }
}

void TimeStream::find_what_reads_ahead() {
  for (Node* node = graph_.body().last(); node; node = node->previous()) {
    bool reads = node->op() == Op::conv || node->op() == Op::max_pool ||
                 node->op() == Op::average_pool || feeds_the_future(*node);
    if (node->op() == Op::scan) {
      const ScanView scan(*node);
      for (size_t i = 0; i < scan.scanned(); ++i) reads = reads || scan.scan_slot(i).reverse;
      for (size_t i = 0; i < scan.stacked(); ++i) reads = reads || scan.stack_slot(i).reverse;
    }
    if (reads) read_ahead_.insert(node);
  }
}

bool TimeStream::feeds_the_future(const Node& node) const {
  for (size_t i = 0; i < node.result_count(); ++i) {
    for (const Use* use = node.result(i)->first_use(); use; use = use->next()) {
      if (read_ahead_.contains(use->user())) return true;
    }
  }
  return false;
}

void TimeStream::finish_outputs() {
  Node* yield = graph_.body().yield();
  Builder builder(graph_.body(), yield);
  for (size_t i = 0; i < yield->operand_count(); ++i) {
    Value* output = yield->operand(i);
    const TimeTrace x = trace(output);
    const std::string& name = graph_.output_names()[i];
    if (x.kind == Kind::extent) throw Error("output " + name + " depends on the number of steps");
    if (!x.is_steps()) continue;
    if (x.whole != 0)
      throw Error("output " + name + " has another number of steps than the inputs", "as many",
                  std::to_string(x.whole) + " more");
    yield->set_operand(i, shortened(builder, output, 0));
  }
}

Value* TimeStream::shortened(Builder& builder, Value* x, int64_t block) {
  const TimeTrace from = trace(x);
  if (from.block == block) return x;
  Value* part = builder.slice(x, static_cast<int64_t>(from.axis), 0, block - from.block);
  part->set_name(x->name());
  set_steps(part, from.axis, from.whole, block);
  return part;
}

void TimeStream::align(Node& node, int64_t most) {
  Builder builder(*node.parent(), &node);
  for (size_t i = 0; i < node.operand_count(); ++i) {
    Value* operand = node.operand(i);
    if (operand && trace(operand).is_steps() && trace(operand).block > most)
      node.set_operand(i, shortened(builder, operand, most));
  }
}

void TimeStream::replace(Node& node, Value* with, const TimeTrace& x) {
  const TimeTrace own = trace(with);
  if (own.is_steps() && x.is_steps() && (own.whole != x.whole || own.block != x.block)) {
    // The same elements of the block, but for others who read them there is more or less behind it.
    Builder builder(graph_.body(), &node);
    builder.set_node_name(node.name());
    with = builder.slice(with, static_cast<int64_t>(x.axis), 0, kEnd);
  }
  if (with->name().empty()) with->set_name(node.result()->name());
  node.result()->replace_all_uses_with(with);
  if (x.is_steps() && with->node()) {
    set_steps(with, x.axis, x.whole, x.block);
  } else {
    traces_[with] = x;
  }
  graph_.body().erase(&node);
}

std::string TimeStream::unique_name(const std::string& base) {
  std::string name = base;
  for (int i = 1; !names_.insert(name).second; ++i) name = base + "." + std::to_string(i);
  return name;
}

std::string TimeStream::state_name(const Node& node, const std::string& own) {
  std::string place = node.display_name(), last = own.substr(own.rfind('/') + 1);
  place.erase(0, std::min(place.find_first_not_of('/'), place.size()));
  return place.empty() ? last : place + "." + last;
}

Value* TimeStream::add_hidden(const Node& node, const Value* like, size_t axis, int64_t extent,
                              TensorPtr initial) {
  ValueType type = like->type();
  type.shape[axis] = extent;
  for (const Dim dim : type.shape.dims()) {
    if (dim.is_unknown())
      throw Error("the extents of a state are not known", "constants and symbols", to_string(type));
  }
  HiddenState state;
  state.name = unique_name(state_name(node, "steps"));
  state.input = graph_.add_input(std::move(type), state.name);
  state.initial = std::move(initial);
  hidden_.push_back(std::move(state));
  return hidden_.back().input;
}

Value* TimeStream::with_history(Node& node, Value* x, int64_t steps, TensorPtr initial) {
  if (steps == 0) return x;
  windows_ = true;
  const TimeTrace from = trace(x);
  Value* state = add_hidden(node, x, from.axis, steps, std::move(initial));
  const auto axis = static_cast<int64_t>(from.axis);
  Builder builder(graph_.body(), &node);
  builder.set_node_name(node.name());
  Value* longer = builder.op(Op::concat, {state, x}, {{AttributeName::axis, axis}});
  set_steps(longer, from.axis, from.whole + steps, from.block + steps);
  // What the next block, which begins n steps later, has in front of it.
  Value* next =
      builder.slice(longer, axis, -(steps + from.block), from.block > 0 ? -from.block : kEnd);
  next->set_type(state->type());
  hidden_.back().next = next;
  return longer;
}

}  // namespace refrain::passes::internal
