#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "ir/builder.h"
#include "ir/control.h"
#include "ir/error.h"
#include "passes/element.h"
#include "passes/passes.h"
#include "passes/refine.h"
#include "passes/slots.h"

namespace refrain::passes {
namespace {

// Largest constant, in elements, that moves from a scan's invariant into its body: axes, bounds,
// scalars. Larger ones are weights, and a scan that shows its weights as invariants is easier to
// recognise.
constexpr int64_t kSmallConstant = 64;

// What many foldings that each stay within PassContext::max_folded_bytes may bring a graph's
// constants to; results of at most kAlwaysFolded bytes are made in any case.
constexpr int64_t kMaxConstantBytes = int64_t{1} << 30;
constexpr int64_t kAlwaysFolded = 256;

// Most multiply-adds that one folded product may cost.
constexpr double kMaxProductCost = 1e9;

class Folder {
 public:
  Folder(const PassContext& context, const Graph& graph)
      : context_(context), constant_bytes_(constant_bytes(graph.body())) {}

  bool fold(Region& region) {
    bool changed = false;
    for (Node* node = region.first(); node;) {
      Node* next = node->next();
      if (node->op() == Op::branch) {
        if (Node* first = internal::take_branch(node)) {
          changed = true;
          node = first;
          continue;
        }
      }
      if (is_constant_expression(*node) && evaluate(node)) {
        changed = true;
      } else if (node->op() == Op::loop && never_runs(*node) && drop_loop(node)) {
        changed = true;
      } else if (node->region_count() > 0) {
        for (size_t i = 0; i < node->region_count(); ++i) {
          changed |= sink_constants(*node, node->region(i));
          changed |= fold(node->region(i));
        }
      }
      node = next;
    }
    return changed;
  }

 private:
  bool is_constant_expression(const Node& node) const {
    if (!context_.evaluator || node.operand_count() == 0 || node.region_count() > 0) return false;
    if (node.unused()) return false;
    for (size_t i = 0; i < node.operand_count(); ++i) {
      if (node.operand(i) && !constant_tensor(node.operand(i))) return false;
    }
    for (size_t i = 0; i < node.result_count(); ++i) {
      if (!node.result(i)->type().is_tensor()) return false;
    }
    return true;
  }

  // Whether the results, as inferred, are small enough to keep and cheap enough to compute here.
  bool worth_it(const Node& node, const std::vector<TensorPtr>& operands) const {
    int64_t before = 0;
    for (const TensorPtr& operand : operands) before += operand ? operand->bytes() : 0;
    int64_t after = 0;
    double elements = 0;
    for (const ValueType& type : infer_types(node)) {
      if (!type.is_tensor() || !type.shape.is_static()) return false;
      const std::vector<int64_t> extents = type.shape.extents();
      if (__builtin_add_overflow(after, byte_count(type.element, extents), &after)) return false;
      elements += static_cast<double>(element_count(extents));
    }
    if (after > before && after > kAlwaysFolded &&
        (after > context_.max_folded_bytes || after > kMaxConstantBytes - constant_bytes_)) {
      return false;
    }
    switch (node.op()) {
      case Op::matmul:
        return operands[0]->rank() == 0 ||
               elements * static_cast<double>(operands[0]->extents().back()) <= kMaxProductCost;
      case Op::einsum:
      case Op::conv:
      case Op::conv_transpose: {
        double cost = 1;  // of every element with every element
        for (const TensorPtr& operand : operands)
          cost *= operand ? static_cast<double>(operand->size()) : 1;
        return cost <= kMaxProductCost;
      }
      default:
        return true;
    }
  }

