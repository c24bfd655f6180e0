#include <algorithm>

#include "ir/error.h"
#include "ir/verify.h"
#include "passes/passes.h"

namespace refrain::passes {
namespace {

constexpr Pass kPasses[] = {
    {"infer", "makes types as specific as they can be", infer},
    {"unify_symbols", "gives one name to lengths that scans read side by side", unify_symbols},
    {"fold", "computes what depends on constants only", fold},
    {"simplify_algebra", "removes ops that change nothing", simplify_algebra},
    {"simplify_shapes", "computes extents, so that shape arithmetic disappears", simplify_shapes},
    {"cse", "merges nodes that compute the same", cse},
    {"merge_leaves", "merges equal constants and equal elements of tensors", merge_leaves},
    {"dce", "removes what no output depends on", dce},
    {"loop_to_scan", "makes loops scans whose number of iterations does not depend on them",
     loop_to_scan},
    {"resolve_sequences", "reads elements of sequences where they came from", resolve_sequences},
    {"resolve_scatters", "makes stacks of tensors that are written row by row", resolve_scatters},
    {"roll", "makes scans of recurrences that tracing has unrolled", roll},
    {"inline_steps", "takes scans of one step inside other loops for their bodies", inline_steps},
    {"free_time", "gives back the time axis that tracing froze", free_time},
    {"split_scans", "makes scans of their own of states that depend on no others", split_scans},
    {"split_concat", "makes products of concatenations in loops sums of products", split_concat},
    {"fuse_gates", "makes products in loops that share their left side one", fuse_gates},
    {"split_pointwise", "computes parts of element-wise results in loops from parts",
     split_pointwise},
    {"order_sums", "adds up first what does not depend on a loop's state", order_sums},
    {"weighted_sums", "makes sums of weighted rows in loops products", weighted_sums},
    {"precompute_products", "multiplies tables and memories by weights before loops",
     precompute_products},
    {"hoist", "takes out of loops what does not depend on their states", hoist},
    {"sink", "takes out of scans products that only stacked results depend on", sink},
    {"unroll", "replaces scans and loops of known length by copies of their bodies", unroll},
    {"widen", "makes every floating-point type f64", widen},
};

constexpr PipelineEntry kDefaultPipeline[] = {
    {"infer", "an importer may know less than inference does; all that follows goes by types"},
    {"unify_symbols", "which are to say what is equally long, whichever operand of a scan stays"},
    {"dce", "initializers and nodes that nobody uses need not be looked at any further"},
    {"fold", "axes and bounds that are computed from constants tell inference the shapes"},
    {"simplify_shapes",
     "with the shapes known, extents are numbers or symbols, and branches on them are decided"},
    {"fold", "extents that became constants make their users constants"},
    {"simplify_shapes", "and what is known of more shapes"},
    {"resolve_sequences", "lists of steps are slices and stacks, as in a trace that has no lists"},
    {"resolve_scatters", "and so are tensors that were there before and are filled step by step"},
    {"merge_leaves", "what all iterations of a trace share it holds a copy of for each"},
    {"roll", "before anything is simplified in one iteration that was written like the others"},
    {"simplify_algebra", "with the extents known, reshapes and expands turn out to do nothing"},
    {"fold", "what follows from that"},
    {"simplify_shapes", "which tells more shapes"},
    {"simplify_algebra", "and makes more of what depends on them superfluous"},
    {"cse", "what was written differently may have become the same"},
    {"simplify_algebra", "merged operands are equal operands"},
    {"dce", "what was replaced is still there, and slots that constants left are empty"},
    {"loop_to_scan", "with trip counts, indices and slices known for what they are"},
    {"roll", "what only now is seen to be alike; all that follows works on loops"},
    {"inline_steps", "a layer's single step in a loop over time is a part of that loop's body"},
    {"simplify_shapes", "the number of steps tells the extents of what they leave"},
    {"simplify_algebra", "and axes that were added for one step are taken away again"},
    {"cse", "slices that were read at several places are one"},
    {"dce", "the iteration, its condition and the sequences have no users any more"},
    {"split_scans", "what one cell multiplies of another's results is an input, and may leave"},
    {"split_concat", "of a product by state and input together, one half may leave the loop"},
    {"weighted_sums", "attention is a product of its own, which others may follow"},
    {"fuse_gates", "and the halves, of all gates, are one product by each"},
    {"fold", "weights side by side are constants, and a table can be multiplied by them"},
    {"precompute_products", "of which, selected by state, a step then needs one row only"},
    {"split_pointwise", "with each gate an expression of its own, however they were written"},
    {"order_sums", "whose terms that don't depend on state, biases too, may leave as one"},
    {"fold", "the weights that these put together or took apart are constants"},
    {"cse", "weights that several products share were put together for each of them"},
    {"dce", "the products that were replaced, and the weights that only they used, are gone"},
    {"hoist", "one product over all steps reads its weights once, and no step waits for it"},
    {"sink", "the same for what no step needs; what left before is scanned by now"},
    {"fold", "weights that left a body, turned over for the product, are constants again"},
    {"simplify_algebra", "where nothing came between, time is moved to the front and back again"},
    {"cse", "two bodies may have computed the same of one sequence"},
    {"dce", "slots that only fed what left are empty"},
};

PassReport run_pass(const Pass& pass, bool last, Graph& graph, PassContext context) {
  PassReport report;
  report.pass = pass.name;
  context.notes = &report.notes;
  report.nodes_before = count_nodes(graph.body());
  const auto start = std::chrono::steady_clock::now();
  try {
    report.changed = pass.run(graph, context);
    report.time = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - start);
    // Over a large trace this costs more than most passes.
    if (report.changed || last) verify(graph);
  } catch (const Error& error) {
    Error named("pass " + std::string(pass.name) + ": " + error.problem(), error.expected(),
                error.found());
    if (!error.node().empty() || !error.op().empty()) named.at_node(error.node(), error.op());
    if (!error.file().empty()) named.in_file(error.file());
    throw named;
  }
  report.nodes_after = count_nodes(graph.body());
  return report;
}

const Pass& known_pass(std::string_view name) {
  if (const Pass* pass = find_pass(name)) return *pass;
  std::string names;
  for (const Pass& pass : kPasses) names += (names.empty() ? "" : ", ") + std::string(pass.name);
  throw Error("unknown pass", "one of " + names, std::string(name));
}

}  // namespace

