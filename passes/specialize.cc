#include "passes/specialize.h"

#include <utility>
#include <vector>

#include "ir/error.h"
#include "passes/refine.h"

namespace refrain::passes {
namespace {

class Specializer {
 public:
  explicit Specializer(const std::map<std::string, Dim>& dims) : dims_(dims) {}

  bool run(Region& region) {
    bool changed = false;
    for (size_t i = 0; i < region.argument_count(); ++i) changed |= run(*region.argument(i));
    for (Node* node = region.first(); node; node = node->next()) {
      for (size_t i = 0; i < node->result_count(); ++i) changed |= run(*node->result(i));
      for (size_t i = 0; i < node->region_count(); ++i) changed |= run(node->region(i));
      if (node->op() == Op::dims) {
        auto dims = node->attribute<std::vector<Dim>>(AttributeName::dims);
        if (!substitute(dims)) continue;
        node->set_attribute(AttributeName::dims, std::move(dims));
        changed = true;
      }
    }
    return changed;
  }

 private:
  bool substitute(std::vector<Dim>& dims) const {
    bool changed = false;
    for (Dim& dim : dims) {
      if (!dim.is_symbol()) continue;
      const auto it = dims_.find(dim.name());
      if (it == dims_.end()) continue;
      dim = it->second;
      changed = true;
    }
    return changed;
  }

  bool run(Value& value) const {
    if (!value.type().shape.ranked()) return false;
    std::vector<Dim> dims = value.type().shape.dims();
    if (!substitute(dims)) return false;
    ValueType type = value.type();
    type.shape = Shape(std::move(dims));
    value.set_type(std::move(type));
    return true;
  }

  const std::map<std::string, Dim>& dims_;
};

}  // namespace

bool specialize(Graph& graph, const std::map<std::string, int64_t>& extents) {
  for (const auto& [symbol, extent] : extents) {
    if (extent < 0)
      throw Error("negative extent for dimension " + symbol, "0 or more", std::to_string(extent));
  }
  const std::map<std::string, Dim> dims(extents.begin(), extents.end());
  const bool changed = Specializer(dims).run(graph.body());
  if (changed) internal::refine_types(graph);
  return changed;
}

void rename_symbols(Graph& graph, const std::map<std::string, Dim>& symbols) {
  if (Specializer(symbols).run(graph.body())) internal::refine_types(graph);
}

}  // namespace refrain::passes
