#include <algorithm>
#include <memory>
#include <unordered_map>
#include <utility>

#include "passes/passes.h"

namespace refrain::passes {
namespace {

bool is_narrow(ElementType type) { return is_float(type) && type != ElementType::f64; }

class Widener {
 public:
  bool run(Region& region) {
    bool changed = false;
    for (size_t i = 0; i < region.argument_count(); ++i) changed |= run(*region.argument(i));
    for (Node* node = region.first(); node; node = node->next()) {
      for (size_t i = 0; i < node->result_count(); ++i) changed |= run(*node->result(i));
      for (size_t i = 0; i < node->region_count(); ++i) changed |= run(node->region(i));
      changed |= run_attributes(*node);
    }
    return changed;
  }

 private:
  static bool run(Value& value) {
    if (!is_narrow(value.type().element)) return false;
    ValueType type = value.type();
    type.element = ElementType::f64;
    value.set_type(std::move(type));
    return true;
  }

  // Targets of casts, elements of sequences, values of constants and fills.
  bool run_attributes(Node& node) {
    bool changed = false;
    for (size_t i = 0; i < node.attributes().size(); ++i) {
      const Attribute& attribute = node.attributes()[i];
      if (const auto* element = std::get_if<ElementType>(&attribute.value);
          element && is_narrow(*element)) {
        node.set_attribute(attribute.name, ElementType::f64);
        changed = true;
      } else if (const auto* tensor = std::get_if<TensorPtr>(&attribute.value);
                 tensor && is_narrow((*tensor)->type())) {
        node.set_attribute(attribute.name, widened(*tensor));
        changed = true;
      }
    }
    return changed;
  }

  TensorPtr widened(const TensorPtr& tensor) {
    auto& [narrow, wide] = tensors_[tensor.get()];
    if (!wide) {
      Tensor copy(ElementType::f64, tensor->extents());
      const std::vector<double> values = tensor->view().as_doubles();
      std::copy(values.begin(), values.end(), copy.data<double>().begin());
      narrow = tensor;
      wide = std::make_shared<const Tensor>(std::move(copy));
    }
    return wide;
  }

  // By the narrow tensor, which is kept so that its address stays its own: shared tensors stay
  // shared.
  std::unordered_map<const Tensor*, std::pair<TensorPtr, TensorPtr>> tensors_;
};

}  // namespace

bool widen(Graph& graph, const PassContext&) { return Widener().run(graph.body()); }

}  // namespace refrain::passes
