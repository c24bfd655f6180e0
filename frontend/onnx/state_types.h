// Types of the states of a loop or scan.
#pragma once

#include <span>
#include <vector>

#include "frontend/onnx/node_import.h"
#include "ir/builder.h"

namespace refrain::onnx_import {

// ONNX doesn't say what type a state has over all iterations: a body may yield a shape less
// specific than its initial value's. The types start from the initial values' and grow more
// general, and the body is imported anew, until what it yields fits what it was given. Each state
// can grow only so often, so this ends.
class StateTypes {
 public:
  // `initial` are the states' initial values, in the region that `builder` builds.
  StateTypes(NodeImport& node, Builder& builder, std::vector<Value*> initial);

  const ValueType& operator[](size_t i) const { return types_[i]; }
  size_t size() const { return types_.size(); }
  // Initial values: those that were given, but an empty sequence may be another one of a more
  // specific type.
  const std::vector<Value*>& initial() const { return initial_; }

  // Compares with what a body yields whose states are `arguments` of these types. True: it fits.
  // False: the types have grown, import again. Throws Error if a state's element type or kind
  // changes.
  bool settle(std::span<Value* const> arguments, std::span<Value* const> next);

 private:
  bool is_empty_sequence(size_t i) const;
  void specialize(size_t i, ValueType type);

  NodeImport& node_;
  Builder& builder_;
  std::vector<Value*> initial_;
  std::vector<ValueType> types_;
  int rounds_ = 0;
};

}  // namespace refrain::onnx_import
