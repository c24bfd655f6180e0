// `refrain inspect`: what a model looks like, at each stage.
#include <fmt/core.h>

#include <memory>

#include "frontend/cli/cli.h"
#include "frontend/cli/html.h"
#include "ir/dot.h"
#include "ir/text.h"

namespace refrain::cli {
namespace {

struct Options {
  std::string model;
  std::string format = "text";
  std::string stage = "imported";
  bool weights = false;
  LimitOptions limits;
};

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

// The steps in the order in which the backend runs them. The reference backend has one kernel an op
// and gives every result a tensor of its own.
std::string steps(const Executable& executable) {
  std::string out = fmt::format("backend {}\n{:<10} {:<22} {:<32} {}\n", name(executable.backend()),
                                "step", "kernel", "results", "from");
  append_steps(out, executable.graph().body(), "", 0);
  return out;
}

int inspect(const Options& options) {
  if (options.stage == "executable" && options.format != "text") {
    throw Error("--stage executable is a list of steps", "--format text", options.format);
  }
  std::unique_ptr<Graph> graph = load_with_warnings(options.model, options.limits);
  if (options.stage != "imported") {
    Progress progress;
    progress.show("compiling " + options.model);
    optimize(*graph, options.limits.limits());
  }
  const PrintOptions print_options{.all_elements = options.weights};
  std::string text;
  if (options.stage == "executable") {
    text = steps(Executable(std::move(graph), backend_from_name("auto"), options.limits.limits()));
  } else if (options.format == "dot") {
    text = to_dot(*graph);
  } else if (options.format == "html") {
    text = to_html(*graph, options.model, print_options);
  } else {
    text = print(*graph, print_options);
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
  return kDone;
}

constexpr const char* kFooter = R"(
Stages: the graph as it was imported, the graph that the pipeline makes of it, or the steps that
the backend runs. Weights of more than 16 elements are left out of the text unless --weights is
given; with it, the text is a complete model that every command reads.

Examples:
  refrain inspect model.onnx
  refrain inspect model.onnx --stage optimized --format html > model.html
  refrain inspect model.onnx --format dot | dot -Tsvg > model.svg)";

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("inspect", "Print or draw a model's graph");
  command.footer(kFooter);
  add_model_option(command, options->model);
  command.add_option("--format", options->format, "How to show it")
      ->check(CLI::IsMember({"text", "dot", "html"}))
      ->capture_default_str();
  command.add_option("--stage", options->stage, "What to show")
      ->check(CLI::IsMember({"imported", "optimized", "executable"}))
      ->capture_default_str();
  command.add_flag("--weights", options->weights, "Print all elements of all weights");
  add_limit_options(command, options->limits);
  command.callback([options, &action] { action = [options] { return inspect(*options); }; });
}

}  // namespace refrain::cli
