#include "frontend/onnx/state_types.h"

#include <optional>

#include "frontend/onnx/graph_import.h"
#include "ir/error.h"

namespace refrain::onnx_import {
namespace {

// After so many rounds a state that still changes loses all its extents, and then its rank.
constexpr int kRoundsToUnknown = 3, kRoundsToUnranked = 5;

// The type of a sequence that starts empty as `argument` and becomes `next` by inserting tensors;
// nothing if anything else happens on the way.
std::optional<ValueType> grown_sequence(const Value* argument, const Value* next) {
  std::optional<ValueType> type;
  while (next != argument) {
    const Node* node = next->node();
    if (!node || node->op() != Op::sequence_insert) return std::nullopt;
    const ValueType& x = node->operand(1)->type();
    const ValueType inserted = ValueType::sequence(x.element, x.shape);
    type = type ? join(*type, inserted) : inserted;
    next = node->operand(0);
  }
  return type;
}

}  // namespace

StateTypes::StateTypes(NodeImport& node, Builder& builder, std::vector<Value*> initial)
    : node_(node), builder_(builder), initial_(std::move(initial)) {
  const std::vector<ValueType>& last = node.graph().model().state_types(node.proto());
  for (size_t i = 0; i < initial_.size(); ++i) {
    types_.push_back(initial_[i]->type());
    if (i >= last.size() || last[i].element != types_[i].element || last[i].kind != types_[i].kind)
      continue;
    if (is_empty_sequence(i)) {
      specialize(i, last[i]);
    } else {
      types_[i] = join(types_[i], last[i]);
    }
  }
}

bool StateTypes::is_empty_sequence(size_t i) const {
  return initial_[i]->node() && initial_[i]->node()->op() == Op::sequence_empty;
}

// An empty sequence is one of any type.
void StateTypes::specialize(size_t i, ValueType type) {
  type.optional = false;
  Value* empty = builder_.op(Op::sequence_empty, {}, {{AttributeName::element, type.element}});
  empty->set_name(initial_[i]->name());
  empty->set_type(type);
  initial_[i] = empty;
  types_[i] = std::move(type);
}

bool StateTypes::settle(std::span<Value* const> arguments, std::span<Value* const> next) {
  ++rounds_;
  bool fits = true;
  for (size_t i = 0; i < types_.size(); ++i) {
    const ValueType& found = next[i]->type();
    if (found.element != types_[i].element || found.kind != types_[i].kind) {
      throw Error("state " + std::to_string(i) + " changes its type", to_string(types_[i]),
                  to_string(found));
    }
    if (rounds_ == 1 && is_empty_sequence(i) && !types_[i].shape.ranked()) {
      const auto type = grown_sequence(arguments[i], next[i]);
      if (type && type->element == types_[i].element && type->shape.ranked()) {
        specialize(i, *type);
        fits = false;
        continue;
      }
    }
    if (refines(found, types_[i])) continue;
    fits = false;
    types_[i] = join(types_[i], found);
    Shape& shape = types_[i].shape;
    if (rounds_ >= kRoundsToUnranked) {
      shape = Shape::unranked();
    } else if (rounds_ >= kRoundsToUnknown && shape.ranked()) {
      shape = Shape::unknown_of_rank(shape.rank());
    }
  }
  if (fits) node_.graph().model().state_types(node_.proto()) = types_;
  return fits;
}

}  // namespace refrain::onnx_import
