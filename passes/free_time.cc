#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ir/builder.h"
#include "ir/clone.h"
#include "ir/control.h"
#include "ir/error.h"
#include "ir/verify.h"
#include "passes/element.h"
#include "passes/passes.h"
#include "passes/refine.h"

namespace refrain::passes {
namespace {

using internal::constant_ints;

// How far from an end of the time axis a constant may point and still mean that end.
constexpr int64_t kNearEnd = 2;
// Steps that a scan may be shorter than the input, for having been peeled.
constexpr int64_t kMaxPeeled = 2;

// An input's axis that may be time.
struct Axis {
  size_t input, axis;
};

size_t axis_of(const Node& node, size_t rank) {
  return normalize_axis(node.integer(AttributeName::axis), rank);
}

// Gives axes of inputs a symbol in the place of their extents, and all types that follow anew.
class Freer {
 public:
  Freer(Graph& graph, const std::vector<Axis>& axes, Dim symbol) : graph_(graph), symbol_(symbol) {
    for (const Axis& axis : axes) {
      Value* input = graph.input(axis.input);
      ValueType type = input->type();
      extent_ = type.shape[axis.axis].extent();
      type.shape[axis.axis] = symbol;
      freed_.emplace(input, input->type());
      input->set_type(std::move(type));
    }
  }

  // Throws Error where something depends on the number of steps that was traced.
  void run() {
    for (Node* node = graph_.body().first(); node; node = node->next()) {
      if (node->schema().kind == OpKind::leaf || node->op() == Op::yield) continue;
      bool depends = false;
      for (size_t i = 0; i < node->operand_count(); ++i)
        depends = depends || (node->operand(i) && freed_.contains(node->operand(i)));
      if (!depends) continue;
      try {
        adapt(*node);
        forget(*node);
        internal::refine_types(*node);
      } catch (Error& error) {
        error.at_node(node->display_name(), std::string(name(node->op())));
        throw;
      }
    }
    verify(graph_);
  }

  // Whether some scan runs for as many steps now as the inputs say.
  bool frees_a_scan() const { return scans_ > 0; }
  // Whether what was in the way is that a loop reads other inputs side by side with these.
  bool lacks_others() const { return lacks_others_; }

 private:
  // What the type said before.
  const ValueType& before(const Value* value) const {
    const auto found = freed_.find(value);
    return found == freed_.end() ? value->type() : found->second;
  }

  // Whether the axis had a constant extent and has none any more.
  bool is_time(const Value* value, size_t axis) const {
    const auto found = freed_.find(value);
    return found != freed_.end() && found->second.shape.ranked() && value->type().shape.ranked() &&
           axis < value->type().shape.rank() && found->second.shape[axis].is_constant() &&
           !value->type().shape[axis].is_constant();
  }

  // Results and what is in the regions take their types from the operands again.
  void forget(Node& node) {
    const auto reset = [&](Value* value) {
      if (value->node() && value->node()->schema().kind == OpKind::leaf) return;
      ValueType type = value->type();
      type.shape = Shape::unranked();
      value->set_type(std::move(type));
    };
    for (size_t i = 0; i < node.result_count(); ++i) {
      freed_.emplace(node.result(i), node.result(i)->type());
      reset(node.result(i));
    }
    for (size_t i = 0; i < node.region_count(); ++i)
      internal::for_each_value(node.region(i), reset);
  }

  void adapt(Node& node) {
    switch (node.op()) {
      case Op::gather:
        return adapt_gather(node);
      case Op::slice:
        return adapt_slice(node);
      case Op::reshape:
        return adapt_reshape(node);
      case Op::scan:
        return adapt_scan(node);
      case Op::split: {
        const Value* whole = node.operand(0);
        if (is_time(whole, axis_of(node, whole->type().shape.rank())))
          throw Error("the steps are split into parts of fixed length");
        return;
      }
      case Op::expand:
      case Op::tile:
      case Op::loop:
      case Op::branch:
        throw Error("it is not known how this depends on the number of steps");
      default:
        if (is_elementwise(node.op())) check_elementwise(node);
    }
  }

