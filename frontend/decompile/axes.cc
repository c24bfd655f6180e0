#include "frontend/decompile/axes.h"

#include <algorithm>
#include <set>

#include "ir/control.h"

namespace refrain::decompile {
namespace {

// Follows an axis of a value back to the inputs that it comes from.
class Tracer {
 public:
  // `weak`: only axes of which nothing is known.
  Tracer(Axis::Kind kind, std::unordered_map<const Value*, std::vector<Axis>>& axes,
         bool weak = false)
      : kind_(kind), weak_(weak), axes_(axes) {}

  void trace(const Value* value, int64_t axis) {
    go(value, axis);
    while (!work_.empty()) {
      const auto [at, place] = work_.back();
      work_.pop_back();
      step(at, place);
    }
  }

 private:
  static int64_t rank(const Value* value) {
    return value->type().shape.ranked() ? static_cast<int64_t>(value->type().shape.rank()) : -1;
  }

  void go(const Value* value, int64_t axis) {
    if (value && axis >= 0 && axis < rank(value) && seen_.insert({value, axis}).second)
      work_.push_back({value, axis});
  }

  void step(const Value* value, int64_t axis) {
    if (!value->node()) {
      const auto input = axes_.find(value);
      if (input == axes_.end()) {
        outside(value, axis);
        return;
      }
      Axis& known = input->second[static_cast<size_t>(axis)];
      const bool features = kind_ == Axis::Kind::feature;
      if (!weak_ || (known.kind == Axis::Kind::part && known.extent > 1))
        known = {kind_, features ? known.extent : 0};
      return;
    }
    const Node& node = *value->node();
    const Value* first = node.operand_count() > 0 ? node.operand(0) : nullptr;
    switch (node.op()) {
      case Op::matmul:
        if (axis + 1 < rank(value)) go(first, axis - rank(value) + rank(first));
        if (axis + 2 != rank(value))
          go(node.operand(1), axis - rank(value) + rank(node.operand(1)));
        return;
      case Op::conv:
      case Op::max_pool:
      case Op::average_pool:
        if (axis != 1 || node.op() != Op::conv) go(first, axis);
        return;
      case Op::scan:
        inside(node, value, axis);
        return;
      case Op::transpose:
        go(first, node.integers(AttributeName::perm)[static_cast<size_t>(axis)]);
        return;
      case Op::unsqueeze:
      case Op::squeeze: {
        const auto given = constant_ints(node.operand(1));
        if (!given) return;
        const bool adds = node.op() == Op::unsqueeze;
        const int64_t larger = adds ? rank(value) : rank(first);
        std::set<int64_t> places;
        for (const int64_t a : *given) places.insert(a < 0 ? a + larger : a);
        int64_t from = axis;
        if (adds) {
          if (places.contains(axis)) return;
          for (const int64_t place : places) from -= place < axis;
        } else {
          for (const int64_t place : places) from += place <= from;
        }
        go(first, from);
        return;
      }
      case Op::pad:
        go(first, axis);
        return;
      case Op::concat:
        for (const Value* operand : node.operands()) go(operand, axis);
        return;
      case Op::slice:
      case Op::split:
      case Op::softmax:
      case Op::log_softmax:
      case Op::reverse_sequence:
        go(first, axis);
        return;
      case Op::gather: {
        int64_t at = node.integer(AttributeName::axis);
        if (at < 0) at += rank(first);
        if (axis < at) {
          go(first, axis);
        } else if (axis < at + rank(node.operand(1))) {
          go(node.operand(1), axis - at);
        }
        return;
      }
      case Op::reshape: {
        // Axes before the first that differs stay.
        for (int64_t i = 0; i <= axis; ++i) {
          const auto place = static_cast<size_t>(i);
          if (i >= rank(first) || first->type().shape[place] != value->type().shape[place]) return;
        }
        go(first, axis);
        return;
      }
      default:
        if (!is_elementwise(node.op())) return;
        for (const Value* operand : node.operands()) {
          if (operand) go(operand, axis - rank(value) + rank(operand));
        }
    }
  }

  // A scan's result: its state or slice.
  void inside(const Node& node, const Value* value, int64_t axis) {
    const ScanView scan(node);
    const size_t index = value->index();
    if (index < scan.states()) {
      go(node.operand(scan.state_operand(index)), axis);
      go(scan.next_state(index), axis);
      return;
    }
    int64_t stacked = scan.stack_slot(index - scan.states()).axis;
    if (stacked < 0) stacked += rank(value);
    if (axis != stacked)
      go(scan.stacked_slice(index - scan.states()), axis - (axis > stacked ? 1 : 0));
  }

  // An argument of a scan's body: what the scan was given.
  void outside(const Value* argument, int64_t axis) {
    const Region* region = argument->region();
    const Node* node = region ? region->owner() : nullptr;
    if (!node || node->op() != Op::scan) return;
    const ScanView scan(*node);
    const size_t index = argument->index();
    const Value* operand = node->operand(scan.invariant_operand(0) + index);
    if (index >= scan.invariants() + scan.states()) {
      int64_t scanned = scan.scan_slot(index - scan.invariants() - scan.states()).axis;
      if (scanned < 0) scanned += rank(operand);
      axis += axis >= scanned ? 1 : 0;
    }
    go(operand, axis);
  }

