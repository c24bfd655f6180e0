// `refrain inspect`: what a model looks like, at each stage.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "frontend/cli/cli.h"
#include "frontend/cli/html.h"
#include "frontend/cli/summary.h"
#include "frontend/cli/workload.h"
#include "frontend/decompile/decompile.h"
#include "frontend/io/file.h"
#include "ir/clone.h"
#include "ir/dot.h"
#include "ir/text.h"

namespace refrain::cli {
namespace {

struct Options {
  std::string model;
  std::string format = "text";
  std::string stage, backend = "auto", weights_file;
  std::vector<std::string> shapes;
  int threads = 1;
  bool weights = false;
  LimitOptions limits;
};

// What a compiled model's file holds, as comments of the text form.
std::string file_summary(const artifact::Info& info) {
  const auto megabytes = [](int64_t bytes) { return static_cast<double>(bytes) / 1e6; };
  std::string text = fmt::format(
      "# compiled model, format {}, written by {}: {:.3f} MB, of which {:.3f} MB graph\n"
      "# constants beside the graph: {}, {:.3f} MB\n",
      info.version, info.producer, megabytes(info.file_bytes), megabytes(info.graph_bytes),
      info.constants, megabytes(info.constant_bytes));
  for (const artifact::Info::Packed& packed : info.packed) {
    std::string names;
    for (const artifact::Target& target : info.targets) {
      if (target.lanes == packed.lanes) names += (names.empty() ? "" : ", ") + target.name;
    }
    text += fmt::format("# packed for {} (vectors of {}): {} blocks, {:.3f} MB\n", names,
                        packed.lanes, packed.blocks, megabytes(packed.bytes));
  }
  const artifact::Target native = artifact::native_target();
  const bool packed = std::ranges::any_of(
      info.packed, [&](const artifact::Info::Packed& p) { return p.lanes == native.lanes; });
  text += fmt::format("# this machine: {} (vectors of {}), {}\n", native.name, native.lanes,
                      packed ? "weights are used in place"
                             : "weights are packed from the constants when a graph is prepared");
  return text + "# all checksums are right\n";
}

// The steps in the order in which the backend runs them, for the shapes that --shape gives.
std::string steps(LoadedModel model, const Options& options) {
  const Workload work = make_workload(*model.graph, options.shapes, options.limits.bytes());
  const Executable executable(std::move(model.graph),
                              {.backend = backend_from_name(options.backend),
                               .threads = options.threads,
                               .limits = options.limits.limits(),
                               .weights = std::move(model.weights)});
  return "inputs\n" + shape_list(executable.graph(), work) + executable.describe(work.inputs);
}

// As equations, with the parameters in a file if one is asked for.
std::string equations(const Graph& graph, const Options& options) {
  const std::filesystem::path file =
      options.weights_file.empty()
          ? std::filesystem::path(options.model).filename().replace_extension("safetensors")
          : std::filesystem::path(options.weights_file).filename();
  const decompile::Decompiled result = decompile::decompile(graph, file.string());
  if (!options.weights_file.empty())
    write_file(options.weights_file, safetensors_encode(result.weights));
  return result.text;
}

int inspect(Options options) {
  const bool as_equations = options.format == "equations";
  // A page shows both.
  const bool both = options.stage.empty() && options.format == "html";
  if (options.stage.empty()) options.stage = as_equations || both ? "optimized" : "imported";
  if (!options.weights_file.empty() && !as_equations) {
    throw Error("--weights-file is for equations", "--format equations", options.format);
  }
  if (options.stage == "executable" && options.format != "text") {
    throw Error("--stage executable is a list of steps", "--format text", options.format);
  }
  LoadedModel model = load_model_with_warnings(options.model, options.limits);
  const Graph& graph = *model.graph;
  if (options.stage != "executable" && !options.shapes.empty())
    fix_shapes(*model.graph, options.shapes);
  const std::unique_ptr<Graph> imported = both ? clone_graph(graph) : nullptr;
  std::string text;
  if (options.stage != "imported") {
    Progress progress;
    progress.show("compiling " + options.model);
    const std::vector<passes::PassReport> reports = optimize(model, options.limits.limits());
    // A comment of the text form.
    if (options.format == "text") text = notes(reports, "# ");
  }
  if (model.compiled) {
    check_constants(model, options.model);
    if (options.format == "text") text += file_summary(*model.compiled);
  }
  const PrintOptions print_options{.all_elements = options.weights};
  if (options.stage == "executable") {
    text += steps(std::move(model), options);
  } else if (as_equations) {
    text = equations(graph, options);
  } else if (options.format == "dot") {
    text = to_dot(graph);
  } else if (both) {
    text = to_html(*imported, graph, decompile::decompile(graph, "").cells, options.model,
                   print_options);
  } else if (options.format == "html") {
    text = to_html(graph, options.model, print_options);
  } else {
    text += print(graph, print_options);
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
  return kDone;
}

constexpr const char* kFooter = R"(
Stages: the graph as it was imported, the graph that the pipeline makes of it (after comments that
say which unrolled recurrences became loops, and why others did not), or the steps that the backend
runs for the shapes that --shape gives (named dimensions that it doesn't give are 100 if a loop runs
over them, otherwise 1), with the places of their operands and results. Weights of more than 16
elements are left out of the text unless --weights is given; with it, the text is a complete model
that every command reads. With --shape, graphs are shown at those shapes too: what depends on them
is known then.

--format equations writes the model in the description language: every loop as a cell, one equation
a gate, with the usual names where it is an LSTM, a GRU or the like. Where a model chooses by its
shapes what to compute, both choices are there under comments, or, with --shape, the one for those.
--format html is one page that needs nothing else: those cells, and the graph before and after
optimization (or the --stage).

A compiled model's file is checked as a whole: its checksums, and its graph as any other. Comments
before the text say what the file holds and for which processors its weights are packed.

Examples:
  refrain inspect model.onnx
  refrain inspect model.onnx --format html > model.html
  refrain inspect model.onnx --format equations --weights-file model.safetensors > model.rfn
  refrain inspect model.onnx --format dot | dot -Tsvg > model.svg)";

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("inspect", "Print or draw a model's graph");
  command.footer(kFooter);
  add_model_option(command, options->model);
  command.add_option("--format", options->format, "How to show it")
      ->check(CLI::IsMember({"text", "dot", "html", "equations"}))
      ->capture_default_str();
  command
      .add_option("--stage", options->stage,
                  "What to show (default: imported; optimized for equations, both for html)")
      ->check(CLI::IsMember({"imported", "optimized", "executable"}));
  command.add_flag("--weights", options->weights, "Print all elements of all weights");
  command
      .add_option("--weights-file", options->weights_file,
                  "Where to write the parameters of equations (safetensors)")
      ->type_name("FILE");
  add_shape_option(command, options->shapes);
  add_backend_option(command, options->backend);
  add_threads_option(command, options->threads);
  add_limit_options(command, options->limits);
  command.callback([options, &action] { action = [options] { return inspect(*options); }; });
}

}  // namespace refrain::cli