  // A place along `extent` steps, which need not be as many as the inputs have: near the front, or
  // counted from the end if it is near that. What is near both is the last, or not known.
  static int64_t position(int64_t at, int64_t extent, const char* what) {
    if (at < 0 || (at == 0 && extent > 1)) return at;
    const bool front = at <= kNearEnd, back = at < extent && extent - at <= kNearEnd;
    if (front && !back) return at;
    if (back && (!front || at == extent - 1)) return at - extent;
    throw Error(what, "the first or the last steps",
                std::to_string(at) + " of " + std::to_string(extent));
  }

  void adapt_gather(Node& node) {
    const Value* whole = node.operand(0);
    const size_t axis = axis_of(node, whole->type().shape.rank());
    if (!is_time(whole, axis)) return;
    const int64_t extent = before(whole).shape[axis].extent();
    const auto indices = constant_ints(node.operand(1));
    if (!indices) return;  // computed, and so by the steps that there are
    std::vector<int64_t> adapted;
    for (const int64_t index : *indices)
      adapted.push_back(position(index, extent, "a step is read by its number"));
    if (adapted == *indices) return;
    Builder builder(*node.parent(), &node);
    node.set_operand(1, node.operand(1)->type().shape.rank() == 0 ? builder.scalar(adapted[0])
                                                                  : builder.ints(adapted));
  }

  void adapt_slice(Node& node) {
    const Value* whole = node.operand(0);
    auto begins = constant_ints(node.operand(1)), ends = constant_ints(node.operand(2));
    const auto axes = constant_ints(node.operand(3)), steps = constant_ints(node.operand(4));
    if (!begins || !ends || (node.operand(3) && !axes) || (node.operand(4) && !steps))
      throw Error("the bounds of a slice are computed");
    bool changed = false;
    for (size_t i = 0; i < begins->size(); ++i) {
      const size_t axis = axes ? normalize_axis((*axes)[i], whole->type().shape.rank()) : i;
      if (!is_time(whole, axis)) continue;
      const bool backward = steps && (*steps)[i] < 0;
      int64_t &begin = (*begins)[i], &end = (*ends)[i];
      const int64_t extent = before(whole).shape[axis].extent();
      constexpr int64_t kAll = std::numeric_limits<int64_t>::max();
      const auto begin_at = [&] { return position(begin, extent, "a slice begins in the middle"); };
      const auto end_at = [&] { return position(end, extent, "a slice ends in the middle"); };
      if (backward) {
        begin = begin >= extent - 1 ? -1 : begin_at();
        end = end < -extent ? -kAll : end_at();
      } else {
        begin = begin_at();
        end = end >= extent ? kAll : end_at();
      }
      changed = true;
    }
    if (!changed) return;
    Builder builder(*node.parent(), &node);
    node.set_operand(1, builder.ints(*begins));
    node.set_operand(2, builder.ints(*ends));
  }

  // A target that keeps the steps as an axis: as many elements a step, and the steps one extent.
  void adapt_reshape(Node& node) {
    const Value* whole = node.operand(0);
    const auto target = constant_ints(node.operand(1));
    if (!target) throw Error("the extents of a reshape are computed");
    const Shape &old = before(whole).shape, &now = whole->type().shape;
    if (!now.ranked() || !old.is_static()) throw Error("a reshape of unknown extents");
    size_t times = 0;
    int64_t others = 1;
    for (size_t i = 0; i < now.rank(); ++i) {
      if (is_time(whole, i)) {
        ++times;
      } else {
        others *= old[i].extent();
      }
    }
    const ValueType result = node.result()->type();
    if (times != 1 || !result.shape.is_static()) throw Error("a reshape mixes steps with others");
    std::optional<size_t> place;
    int64_t rest = 1;
    for (size_t i = 0; i < result.shape.rank(); ++i) {
      if (!place && result.shape[i] == Dim(extent_)) {
        place = i;
      } else {
        rest *= result.shape[i].extent();
      }
    }
    // The steps must also lie as far apart as they did.
    int64_t inner_before = 1, inner_after = 1;
    for (size_t i = now.rank(); i-- > 0 && !is_time(whole, i);) inner_before *= old[i].extent();
    for (size_t i = result.shape.rank(); place && i-- > *place + 1;)
      inner_after *= result.shape[i].extent();
    if (!place || rest != others || inner_before != inner_after)
      throw Error("a reshape mixes steps with others");
    std::vector<int64_t> extents;
    for (size_t i = 0; i < result.shape.rank(); ++i)
      extents.push_back(i == *place ? -1 : result.shape[i].extent());
    Builder builder(*node.parent(), &node);
    node.set_operand(1, builder.ints(extents));
  }

