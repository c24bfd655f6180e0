#include "frontend/embed/batch_stream.h"

#include <algorithm>
#include <vector>

#include "ir/clone.h"
#include "ir/error.h"
#include "passes/specialize.h"

namespace refrain::embed {
namespace {

// Most symbols that are tried as rows: each costs an optimization.
constexpr size_t kMostSymbols = 8;

using ExtentMap = std::map<std::string, int64_t>;

// Those of states that may be rows.
std::vector<std::string> row_symbols(const passes::StreamForm& form, const ExtentMap& extents) {
  std::vector<std::string> symbols;
  for (const passes::StreamState& state : form.states) {
    for (const Dim dim : form.graph->input(state.input)->type().shape.dims()) {
      if (!dim.is_symbol() || dim == form.time || symbols.size() == kMostSymbols) continue;
      const auto known = extents.find(dim.name());
      if (known != extents.end() && known->second != 1) continue;
      if (std::find(symbols.begin(), symbols.end(), dim.name()) == symbols.end())
        symbols.push_back(dim.name());
    }
  }
  return symbols;
}

bool same_states(const passes::StreamForm& a, const passes::StreamForm& b) {
  return std::equal(a.states.begin(), a.states.end(), b.states.begin(), b.states.end(),
                    [](const passes::StreamState& x, const passes::StreamState& y) {
                      return x.name == y.name && x.input == y.input && x.output == y.output;
                    });
}

}  // namespace

std::set<std::string> input_symbols(const Graph& graph) {
  std::set<std::string> symbols;
  for (size_t i = 0; i < graph.input_count(); ++i) {
    const Shape& shape = graph.input(i)->type().shape;
    for (size_t axis = 0; shape.ranked() && axis < shape.rank(); ++axis) {
      if (shape[axis].is_symbol()) symbols.insert(shape[axis].name());
    }
  }
  return symbols;
}

std::unique_ptr<passes::StreamForm> batch_stream_at(
    const Graph& graph, const passes::StreamForm& form, const passes::StreamOptions& stream_options,
    const ExtentMap& extents, const ExecutableOptions& options, std::string& why) {
  ExtentMap known;
  for (const std::string& symbol : input_symbols(graph)) {
    const auto found = extents.find(symbol);
    if (found != extents.end() && !(form.time && form.time->name() == symbol)) known.insert(*found);
  }
  std::vector<std::string> rows = row_symbols(form, known);
  if (rows.empty()) rows.emplace_back();
  for (const std::string& symbol : rows) {
    ExtentMap others = known;
    others.erase(symbol);
    std::string own;
    try {
      const std::unique_ptr<Graph> at = clone_graph(graph);
      passes::specialize(*at, others);
      simplify_bound(*at, options);
      auto made = std::make_unique<passes::StreamForm>(passes::make_stream(*at, stream_options));
      if (made->batch && made->time == form.time && same_states(*made, form)) return made;
      own = made->batch ? "the states are others" : made->why_no_batch;
    } catch (const Error& error) {
      own = error.what();
    }
    why += "; with the extents of the setup";
    if (!symbol.empty()) why += " and rows along " + symbol;
    why += ": " + own;
  }
  return nullptr;
}

}  // namespace refrain::embed
