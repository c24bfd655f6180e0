#include "frontend/cli/workload.h"

#include <fmt/core.h>

#include <charconv>
#include <random>
#include <set>
#include <utility>

#include "frontend/cli/summary.h"
#include "ir/error.h"
#include "passes/specialize.h"
#include "passes/time_symbols.h"

namespace refrain::cli {
namespace {

// NAME=DxDxD; `NAME=` is a scalar. Names may hold a `=` themselves, extents don't: the last one
// counts.
std::pair<size_t, std::vector<int64_t>> parse_shape(const Graph& graph,
                                                    const std::string& argument) {
  const size_t at = argument.rfind('=');
  size_t input = 0;
  while (input < graph.input_count() && graph.input(input)->name() != argument.substr(0, at))
    ++input;
  if (at == std::string::npos || input == graph.input_count()) {
    throw Error("--shape names no input of the model: " + argument,
                "NAME=DxDxD, where NAME is one of the inputs " + input_list(graph));
  }
  std::vector<int64_t> extents;
  const char* position = argument.data() + at + 1;
  const char* const end = argument.data() + argument.size();
  while (position != end) {
    int64_t extent = -1;
    const auto [next, error] = std::from_chars(position, end, extent);
    if (error != std::errc() || extent < 0 || (next != end && (*next != 'x' || next + 1 == end))) {
      throw Error("wrong shape in --shape", "extents with an x between them, such as 100x1x64",
                  argument);
    }
    extents.push_back(extent);
    position = next == end ? end : next + 1;
  }
  return {input, extents};
}

}  // namespace

void bind_shape(Graph& graph, const std::string& shape, SymbolBinding& symbols) {
  const auto [input, extents] = parse_shape(graph, shape);
  Value& value = *graph.input(input);
  symbols.bind(value.type(), extents, value.name());
  if (!value.type().shape.ranked())
    value.set_type({value.type().element, Shape::of_extents(extents)});
  ValueType type = value.type();
  for (size_t i = 0; i < extents.size(); ++i) {
    if (type.shape[i].is_unknown()) type.shape[i] = extents[i];
  }
  value.set_type(std::move(type));
}

void fix_shapes(Graph& graph, const std::vector<std::string>& shapes) {
  SymbolBinding symbols;
  for (const std::string& argument : shapes) bind_shape(graph, argument, symbols);
  passes::specialize(graph, symbols.extents());
}

Workload make_workload(Graph& graph, const std::vector<std::string>& shapes, int64_t max_bytes,
                       bool step) {
  Workload work;
  if (step) {
    const std::set<std::string> time = passes::time_symbols(graph);
    if (time.empty()) {
      throw Error(
          "--step wants a model that scans a named dimension; this one has no time to step along");
    }
    for (const std::string& symbol : time) work.symbols.bind(symbol, 1);
  }
  for (const std::string& argument : shapes) bind_shape(graph, argument, work.symbols);
  work.defaults = work.symbols.bind_defaults(graph);
  std::mt19937_64 engine(1);
  const auto budget = std::make_shared<MemoryBudget>(max_bytes);
  for (size_t i = 0; i < graph.input_count(); ++i) {
    work.inputs.push_back(random_value(graph, i, work.symbols, engine, budget));
    Value& value = *graph.input(i);
    if (!value.type().is_tensor()) continue;
    ValueType type = value.type();
    for (size_t k = 0; k < type.shape.rank(); ++k) {
      if (type.shape[k].is_unknown()) type.shape[k] = work.inputs[i].tensor->extents()[k];
    }
    value.set_type(std::move(type));
  }
  return work;
}

std::string shape_list(const Graph& graph, const Workload& work) {
  std::string text;
  for (size_t i = 0; i < graph.input_count(); ++i) {
    if (!work.inputs[i].tensor) continue;
    const Tensor& tensor = *work.inputs[i].tensor;
    text += fmt::format(
        "  {}: {}\n", graph.input(i)->name(),
        to_string(ValueType::tensor(tensor.type(), Shape::of_extents(tensor.extents()))));
  }
  return text;
}

CLI::Option* add_shape_option(CLI::App& command, std::vector<std::string>& shapes) {
  return command.add_option("--shape", shapes, "All extents of an input; repeat it")
      ->type_name("NAME=DxDxD")
      ->allow_extra_args(false);
}

}  // namespace refrain::cli
