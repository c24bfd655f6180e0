#include "ir/builder.h"

#include <utility>

#include "ir/error.h"
#include "ir/verify.h"

namespace refrain {

Node* Builder::create(Op op, std::span<Value* const> operands, std::vector<Attribute> attributes,
                      size_t results, std::vector<std::unique_ptr<Region>> regions) {
  auto node = std::make_unique<Node>(op, operands, std::move(attributes), results,
                                     std::move(regions), node_name_);
  try {
    verify_form(*node);
    std::vector<ValueType> types = infer_types(*node);
    for (size_t i = 0; i < results; ++i) node->result(i)->set_type(std::move(types[i]));
  } catch (Error& error) {
    error.at_node(node->display_name(), std::string(name(op)));
    throw;
  }
  return region_->insert(std::move(node), before_);
}

Value* Builder::op(Op op, std::initializer_list<Value*> operands,
                   std::vector<Attribute> attributes) {
  return create(op, std::span<Value* const>(operands.begin(), operands.size()),
                std::move(attributes))
      ->result();
}

Value* Builder::constant(TensorPtr tensor) {
  return op(Op::constant, {}, {{AttributeName::value, std::move(tensor)}});
}

Value* Builder::constant(Tensor tensor) {
  return constant(std::make_shared<const Tensor>(std::move(tensor)));
}

Value* Builder::unsqueeze(Value* x, std::initializer_list<int64_t> axes) {
  return op(Op::unsqueeze, {x, ints(axes)});
}

Value* Builder::squeeze(Value* x, std::initializer_list<int64_t> axes) {
  return op(Op::squeeze, {x, ints(axes)});
}

Value* Builder::reshape(Value* x, std::initializer_list<int64_t> extents) {
  return op(Op::reshape, {x, ints(extents)});
}

Value* Builder::transpose(Value* x, std::vector<int64_t> perm) {
  return op(Op::transpose, {x}, {{AttributeName::perm, std::move(perm)}});
}

Value* Builder::cast(Value* x, ElementType to) {
  if (x->type().element == to) return x;
  return op(Op::cast, {x}, {{AttributeName::to, to}});
}

Value* Builder::slice(Value* x, int64_t axis, int64_t begin, int64_t end) {
  return op(Op::slice, {x, ints({begin}), ints({end}), ints({axis})});
}

Node* Builder::scan(const ScanSpec& spec, std::unique_ptr<Region> body) {
  std::vector<std::unique_ptr<Region>> regions;
  regions.push_back(std::move(body));
  return create(Op::scan, scan_operands(spec), scan_attributes(spec),
                spec.states.size() + spec.stack_slots.size(), std::move(regions));
}

Node* Builder::yield(std::span<Value* const> values) { return create(Op::yield, values, {}, 0); }

TensorPtr constant_tensor(const Value* value) {
  if (!value || !value->node() || value->node()->op() != Op::constant) return nullptr;
  return value->node()->attribute<TensorPtr>(AttributeName::value);
}

}  // namespace refrain
