// `refrain run`: one run on values from files.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "frontend/cli/cli.h"
#include "frontend/cli/summary.h"
#include "frontend/cli/workload.h"
#include "frontend/driver/random_inputs.h"
#include "frontend/io/value_file.h"

namespace refrain::cli {
namespace {

struct Options {
  std::string model, output_dir, backend = "auto";
  std::vector<std::string> inputs, shapes;
  std::optional<uint64_t> seed;
  int threads = 1;
  LimitOptions limits;
};

// Where NAME=FILE names an input of the graph. Names may hold a `=` themselves, so every one is
// tried.
std::pair<size_t, std::string> find_input(const Graph& graph, const std::string& argument) {
  for (size_t at = argument.find('='); at != std::string::npos; at = argument.find('=', at + 1)) {
    for (size_t i = 0; i < graph.input_count(); ++i) {
      if (graph.input(i)->name() == std::string_view(argument).substr(0, at)) {
        return {i, argument.substr(at + 1)};
      }
    }
  }
  throw Error("--input names no input of the model: " + argument,
              "NAME=FILE, where NAME is one of the inputs " + input_list(graph));
}

std::vector<RuntimeValue> read_inputs(Graph& graph, const Options& options, ValueFormat& format) {
  std::vector<RuntimeValue> values(graph.input_count());
  std::vector<bool> given(graph.input_count());
  size_t pb = 0;
  for (const std::string& argument : options.inputs) {
    const auto [input, path] = find_input(graph, argument);
    if (given[input]) throw Error("input given twice: " + graph.input(input)->name());
    values[input] = read_value(path, graph.input(input)->type(), options.limits.bytes());
    given[input] = true;
    pb += value_format(path) == ValueFormat::pb;
  }
  format = pb > 0 && pb == options.inputs.size() ? ValueFormat::pb : ValueFormat::npy;
  if (std::all_of(given.begin(), given.end(), [](bool g) { return g; })) return values;
  if (!options.seed) {
    std::string missing;
    for (size_t i = 0; i < given.size(); ++i) {
      if (!given[i]) missing += (missing.empty() ? "" : ", ") + graph.input(i)->name();
    }
    throw Error("inputs missing: " + missing + "; give each with --input NAME=FILE (or all with " +
                "--random-inputs SEED); the inputs are " + input_list(graph));
  }
  SymbolBinding symbols;
  for (size_t i = 0; i < given.size(); ++i) {
    if (given[i]) symbols.bind(graph.input(i)->type(), values[i], graph.input(i)->name());
  }
  for (const std::string& shape : options.shapes) bind_shape(graph, shape, symbols);
  symbols.bind_defaults(graph);
  std::mt19937_64 engine(*options.seed);
  const auto budget = std::make_shared<MemoryBudget>(options.limits.bytes());
  for (size_t i = 0; i < given.size(); ++i) {
    if (!given[i]) values[i] = random_value(graph, i, symbols, engine, budget);
  }
  return values;
}

void print_tensor(const std::string& name, const Tensor& tensor) {
  constexpr size_t kShown = 6;
  fmt::print("{}: {}", name,
             to_string(ValueType::tensor(tensor.type(), Shape::of_extents(tensor.extents()))));
  if (tensor.size() == 0) {
    fmt::print("\n");
    return;
  }
  const std::vector<double> elements = tensor.view().as_doubles();
  double low = HUGE_VAL, high = -HUGE_VAL, sum = 0;
  size_t nans = 0;
  for (const double x : elements) {
    if (std::isnan(x)) {
      ++nans;
      continue;
    }
    low = std::min(low, x);
    high = std::max(high, x);
    sum += x;
  }
  if (nans < elements.size()) {
    fmt::print("  min {:.6g}  max {:.6g}  mean {:.6g}", low, high,
               sum / static_cast<double>(elements.size() - nans));
  }
  if (nans > 0) fmt::print("  NaN {}", nans);
  fmt::print("\n  ");
  for (size_t i = 0; i < std::min(elements.size(), kShown); ++i) fmt::print(" {:.6g}", elements[i]);
  fmt::print("{}\n", elements.size() > kShown ? " ..." : "");
}

void print_value(const std::string& name, const RuntimeValue& value) {
  if (value.tensor) {
    print_tensor(name, *value.tensor);
  } else if (value.sequence) {
    fmt::print("{}: a sequence of {}\n", name, value.sequence->size());
    for (size_t i = 0; i < value.sequence->size(); ++i) {
      print_tensor(fmt::format("{}[{}]", name, i), *(*value.sequence)[i]);
    }
  } else {
    fmt::print("{}: nothing (an optional without a value)\n", name);
  }
}

void write_outputs(const Graph& graph, const std::vector<RuntimeValue>& outputs,
                   const std::string& folder, ValueFormat format) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Error("cannot make the folder: " + error.message()).in_file(folder);
  std::set<std::string> taken;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string& name = graph.output_names()[i];
    const std::string base = file_name_of(name);
    std::string stem = base;
    for (int n = 1; !taken.insert(stem).second; ++n) stem = base + "_" + std::to_string(n);
    const std::vector<std::string> paths =
        write_value((std::filesystem::path(folder) / stem).string(), outputs[i],
                    graph.output(i)->type(), name, format);
    for (const std::string& path : paths) fmt::print("written {}\n", path);
  }
}

