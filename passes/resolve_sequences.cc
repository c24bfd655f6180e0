#include <algorithm>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "ir/builder.h"
#include "passes/element.h"
#include "passes/passes.h"
#include "passes/refine.h"

namespace refrain::passes {
namespace {

// Each insertion at the end adds one link, so that a sequence of n elements, built one by one,
// takes memory like n and not like n^2.
struct Known {
  const Known* base = nullptr;  // all but the last element
  Value* last = nullptr;        // null for an empty sequence
  int64_t length = 0;
};

class Resolver {
 public:
  bool run(Region& region) {
    bool changed = false;
    for (Node* node = region.first(); node; node = node->next()) {
      for (size_t i = 0; i < node->region_count(); ++i) changed |= Resolver().run(node->region(i));
      if (const std::optional<const Known*> result = result_of(*node))
        known_[node->result()] = *result;
      if (Value* replacement = replacement_of(region, *node)) {
        changed |= internal::replace_value(node->result(), replacement);
      }
    }
    return changed;
  }

 private:
  const Known* known(const Value* value) const {
    const auto found = known_.find(value);
    return found == known_.end() ? nullptr : found->second;
  }

  const Known* append(const Known* base, Value* element) {
    return links_.emplace_back(std::make_unique<Known>(Known{base, element, base->length + 1}))
        .get();
  }

  // The elements, kept until those of another sequence are asked for: n elements are usually read
  // from one sequence.
  const std::vector<Value*>& elements(const Known* sequence) {
    if (listed_ == sequence) return list_;
    list_.clear();
    listed_ = sequence;
    for (; sequence->last; sequence = sequence->base) list_.push_back(sequence->last);
    std::reverse(list_.begin(), list_.end());
    return list_;
  }

  static std::optional<int64_t> constant_position(const Value* value) {
    const TensorPtr tensor = value ? constant_tensor(value) : nullptr;
    if (!tensor || tensor->size() != 1) return {};
    return tensor->view().as_ints()[0];
  }

  // The sequence that a node makes, if its elements are known.
  std::optional<const Known*> result_of(const Node& node) {
    switch (node.op()) {
      case Op::sequence_empty:
        return &empty_;
      case Op::sequence_construct: {
        const Known* sequence = &empty_;
        for (size_t i = 0; i < node.operand_count(); ++i)
          sequence = append(sequence, node.operand(i));
        return sequence;
      }
      case Op::sequence_insert: {
        const Known* sequence = known(node.operand(0));
        if (!sequence) return {};
        // Anywhere but at the end would need a copy.
        if (node.operand(2) && constant_position(node.operand(2)) != sequence->length) return {};
        return append(sequence, node.operand(1));
      }
      default:
        return {};
    }
  }

  // An element of a sequence that a tensor was cut into, all of them but the last of one extent.
  static Value* part(Builder& builder, const Node& cut, const Value* at, const ValueType& type) {
    Value* whole = cut.operand(0);
    const std::optional<int64_t> position = constant_position(at);
    if (!position || !whole->type().shape.ranked() || whole->type().shape.rank() == 0) return {};
    const int64_t axis = cut.integer(AttributeName::axis);
    const Dim extent = whole->type().shape[normalize_axis(axis, whole->type().shape.rank())];
    int64_t each = 1;
    if (const Value* split = cut.operand(1)) {
      const std::optional<std::vector<int64_t>> extents = internal::constant_ints(split);
      if (!extents || extents->empty()) return {};
      each = extents->front();
      // Those of a list may differ; a number, and the rest may be less.
      for (const int64_t other : *extents) {
        if (other != each) return {};
      }
    }
    if (!extent.is_constant() || each < 1) return {};
    const int64_t count = (extent.extent() + each - 1) / each;
    const int64_t index = *position < 0 ? *position + count : *position;
    if (index < 0 || index >= count) return {};
    const int64_t begin = index * each;
    const int64_t end = std::min(begin + each, extent.extent());
    Value* slice = builder.slice(whole, axis, begin, end);
    if (!cut.operand(1) && !cut.flag(AttributeName::keep_dims))
      slice = builder.squeeze(slice, {axis});
    slice->set_type(internal::more_specific(slice->type(), type));
    return slice;
  }

  // What may take the place of a node's result; null: nothing.
  Value* replacement_of(Region& region, Node& node) {
    if (node.op() == Op::sequence_at && node.operand(0)->node() && !node.result()->unused() &&
        node.operand(0)->node()->op() == Op::split_to_sequence) {
      Builder builder(region, &node);
      builder.set_node_name(node.name());
      return part(builder, *node.operand(0)->node(), node.operand(1), node.result()->type());
    }
    const Known* sequence = node.operand_count() > 0 ? known(node.operand(0)) : nullptr;
    if (!sequence || node.result_count() == 0 || node.result()->unused()) return nullptr;
    Builder builder(region, &node);
    builder.set_node_name(node.name());
    switch (node.op()) {
      case Op::sequence_length:
        return builder.scalar(sequence->length);
      case Op::sequence_at: {
        std::optional<int64_t> position = constant_position(node.operand(1));
        if (position && *position < 0) *position += sequence->length;
        if (!position || *position < 0 || *position >= sequence->length) return nullptr;
        return elements(sequence)[static_cast<size_t>(*position)];
      }
      case Op::concat_from_sequence:
        return concatenated(builder, node, elements(sequence));
      default:
        return nullptr;
    }
  }

  static Value* concatenated(Builder& builder, const Node& node, std::vector<Value*> values) {
    // Elements that don't fit together are for the run to complain of, if it ever gets here.
    if (values.empty() || !values[0]->type().shape.ranked()) return nullptr;
    for (const Value* value : values) {
      if (value->type().shape != values[0]->type().shape) return nullptr;
    }
    const int64_t axis = node.integer(AttributeName::axis);
    if (node.flag(AttributeName::new_axis)) {
      for (Value*& value : values) value = builder.unsqueeze(value, {axis});
    } else if (values[0]->type().shape.rank() == 0) {
      return nullptr;
    }
    return builder.create(Op::concat, values, {{AttributeName::axis, axis}})->result();
  }

  const Known empty_;
  std::unordered_map<const Value*, const Known*> known_;
  std::vector<std::unique_ptr<const Known>> links_;
  const Known* listed_ = nullptr;
  std::vector<Value*> list_;
};

}  // namespace

bool resolve_sequences(Graph& graph, const PassContext&) {
  const bool changed = Resolver().run(graph.body());
  if (changed) internal::refine_types(graph);
  return changed;
}

}  // namespace refrain::passes