  Axis::Kind kind_;
  bool weak_;
  std::unordered_map<const Value*, std::vector<Axis>>& axes_;
  std::set<std::pair<const Value*, int64_t>> seen_;
  std::vector<std::pair<const Value*, int64_t>> work_;
};

using AxesOfInputs = std::unordered_map<const Value*, std::vector<Axis>>;

// What convolutions and pooling along time read.
void trace_windows(const Region& region, AxesOfInputs& axes) {
  Tracer batch(Axis::Kind::batch, axes), time(Axis::Kind::time, axes),
      features(Axis::Kind::feature, axes);
  for (const Node* node = region.first(); node; node = node->next()) {
    const bool windows =
        node->op() == Op::conv || node->op() == Op::max_pool || node->op() == Op::average_pool;
    if (!windows || !node->operand(0)->type().shape.ranked() ||
        node->operand(0)->type().shape.rank() != 3) {
      continue;
    }
    batch.trace(node->operand(0), 0);
    features.trace(node->operand(0), 1);
    time.trace(node->operand(0), 2);
  }
}

// What is weighed by softmax, or reduced, here and in the bodies of scans.
void trace_reductions(const Region& region, Tracer& tracer) {
  for (const Node* node = region.first(); node; node = node->next()) {
    for (size_t i = 0; i < node->region_count(); ++i) trace_reductions(node->region(i), tracer);
    int64_t axis = 0;
    switch (node->op()) {
      case Op::softmax:
      case Op::log_softmax:
        axis = node->integer(AttributeName::axis);
        break;
      case Op::reduce_mean:
      case Op::reduce_sum:
      case Op::reduce_max:
      case Op::reduce_min:
        if (const auto axes = constant_ints(node->operand(1)); axes && axes->size() == 1) {
          axis = (*axes)[0];
          break;
        }
        continue;
      default:
        continue;
    }
    const Value* x = node->operand(0);
    if (!x->type().shape.ranked()) continue;
    tracer.trace(x, axis < 0 ? axis + static_cast<int64_t>(x->type().shape.rank()) : axis);
  }
}

// Where several axes would be features, those that are only by default are parts.
void keep_one_of_features(const Value* input, std::vector<Axis>& axes) {
  if (axes.empty()) return;
  const size_t last = axes.size() - 1;
  const auto features = std::count_if(
      axes.begin(), axes.end(), [](const Axis& axis) { return axis.kind == Axis::Kind::feature; });
  if (features > 1 && axes[last].kind == Axis::Kind::feature)
    axes[last] = {Axis::Kind::part, input->type().shape[last].extent()};
}

// Inputs whose batch nothing tells, where it is known that it has a fixed extent.
void trace_fixed_batch(AxesOfInputs& axes) {
  std::set<int64_t> extents;
  const auto is_batch = [](const Axis& axis) { return axis.kind == Axis::Kind::batch; };
  for (const auto& [input, own] : axes) {
    for (size_t i = 0; i < own.size(); ++i) {
      const Dim dim = input->type().shape[i];
      if (is_batch(own[i]) && dim.is_constant()) extents.insert(dim.extent());
    }
  }
  for (auto& [input, own] : axes) {
    if (std::any_of(own.begin(), own.end(), is_batch)) continue;
    for (size_t i = 0; i < std::min<size_t>(own.size(), 2); ++i) {
      if (own[i].kind != Axis::Kind::part || !extents.contains(own[i].extent)) continue;
      own[i] = {Axis::Kind::batch, 0};
      break;
    }
  }
}

}  // namespace

std::unordered_map<const Value*, std::vector<Axis>> input_axes(const Graph& graph) {
  AxesOfInputs axes;
  for (size_t i = 0; i < graph.input_count(); ++i)
    axes[graph.input(i)] = default_axes(graph.input(i)->type());
  trace_windows(graph.body(), axes);
  Tracer batch(Axis::Kind::batch, axes), time(Axis::Kind::time, axes);
  for (const Node* node = graph.body().first(); node; node = node->next()) {
    if (node->op() != Op::scan) continue;
    const ScanView scan(*node);
    for (size_t i = 0; i < scan.states(); ++i) {
      const Value* initial = node->operand(scan.state_operand(i));
      if (initial->type().shape.ranked() && is_float(initial->type().element) &&
          initial->type().shape.rank() >= 2) {
        batch.trace(initial, static_cast<int64_t>(initial->type().shape.rank()) - 2);
      }
    }
    for (size_t i = 0; i < scan.scanned(); ++i) {
      const Value* whole = node->operand(scan.scanned_operand(i));
      if (!whole->type().shape.ranked()) continue;
      const auto rank = static_cast<int64_t>(whole->type().shape.rank());
      int64_t axis = scan.scan_slot(i).axis;
      if (axis < 0) axis += rank;
      if (rank == 3 && axis < 2) batch.trace(whole, 1 - axis);
      time.trace(whole, axis);
    }
    if (scan.has_lengths()) batch.trace(scan.lengths(), 0);
  }
  Tracer steps(Axis::Kind::time, axes, true);
  trace_reductions(graph.body(), steps);
  trace_fixed_batch(axes);
  for (auto& [input, own] : axes) keep_one_of_features(input, own);
  return axes;
}

}  // namespace refrain::decompile
