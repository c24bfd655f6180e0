#include "passes/stream_batch.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <utility>

#include "ir/builder.h"
#include "ir/clone.h"
#include "ir/control.h"
#include "ir/error.h"
#include "ir/verify.h"
#include "passes/axis_rules.h"
#include "passes/element.h"
#include "passes/refine.h"

namespace refrain::passes::internal {
namespace {

// Most ways to take one axis of each input for the batch that are tried.
constexpr size_t kMostWays = 64;

using Axes = std::vector<std::optional<size_t>>;

// Follows the rows from these axes of the inputs to the outputs, whose axes it returns. Throws
// Error if they depend on each other.
Axes follow_rows(AxisFlow& flow, const StreamForm& form, const Graph& graph, const Axes& inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i]) flow.set(graph.input(i), AxisTrace::along(*inputs[i]));
  }
  flow.follow(graph.body());
  Axes outputs;
  for (size_t i = 0; i < graph.output_count(); ++i) {
    const AxisTrace trace = flow[graph.output(i)];
    if (trace.is_extent())
      throw Error("output " + graph.output_names()[i] + " depends on the number of rows");
    outputs.push_back(trace.has_axis() ? std::optional(trace.axis) : std::nullopt);
  }
  for (const StreamState& state : form.states) {
    if (!inputs[state.input] || inputs[state.input] != outputs[state.output])
      throw Error("state " + state.name + " has no rows of its own");
  }
  return outputs;
}

void set_axes(StreamForm& form, const Axes& inputs, const Axes& outputs) {
  for (size_t i = 0; i < inputs.size(); ++i) form.inputs[i].batch_axis = inputs[i];
  for (size_t i = 0; i < outputs.size(); ++i) form.outputs[i].batch_axis = outputs[i];
}

void try_symbol(StreamForm& form, Dim symbol) {
  const Graph& graph = *form.graph;
  Axes inputs;
  for (size_t i = 0; i < graph.input_count(); ++i) {
    const std::vector<Dim>& dims = graph.input(i)->type().shape.dims();
    const auto found = std::find(dims.begin(), dims.end(), symbol);
    inputs.emplace_back();
    if (found == dims.end()) continue;
    inputs.back() = static_cast<size_t>(found - dims.begin());
    if (std::find(found + 1, dims.end(), symbol) != dims.end())
      throw Error("input " + graph.input(i)->name() + " has rows along two axes");
  }
  AxisFlow flow({symbol, "rows"});
  const Axes outputs = follow_rows(flow, form, graph, inputs);
  form.batch = symbol;
  set_axes(form, inputs, outputs);
}

// --- a batch of a fixed number of rows

// An operand that says which shape the result has is made to say so with the symbol.
void free_target(Node& node, const AxisFlow& flow) {
  const AxisTrace result = flow[node.result()];
  if (!result.has_axis()) return;
  const std::vector<Dim>& dims = node.result()->type().shape.dims();
  Builder builder(*node.parent(), &node);
  builder.set_node_name(node.name());
  const auto known = constant_ints(node.operand(1));
  if (known && node.op() == Op::reshape) {
    std::vector<int64_t> target = *known;
    int64_t& own = target.at(result.axis);
    if (own == -1 || (own == 0 && !node.flag(AttributeName::allow_zero))) return;
    if (std::find(target.begin(), target.end(), -1) == target.end()) {
      own = -1;
      node.set_operand(1, builder.ints(target));
      return;
    }
  }
  if (std::any_of(dims.begin(), dims.end(), [](Dim dim) { return dim.is_unknown(); }))
    throw Error("the rows and another extent are not known");
  node.set_operand(1, builder.create(Op::dims, {}, {{AttributeName::dims, dims}})->result());
}

void free_rows(Region& region, const AxisFlow& flow, Dim symbol) {
  for_each_value(region, [&](Value* value) {
    const AxisTrace trace = flow[value];
    if (!trace.has_axis() || !value->type().shape.ranked()) return;
    ValueType type = value->type();
    type.shape[trace.axis] = symbol;
    value->set_type(std::move(type));
  });
  const auto free_nodes = [&](const auto& self, Region& nodes) -> void {
    for (Node* node = nodes.first(); node; node = node->next()) {
      if (node->op() == Op::reshape || node->op() == Op::expand) free_target(*node, flow);
      for (size_t i = 0; i < node->region_count(); ++i) self(self, node->region(i));
    }
  };
  free_nodes(free_nodes, region);
}

// What all rows of a state start with, if they start alike.
TensorPtr first_row(const TensorPtr& initial, size_t rank, size_t axis) {
  if (!initial || initial->rank() + axis < rank) return initial;
  const size_t own = axis - (rank - initial->rank());
  std::vector<int64_t> extents = initial->extents();
  if (extents[own] == 1) return initial;
  int64_t outer = 1, inner = 1;
  for (size_t i = 0; i < own; ++i) outer *= extents[i];
  for (size_t i = own + 1; i < extents.size(); ++i) inner *= extents[i];
  const int64_t rows = std::exchange(extents[own], 1);
  Tensor one(initial->type(), extents);
  const size_t bytes = static_cast<size_t>(inner) * size_of(initial->type());
  const auto* from = static_cast<const char*>(initial->raw());
  auto* to = static_cast<char*>(one.raw());
  for (int64_t o = 0; o < outer; ++o) {
    const char* first = from + static_cast<size_t>(o * rows) * bytes;
    for (int64_t row = 1; row < rows; ++row) {
      if (std::memcmp(first, first + static_cast<size_t>(row) * bytes, bytes) != 0)
        throw Error("a state starts with another value in each row");
    }
    std::memcpy(to + static_cast<size_t>(o) * bytes, first, bytes);
  }
  return std::make_shared<const Tensor>(std::move(one));
}

