// The operations of the IR and their schemas.
//
// The set is small on purpose: what an importer can express by several of these is not an op.
// Operands that may be computed at run time (axes, shapes, bounds of a slice) are operands even
// where they are nearly always constants; only what can never be computed is an attribute.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ir/attribute.h"
#include "ir/shape.h"

namespace refrain {

class Node;
class InferenceContext;

// clang-format off
#define REFRAIN_OPS(X) \
  /* leaves */ \
  X(constant) X(dims) \
  /* element-wise, one operand */ \
  X(neg) X(abs) X(sign) X(sqrt) X(exp) X(log) X(erf) X(floor) X(ceil) X(round) X(sin) X(cos) \
  X(tan) X(asin) X(acos) X(atan) X(sinh) X(cosh) X(asinh) X(acosh) X(atanh) X(sigmoid) X(tanh) \
  X(relu) X(leaky_relu) X(elu) X(selu) X(hard_sigmoid) X(softplus) X(softsign) \
  X(thresholded_relu) X(gelu) X(logical_not) X(is_nan) X(cast) \
  /* element-wise, broadcasting */ \
  X(add) X(sub) X(mul) X(div) X(pow) X(mod) X(max) X(min) X(prelu) X(equal) X(less) \
  X(less_equal) X(greater) X(greater_equal) X(logical_and) X(logical_or) X(logical_xor) X(where) \
  /* products */ \
  X(matmul) X(einsum) \
  /* reductions and their kin */ \
  X(reduce_sum) X(reduce_mean) X(reduce_max) X(reduce_min) X(reduce_prod) X(arg_max) X(arg_min) \
  X(softmax) X(log_softmax) X(cum_sum) X(top_k) \
  /* shapes and movement */ \
  X(shape) X(reshape) X(squeeze) X(unsqueeze) X(transpose) X(concat) X(split) X(slice) X(gather) \
  X(gather_elements) X(gather_nd) X(scatter_nd) X(scatter_elements) X(expand) X(tile) X(pad) \
  X(fill) X(range) X(one_hot) X(trilu) X(reverse_sequence) \
  /* convolution and pooling */ \
  X(conv) X(conv_transpose) X(max_pool) X(average_pool) \
  /* sequences and optionals */ \
  X(sequence_empty) X(sequence_construct) X(sequence_insert) X(sequence_erase) X(sequence_at) \
  X(sequence_length) X(concat_from_sequence) X(split_to_sequence) X(optional) X(has_element) \
  X(get_element) \
  /* control */ \
  X(scan) X(loop) X(branch) X(yield)
// clang-format on

enum class Op : uint8_t {
#define X(name) name,
  REFRAIN_OPS(X)
#undef X
};

#define X(name) +1
inline constexpr size_t kOpCount = 0 REFRAIN_OPS(X);
#undef X

// The op's name in the text form: its enumerator.
std::string_view name(Op op);
std::optional<Op> op_from_name(std::string_view name);

// One attribute that an op takes. Without a default it must be given.
struct AttributeSpec {
  AttributeName name;
  AttributeType type;
  std::optional<AttributeValue> default_value;
};

inline constexpr int kVariadic = -1;

enum class OpKind : uint8_t {
  leaf,         // no operands; value known from attributes (and the binding of symbols)
  elementwise,  // result elements depend on the broadcast operands' elements at the same place
  general,
  control,  // holds regions
  terminator,
};

struct OpSchema {
  Op op;
  OpKind kind = OpKind::general;
  int min_operands = 1;
  int max_operands = 1;  // or kVariadic; an operand beyond min_operands may be absent
  int min_results = 1;
  int max_results = 1;
  int regions = 0;
  std::vector<AttributeSpec> attributes = {};
  // Result types from operand types, attributes, regions and known operand values, one a result;
  // throws Error where they don't fit together. Results may be less specific than the truth, never
  // wrong.
  std::vector<ValueType> (*infer)(const InferenceContext& context) = nullptr;

  const AttributeSpec* find(AttributeName name) const;
};

const OpSchema& schema(Op op);

inline bool is_elementwise(Op op) { return schema(op).kind == OpKind::elementwise; }

// What a schema's inference sees of a node. Static inference answers from the graph; a backend
// answers from the tensors at hand, so that one set of rules serves the verifier and the run.
class InferenceContext {
 public:
  explicit InferenceContext(const Node& node) : node_(node) {}
  virtual ~InferenceContext() = default;

  const Node& node() const { return node_; }
  size_t operand_count() const;
  size_t result_count() const;
  virtual bool has_operand(size_t i) const = 0;
  virtual const ValueType& operand(size_t i) const = 0;  // only if has_operand(i)
  // The operand's elements, where they are known.
  virtual std::optional<TensorView> constant(size_t i) const = 0;
  // The elements of an integer operand of rank 0 or 1, where they are known at least as dimensions
  // (a negative constant has no Dim: then none).
  virtual std::optional<std::vector<Dim>> dims(size_t i) const = 0;

  // constant(i) as integers.
  std::optional<std::vector<int64_t>> ints(size_t i) const;

 private:
  const Node& node_;
};

// Result types of a node that is in a graph, by its schema.
std::vector<ValueType> infer_types(const Node& node);

}  // namespace refrain
