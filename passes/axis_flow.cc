#include <optional>
#include <vector>

#include "ir/control.h"
#include "ir/error.h"
#include "passes/axis_rules.h"

namespace refrain::passes::internal {
namespace {

// The slice's trace of one of the whole, that is cut along another axis.
AxisTrace without_axis(AxisTrace trace, const Value* whole, int64_t cut) {
  if (!trace.has_axis()) return trace;
  const size_t own = normalize_axis(cut, whole->type().shape.rank());
  if (own < trace.axis) --trace.axis;
  return trace;
}

AxisTrace with_axis(AxisTrace trace, const Value* whole, int64_t stacked) {
  if (!trace.has_axis()) return trace;
  const size_t own = normalize_axis(stacked, whole->type().shape.rank());
  if (own <= trace.axis) ++trace.axis;
  return trace;
}

}  // namespace

AxisTrace AxisFlow::operator[](const Value* value) const {
  const auto found = traces_.find(value);
  return found == traces_.end() ? AxisTrace{} : found->second;
}

void AxisFlow::follow(const Region& region) {
  for (const Node* node = region.first(); node; node = node->next()) {
    if (node->op() != Op::yield) follow(*node);
  }
}

void AxisFlow::follow(const Node& node) {
  try {
    switch (node.op()) {
      case Op::scan:
        return follow_scan(node);
      case Op::loop:
        return follow_loop(node);
      case Op::branch:
        return follow_branch(node);
      default:
        break;
    }
    std::vector<AxisTrace> operands;
    for (const Value* operand : node.operands())
      operands.push_back(operand ? (*this)[operand] : AxisTrace{});
    const AxisResults results = trace_results(node, operands, followed_);
    if (results.along) throw Error("it needs all " + followed_.things + " at once");
    for (size_t i = 0; i < node.result_count(); ++i) set(node.result(i), results.results[i]);
  } catch (Error& error) {
    error.at_node(node.display_name(), std::string(name(node.op())));
    throw;
  }
}

AxisTrace AxisFlow::same(AxisTrace a, AxisTrace b, const char* what) const {
  if (a == b) return a;
  throw Error(std::string(what) + " has the " + followed_.things +
              " in one place and not in another");
}

template <typename View>
void AxisFlow::follow_states(const View& view, const Node& node) {
  for (size_t i = 0; i < view.states(); ++i)
    set(view.state_argument(i), (*this)[node.operand(view.state_operand(i))]);
  follow(view.body());
  for (size_t i = 0; i < view.states(); ++i) {
    set(node.result(i),
        same((*this)[view.state_argument(i)], (*this)[view.next_state(i)], "a state"));
  }
}

void AxisFlow::follow_scan(const Node& node) {
  const ScanView scan(node);
  if (scan.has_trip_count() && (*this)[scan.trip_count()] != AxisTrace{})
    throw Error("it runs as often as there are " + followed_.things);
  for (size_t i = 0; i < scan.invariants(); ++i)
    set(scan.invariant_argument(i), (*this)[node.operand(scan.invariant_operand(i))]);
  for (size_t i = 0; i < scan.scanned(); ++i) {
    const Value* whole = node.operand(scan.scanned_operand(i));
    const AxisTrace trace = (*this)[whole];
    const int64_t cut = scan.scan_slot(i).axis;
    if (trace.has_axis() && trace.axis == normalize_axis(cut, whole->type().shape.rank()))
      throw Error("it goes from one of the " + followed_.things + " to the next");
    set(scan.slice_argument(i), without_axis(trace, whole, cut));
  }
  follow_states(scan, node);
  for (size_t i = 0; i < scan.stacked(); ++i) {
    const Value* result = scan.stacked_result(i);
    set(result, with_axis((*this)[scan.stacked_slice(i)], result, scan.stack_slot(i).axis));
  }
  if (!scan.has_lengths()) return;
  // Each index of the batch axis ends by its own length.
  const bool own = (*this)[scan.lengths()].has_axis();
  const auto check = [&](const Value* value) {
    const AxisTrace trace = (*this)[value];
    if (!trace.has_axis() && !own) return;
    const bool batch = trace.has_axis() &&
                       trace.axis == normalize_axis(scan.batch_axis(), value->type().shape.rank());
    if (batch != own)
      throw Error("its sequences' lengths are not those of the " + followed_.things);
  };
  for (size_t i = 0; i < scan.states(); ++i) check(scan.state_argument(i));
  for (size_t i = 0; i < scan.stacked(); ++i) check(scan.stacked_slice(i));
}

void AxisFlow::follow_loop(const Node& node) {
  const LoopView loop(node);
  const AxisTrace none;
  if ((*this)[loop.trip_count()] != none || (*this)[loop.condition()] != none)
    throw Error("it runs as often as the " + followed_.things + " say");
  for (size_t i = 0; i < loop.invariants(); ++i)
    set(loop.invariant_argument(i), (*this)[node.operand(loop.invariant_operand(i))]);
  follow_states(loop, node);
  if ((*this)[loop.next_condition()] != none)
    throw Error("it runs as often as the " + followed_.things + " say");
  for (size_t i = 0; i < loop.stacked(); ++i) {
    const Value* result = node.result(loop.states() + i);
    set(result, with_axis((*this)[loop.stacked_slice(i)], result, 0));
  }
}

void AxisFlow::follow_branch(const Node& node) {
  if ((*this)[node.operand(0)] != AxisTrace{})
    throw Error("which way it goes depends on the " + followed_.things);
  for (size_t r = 0; r < 2; ++r) {
    const Region& region = node.region(r);
    for (size_t i = 0; i < region.argument_count(); ++i)
      set(region.argument(i), (*this)[node.operand(i + 1)]);
    follow(region);
  }
  for (size_t i = 0; i < node.result_count(); ++i) {
    set(node.result(i),
        same((*this)[node.region(0).result(i)], (*this)[node.region(1).result(i)], "a result"));
  }
}

}  // namespace refrain::passes::internal