void try_axes(StreamForm& form, Dim symbol, const Axes& inputs, int64_t rows) {
  std::unique_ptr<Graph> graph = clone_graph(*form.graph);
  AxisFlow flow({Dim::unknown(), "rows"});
  const Axes outputs = follow_rows(flow, form, *graph, inputs);
  free_rows(graph->body(), flow, symbol);
  refine_types(*graph);
  verify(*graph);
  std::vector<StreamState> states = form.states;
  for (StreamState& state : states) {
    const size_t rank = graph->input(state.input)->type().shape.rank();
    state.initial = first_row(state.initial, rank, *inputs[state.input]);
  }
  form.graph = std::move(graph);
  form.states = std::move(states);
  form.batch = symbol;
  form.traced_batch = rows;
  set_axes(form, inputs, outputs);
}

// The axes of each input that may be rows: of this extent, and not time. Of an input that is no
// state, also none.
std::vector<Axes> choices(const StreamForm& form, int64_t rows) {
  std::vector<Axes> all;
  for (size_t i = 0; i < form.graph->input_count(); ++i) {
    const std::vector<Dim>& dims = form.graph->input(i)->type().shape.dims();
    all.emplace_back();
    for (size_t axis = 0; axis < dims.size(); ++axis) {
      if (dims[axis] == Dim(rows) && form.inputs[i].time_axis != axis) all.back().push_back(axis);
    }
    const bool state = std::any_of(form.states.begin(), form.states.end(),
                                   [&](const StreamState& one) { return one.input == i; });
    if (!state) all.back().push_back(std::nullopt);
  }
  return all;
}

// Every choice of one axis of each input, the first inputs' first.
bool try_choices(StreamForm& form, Dim symbol, int64_t rows, size_t& ways, std::string& why) {
  const std::vector<Axes> all = choices(form, rows);
  for (const Axes& options : all) {
    if (options.empty()) return false;
  }
  std::vector<size_t> at(all.size(), 0);
  while (ways < kMostWays) {
    Axes inputs;
    bool any = false;
    for (size_t i = 0; i < all.size(); ++i) {
      inputs.push_back(all[i][at[i]]);
      any = any || (inputs.back() && form.inputs[i].time_axis);
    }
    if (any || !form.time) {
      ++ways;
      try {
        try_axes(form, symbol, inputs, rows);
        return true;
      } catch (const Error& error) {
        if (why.empty()) why = error.what();
      }
    }
    size_t i = all.size();
    while (i > 0 && ++at[i - 1] == all[i - 1].size()) at[--i] = 0;
    if (i == 0) return false;
  }
  return false;
}

void find_fixed_batch(StreamForm& form, const std::vector<Dim>& symbols) {
  std::set<std::string> names;
  for (const Dim symbol : symbols) names.insert(symbol.name());
  if (form.time) names.insert(form.time->name());
  std::string name = "B";
  for (int i = 1; names.contains(name); ++i) name = "B" + std::to_string(i);
  // The extents of the first state, one of which are its rows.
  if (form.states.empty()) return;
  std::vector<int64_t> extents;
  for (const Dim dim : form.graph->input(form.states[0].input)->type().shape.dims()) {
    if (dim.is_symbol()) return;  // rows that have a name are no others
    if (dim.is_constant() &&
        std::find(extents.begin(), extents.end(), dim.extent()) == extents.end())
      extents.push_back(dim.extent());
  }
  // What more of the inputs have is more likely to be the rows: anything else of a state may well
  // be independent too, with the inputs the same for all of it.
  const auto inputs_without = [&](int64_t rows) {
    size_t count = 0;
    for (const Axes& options : choices(form, rows)) count += !options.empty() && !options.front();
    return count;
  };
  std::stable_sort(extents.begin(), extents.end(),
                   [&](int64_t a, int64_t b) { return inputs_without(a) < inputs_without(b); });
  size_t ways = 0;
  std::string why;
  for (const int64_t rows : extents) {
    std::string own;
    if (try_choices(form, Dim::symbol(name), rows, ways, own)) {
      form.why_no_batch.clear();
      return;
    }
    if (!own.empty())
      why += (why.empty() ? "" : "; ") + ("rows of extent " + std::to_string(rows) + ": ") + own;
  }
  if (!why.empty()) form.why_no_batch += (form.why_no_batch.empty() ? "" : "; ") + why;
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
  for (const Dim symbol : symbols) {
    try {
      try_symbol(form, symbol);
      form.why_no_batch.clear();
      return;
    } catch (const Error& error) {
      form.why_no_batch +=
          (form.why_no_batch.empty() ? "" : "; ") + symbol.name() + ": " + error.what();
    }
  }
  find_fixed_batch(form, symbols);
  if (!form.batch && form.why_no_batch.empty()) form.why_no_batch = "no axis is of rows";
}

}  // namespace refrain::passes::internal
