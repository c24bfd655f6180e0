// Sequences of tensors and optional values.
#include "ir/schema.h"

namespace refrain::internal {
namespace {

const ValueType& sequence_operand(const InferenceContext& c, size_t i) {
  const ValueType& type = c.operand(i);
  if (!type.is_sequence()) fail("operand is not a sequence", "a sequence", to_string(type));
  return type;
}

ValueType element_of(const ValueType& sequence) {
  return ValueType::tensor(sequence.element, sequence.shape);
}

void optional_position(const InferenceContext& c, size_t i) {
  if (c.has_operand(i)) index_operand(c, i);
}

Types sequence_empty(const InferenceContext& c) {
  // Nothing is known of the elements to come.
  return {ValueType::sequence(c.node().attribute<ElementType>(A::element), Shape::unranked())};
}

Types sequence_construct(const InferenceContext& c) {
  ValueType type = tensor_operand(c, 0);
  for (size_t i = 1; i < c.operand_count(); ++i) {
    if (!c.has_operand(i)) fail("an element is absent", "a tensor", "none");
    type = join(type, tensor_operand(c, i));
  }
  return {ValueType::sequence(type.element, type.shape)};
}

Types sequence_insert(const InferenceContext& c) {
  const ValueType &sequence = sequence_operand(c, 0), &x = tensor_operand(c, 1);
  require_same_element(c, 0, 1);
  optional_position(c, 2);
  return {ValueType::sequence(sequence.element, join(sequence.shape, x.shape))};
}

Types sequence_erase(const InferenceContext& c) {
  optional_position(c, 1);
  return {sequence_operand(c, 0)};
}

Types sequence_at(const InferenceContext& c) {
  index_operand(c, 1);
  return {element_of(sequence_operand(c, 0))};
}

Types sequence_length(const InferenceContext& c) {
  sequence_operand(c, 0);
  return {ValueType::tensor(ElementType::i64, {})};
}

// new_axis: stack along a new axis instead.
Types concat_from_sequence(const InferenceContext& c) {
  const ValueType& sequence = sequence_operand(c, 0);
  if (!sequence.shape.ranked()) return {element_of(sequence)};
  std::vector<Dim> dims = sequence.shape.dims();
  const bool new_axis = c.node().flag(A::new_axis);
  const size_t axis = normalize_axis(c.node().integer(A::axis), dims.size() + new_axis);
  if (new_axis) {
    dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis), Dim::unknown());
  } else {
    dims[axis] = Dim::unknown();
  }
  return {ValueType::tensor(sequence.element, Shape(std::move(dims)))};
}

// operands: x, sizes (optional: 1 each; a scalar cuts parts of that size, a vector gives each size)
Types split_to_sequence(const InferenceContext& c) {
  const ValueType& x = tensor_operand(c, 0);
  optional_position(c, 1);
  if (!x.shape.ranked()) return {ValueType::sequence(x.element, Shape::unranked())};
  std::vector<Dim> dims = x.shape.dims();
  const size_t axis = normalize_axis(c.node().integer(A::axis), dims.size());
  if (c.has_operand(1)) {
    dims[axis] = Dim::unknown();
  } else if (c.node().flag(A::keep_dims)) {
    dims[axis] = 1;
  } else {
    dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis));
  }
  return {ValueType::sequence(x.element, Shape(std::move(dims)))};
}

// With an operand: that value as an optional one. Without: nothing, of a type like f32.
Types optional(const InferenceContext& c) {
  ValueType type;
  if (c.has_operand(0)) {
    type = c.operand(0);
  } else {
    type.element = c.node().attribute<ElementType>(A::element);
    type.shape = Shape::unranked();
    if (c.node().flag(A::sequence)) type.kind = ValueType::Kind::sequence;
  }
  type.optional = true;
  return {type};
}

Types has_element(const InferenceContext& c) {
  c.operand(0);
  return {ValueType::tensor(ElementType::boolean, {})};
}

Types get_element(const InferenceContext& c) {
  ValueType type = c.operand(0);
  type.optional = false;
  return {type};
}

}  // namespace

std::vector<OpSchema> sequence_schemas() {
  const AttributeSpec axis0 = {A::axis, AT::integer, int64_t{0}};
  const AttributeSpec element = {A::element, AT::element, ElementType::f32};
  return {
      {.op = Op::sequence_empty,
       .min_operands = 0,
       .max_operands = 0,
       .attributes = {element},
       .infer = sequence_empty},
      {.op = Op::sequence_construct, .max_operands = kVariadic, .infer = sequence_construct},
      {.op = Op::sequence_insert, .min_operands = 2, .max_operands = 3, .infer = sequence_insert},
      {.op = Op::sequence_erase, .max_operands = 2, .infer = sequence_erase},
      {.op = Op::sequence_at, .min_operands = 2, .max_operands = 2, .infer = sequence_at},
      {.op = Op::sequence_length, .infer = sequence_length},
      {.op = Op::concat_from_sequence,
       .attributes = {axis0, {A::new_axis, AT::boolean, false}},
       .infer = concat_from_sequence},
      {.op = Op::split_to_sequence,
       .max_operands = 2,
       .attributes = {axis0, {A::keep_dims, AT::boolean, true}},
       .infer = split_to_sequence},
      {.op = Op::optional,
       .min_operands = 0,
       .attributes = {element, {A::sequence, AT::boolean, false}},
       .infer = optional},
      {.op = Op::has_element, .infer = has_element},
      {.op = Op::get_element, .infer = get_element},
  };
}

}  // namespace refrain::internal
