// `refrain bench`: time, rivals and what the hardware allows.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <vector>

#include "backends/machine/machine.h"
#include "backends/machine/roofline.h"
#include "frontend/cli/cli.h"
#include "frontend/cli/summary.h"
#include "frontend/driver/baseline.h"
#include "frontend/driver/random_inputs.h"
#include "frontend/driver/rivals.h"
#include "frontend/driver/timing.h"

namespace refrain::cli {
namespace {

constexpr const char* kRivals[] = {"naive", "onednn", "onnxruntime"};

struct Options {
  std::string model;
  std::vector<std::string> shapes;
  std::vector<std::string> against;
  std::string onnxruntime;  // path of the library
  double seconds = 1;
  int threads = 1;
  bool step = false;
  bool json = false;
  LimitOptions limits;
};

bool asks_for(const Options& options, std::string_view rival) {
  return std::find(options.against.begin(), options.against.end(), rival) != options.against.end();
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
                "NAME=DxDxD, where NAME is one of the inputs\n" + input_list(graph));
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
  for (size_t i = 0; i < graph.input_count(); ++i) {
    work.inputs.push_back(random_value(graph, i, work.symbols, engine));
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

nlohmann::json optional_number(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

struct RivalReport {
  std::string name, version;
  std::optional<Timing> timing;
};

struct Report {
  std::string backend;
  Timing timing;
  std::vector<RivalReport> rivals;  // that were asked for
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
  for (const char* rival : kRivals) {
    json[std::string(rival) + "_us"] = json[std::string(rival) + "_median_us"] = nullptr;
  }
  for (const RivalReport& rival : report.rivals) {
    json[rival.name + "_version"] = rival.version;
    if (!rival.timing) continue;
    json[rival.name + "_us"] = rival.timing->min_us;
    json[rival.name + "_median_us"] = rival.timing->median_us;
  }
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
  for (const RivalReport& rival : report.rivals) {
    const bool own = rival.name == "naive";  // oneDNN's version says nothing of it
    if (rival.timing) row(own ? rival.name : rival.name + " " + rival.version, *rival.timing);
  }
  if (report.roofline_us) {
    fmt::print("{:<22} {:>12.2f}\n", "roofline", *report.roofline_us);
  } else {
    fmt::print(
        "roofline               not known: the shape of a product or a loop's length is not "
        "constant\n");
  }
}

// The rivals that were asked for, in the order of kRivals. One that the model doesn't have is noted
// on stderr.
std::vector<Rival> prepare_rivals(const Graph& bound, const Workload& work, const Options& options,
                                  Progress& progress) {
  const RivalOptions rival_options{options.threads, options.limits.limits()};
  std::vector<Rival> rivals;
  for (const std::string name : kRivals) {
    if (!asks_for(options, name)) continue;
    progress.show("preparing " + name);
    rivals.push_back(name == "naive"    ? naive_rival(bound, work.inputs, rival_options)
                     : name == "onednn" ? onednn_rival(options.model, work.inputs, rival_options)
                                        : onnxruntime_rival(options.onnxruntime, options.model,
                                                            bound, work.inputs, rival_options));
    if (rivals.back().run) continue;
    progress.clear();
    fmt::print(stderr, "refrain: no time for {}: {}\n", name, rivals.back().why);
  }
  return rivals;
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
  const std::vector<Rival> rivals = prepare_rivals(*bound, work, options, progress);
  const Executable executable(std::move(bound), backend_from_name("auto"), limits);
  report.backend = name(executable.backend());

  progress.show("timing " + options.model);
  std::vector<std::function<void()>> programs = {[&] { executable.run(work.inputs); }};
  for (const Rival& rival : rivals) {
    if (rival.run) programs.push_back(rival.run);
  }
  const std::vector<Timing> timings = time_in_turns(programs, options.seconds);
  report.timing = timings[0];
  size_t next = 1;
  for (const Rival& rival : rivals) {
    report.rivals.push_back({rival.name, rival.version, {}});
    if (rival.run) report.rivals.back().timing = timings[next++];
  }
  return report;
}

int bench(const Options& options) {
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

Rivals are timed in turns with the model, a slice of the time each, all with --threads threads:

naive        the recurrence fully unrolled, one op at a time, each matrix product through oneDNN, no
             fusion, no hoisting
onednn       oneDNN's own recurrent primitive, for an .onnx model that is one RNN, LSTM or GRU of
             one direction with the activations that it has; the layer only, not what is around it
onnxruntime  ONNX Runtime's CPU provider, all optimizations; the library is loaded from --onnxruntime
             or $REFRAIN_ONNXRUNTIME
roofline     the least time that the hardware allows: the products' operations at the measured peak,
             and for each step of a loop at least the time to read the weights that the state is
             multiplied by from the cache level that holds them

With --json: model, backend, threads, step, shapes, runs, min_us, median_us; for each rival NAME_us
(the fastest run) and NAME_median_us (null: not asked for, or not to be had) and, if asked for,
NAME_version; roofline_us and machine {target, peak_gflops, bandwidths [{bytes, gb_per_s}]}, of one
core.

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
      .add_option("--against", options->against,
                  "Rivals, with commas between them: naive, onednn, onnxruntime")
      ->type_name("LIST")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"naive", "onednn", "onnxruntime"}));
  command.add_option("--onnxruntime", options->onnxruntime, "Library for --against onnxruntime")
      ->type_name("PATH");
  command.add_flag("--json", options->json, "Print JSON");
  add_threads_option(command, options->threads);
  add_limit_options(command, options->limits);
  command.callback([options, &action] { action = [options] { return bench(*options); }; });
}

}  // namespace refrain::cli