  void adapt_scan(Node& node) {
    const ScanView scan(node);
    size_t times = 0;
    for (size_t i = 0; i < scan.scanned(); ++i) {
      const Value* whole = node.operand(scan.scanned_operand(i));
      const size_t rank = whole->type().shape.rank();
      times += is_time(whole, normalize_axis(scan.scan_slot(i).axis, rank));
    }
    if (times == 0) return;
    for (size_t i = 0; i < scan.scanned(); ++i) {
      const size_t operand = scan.scanned_operand(i);
      const Value* whole = node.operand(operand);
      const size_t axis = normalize_axis(scan.scan_slot(i).axis, whole->type().shape.rank());
      if (is_time(whole, axis)) continue;
      Value* numbers = counted(node, whole);
      if (numbers) {
        node.set_operand(operand, numbers);
        continue;
      }
      lacks_others_ = !constant_tensor(whole);
      throw Error("a loop reads something else for each of the steps that were traced");
    }
    if (scan.has_trip_count()) throw Error("a loop counts the steps that were traced");
    ++scans_;
  }

  // Integers that grow by the same amount from step to step, for as many steps as there are; null
  // if it is none such.
  Value* counted(Node& node, const Value* whole) const {
    const auto numbers = constant_ints(whole);
    if (!numbers || whole->type().element != ElementType::i64 || numbers->size() < 2)
      return nullptr;
    const int64_t first = (*numbers)[0], step = (*numbers)[1] - first;
    for (size_t i = 1; i < numbers->size(); ++i) {
      if ((*numbers)[i] - (*numbers)[i - 1] != step) return nullptr;
    }
    // Counting down from the last step would begin with another number for another length.
    if (step < 1 || first < 0 || first > kNearEnd) return nullptr;
    Builder builder(*node.parent(), &node);
    builder.set_node_name(node.name());
    const Node* count =
        builder.create(Op::dims, {}, {{AttributeName::dims, std::vector<Dim>{symbol_}}});
    Value* steps = builder.squeeze(count->result(), {0});
    if (step != 1) steps = builder.op(Op::mul, {steps, builder.scalar(step)});
    Value* end = first == 0 ? steps : builder.op(Op::add, {steps, builder.scalar(first)});
    Value* range = builder.op(Op::range, {builder.scalar(first), end, builder.scalar(step)});
    range->set_type(ValueType::tensor(ElementType::i64, {symbol_}));
    return range;
  }

  // Something of the traced length cannot go with steps of any number.
  void check_elementwise(const Node& node) const {
    const size_t rank = before(node.result()).shape.rank();
    for (size_t axis = 0; axis < rank; ++axis) {
      bool time = false, fixed = false;
      for (size_t i = 0; i < node.operand_count(); ++i) {
        const Value* operand = node.operand(i);
        if (!operand || !operand->type().shape.ranked()) continue;
        const size_t lacks = rank - std::min(rank, operand->type().shape.rank());
        if (axis < lacks) continue;
        time = time || is_time(operand, axis - lacks);
        const Dim dim = operand->type().shape[axis - lacks];
        fixed = fixed || (dim.is_constant() && dim.extent() > 1);
      }
      if (time && fixed) throw Error("something is there for each of the steps that were traced");
    }
  }

