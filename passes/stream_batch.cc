#include "passes/stream_batch.h"

#include <algorithm>
#include <utility>

#include "ir/error.h"
#include "passes/axis_rules.h"

namespace refrain::passes::internal {
namespace {

std::optional<size_t> axis_of(AxisTrace trace) {
  return trace.has_axis() ? std::optional(trace.axis) : std::nullopt;
}

// The ports' axes if rows along `symbol` are independent. Throws Error if not.
std::pair<std::vector<std::optional<size_t>>, std::vector<std::optional<size_t>>> rows_along(
    const StreamForm& form, Dim symbol) {
  const Graph& graph = *form.graph;
  AxisFlow flow({symbol, "rows"});
  std::vector<std::optional<size_t>> inputs, outputs;
  for (size_t i = 0; i < graph.input_count(); ++i) {
    const std::vector<Dim>& dims = graph.input(i)->type().shape.dims();
    const auto found = std::find(dims.begin(), dims.end(), symbol);
    inputs.emplace_back();
    if (found == dims.end()) continue;
    inputs.back() = static_cast<size_t>(found - dims.begin());
    if (std::find(found + 1, dims.end(), symbol) != dims.end())
      throw Error("input " + graph.input(i)->name() + " has rows along two axes");
    flow.set(graph.input(i), AxisTrace::along(*inputs.back()));
  }
  flow.follow(graph.body());
  for (size_t i = 0; i < graph.output_count(); ++i) {
    const AxisTrace trace = flow[graph.output(i)];
    if (trace.is_extent())
      throw Error("output " + graph.output_names()[i] + " depends on the number of rows");
    outputs.push_back(axis_of(trace));
  }
  for (const StreamState& state : form.states) {
    if (inputs[state.input] != outputs[state.output] || !inputs[state.input])
      throw Error("state " + state.name + " has no rows of its own");
  }
  return {inputs, outputs};
}

}  // namespace

void find_batch(StreamForm& form) {
  std::vector<Dim> symbols;
  for (size_t i = 0; i < form.graph->input_count(); ++i) {
    for (const Dim dim : form.graph->input(i)->type().shape.dims()) {
      if (dim.is_symbol() && dim != form.time &&
          std::find(symbols.begin(), symbols.end(), dim) == symbols.end())
        symbols.push_back(dim);
    }
  }
  if (symbols.empty()) form.why_no_batch = "no dimension without a fixed extent but time";
  for (const Dim symbol : symbols) {
    try {
      const auto [inputs, outputs] = rows_along(form, symbol);
      for (size_t i = 0; i < inputs.size(); ++i) form.inputs[i].batch_axis = inputs[i];
      for (size_t i = 0; i < outputs.size(); ++i) form.outputs[i].batch_axis = outputs[i];
      form.batch = symbol;
      form.why_no_batch.clear();
      return;
    } catch (const Error& error) {
      form.why_no_batch +=
          (form.why_no_batch.empty() ? "" : "; ") + symbol.name() + ": " + error.what();
    }
  }
}

}  // namespace refrain::passes::internal
