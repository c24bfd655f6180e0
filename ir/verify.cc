#include "ir/verify.h"

#include <unordered_set>

#include "ir/error.h"

namespace refrain {
namespace {

void require_count(const char* what, size_t found, int least, int most) {
  const auto count = static_cast<int64_t>(found);
  if (count >= least && (most == kVariadic || count <= most)) return;
  std::string expected = std::to_string(least);
  if (most == kVariadic) {
    expected += " or more";
  } else if (most != least) {
    expected += " to " + std::to_string(most);
  }
  throw Error(std::string("wrong number of ") + what, expected, std::to_string(found));
}

class Verifier {
 public:
  void check(const Graph& graph) {
    std::unordered_set<std::string_view> names;
    for (size_t i = 0; i < graph.input_count(); ++i) {
      const Value* input = graph.input(i);
      if (input->name().empty()) throw Error("graph input " + std::to_string(i) + " has no name");
      if (!names.insert(input->name()).second) {
        throw Error("two graph inputs of one name", "distinct names", input->name());
      }
      for (Dim dim : input->type().shape.dims()) {
        if (dim.is_symbol()) symbols_.insert(&dim.name());
      }
    }
    check(graph.body(), 1);
    if (graph.output_count() != graph.body().result_count()) {
      throw Error("wrong number of graph outputs", std::to_string(graph.output_count()) + " names",
                  std::to_string(graph.body().result_count()) + " values");
    }
  }

 private:
  void check(const Region& region, int depth) {
    if (depth > kMaxRegionDepth) {
      throw Error("regions are nested too deeply", "at most " + std::to_string(kMaxRegionDepth));
    }
    for (const Node* node = region.first(); node; node = node->next()) {
      try {
        check(*node, region, depth);
      } catch (Error& error) {
        error.at_node(node->display_name(), std::string(name(node->op())));
        throw;
      }
      for (size_t i = 0; i < node->result_count(); ++i) defined_.insert(node->result(i));
    }
    region.yield();
  }

  void check(const Node& node, const Region& region, int depth) {
    for (size_t i = 0; i < node.operand_count(); ++i) {
      const Value* operand = node.operand(i);
      if (!operand) continue;
      if (operand->region() != &region || (operand->node() && !defined_.contains(operand))) {
        throw Error("operand " + std::to_string(i) + " is not defined here",
                    "a value defined before in the same region", "%" + operand->name());
      }
    }
    if (node.op() == Op::yield && node.next())
      throw Error("yield is not the last node of its region");
    verify_form(node);
    for (size_t i = 0; i < node.region_count(); ++i) check(node.region(i), depth + 1);
    if (node.op() == Op::dims) check_symbols(node);
    const std::vector<ValueType> inferred = infer_types(node);
    for (size_t i = 0; i < node.result_count(); ++i) {
      if (!refines(node.result(i)->type(), inferred[i])) {
        throw Error("result " + std::to_string(i) + " has the wrong type", to_string(inferred[i]),
                    to_string(node.result(i)->type()));
      }
    }
  }

  void check_symbols(const Node& node) const {
    for (Dim dim : node.attribute<std::vector<Dim>>(AttributeName::dims)) {
      if (dim.is_symbol() && !symbols_.contains(&dim.name())) {
        throw Error("no graph input binds this dimension", "a dimension of an input's type",
                    dim.name());
      }
    }
  }

  std::unordered_set<const Value*> defined_;
  std::unordered_set<const std::string*> symbols_;  // interned, so the address is the identity
};

}  // namespace

void verify_form(const Node& node) {
  const OpSchema& schema = node.schema();
  require_count("operands", node.operand_count(), schema.min_operands, schema.max_operands);
  require_count("results", node.result_count(), schema.min_results, schema.max_results);
  require_count("regions", node.region_count(), schema.regions, schema.regions);
  for (int i = 0; i < schema.min_operands; ++i) {
    if (!node.operand(static_cast<size_t>(i))) {
      throw Error("operand " + std::to_string(i) + " is absent", "a value", "none");
    }
  }
  for (const Attribute& attribute : node.attributes()) {
    const std::string label = "attribute " + std::string(name(attribute.name));
    const AttributeSpec* spec = schema.find(attribute.name);
    if (!spec) throw Error(label + " is not one of the op's");
    if (type_of(attribute.value) != spec->type) {
      throw Error("wrong type of " + label, std::string(name(spec->type)),
                  std::string(name(type_of(attribute.value))));
    }
  }
  for (const AttributeSpec& spec : schema.attributes) {
    if (!node.find_attribute(spec.name)) {
      throw Error("missing attribute", std::string(name(spec.name)), "none of that name");
    }
  }
}

void verify(const Graph& graph) { Verifier().check(graph); }

}  // namespace refrain
