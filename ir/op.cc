#include "ir/op.h"

#include <array>
#include <iterator>
#include <unordered_map>

#include "ir/builder.h"
#include "ir/graph.h"
#include "ir/schema.h"

namespace refrain {
namespace {

constexpr std::string_view kOpNames[] = {
#define X(name) #name,
    REFRAIN_OPS(X)
#undef X
};

std::vector<OpSchema> make_registry() {
  std::vector<OpSchema> registry(kOpCount);
  for (auto family :
       {internal::elementwise_schemas, internal::product_schemas, internal::reduction_schemas,
        internal::shape_schemas, internal::indexing_schemas, internal::sequence_schemas,
        internal::control_schemas}) {
    for (OpSchema& schema : family()) registry[static_cast<size_t>(schema.op)] = std::move(schema);
  }
  return registry;
}

// Answers from the graph: types of values, constants, `dims` nodes.
class StaticContext final : public InferenceContext {
 public:
  using InferenceContext::InferenceContext;

  bool has_operand(size_t i) const override { return node().operand(i) != nullptr; }
  const ValueType& operand(size_t i) const override { return node().operand(i)->type(); }

  std::optional<TensorView> constant(size_t i) const override {
    const Node* source = node().operand(i) ? node().operand(i)->node() : nullptr;
    if (!source || source->op() != Op::constant) return std::nullopt;
    return source->attribute<TensorPtr>(AttributeName::value)->view();
  }

  std::optional<std::vector<Dim>> dims(size_t i) const override {
    const Node* source = node().operand(i) ? node().operand(i)->node() : nullptr;
    if (!source) return std::nullopt;
    if (source->op() == Op::dims) return source->attribute<std::vector<Dim>>(AttributeName::dims);
    const auto values = ints(i);
    if (!values || source->result()->type().shape.rank() > 1) return std::nullopt;
    std::vector<Dim> result;
    for (int64_t value : *values) {
      if (value < 0) return std::nullopt;
      result.push_back(value);
    }
    return result;
  }
};

}  // namespace

std::string_view name(Op op) { return kOpNames[static_cast<size_t>(op)]; }

std::optional<Op> op_from_name(std::string_view name) {
  static const auto* const index = [] {
    auto* map = new std::unordered_map<std::string_view, Op>;
    for (size_t i = 0; i < kOpCount; ++i) map->emplace(kOpNames[i], static_cast<Op>(i));
    return map;
  }();
  const auto it = index->find(name);
  if (it == index->end()) return std::nullopt;
  return it->second;
}

const AttributeSpec* OpSchema::find(AttributeName name) const {
  for (const AttributeSpec& spec : attributes) {
    if (spec.name == name) return &spec;
  }
  return nullptr;
}

const OpSchema& schema(Op op) {
  static const std::vector<OpSchema>* const registry = new std::vector<OpSchema>(make_registry());
  return (*registry)[static_cast<size_t>(op)];
}

size_t InferenceContext::operand_count() const { return node_.operand_count(); }
size_t InferenceContext::result_count() const { return node_.result_count(); }

std::optional<std::vector<int64_t>> InferenceContext::ints(size_t i) const {
  const auto tensor = constant(i);
  if (!tensor || is_float(tensor->type())) return std::nullopt;
  return tensor->as_ints();
}

std::vector<ValueType> infer_types(const Node& node) {
  return node.schema().infer(StaticContext(node));
}

namespace internal {

void fail(const char* problem, std::string expected, std::string found) {
  throw Error(problem, std::move(expected), std::move(found));
}

const ValueType& tensor_operand(const InferenceContext& c, size_t i) {
  const ValueType& type = c.operand(i);
  if (!type.is_tensor()) fail("operand is not a tensor", "a tensor", to_string(type));
  return type;
}

const ValueType& integer_operand(const InferenceContext& c, size_t i) {
  const ValueType& type = tensor_operand(c, i);
  if (!is_integer(type.element)) fail("wrong operand type", "an integer tensor", to_string(type));
  return type;
}

const ValueType& index_operand(const InferenceContext& c, size_t i) {
  const ValueType& type = tensor_operand(c, i);
  if (type.element != ElementType::i64 && type.element != ElementType::i32) {
    fail("wrong operand type", "an i32 or i64 tensor", to_string(type));
  }
  return type;
}

const ValueType& float_operand(const InferenceContext& c, size_t i) {
  const ValueType& type = tensor_operand(c, i);
  if (!is_float(type.element))
    fail("wrong operand type", "a floating-point tensor", to_string(type));
  return type;
}

void require_same_element(const InferenceContext& c, size_t i, size_t j) {
  const ValueType &a = c.operand(i), &b = c.operand(j);
  if (a.element != b.element) {
    fail("operands differ in element type", std::string(name(a.element)), to_string(b));
  }
}

void require_rank(const InferenceContext& c, size_t i, size_t rank) {
  const ValueType& type = c.operand(i);
  if (type.shape.ranked() && type.shape.rank() != rank) {
    fail("wrong rank of an operand", "rank " + std::to_string(rank), to_string(type));
  }
}

std::vector<bool> axis_mask(const std::vector<int64_t>& axes, size_t rank) {
  std::vector<bool> mask(rank);
  for (int64_t axis : axes) {
    const size_t i = normalize_axis(axis, rank);
    if (mask[i]) fail("an axis is given twice", "distinct axes", std::to_string(axis));
    mask[i] = true;
  }
  return mask;
}

Dim add(Dim a, Dim b) {
  if (a == Dim(0)) return b;
  if (b == Dim(0)) return a;
  if (!a.is_constant() || !b.is_constant()) return Dim::unknown();
  int64_t sum = 0;
  if (__builtin_add_overflow(a.extent(), b.extent(), &sum)) {
    fail("extent overflows", "less than 2^63", to_string(a) + " + " + to_string(b));
  }
  return sum;
}

Dim multiply(Dim a, Dim b) {
  if (a == Dim(1)) return b;
  if (b == Dim(1)) return a;
  if (a == Dim(0) || b == Dim(0)) return 0;
  if (!a.is_constant() || !b.is_constant()) return Dim::unknown();
  int64_t product = 0;
  if (__builtin_mul_overflow(a.extent(), b.extent(), &product)) {
    fail("extent overflows", "less than 2^63", to_string(a) + " * " + to_string(b));
  }
  return product;
}

}  // namespace internal
}  // namespace refrain