  Graph& graph_;
  Dim symbol_;
  int64_t extent_ = 0;
  std::unordered_map<const Value*, ValueType> freed_;  // with the types that they had
  int scans_ = 0;
  bool lacks_others_ = false;
};

std::set<std::string> symbols_of(const Graph& graph) {
  std::set<std::string> names;
  for (size_t i = 0; i < graph.input_count(); ++i) {
    const Shape& shape = graph.input(i)->type().shape;
    for (const Dim dim : shape.dims()) {
      if (dim.is_symbol()) names.insert(dim.name());
    }
  }
  return names;
}

// Axes of inputs that may be the steps of a scan: those of its number of steps, or a little longer.
std::vector<Axis> candidates(const Graph& graph) {
  std::set<int64_t> lengths;
  for (const Node* node = graph.body().first(); node; node = node->next()) {
    if (node->op() != Op::scan) continue;
    const ScanView scan(*node);
    for (size_t i = 0; i < scan.scanned(); ++i) {
      const Shape& shape = node->operand(scan.scanned_operand(i))->type().shape;
      if (!shape.ranked()) continue;
      const Dim dim = shape[normalize_axis(scan.scan_slot(i).axis, shape.rank())];
      for (int64_t peeled = 0; dim.is_constant() && peeled <= kMaxPeeled; ++peeled)
        lengths.insert(dim.extent() + peeled);
    }
  }
  std::vector<Axis> axes;
  for (size_t i = 0; i < graph.input_count(); ++i) {
    const ValueType& type = graph.input(i)->type();
    if (!type.is_tensor() || !type.shape.ranked()) continue;
    for (size_t axis = 0; axis < type.shape.rank(); ++axis) {
      if (type.shape[axis].is_constant() && lengths.contains(type.shape[axis].extent()))
        axes.push_back({i, axis});
    }
  }
  return axes;
}

}  // namespace

bool free_time(Graph& graph, const PassContext& context) {
  const auto note = [&](const std::string& text) {
    if (context.notes) context.notes->push_back(text);
  };
  const std::set<std::string> names = symbols_of(graph);
  std::string name = "T";
  for (int i = 1; names.contains(name); ++i) name = "T" + std::to_string(i);
  const Dim symbol = Dim::symbol(name);
  const auto attempt = [&](const std::vector<Axis>& axes, std::string& why, bool& lacks_others) {
    std::unique_ptr<Graph> copy = clone_graph(graph);
    Freer freer(*copy, axes, symbol);
    try {
      freer.run();
      if (freer.frees_a_scan()) return copy;
      why = "no loop reads it step by step";
    } catch (const Error& error) {
      why = error.what();
      lacks_others = freer.lacks_others();
    }
    return std::unique_ptr<Graph>();
  };
  // Inputs that are read side by side are only free together, and inputs of different recurrences
  // are each on their own.
  std::vector<Axis> times, partners;
  for (const Axis& axis : candidates(graph)) {
    std::string why;
    bool lacks_others = false;
    if (attempt({axis}, why, lacks_others)) {
      times.push_back(axis);
    } else if (lacks_others) {
      partners.push_back(axis);
    } else {
      note("axis " + std::to_string(axis.axis) + " of input " + graph.input(axis.input)->name() +
           " keeps its length: " + why);
    }
  }
  std::string why;
  bool lacks_others = false;
  std::unique_ptr<Graph> freed;
  if (!partners.empty()) {
    std::vector<Axis> all = times;
    all.insert(all.end(), partners.begin(), partners.end());
    freed = attempt(all, why, lacks_others);
    if (freed) times = all;
  }
  if (!freed && !times.empty()) freed = attempt(times, why, lacks_others);
  if (!freed) {
    if (!why.empty()) note("together they keep their lengths: " + why);
    return false;
  }
  for (const Axis& axis : times) {
    note("axis " + std::to_string(axis.axis) + " of input " + graph.input(axis.input)->name() +
         " may have any length");
  }
  graph = std::move(*freed);
  return true;
}

}  // namespace refrain::passes
