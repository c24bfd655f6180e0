// `refrain compile`: the pipeline, pass by pass.
#include <fmt/core.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <vector>

#include "frontend/artifact/writer.h"
#include "frontend/cli/cli.h"
#include "frontend/cli/summary.h"
#include "frontend/cli/workload.h"
#include "frontend/io/file.h"
#include "ir/clone.h"
#include "ir/text.h"
#include "passes/specialize.h"
#include "passes/stream.h"
#include "passes/time_symbols.h"

namespace refrain::cli {
namespace {

struct Options {
  std::string model, output, dump_after, stop_after;
  std::string precision = "f32", targets = "native";
  std::vector<std::string> shapes;
  bool dynamic_time = false;
  bool weights = false;
  bool text = false;
  LimitOptions limits;
};

void require_pass(const char* option, const std::string& name) {
  std::string known;
  for (const passes::PipelineEntry& entry : passes::dynamic_time_pipeline()) {
    if (name.empty() || name == entry.pass) return;
    // A pass may run several times; it is named once.
    if ((", " + known + ",").find(", " + std::string(entry.pass) + ",") == std::string::npos) {
      known += (known.empty() ? "" : ", ") + std::string(entry.pass);
    }
  }
  throw Error(fmt::format("wrong value of {}: the pipeline has no pass {}", option, name),
              "one of " + known);
}

void print_reports(std::FILE* out, const std::vector<passes::PassReport>& reports) {
  fmt::print(out, "{:<16} {:<8} {:>8} {:>8} {:>12}\n", "pass", "changed", "before", "after",
             "time");
  for (const passes::PassReport& report : reports) {
    fmt::print(out, "{:<16} {:<8} {:>8} {:>8} {:>9.3f} ms\n", report.pass,
               report.changed ? "yes" : "no", report.nodes_before, report.nodes_after,
               static_cast<double>(report.time.count()) / 1000);
  }
}

bool writes_text(const Options& options) {
  return options.text || std::filesystem::path(options.output).extension() == ".txt";
}

// Prepares the graph, so that `weights` knows what that asks for. Returns why not, if it can't.
std::string ask_for_weights(Graph& graph, const std::shared_ptr<WeightStore>& weights,
                            const Options& options, const std::vector<std::string>& shapes) {
  const Workload work = make_workload(graph, shapes, options.limits.bytes());
  return prepare(
             graph, work.inputs,
             {.backend = Backend::highway, .limits = options.limits.limits(), .weights = weights})
      .why;
}

// One step: of a stream, if the model is one, or else of sequences of one step.
std::unique_ptr<Graph> step_of(const Graph& graph) {
  std::unique_ptr<Graph> step;
  std::map<std::string, int64_t> time;
  try {
    passes::StreamForm form = passes::make_stream(graph);
    if (form.time) time[form.time->name()] = 1;
    step = std::move(form.graph);
  } catch (const Error&) {
    for (const std::string& symbol : passes::time_symbols(graph)) time[symbol] = 1;
    if (time.empty()) return nullptr;
    step = clone_graph(graph);
  }
  passes::specialize(*step, time);
  return step;
}

void write_compiled(std::FILE* out, const Graph& graph, const Options& options,
                    const std::vector<artifact::Target>& targets) {
  const std::shared_ptr<WeightStore> weights = artifact::constants_of(graph);
  const auto pack_for = [&](const char* what, std::unique_ptr<Graph> form,
                            const std::vector<std::string>& shapes) {
    if (!form) return;
    std::string why;
    try {
      why = ask_for_weights(*form, weights, options, shapes);
    } catch (const Error& error) {
      why = error.what();
    }
    if (!why.empty()) fmt::print(out, "not packed for {}: {}\n", what, why);
  };
  pack_for("one step", step_of(graph), {});
  pack_for("whole inputs", clone_graph(graph), options.shapes);
  artifact::write_artifact(options.output, graph, *weights, targets, "refrain " REFRAIN_VERSION);
  std::string names;
  for (const artifact::Target& target : targets) {
    names += (names.empty() ? "" : ", ") + target.name;
  }
  fmt::print(out, "written   {}, {} blocks of weights packed for each of {}\n", options.output,
             weights->asked().size(), names);
}

int compile(const Options& options) {
  if (options.precision != "f32") {
    throw Error(fmt::format("not available yet: --precision {}; this version compiles to f32",
                            options.precision));
  }
  require_pass("--stop-after", options.stop_after);
  if (options.dump_after != "all") require_pass("--dump-after", options.dump_after);

  const std::vector<artifact::Target> targets = artifact::parse_targets(options.targets);
  if (!options.output.empty() && !writes_text(options) && !options.stop_after.empty()) {
    throw Error("a compiled model of a pipeline that was stopped early",
                "--text, or a FILE whose name ends in .txt, with --stop-after", options.output);
  }

  LoadedModel model = load_model_with_warnings(options.model, options.limits);
  check_constants(model, options.model);
  const std::unique_ptr<Graph> graph = std::move(model.graph);
  const PrintOptions print_options{.all_elements = options.weights};
  passes::PipelineOptions pipeline;
  pipeline.stop_after = options.stop_after;
  pipeline.after_pass = [&](const passes::PassReport& report, const Graph& result) {
    if (options.dump_after != "all" && options.dump_after != report.pass) return;
    fmt::print("# after {}{}\n{}\n", report.pass, report.changed ? "" : " (no change)",
               print(result, print_options));
  };
  Progress progress;
  progress.show("compiling " + options.model);
  const std::vector<passes::PassReport> reports =
      options.dynamic_time ? optimize_dynamic_time(*graph, options.limits.limits(), pipeline)
                           : optimize(*graph, options.limits.limits(), pipeline);
  progress.clear();

  // With dumps, stdout is nothing but graphs.
  std::FILE* out = options.dump_after.empty() ? stdout : stderr;
  print_reports(out, reports);
  if (const std::string text = notes(reports, ""); !text.empty()) fmt::print(out, "\n{}", text);
  fmt::print(out, "\n{}", summary(*graph));
  if (!options.output.empty()) {
    if (writes_text(options)) {
      write_file(options.output, print(*graph));
      fmt::print(out, "written   {}\n", options.output);
    } else {
      write_compiled(out, *graph, options, targets);
    }
  }
  return kDone;
}

constexpr const char* kFooter = R"(
Prints a table of the passes that ran (did they change the graph, nodes before and after, time)
and what came out. With --dump-after stdout holds graphs only and the table goes to stderr.

-o writes a compiled model: the optimized graph, its constants, and its weights packed for the
processors that --targets names, so that loading it takes next to no time, and all processes that
run it share its weights where they lie in the file. What is packed is what one step asks for,
and what whole inputs do (named dimensions that --shape doesn't give are 100 if a loop runs over
them, otherwise 1); for other processors and other needs weights are packed when the model is
prepared. `refrain inspect FILE` prints what such a file holds and checks all of it.

If FILE ends in .txt, or with --text, -o writes the graph in the text form instead. Every command
reads both as a MODEL, whatever the file is called.

With --dynamic-time, axes of inputs that a loop reads step by step may have any length, also where
tracing unrolled the loop for one; where something else depends on that length it is an error.

Examples:
  refrain compile model.onnx -o model.refrain
  refrain compile model.onnx -o model.refrain --targets all
  refrain compile traced.onnx --dynamic-time -o any_length.txt
  refrain compile model.onnx --dump-after all | less)";

}  // namespace

