#include "frontend/decompile/axes.h"

#include <algorithm>
#include <set>

#include "ir/control.h"

namespace refrain::decompile {
namespace {

// Follows an axis of a value back to the inputs that it comes from.
class Tracer {
 public:
  Tracer(Axis::Kind kind, std::unordered_map<const Value*, std::vector<Axis>>& axes)
      : kind_(kind), axes_(axes) {}

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
      if (input != axes_.end()) {
        input->second[static_cast<size_t>(axis)] = {kind_, 0};
      }
      return;
    }
    const Node& node = *value->node();
    const Value* first = node.operand_count() > 0 ? node.operand(0) : nullptr;
    switch (node.op()) {
      case Op::matmul:
        if (axis + 1 < rank(value)) go(first, axis - rank(value) + rank(first));
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

  Axis::Kind kind_;
  std::unordered_map<const Value*, std::vector<Axis>>& axes_;
  std::set<std::pair<const Value*, int64_t>> seen_;
  std::vector<std::pair<const Value*, int64_t>> work_;
};

}  // namespace

std::unordered_map<const Value*, std::vector<Axis>> input_axes(const Graph& graph) {
  std::unordered_map<const Value*, std::vector<Axis>> axes;
  for (size_t i = 0; i < graph.input_count(); ++i)
    axes[graph.input(i)] = default_axes(graph.input(i)->type());
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
  return axes;
}

}  // namespace refrain::decompile