int run(const Options& options) {
  LoadedModel model = load_model_with_warnings(options.model, options.limits);
  Progress progress;
  progress.show("compiling " + options.model);
  optimize(model, options.limits.limits());
  progress.clear();
  ValueFormat format = ValueFormat::npy;
  const std::vector<RuntimeValue> inputs = read_inputs(*model.graph, options, format);
  const Executable executable(std::move(model.graph),
                              {.backend = backend_from_name(options.backend),
                               .threads = options.threads,
                               .limits = options.limits.limits(),
                               .weights = std::move(model.weights)});
  progress.show("running " + options.model);
  const std::vector<RuntimeValue> outputs = executable.run(inputs);
  progress.clear();
  for (size_t i = 0; i < outputs.size(); ++i) {
    print_value(executable.graph().output_names()[i], outputs[i]);
  }
  if (!options.output_dir.empty())
    write_outputs(executable.graph(), outputs, options.output_dir, format);
  return kDone;
}

constexpr const char* kFooter = R"(
FILE is .npy (NumPy), or .pb (an ONNX TensorProto, or SequenceProto or OptionalProto where the
model says so). Prints shape, smallest, largest and mean element, and the first elements of each
output. With --output-dir each output is written to NAME.npy, or to NAME.pb if all inputs came
from .pb files; bytes of NAME other than letters, digits, `-`, `_`, `.` become `_`; a sequence
becomes NAME.0.npy, NAME.1.npy and so on. NumPy has no bfloat16: bf16 is written as float32.

Of random inputs, named dimensions that neither --shape nor another input gives are 100 if a loop
runs over them (time), otherwise 1.

Examples:
  refrain run model.onnx --input x=x.npy --input h0=h0.npy --output-dir out
  refrain run model.onnx --random-inputs 1 --shape x=100x1x64)";

}  // namespace

void add_run(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("run", "Run a model on inputs from files");
  command.footer(kFooter);
  add_model_option(command, options->model);
  command
      .add_option("--input", options->inputs,
                  "An input's name and the file with its value; repeat it")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
  CLI::Option* const random =
      command
          .add_option("--random-inputs", options->seed,
                      "Fill inputs that are not given with reproducible random values")
          ->type_name("SEED");
  add_shape_option(command, options->shapes)->needs(random);
  command
      .add_option("--output-dir", options->output_dir,
                  "Where to write the outputs; made if missing")
      ->type_name("DIR");
  add_backend_option(command, options->backend);
  add_threads_option(command, options->threads);
  add_limit_options(command, options->limits);
  command.callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace refrain::cli
