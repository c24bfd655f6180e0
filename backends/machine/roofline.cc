#include "backends/machine/roofline.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>
#include <vector>

#include "ir/builder.h"
#include "ir/control.h"
#include "ir/einsum.h"

namespace refrain::machine {
namespace {

struct Work {
  double flops = 0;               // that do not depend on a state
  double state_flops = 0;         // that do
  double state_weight_bytes = 0;  // that the products of state_flops read besides
  double seconds_of_scans = 0;    // what must be done step by step
};

// Thrown where a shape or a trip count is not a constant.
struct NotConstant {};

double extent(Dim dim) {
  if (!dim.is_constant()) throw NotConstant{};
  return static_cast<double>(dim.extent());
}

double elements(const Value* value) {
  const Shape& shape = value->type().shape;
  if (!shape.ranked()) throw NotConstant{};
  double count = 1;
  for (const Dim dim : shape.dims()) count *= extent(dim);
  return count;
}

double bytes(const Value* value) {
  return elements(value) * static_cast<double>(size_of(value->type().element));
}

Dim dim_at(const Value* value, int64_t axis) {
  const Shape& shape = value->type().shape;
  if (!shape.ranked()) throw NotConstant{};
  const int64_t i = axis < 0 ? axis + static_cast<int64_t>(shape.rank()) : axis;
  if (i < 0 || i >= static_cast<int64_t>(shape.rank())) throw NotConstant{};
  return shape[static_cast<size_t>(i)];
}

double product_flops(const Node& node) {
  switch (node.op()) {
    case Op::matmul:
      return 2 * elements(node.result()) * extent(dim_at(node.operand(0), -1));
    case Op::conv:
      // each result element takes C/groups * kernel multiply-adds
      return 2 * elements(node.result()) * elements(node.operand(1)) /
             extent(dim_at(node.operand(1), 0));
    case Op::conv_transpose:
      return 2 * elements(node.operand(0)) * elements(node.operand(1)) /
             extent(dim_at(node.operand(1), 0));
    case Op::einsum: {
      std::vector<size_t> ranks;
      for (size_t i = 0; i < node.operand_count(); ++i) {
        if (!node.operand(i)->type().shape.ranked()) throw NotConstant{};
        ranks.push_back(node.operand(i)->type().shape.rank());
      }
      const EinsumPlan plan = parse_einsum(node.string(AttributeName::equation), ranks);
      std::vector<double> extents(static_cast<size_t>(plan.labels), 1);
      for (size_t i = 0; i < plan.operands.size(); ++i) {
        for (size_t k = 0; k < plan.operands[i].size(); ++k) {
          double& label = extents[static_cast<size_t>(plan.operands[i][k])];
          label = std::max(label, extent(node.operand(i)->type().shape[k]));
        }
      }
      double count = 2;
      for (const double label : extents) count *= label;
      return count;
    }
    default:
      return 0;
  }
}

using Values = std::unordered_set<const Value*>;

class Counter {
 public:
  Counter(const Profile& profile, int threads) : profile_(profile), threads_(threads) {}

  double seconds(const Work& work) const {
    return (work.flops + work.state_flops) / peak() + work.seconds_of_scans;
  }

  // Work of one execution of a region; `dependent` has the arguments that depend on a state.
  Work count(const Region& region, Values dependent) const {
    Work work;
    for (const Node* node = region.first(); node; node = node->next()) {
      bool depends = false;
      for (size_t i = 0; i < node->operand_count(); ++i)
        depends |= dependent.contains(node->operand(i));
      switch (node->op()) {
        case Op::scan:
          add_scan(work, *node, dependent);
          break;
        case Op::loop:
          add_loop(work, *node, dependent);
          break;
        case Op::branch:
          add_branch(work, *node, dependent);
          break;
        default:
          add_product(work, *node, dependent, depends);
      }
      if (!depends) continue;
      for (size_t i = 0; i < node->result_count(); ++i) dependent.insert(node->result(i));
    }
    return work;
  }

 private:
  double peak() const { return profile_.peak_gflops * 1e9 * threads_; }

  static void add_product(Work& work, const Node& node, const Values& dependent, bool depends) {
    const double flops = product_flops(node);
    if (flops == 0) return;
    (depends ? work.state_flops : work.flops) += flops;
    if (!depends) return;
    for (size_t i = 0; i < node.operand_count(); ++i) {
      const Value* operand = node.operand(i);
      if (operand && !dependent.contains(operand)) work.state_weight_bytes += bytes(operand);
    }
  }

  // `steps` executions, one after the other, of a body whose work is `body`.
  void add_steps(Work& work, const Work& body, double steps) const {
    double step = body.state_flops / peak();
    if (body.state_weight_bytes > 0) {
      const double rate =
          bandwidth_of(profile_, std::llround(body.state_weight_bytes)) * 1e9 * threads_;
      step = std::max(step, body.state_weight_bytes / rate);
    }
    work.flops += steps * body.flops;
    work.seconds_of_scans += steps * (step + body.seconds_of_scans);
  }

  void add_scan(Work& work, const Node& node, const Values& dependent) const {
    const ScanView scan(node);
    Values inner;
    for (size_t i = 0; i < scan.body().argument_count(); ++i) {
      const bool state = i >= scan.invariants() && i < scan.invariants() + scan.states();
      if (state || dependent.contains(node.operand(scan.invariant_operand(i)))) {
        inner.insert(scan.body().argument(i));
      }
    }
    double steps = 0;
    if (scan.scanned() > 0) {
      steps = extent(dim_at(node.operand(scan.scanned_operand(0)), scan.scan_slot(0).axis));
    } else {
      steps = constant_integer(scan.trip_count());
    }
    add_steps(work, count(scan.body(), std::move(inner)), steps);
  }

  void add_loop(Work& work, const Node& node, const Values& dependent) const {
    const LoopView loop(node);
    // One that may end early has no number of steps.
    if (!constant_tensor(loop.next_condition())) throw NotConstant{};
    Values inner;
    for (size_t i = 1; i < loop.body().argument_count(); ++i) {
      if (i > loop.invariants() || dependent.contains(node.operand(i + 1))) {
        inner.insert(loop.body().argument(i));
      }
    }
    add_steps(work, count(loop.body(), std::move(inner)), constant_integer(loop.trip_count()));
  }

  void add_branch(Work& work, const Node& node, const Values& dependent) const {
    Work costlier;
    for (size_t r = 0; r < node.region_count(); ++r) {
      Values inner;
      for (size_t i = 1; i < node.operand_count(); ++i) {
        if (dependent.contains(node.operand(i))) inner.insert(node.region(r).argument(i - 1));
      }
      const Work side = count(node.region(r), std::move(inner));
      if (seconds(side) > seconds(costlier)) costlier = side;
    }
    work.flops += costlier.flops;
    work.state_flops += costlier.state_flops;
    work.state_weight_bytes += costlier.state_weight_bytes;
    work.seconds_of_scans += costlier.seconds_of_scans;
  }

  static double constant_integer(const Value* value) {
    const TensorPtr tensor = value ? constant_tensor(value) : nullptr;
    if (!tensor || tensor->size() != 1) throw NotConstant{};
    return std::max(0.0, static_cast<double>(tensor->view().as_ints()[0]));
  }

  const Profile& profile_;
  int threads_;
};

}  // namespace

std::optional<double> roofline_us(const Graph& graph, const Profile& profile, int threads) {
  try {
    const Counter counter(profile, threads);
    return counter.seconds(counter.count(graph.body(), {})) * 1e6;
  } catch (const NotConstant&) {
    return {};
  }
}

}  // namespace refrain::machine