  bool evaluate(Node* node) {
    std::vector<TensorPtr> operands, results;
    for (Value* operand : node->operands()) operands.push_back(constant_tensor(operand));
    try {
      if (!worth_it(*node, operands)) return false;
      results = context_.evaluator->evaluate(*node, operands);
    } catch (const Error&) {
      return false;  // it may never run; if it does, it says what is wrong
    }
    Builder builder(*node->parent(), node);
    builder.set_node_name(node->name());
    bool changed = false;
    for (size_t i = 0; i < results.size(); ++i) {
      if (node->result(i)->unused()) continue;
      Value* constant = builder.constant(results[i]);
      if (internal::replace_value(node->result(i), constant)) {
        constant_bytes_ += results[i]->bytes();
        changed = true;
      } else {
        node->parent()->erase(constant->node());
      }
    }
    if (!node->unused()) return changed;
    std::vector<Value*> inputs = node->operands();
    node->parent()->erase(node);
    // What was only needed here goes at once, so that a chain of large constants doesn't pile up.
    std::sort(inputs.begin(), inputs.end());
    inputs.erase(std::unique(inputs.begin(), inputs.end()), inputs.end());
    for (Value* input : inputs) {
      if (!input || !input->unused()) continue;
      constant_bytes_ -= constant_tensor(input)->bytes();
      input->region()->erase(input->node());
    }
    return changed;
  }

  static bool never_runs(const Node& node) {
    const LoopView loop(node);
    const auto trips = internal::constant_int(loop.trip_count());
    const auto condition = internal::constant_int(loop.condition());
    return (trips && *trips <= 0) || (condition && *condition == 0);
  }

  // States end as they began; stacked results are empty, which takes a known shape.
  static bool drop_loop(Node* node) {
    const LoopView loop(*node);
    std::vector<Value*> results;
    std::vector<std::vector<int64_t>> empty;
    for (size_t i = 0; i < loop.stacked(); ++i) {
      const ValueType& slice = loop.stacked_slice(i)->type();
      if (!slice.shape.is_static()) return false;
      empty.push_back(slice.shape.extents());
      empty.back().insert(empty.back().begin(), 0);
      if (empty.back().size() > static_cast<size_t>(kMaxRank)) return false;
    }
    Builder builder(*node->parent(), node);
    builder.set_node_name(node->name());
    for (size_t i = 0; i < loop.states(); ++i)
      results.push_back(node->operand(loop.state_operand(i)));
    for (size_t i = 0; i < loop.stacked(); ++i) {
      results.push_back(builder.constant(Tensor(loop.stacked_slice(i)->type().element, empty[i])));
    }
    for (size_t i = 0; i < results.size(); ++i) node->result(i)->replace_all_uses_with(results[i]);
    node->parent()->erase(node);
    return true;
  }

  // Constants that come in from outside become constants of the region. Their slots are left to
  // dce.
  static bool sink_constants(const Node& node, Region& region) {
    size_t begin = 0, count = region.argument_count();
    if (node.op() == Op::scan) {
      count = ScanView(node).invariants();
    } else if (node.op() == Op::loop) {
      begin = 1;
      count = LoopView(node).invariants();
    }
    bool changed = false;
    Builder builder(region, region.first());
    for (size_t i = begin; i < begin + count; ++i) {
      Value* argument = region.argument(i);
      if (argument->unused()) continue;
      const TensorPtr tensor =
          constant_tensor(node.operand(internal::operand_of_argument(node, i)));
      if (!tensor || (node.op() == Op::scan && tensor->size() > kSmallConstant)) continue;
      Value* constant = builder.constant(tensor);
      if (internal::replace_value(argument, constant)) {
        changed = true;
      } else {
        region.erase(constant->node());
      }
    }
    return changed;
  }

  static int64_t constant_bytes(const Region& region) {
    int64_t bytes = 0;
    for (const Node* node = region.first(); node; node = node->next()) {
      if (node->op() == Op::constant) bytes += constant_tensor(node->result())->bytes();
      for (size_t i = 0; i < node->region_count(); ++i) bytes += constant_bytes(node->region(i));
    }
    return bytes;
  }

  const PassContext& context_;
  int64_t constant_bytes_;  // of all constants of the graph
};

}  // namespace

bool fold(Graph& graph, const PassContext& context) {
  const bool changed = Folder(context, graph).fold(graph.body());
  if (changed) internal::refine_types(graph);
  return changed;
}

}  // namespace refrain::passes
