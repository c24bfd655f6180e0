#include "passes/time_symbols.h"

#include "ir/control.h"

namespace refrain::passes {
namespace {

void add_symbols(std::set<std::string>& to, const ValueType& type) {
  if (!type.shape.ranked()) return;
  for (const Dim dim : type.shape.dims()) {
    if (dim.is_symbol()) to.insert(dim.name());
  }
}

struct Symbols {
  std::set<std::string> scanned, state;
  bool steps = false;  // there are scans or loops
};

void collect(const Region& region, Symbols& symbols) {
  for (const Node* node = region.first(); node; node = node->next()) {
    for (size_t i = 0; i < node->region_count(); ++i) collect(node->region(i), symbols);
    if (node->op() == Op::loop) {
      symbols.steps = true;
      const LoopView loop(*node);
      for (size_t i = 0; i < loop.states(); ++i)
        add_symbols(symbols.state, loop.state_argument(i)->type());
    }
    if (node->op() != Op::scan) continue;
    symbols.steps = true;
    const ScanView scan(*node);
    for (size_t i = 0; i < scan.states(); ++i)
      add_symbols(symbols.state, scan.state_argument(i)->type());
    for (size_t i = 0; i < scan.scanned(); ++i) {
      const Shape& shape = node->operand(scan.scanned_operand(i))->type().shape;
      if (!shape.ranked() || shape.rank() == 0) continue;
      const Dim dim = shape[normalize_axis(scan.scan_slot(i).axis, shape.rank())];
      if (dim.is_symbol()) symbols.scanned.insert(dim.name());
    }
  }
}

}  // namespace

std::set<std::string> scanned_symbols(const Graph& graph) {
  Symbols symbols;
  collect(graph.body(), symbols);
  return symbols.scanned;
}

std::set<std::string> time_symbols(const Graph& graph) {
  Symbols symbols;
  collect(graph.body(), symbols);
  if (!symbols.scanned.empty() || !symbols.steps) return symbols.scanned;
  // The steps' number is computed (by a convolution's stride, or a Loop's own arithmetic).
  std::set<std::string> others;
  for (size_t i = 0; i < graph.input_count(); ++i) add_symbols(others, graph.input(i)->type());
  for (const std::string& symbol : symbols.state) others.erase(symbol);
  return others;
}

}  // namespace refrain::passes
