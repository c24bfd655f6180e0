// `refrain compile`: the pipeline, pass by pass.
#include <fmt/core.h>

#include <chrono>
#include <memory>
#include <vector>

#include "frontend/cli/cli.h"
#include "frontend/cli/summary.h"
#include "frontend/io/file.h"
#include "ir/text.h"

namespace refrain::cli {
namespace {

struct Options {
  std::string model, output, dump_after, stop_after;
  std::string precision = "f32";
  bool dynamic_time = false;
  bool weights = false;
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

int compile(const Options& options) {
  if (options.precision != "f32") {
    throw Error(fmt::format("not available yet: --precision {}; this version compiles to f32",
                            options.precision));
  }
  require_pass("--stop-after", options.stop_after);
  if (options.dump_after != "all") require_pass("--dump-after", options.dump_after);

  const std::unique_ptr<Graph> graph = load_with_warnings(options.model, options.limits);
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
    write_file(options.output, print(*graph));
    fmt::print(out, "written   {}\n", options.output);
  }
  return kDone;
}

constexpr const char* kFooter = R"(
Prints a table of the passes that ran (did they change the graph, nodes before and after, time)
and what came out. -o writes the graph that came out in the text form, which every command
reads as a MODEL, whatever the file is called. With --dump-after stdout holds graphs only and
the table goes to stderr.

With --dynamic-time, axes of inputs that a loop reads step by step may have any length, also where
tracing unrolled the loop for one; where something else depends on that length it is an error.

Examples:
  refrain compile model.onnx -o model.refrain
  refrain compile traced.onnx --dynamic-time -o any_length.txt
  refrain compile model.onnx --dump-after all | less)";

}  // namespace

void add_compile(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("compile", "Run the pipeline and write what comes out");
  command.footer(kFooter);
  add_model_option(command, options->model);
  command.add_option("-o,--output", options->output, "Where to write the optimized graph")
      ->type_name("FILE");
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
