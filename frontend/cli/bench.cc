// `refrain bench`: time, rivals and what the hardware allows.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <vector>

#include "backends/machine/machine.h"
#include "backends/machine/roofline.h"
#include "backends/naive/naive.h"
#include "frontend/cli/cli.h"
#include "frontend/cli/summary.h"
#include "frontend/driver/baseline.h"
#include "frontend/driver/random_inputs.h"

namespace refrain::cli {
namespace {

struct Options {
  std::string model;
  std::vector<std::string> shapes;
  std::vector<std::string> against;
  double seconds = 1;
  int threads = 1;
  bool step = false;
  bool json = false;
  LimitOptions limits;
};

bool asks_for(const Options& options, std::string_view rival) {
  return std::find(options.against.begin(), options.against.end(), rival) != options.against.end();
}

struct Timing {
  double min_us = 0, median_us = 0;
  size_t runs = 0;
};

// Repeats f for about `seconds`, at least three times; the first runs, a tenth of the time and at
// least one, warm up and don't count.
template <typename F>
Timing time_runs(double seconds, const F& f) {
  using Clock = std::chrono::steady_clock;
  constexpr size_t kMostSamples = 2'000'000;
  const auto since = [](Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  const Clock::time_point warm = Clock::now();
  do {
    f();
  } while (since(warm) < seconds / 10);
  std::vector<double> samples;
  const Clock::time_point begin = Clock::now();
  while (samples.size() < 3 || (since(begin) < seconds && samples.size() < kMostSamples)) {
    const Clock::time_point start = Clock::now();
    f();
    samples.push_back(since(start) * 1e6);
  }
  std::sort(samples.begin(), samples.end());
  return {samples.front(), samples[samples.size() / 2], samples.size()};
}

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

// The graph's symbols bound, and the inputs to time it with.
struct Workload {
  SymbolBinding symbols;
  std::map<std::string, int64_t> defaults;  // that nobody asked for
  std::vector<RuntimeValue> inputs;
};

// Dimensions that have no name can't be bound through symbols: they become constants of the input's
// type.
Workload make_workload(Graph& graph, const Options& options) {
  Workload work;
  if (options.step) {
    const std::set<std::string> time = time_symbols(graph);
    if (time.empty()) {
      throw Error(
          "--step wants a model that scans a named dimension; this one has no time to step along");
    }
    for (const std::string& symbol : time) work.symbols.bind(symbol, 1);
  }
  for (const std::string& argument : options.shapes) {
    const auto [input, extents] = parse_shape(graph, argument);
    Value& value = *graph.input(input);
    work.symbols.bind(value.type(), extents, value.name());
    if (!value.type().shape.ranked())
      value.set_type({value.type().element, Shape::of_extents(extents)});
    ValueType type = value.type();
    for (size_t i = 0; i < extents.size(); ++i) {
      if (type.shape[i].is_unknown()) type.shape[i] = extents[i];
    }
    value.set_type(std::move(type));
  }
  work.defaults = work.symbols.bind_defaults(graph);
  std::mt19937_64 engine(1);
  const auto budget = std::make_shared<MemoryBudget>(options.limits.bytes());
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

// Empty, with a note on stderr, if the graph can't be unrolled.
std::optional<Timing> time_naive(const Graph& graph, const Workload& work, Progress& progress,
                                 const Options& options) {
  try {
    const std::unique_ptr<Graph> flat = unrolled(graph, options.limits.limits());
    naive::Executable naive(*flat, options.threads, options.limits.bytes());
    for (size_t i = 0; i < work.inputs.size(); ++i) naive.set_input(i, *work.inputs[i].tensor);
    return time_runs(options.seconds, [&] { naive.run(); });
  } catch (const Error& error) {
    progress.clear();
    fmt::print(stderr, "refrain: no time for naive: {}\n", error.what());
    return {};
  }
}

nlohmann::json optional_number(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

struct Report {
  std::string backend;
  Timing timing;
  std::optional<Timing> naive;
  std::optional<double> roofline_us;
  machine::Profile machine;
};

void print_json(const Options& options, const Graph& graph, const Workload& work,
                const Report& report) {
  nlohmann::ordered_json json;
  json["model"] = options.model;
  json["backend"] = report.backend;
  json["threads"] = options.threads;
  json["step"] = options.step;
  json["shapes"] = nlohmann::ordered_json::object();
  for (size_t i = 0; i < graph.input_count(); ++i) {
    if (work.inputs[i].tensor)
      json["shapes"][graph.input(i)->name()] = work.inputs[i].tensor->extents();
  }
  json["runs"] = report.timing.runs;
  json["min_us"] = report.timing.min_us;
  json["median_us"] = report.timing.median_us;
  json["naive_us"] =
      optional_number(report.naive ? std::optional(report.naive->min_us) : std::nullopt);
  json["naive_median_us"] =
      optional_number(report.naive ? std::optional(report.naive->median_us) : std::nullopt);
  json["onednn_us"] = nullptr;
  json["roofline_us"] = optional_number(report.roofline_us);
  json["machine"]["target"] = report.machine.target;
  json["machine"]["peak_gflops"] = report.machine.peak_gflops;
  json["machine"]["bandwidths"] = nlohmann::ordered_json::array();
  for (const machine::Bandwidth& level : report.machine.bandwidths) {
    json["machine"]["bandwidths"].push_back({{"bytes", level.bytes}, {"gb_per_s", level.gb_per_s}});
  }
  // Names come from files: bytes that are no UTF-8 are replaced, not an error.
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

// The inputs that the model was timed with, one a line.
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

void print_table(const Options& options, const Graph& graph, const Workload& work,
                 const Report& report) {
  fmt::print("model     {}{}\n", options.model, options.step ? ", one step" : "");
  fmt::print("inputs\n{}", shape_list(graph, work));
  for (const auto& [symbol, extent] : work.defaults) {
    fmt::print("default   {} = {} (choose with --shape)\n", symbol, extent);
  }
  fmt::print("machine   {}, {:.0f} GFLOP/s a core; reads", report.machine.target,
             report.machine.peak_gflops);
  for (const machine::Bandwidth& level : report.machine.bandwidths) {
    fmt::print("{} {} KiB at {:.0f} GB/s", &level == report.machine.bandwidths.data() ? "" : ",",
               level.bytes >> 10, level.gb_per_s);
  }
  fmt::print("\n\n{:<22} {:>12} {:>12} {:>9}\n", "", "min us", "median us", "runs");
  const auto row = [](const std::string& label, const Timing& timing) {
    fmt::print("{:<22} {:>12.2f} {:>12.2f} {:>9}\n", label, timing.min_us, timing.median_us,
               timing.runs);
  };
  row("refrain (" + report.backend + ")", report.timing);
  if (report.naive) row("naive", *report.naive);
  if (report.roofline_us) {
    fmt::print("{:<22} {:>12.2f}\n", "roofline", *report.roofline_us);
  } else {
    fmt::print(
        "roofline               not known: the shape of a product or a loop's length is not "
        "constant\n");
  }
}

// Times a graph, shapes bound, with its rivals.
Report measure(const Graph& graph, const Workload& work, const Options& options,
               Progress& progress) {
  const reference::Limits limits = options.limits.limits();
  std::unique_ptr<Graph> bound = specialized(graph, work.symbols.extents(), limits);

  Report report;
  progress.show("measuring the machine");
  report.machine = machine::measure();
  report.roofline_us = machine::roofline_us(*bound, report.machine, options.threads);
  if (asks_for(options, "naive")) {
    progress.show("timing the naive baseline");
    report.naive = time_naive(*bound, work, progress, options);
  }
  const Executable executable(std::move(bound), backend_from_name("auto"), limits);
  report.backend = name(executable.backend());
  progress.show("timing " + options.model);
  report.timing = time_runs(options.seconds, [&] { executable.run(work.inputs); });
  return report;
}

int bench(const Options& options) {
  if (asks_for(options, "onednn")) {
    throw Error(
        "not available yet: --against onednn (oneDNN's own recurrent primitive); available: naive");
  }
  if (!std::isfinite(options.seconds) || options.seconds <= 0 || options.seconds > 3600) {
    throw Error("wrong value of --seconds", "above 0, at most 3600",
                std::to_string(options.seconds));
  }
  const std::unique_ptr<Graph> graph = load_with_warnings(options.model, options.limits);
  Progress progress;
  progress.show("compiling " + options.model);
  optimize(*graph, options.limits.limits());
  const Workload work = make_workload(*graph, options);
  Report report;
  try {
    report = measure(*graph, work, options, progress);
  } catch (const Error& error) {
    throw Error(fmt::format("{}\nThe inputs were (choose others with --shape)\n{}", error.what(),
                            shape_list(*graph, work)));
  }
  progress.clear();
  (options.json ? print_json : print_table)(options, *graph, work, report);
  return kDone;
}

constexpr const char* kFooter = R"(
Times a model on random inputs: the fastest and the median of as many runs as fit into --seconds.
Named dimensions that no --shape gives are 100 if a loop runs over them (time), otherwise 1.
--step times one streaming step: time is 1.

naive     the recurrence fully unrolled, one op at a time, each matrix product through oneDNN with
          the same number of threads, no fusion, no hoisting
roofline  the least time that the hardware allows: the products' operations at the measured peak, and
          for each step of a loop at least the time to read the weights that the state is multiplied
          by from the cache level that holds them

With --json: model, backend, threads, step, shapes, runs, min_us, median_us, naive_us (the fastest
run), naive_median_us, onednn_us, roofline_us (null: not asked for, or not to be had) and machine
{target, peak_gflops, bandwidths [{bytes, gb_per_s}]}, of one core.

Examples:
  refrain bench model.onnx --shape x=100x1x64 --against naive
  refrain bench model.onnx --step --seconds 0.5 --json)";

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("bench", "Time a model, and compare");
  command.footer(kFooter);
  add_model_option(command, options->model);
  command.add_option("--shape", options->shapes, "All extents of an input; repeat it")
      ->type_name("NAME=DxDxD")
      ->allow_extra_args(false);
  command.add_option("--seconds", options->seconds, "Time for each of the things that are timed")
      ->type_name("S")
      ->capture_default_str();
  command.add_flag("--step", options->step, "Time one streaming step");
  command
      .add_option("--against", options->against, "Rivals, with commas between them: naive, onednn")
      ->type_name("LIST")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"naive", "onednn"}));
  command.add_flag("--json", options->json, "Print JSON");
  add_threads_option(command, options->threads);
  add_limit_options(command, options->limits);
  command.callback([options, &action] { action = [options] { return bench(*options); }; });
}

}  // namespace refrain::cli
