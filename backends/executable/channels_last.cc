#include "backends/executable/channels_last.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "backends/executable/depthwise_step.h"
#include "backends/executable/lowering.h"
#include "backends/executable/pointwise.h"
#include "backends/executable/window_chain.h"
#include "ir/builder.h"

namespace refrain::executable {
namespace {

using A = AttributeName;

// Axis `i` of [N, C, spatial...] in [N, spatial..., C].
int64_t moved(int64_t axis, size_t rank) {
  if (axis == 0) return 0;
  return axis == 1 ? static_cast<int64_t>(rank) - 1 : axis - 1;
}

// From channels first to channels last: axis k of the result is axis perm[k] of the operand.
std::vector<int64_t> to_last(size_t rank) {
  std::vector<int64_t> perm(rank);
  for (size_t i = 0; i < rank; ++i) {
    perm[static_cast<size_t>(moved(static_cast<int64_t>(i), rank))] = static_cast<int64_t>(i);
  }
  return perm;
}

std::vector<int64_t> to_first(size_t rank) {
  std::vector<int64_t> perm(rank);
  for (size_t i = 0; i < rank; ++i) perm[i] = moved(static_cast<int64_t>(i), rank);
  return perm;
}

bool has_elements(const Value& value) { return bytes_of(value) > 0; }

class Mover {
 public:
  Mover(Region& region, ConvChoice& choice) : region_(region), choice_(choice) {}

  void run() {
    for (const Node* node = region_.first(); node; node = node->next()) {
      if (node->op() != Op::transpose) continue;
      if (const auto chain = depthwise_chain(*node)) there_.insert(chain->conv);
    }
    for (Node* node = region_.first(); node;) {
      Node* const next = node->next();
      for (size_t i = 0; i < node->region_count(); ++i)
        move_channels_last(node->region(i), choice_);
      move(*node);
      node = next;
    }
    remove_unused();
  }

 private:
  // The channels-last form of a value that has one; null otherwise.
  Value* known(const Value* value) const {
    const auto found = last_.find(value);
    return found == last_.end() ? nullptr : found->second;
  }

  // Forms that nobody asked for, so that nothing is computed for them.
  void remove_unused() {
    if (last_.empty()) return;
    for (Node* node = region_.last(); node;) {
      Node* const previous = node->previous();
      if (node->op() == Op::transpose && node->unused()) region_.erase(node);
      node = previous;
    }
  }

  void move(Node& node) {
    switch (node.op()) {
      case Op::conv:
      case Op::conv_transpose:
      case Op::max_pool:
      case Op::average_pool:
        return move_window(node);
      case Op::slice:
        return move_slice(node);
      case Op::pad:
        return move_pad(node);
      case Op::concat:
        return move_concat(node);
      case Op::transpose:
        return compose(node);
      default:
        if (!last_.empty() && instruction_of(node)) move_pointwise(node);
    }
  }

  Builder builder(Node& node) {
    Builder result(region_, &node);
    result.set_node_name(node.name());
    return result;
  }

  // What a value is the channels-first form of, if a transpose made it so; null otherwise.
  static Value* untransposed(const Value* value) {
    const Node* node = value->node();
    if (!node || node->op() != Op::transpose) return nullptr;
    const size_t rank = value->type().shape.rank();
    const std::vector<int64_t> perm = to_first(rank);
    for (size_t i = 0; i < rank; ++i) {
      const size_t axis = normalize_axis(node->integers(A::perm)[i], rank);
      if (axis != static_cast<size_t>(perm[i])) return nullptr;
    }
    return node->operand(0);
  }

  // `last` takes the node's place.
  void replace(Node& node, Value* last, Builder& build) {
    const std::string name = node.result()->name();
    Value* const first = build.transpose(last, to_first(last->type().shape.rank()));
    last_[first] = last;
    node.result()->replace_all_uses_with(first);
    region_.erase(&node);
    first->set_name(name);
  }

  // Whether a transpose between the two forms has to move anything.
  static bool is_copied(const Value& value) {
    const std::vector<int64_t> extents = extents_of(value);
    return extents[1] > 1 && element_count(extents) > extents[0] * extents[1];
  }

  // Whether somebody reads a value who needs it with channels first, as far as can be told.
  static bool read_as_it_is(const Value& value, int depth = 8) {
    for (const Use* use = value.first_use(); use; use = use->next()) {
      const Node& user = *use->user();
      if (window_geometry(user) || user.op() == Op::transpose) continue;
      const bool moves_too = instruction_of(user) || user.op() == Op::slice ||
                             user.op() == Op::pad || user.op() == Op::concat;
      if (!moves_too || depth == 0 || read_as_it_is(*user.result(), depth - 1)) return true;
    }
    return false;
  }

  void move_window(Node& node) {
    if (there_.contains(&node) || !window_geometry(node)) return;
    Value* const x = node.operand(0);
    const size_t rank = x->type().shape.rank();
    Value* last = known(x);
    if (!last) last = untransposed(x);
    if (!choice_.move_channels(node, !last && is_copied(*x),
                               is_copied(*node.result()) && read_as_it_is(*node.result()))) {
      return;
    }
    Builder build = builder(node);
    if (!last) last = build.transpose(x, to_last(rank));
    last_[x] = last;
    std::vector<Value*> operands = node.operands();
    operands[0] = build.transpose(last, to_first(rank));
    Node* const window = build.create(node.op(), operands, node.attributes());
    replace(node, build.transpose(window->result(), to_last(rank)), build);
  }

