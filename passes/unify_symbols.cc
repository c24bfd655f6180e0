// Symbols that stand for one length get one name. Exporters name each input's axes by themselves; a
// scan that reads several inputs side by side says that they are as long.
#include <map>
#include <string>
#include <utility>

#include "ir/control.h"
#include "passes/passes.h"
#include "passes/specialize.h"

namespace refrain::passes {
namespace {

// Which symbols are one; each set is called as the one of its symbols that was added first.
class Symbols {
 public:
  void add(const std::string& name) { order_.try_emplace(name, order_.size()); }

  void unite(const std::string& a, const std::string& b) {
    add(a);
    add(b);
    std::string first = find(a), second = find(b);
    if (first == second) return;
    if (order_.at(second) < order_.at(first)) std::swap(first, second);
    parent_[second] = first;
  }

  std::map<std::string, Dim> renamed() const {
    std::map<std::string, Dim> names;
    for (const auto& [name, parent] : parent_) names.emplace(name, Dim::symbol(find(parent)));
    return names;
  }

 private:
  std::string find(std::string name) const {
    for (auto it = parent_.find(name); it != parent_.end(); it = parent_.find(name))
      name = it->second;
    return name;
  }

  std::map<std::string, size_t> order_;
  std::map<std::string, std::string> parent_;
};

void collect(const Region& region, Symbols& symbols) {
  for (const Node* node = region.first(); node; node = node->next()) {
    for (size_t i = 0; i < node->region_count(); ++i) collect(node->region(i), symbols);
    if (node->op() != Op::scan) continue;
    const ScanView scan(*node);
    std::string steps;
    for (size_t i = 0; i < scan.scanned(); ++i) {
      const Shape& shape = node->operand(scan.scanned_operand(i))->type().shape;
      if (!shape.ranked()) continue;
      const Dim dim = shape[normalize_axis(scan.scan_slot(i).axis, shape.rank())];
      if (!dim.is_symbol()) continue;
      if (steps.empty()) steps = dim.name();
      symbols.unite(steps, dim.name());
    }
  }
}

}  // namespace

bool unify_symbols(Graph& graph, const PassContext&) {
  Symbols symbols;
  for (size_t i = 0; i < graph.input_count(); ++i) {
    const ValueType& type = graph.input(i)->type();
    if (!type.is_tensor() || !type.shape.ranked()) continue;
    for (const Dim dim : type.shape.dims()) {
      if (dim.is_symbol()) symbols.add(dim.name());
    }
  }
  collect(graph.body(), symbols);
  const std::map<std::string, Dim> renamed = symbols.renamed();
  if (renamed.empty()) return false;
  rename_symbols(graph, renamed);
  return true;
}

}  // namespace refrain::passes