std::span<const Pass> all_passes() { return kPasses; }

const Pass* find_pass(std::string_view name) {
  const auto* const it = std::find_if(std::begin(kPasses), std::end(kPasses),
                                      [&](const Pass& pass) { return pass.name == name; });
  return it == std::end(kPasses) ? nullptr : it;
}

std::span<const PipelineEntry> default_pipeline() { return kDefaultPipeline; }

std::vector<PipelineEntry> dynamic_time_pipeline() {
  std::vector<PipelineEntry> pipeline(std::begin(kDefaultPipeline), std::end(kDefaultPipeline));
  const auto* const position =
      std::find_if(std::begin(kDefaultPipeline), std::end(kDefaultPipeline),
                   [](const PipelineEntry& entry) { return entry.pass == "split_concat"; });
  pipeline.insert(
      pipeline.begin() + (position - std::begin(kDefaultPipeline)),
      {"free_time", "loops are rolled by now, and nothing is made for their lengths yet"});
  return pipeline;
}

std::vector<PassReport> run_pipeline(Graph& graph, std::span<const PipelineEntry> pipeline,
                                     const PassContext& context, const PipelineOptions& options) {
  std::vector<const Pass*> passes;
  for (const PipelineEntry& entry : pipeline) passes.push_back(&known_pass(entry.pass));
  if (!options.stop_after.empty()) {
    const Pass* last = &known_pass(options.stop_after);
    while (!passes.empty() && passes.back() != last) passes.pop_back();
    if (passes.empty())
      throw Error("the pipeline has no such pass to stop after", "a pass of the pipeline",
                  options.stop_after);
  }
  std::vector<PassReport> reports;
  for (const Pass* pass : passes) {
    reports.push_back(run_pass(*pass, reports.size() + 1 == passes.size(), graph, context));
    if (options.after_pass) options.after_pass(reports.back(), graph);
  }
  return reports;
}

}  // namespace refrain::passes