  // An operand beside others of `extents` whose channels move last: null if it can't.
  Value* beside(Value* operand, const std::vector<int64_t>& extents, Builder& build) const {
    const std::vector<int64_t> own = extents_of(*operand);
    if (Value* last = known(operand)) return own == extents ? last : nullptr;
    const TensorPtr tensor = constant_tensor(operand);
    if (!tensor) return nullptr;
    if (tensor->size() == 1) return own.size() <= extents.size() ? operand : nullptr;
    // One element a channel.
    const size_t missing = extents.size() - own.size();
    if (own.size() > extents.size() || missing > 1 || own[1 - missing] != extents[1] ||
        tensor->size() != extents[1]) {
      return nullptr;
    }
    return build.constant(tensor->clone().reshaped({extents[1]}));
  }

  void move_pointwise(Node& node) {
    const std::vector<int64_t> extents = extents_of(*node.result());
    const std::vector<Value*> from = node.operands();
    if (std::none_of(from.begin(), from.end(), [&](const Value* v) { return known(v); })) return;
    Builder build = builder(node);
    std::vector<Value*> operands;
    for (Value* operand : from) {
      operands.push_back(beside(operand, extents, build));
      if (!operands.back()) return;
    }
    replace(node, build.create(node.op(), operands, node.attributes())->result(), build);
  }

  // An operand's elements if it is constant.
  static std::optional<std::vector<int64_t>> ints(const Value* value) {
    const TensorPtr tensor = constant_tensor(value);
    if (!tensor) return {};
    return tensor->view().as_ints();
  }

  // The axes that operand `i` of a node lists, or the first `count`, moved; none if they aren't
  // constant.
  static std::optional<std::vector<int64_t>> moved_axes(const Node& node, size_t i, size_t count,
                                                        size_t rank) {
    std::vector<int64_t> axes(count);
    std::iota(axes.begin(), axes.end(), int64_t{0});
    if (node.operand(i)) {
      const auto given = ints(node.operand(i));
      if (!given) return {};
      axes = *given;
    }
    for (int64_t& axis : axes) {
      axis = moved(static_cast<int64_t>(normalize_axis(axis, rank)), rank);
    }
    return axes;
  }

  void move_slice(Node& node) {
    Value* const last = known(node.operand(0));
    if (!last || !has_elements(*node.result())) return;
    const auto begins = ints(node.operand(1));
    if (!begins || !ints(node.operand(2)) || (node.operand(4) && !ints(node.operand(4)))) return;
    const auto axes = moved_axes(node, 3, begins->size(), last->type().shape.rank());
    if (!axes) return;
    Builder build = builder(node);
    std::vector<Value*> operands = node.operands();
    operands.resize(std::max<size_t>(operands.size(), 4));
    operands[0] = last;
    operands[3] = build.ints(*axes);
    replace(node, build.create(Op::slice, operands, node.attributes())->result(), build);
  }

  void move_pad(Node& node) {
    Value* const last = known(node.operand(0));
    if (!last || !has_elements(*node.result())) return;
    const auto pads = ints(node.operand(1));
    if (!pads || (node.operand(2) && !constant_tensor(node.operand(2)))) return;
    const auto axes = moved_axes(node, 3, pads->size() / 2, last->type().shape.rank());
    if (!axes) return;
    Builder build = builder(node);
    std::vector<Value*> operands = node.operands();
    operands.resize(4);
    operands[0] = last;
    operands[3] = build.ints(*axes);
    replace(node, build.create(Op::pad, operands, node.attributes())->result(), build);
  }

  void move_concat(Node& node) {
    std::vector<Value*> operands;
    for (const Value* operand : node.operands()) {
      operands.push_back(known(operand));
      if (!operands.back()) return;
    }
    const size_t rank = operands[0]->type().shape.rank();
    const auto axis = static_cast<int64_t>(normalize_axis(node.integer(A::axis), rank));
    Builder build = builder(node);
    replace(node, build.create(Op::concat, operands, {{A::axis, moved(axis, rank)}})->result(),
            build);
  }

  // What transposes a result of ours transposes its channels-last form instead.
  void compose(Node& node) {
    Value* const last = known(node.operand(0));
    if (!last) return;
    const size_t rank = last->type().shape.rank();
    const std::vector<int64_t> first = to_first(rank);
    std::vector<int64_t> perm;
    bool same = true;
    for (const int64_t axis : node.integers(A::perm)) {
      perm.push_back(first[normalize_axis(axis, rank)]);
      same = same && perm.back() == static_cast<int64_t>(perm.size()) - 1;
    }
    Builder build = builder(node);
    node.result()->replace_all_uses_with(same ? last : build.transpose(last, perm));
    region_.erase(&node);
  }

  Region& region_;
  ConvChoice& choice_;
  std::unordered_set<const Node*> there_;  // convolutions that are between transposes already
  std::unordered_map<const Value*, Value*> last_;
};

}  // namespace

void move_channels_last(Region& region, ConvChoice& choice) { Mover(region, choice).run(); }

}  // namespace refrain::executable
