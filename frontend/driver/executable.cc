#include "frontend/driver/executable.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "backends/reference/bindings.h"
#include "frontend/driver/model.h"
#include "ir/clone.h"
#include "ir/error.h"
#include "passes/passes.h"
#include "passes/specialize.h"

namespace refrain {
namespace {

// Shapes that an executable is kept prepared for.
constexpr size_t kMostPrepared = 8;

// What preparation cannot do without, for graphs that are to be run as they are.
constexpr passes::PipelineEntry kBindShapes[] = {
    {"infer", "the extents that binding made known"},
    {"simplify_shapes", "trip counts become constants"},
    {"fold", "the rest of what constants decide"},
};

constexpr std::pair<std::string_view, Backend> kBackends[] = {
    {"auto", Backend::automatic},
    {"reference", Backend::reference},
    {"highway", Backend::highway},
    {"onednn", Backend::onednn},
};

KernelChoice kernels_of(Backend backend) {
  switch (backend) {
    case Backend::highway:
      return KernelChoice::highway;
    case Backend::onednn:
      return KernelChoice::onednn;
    default:
      return KernelChoice::automatic;
  }
}

// The symbols of a type by the extents of a value of this type.
void bind(const ValueType& type, const Tensor& tensor, std::map<std::string, int64_t>& symbols) {
  if (!type.shape.ranked()) return;
  for (size_t i = 0; i < type.shape.rank(); ++i) {
    if (type.shape[i].is_symbol()) symbols[type.shape[i].name()] = tensor.extents()[i];
  }
}

void append_steps(std::string& out, const Region& region, const std::string& prefix, int depth) {
  size_t number = 0;
  for (const Node* node = region.first(); node; node = node->next()) {
    if (node->op() == Op::constant || node->op() == Op::yield) continue;
    const std::string step = prefix + std::to_string(number++);
    std::string types;
    for (size_t i = 0; i < node->result_count(); ++i) {
      types += (i > 0 ? ", " : "") + to_string(node->result(i)->type());
    }
    out += fmt::format("{:<10} {:<22} {:<32} {}\n", step,
                       std::string(static_cast<size_t>(2 * depth), ' ').append(name(node->op())),
                       types, node->display_name());
    for (size_t i = 0; i < node->region_count(); ++i) {
      append_steps(out, node->region(i),
                   node->region_count() > 1 ? fmt::format("{}.{}.", step, i) : step + ".",
                   depth + 1);
    }
  }
}

// The reference backend has one kernel an op and gives every result a tensor of its own.
std::string reference_steps(const Graph& graph) {
  std::string out = fmt::format("{:<10} {:<22} {:<32} {}\n", "step", "kernel", "results", "from");
  append_steps(out, graph.body(), "", 0);
  return out;
}

}  // namespace

std::string_view name(Backend backend) {
  for (const auto& [text, value] : kBackends) {
    if (value == backend) return text;
  }
  return "?";
}

Backend backend_from_name(std::string_view name) {
  std::string available;
  for (const auto& [text, value] : kBackends) {
    if (text == name) return value;
    available += (available.empty() ? "" : ", ") + std::string(text);
  }
  throw Error("no such backend: " + std::string(name) + "; available: " + available);
}

std::unique_ptr<PreparedGraph> prepare(const Graph& graph, std::span<const RuntimeValue> inputs,
                                       const ExecutableOptions& options, std::string& why) {
  reference::bind_inputs(graph, inputs);  // that they fit
  std::unique_ptr<Graph> copy = clone_graph(graph);
  std::map<std::string, int64_t> symbols;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ValueType type = copy->input(i)->type();
    if (!type.is_tensor() || !inputs[i].tensor) {
      why = "input " + copy->input(i)->name() + " of type " + to_string(type);
      return nullptr;
    }
    bind(type, *inputs[i].tensor, symbols);
    // Dimensions without a name are bound by this input's type only.
    copy->input(i)->set_type(
        ValueType::tensor(type.element, Shape::of_extents(inputs[i].tensor->extents())));
  }
  passes::specialize(*copy, symbols);
  passes::PipelineOptions no_options;
  const std::unique_ptr<Evaluator> evaluator = reference::make_evaluator(options.limits);
  passes::PassContext context;
  context.evaluator = evaluator.get();
  passes::run_pipeline(*copy, kBindShapes, context, no_options);
  passes::resolve_sequences(*copy, {});
  if (options.optimize) optimize(*copy, options.limits);
  if (!PreparedGraph::supports(*copy, &why)) return nullptr;
  return std::make_unique<PreparedGraph>(*copy,
                                         PrepareOptions{.kernels = kernels_of(options.backend),
                                                        .threads = options.threads,
                                                        .max_bytes = options.limits.max_bytes});
}

const Executable::Prepared& Executable::prepared_for(std::span<const RuntimeValue> inputs) const {
  std::vector<std::vector<int64_t>> extents;
  for (const RuntimeValue& input : inputs) {
    extents.push_back(input.tensor ? input.tensor->extents() : std::vector<int64_t>());
  }
  const auto found = std::find_if(prepared_.begin(), prepared_.end(),
                                  [&](const Prepared& p) { return p.extents == extents; });
  if (found != prepared_.end()) {
    found->last_use = ++uses_;
    return *found;
  }
  Prepared fresh;
  try {
    fresh.graph = prepare(*graph_, inputs, options_, fresh.why);
  } catch (const Error& error) {
    // A model may claim shapes that no run of it has; the reference backend only goes by what it
    // computes, and says what is wrong if something is.
    fresh.why = error.what();
  }
  fresh.extents = std::move(extents);
  fresh.last_use = ++uses_;
  if (prepared_.size() >= kMostPrepared) {
    prepared_.erase(std::min_element(
        prepared_.begin(), prepared_.end(),
        [](const Prepared& a, const Prepared& b) { return a.last_use < b.last_use; }));
  }
  return prepared_.emplace_back(std::move(fresh));
}

std::vector<RuntimeValue> Executable::run(std::span<const RuntimeValue> inputs) const {
  if (options_.backend != Backend::reference) {
    const std::lock_guard<std::mutex> lock(mutex_);
    reference::bind_inputs(*graph_, inputs);
    const Prepared& prepared = prepared_for(inputs);
    if (prepared.graph) {
      std::vector<const Tensor*> tensors;
      for (const RuntimeValue& input : inputs) tensors.push_back(input.tensor.get());
      std::vector<Tensor> outputs = prepared.graph->make_outputs();
      prepared.graph->run(tensors, outputs);
      std::vector<RuntimeValue> values;
      for (Tensor& output : outputs) values.emplace_back(std::move(output));
      return values;
    }
  }
  return reference::run(*graph_, inputs, options_.limits);
}

std::string Executable::describe(std::span<const RuntimeValue> inputs) const {
  if (options_.backend == Backend::reference) {
    return "backend reference\n" + reference_steps(*graph_);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  const Prepared& prepared = prepared_for(inputs);
  if (prepared.graph) {
    return fmt::format("backend {}\n{}", name(options_.backend), prepared.graph->describe());
  }
  return fmt::format("backend reference: {} can't run {}\n{}", name(options_.backend), prepared.why,
                     reference_steps(*graph_));
}

}  // namespace refrain