void add_compile(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("compile", "Run the pipeline and write what comes out");
  command.footer(kFooter);
  add_model_option(command, options->model);
  command.add_option("-o,--output", options->output, "Where to write the compiled model")
      ->type_name("FILE");
  command.add_flag("--text", options->text, "Write the graph in the text form");
  command
      .add_option("--targets", options->targets,
                  "Processors to pack weights for, with commas between them: native (this one), "
                  "all, sse4, neon, avx2, avx3")
      ->type_name("LIST")
      ->capture_default_str();
  add_shape_option(command, options->shapes);
  command
      .add_option("--dump-after", options->dump_after,
                  "Print the graph after each run of this pass")
      ->type_name("PASS|all");
  command
      .add_option("--stop-after", options->stop_after,
                  "End the pipeline after the last run of this pass")
      ->type_name("PASS");
  command.add_flag("--weights", options->weights, "Dumps hold all elements of all weights");
  command.add_flag("--dynamic-time", options->dynamic_time,
                   "Give back the time axis that tracing froze: the model takes any length");
  command
      .add_option("--precision", options->precision, "Of the weights; only f32 is available yet")
      ->check(CLI::IsMember({"f32", "bf16", "int8"}))
      ->capture_default_str();
  add_limit_options(command, options->limits);
  command.callback([options, &action] { action = [options] { return compile(*options); }; });
}

}  // namespace refrain::cli
