// Makes nodes with inferred result types.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/control.h"
#include "ir/graph.h"
#include "ir/tensor.h"

namespace refrain {

// Inserts nodes into one region, at its end or before a given node, in the order of the calls.
// Every create checks arity, attributes and operand types by the op's schema and throws Error, with
// the node's name, where they don't fit. The region must outlive the builder.
class Builder {
 public:
  explicit Builder(Region& region, Node* before = nullptr) : region_(&region), before_(before) {}

  Region& region() const { return *region_; }
  // Name given to the nodes that follow (Node::name).
  void set_node_name(std::string name) { node_name_ = std::move(name); }
  const std::string& node_name() const { return node_name_; }

  Node* create(Op op, std::span<Value* const> operands, std::vector<Attribute> attributes = {},
               size_t results = 1, std::vector<std::unique_ptr<Region>> regions = {});

  // create for ops of one result; absent operands are null.
  Value* op(Op op, std::initializer_list<Value*> operands, std::vector<Attribute> attributes = {});

  Value* constant(Tensor tensor);
  Value* constant(TensorPtr tensor);
  template <typename T>
  Value* scalar(T value) {
    return constant(Tensor::scalar<T>(value));
  }
  Value* scalar(ElementType type, double value) { return constant(Tensor::scalar(type, value)); }
  Value* ints(std::span<const int64_t> values) { return constant(Tensor::of_ints(values)); }
  Value* ints(std::initializer_list<int64_t> values) {
    return ints(std::span<const int64_t>(values.begin(), values.size()));
  }

  Value* unsqueeze(Value* x, std::initializer_list<int64_t> axes);
  Value* squeeze(Value* x, std::initializer_list<int64_t> axes);
  Value* reshape(Value* x,
                 std::initializer_list<int64_t> extents);  // -1 and 0 as in ONNX's Reshape
  Value* transpose(Value* x, std::vector<int64_t> perm);
  Value* cast(Value* x, ElementType to);  // x itself if it is of that type already
  // x[..., begin:end, ...] along an axis.
  Value* slice(Value* x, int64_t axis, int64_t begin, int64_t end);

  Node* scan(const ScanSpec& spec, std::unique_ptr<Region> body);
  Node* yield(std::span<Value* const> values);

 private:
  Region* region_;
  Node* before_;
  std::string node_name_;
};

// The tensor that a value is, if a `constant` node made it; otherwise null.
TensorPtr constant_tensor(const Value* value);

}  // namespace refrain
