#include "frontend/driver/baseline.h"

#include "frontend/driver/model.h"
#include "frontend/driver/random_inputs.h"
#include "ir/clone.h"
#include "passes/pass.h"
#include "passes/passes.h"
#include "passes/specialize.h"

namespace refrain {
namespace {

// No pass that fuses or moves work: only what leaves no shape arithmetic and no dead node behind.
constexpr passes::PipelineEntry kUnroll[] = {
    {"infer", "the extents that binding made known"},
    {"fold", "axes and bounds that are computed from constants"},
    {"simplify_shapes", "trip counts become constants"},
    {"simplify_algebra", "reshapes and expands that do nothing"},
    {"fold", "the rest of what constants decide"},
    {"simplify_shapes", "which tells more shapes"},
    {"cse", "what is there twice before loops are copied"},
    {"dce", "what nobody reads"},
    {"unroll", "no loop is left"},
};

constexpr passes::PipelineEntry kCleanUp[] = {
    {"infer", "the copies' states have the shapes of their own step"},
    {"simplify_shapes", "extents that only the copies know"},
    {"fold", "indices and slices of constants"},
    {"simplify_algebra", "what does nothing"},
    {"cse", "constants that every copy brought along"},
    {"dce", "what nobody reads"},
};

}  // namespace

std::unique_ptr<Graph> specialized(const Graph& graph,
                                   const std::map<std::string, int64_t>& extents,
                                   const reference::Limits& limits) {
  std::unique_ptr<Graph> copy = clone_graph(graph);
  passes::specialize(*copy, extents);
  optimize(*copy, limits);
  return copy;
}

void bind_shapes(Graph& graph, std::span<const RuntimeValue> inputs) {
  SymbolBinding symbols;
  for (size_t i = 0; i < graph.input_count(); ++i) {
    Value& input = *graph.input(i);
    symbols.bind(input.type(), inputs[i], input.name());
    if (!inputs[i].tensor || !input.type().is_tensor()) continue;
    const ValueType bound =
        ValueType::tensor(input.type().element, Shape::of_extents(inputs[i].tensor->extents()));
    // Symbols stay for specialize(), which finds them in all other types, too.
    if (!input.type().shape.ranked()) {
      input.set_type(bound);
      continue;
    }
    ValueType type = input.type();
    for (size_t k = 0; k < type.shape.rank(); ++k) {
      if (type.shape[k].is_unknown()) type.shape[k] = bound.shape[k];
    }
    input.set_type(std::move(type));
  }
  passes::specialize(graph, symbols.extents());
}

std::unique_ptr<Graph> unrolled(const Graph& imported, const reference::Limits& limits) {
  std::unique_ptr<Graph> copy = clone_graph(imported);
  const std::unique_ptr<Evaluator> evaluator = reference::make_evaluator(limits);
  passes::PassContext context;
  context.evaluator = evaluator.get();
  passes::run_pipeline(*copy, kUnroll, context);
  // Sequences that a Loop filled one element a step are known now.
  passes::resolve_sequences(*copy, {});
  passes::run_pipeline(*copy, kCleanUp, context);
  return copy;
}

}  // namespace refrain
