// Internal to `ir`: what the schema files share.
#pragma once

#include <string>
#include <vector>

#include "ir/error.h"
#include "ir/graph.h"
#include "ir/op.h"

namespace refrain::internal {

// The schemas of each family, defined in schema_*.cc.
std::vector<OpSchema> elementwise_schemas();
std::vector<OpSchema> product_schemas();  // matmul, einsum, convolution, pooling
std::vector<OpSchema> reduction_schemas();
std::vector<OpSchema> shape_schemas();     // leaves, shapes of tensors
std::vector<OpSchema> indexing_schemas();  // gather, scatter and the like
std::vector<OpSchema> sequence_schemas();
std::vector<OpSchema> control_schemas();

using Types = std::vector<ValueType>;
using A = AttributeName;
using AT = AttributeType;

// Throws Error("PROBLEM", expected, found).
[[noreturn]] void fail(const char* problem, std::string expected, std::string found);

// The operand's type, checked to be a (non-optional) tensor.
const ValueType& tensor_operand(const InferenceContext& c, size_t i);
// ... of one of the classes of element types.
const ValueType& integer_operand(const InferenceContext& c, size_t i);
const ValueType& index_operand(const InferenceContext& c, size_t i);  // i32 or i64
const ValueType& float_operand(const InferenceContext& c, size_t i);
// Throws unless operands i and j have the same element type.
void require_same_element(const InferenceContext& c, size_t i, size_t j);
// Throws unless the operand's rank is unknown or `rank`.
void require_rank(const InferenceContext& c, size_t i, size_t rank);

// Axes normalised, checked to be distinct, as a mask.
std::vector<bool> axis_mask(const std::vector<int64_t>& axes, size_t rank);

// Extent arithmetic; unknown in, unknown out. Throws Error on overflow.
Dim add(Dim a, Dim b);
Dim multiply(Dim a, Dim b);

}  // namespace refrain::internal
