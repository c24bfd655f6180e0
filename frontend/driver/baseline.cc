#include "frontend/driver/baseline.h"

#include "frontend/driver/model.h"
#include "ir/clone.h"
#include "passes/pass.h"
#include "passes/resolve_sequences.h"
#include "passes/specialize.h"

namespace refrain {
namespace {

// No pass that fuses or moves work: only what leaves no shape arithmetic and no dead node behind.
constexpr passes::PipelineEntry kUnroll[] = {
    {"infer", "the extents that binding made known"},
    {"simplify_shapes", "trip counts become constants"},
    {"fold", "the rest of what constants decide"},
    {"unroll", "no loop is left"},
};

constexpr passes::PipelineEntry kCleanUp[] = {
    {"infer", "the copies' states have the shapes of their own step"},
    {"simplify_shapes", "extents that only the copies know"},
    {"fold", "indices and slices of constants"},
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

std::unique_ptr<Graph> unrolled(const Graph& graph, const reference::Limits& limits) {
  std::unique_ptr<Graph> copy = clone_graph(graph);
  const std::unique_ptr<Evaluator> evaluator = reference::make_evaluator(limits);
  passes::PassContext context;
  context.evaluator = evaluator.get();
  passes::run_pipeline(*copy, kUnroll, context);
  // Sequences that a Loop filled one element a step are known now.
  passes::resolve_sequences(*copy);
  passes::run_pipeline(*copy, kCleanUp, context);
  return copy;
}

}  // namespace refrain
