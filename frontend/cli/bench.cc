// `refrain bench`: time, rivals and what the hardware allows.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "backends/machine/machine.h"
#include "backends/machine/roofline.h"
#include "frontend/cli/cli.h"
#include "frontend/cli/workload.h"
#include "frontend/driver/baseline.h"
#include "frontend/driver/rivals.h"
#include "frontend/driver/timing.h"

namespace refrain::cli {
namespace {

constexpr const char* kRivals[] = {"naive", "onednn", "onnxruntime"};

struct Options {
  std::string model, backend = "auto";
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

nlohmann::json optional_number(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

// Microseconds since it was made.
class Stopwatch {
 public:
  double us() const {
    return std::chrono::duration<double, std::micro>(Clock::now() - start_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

// A rival and how long it took to prepare, from the model's file on.
struct PreparedRival {
  Rival rival;
  double load_us = 0;
};

struct RivalReport {
  std::string name, version;
  double load_us = 0;
  std::optional<Timing> timing;
};

struct Report {
  std::string backend;
  double load_us = 0;
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
  json["load_us"] = report.load_us;
  for (const std::string rival : kRivals) {
    for (const char* figure : {"_us", "_median_us", "_load_us"}) json[rival + figure] = nullptr;
  }
  for (const RivalReport& rival : report.rivals) {
    json[rival.name + "_version"] = rival.version;
    if (!rival.timing) continue;
    json[rival.name + "_us"] = rival.timing->min_us;
    json[rival.name + "_median_us"] = rival.timing->median_us;
    json[rival.name + "_load_us"] = rival.load_us;
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
  fmt::print("\n\n{:<22} {:>12} {:>12} {:>9} {:>9}\n", "", "min us", "median us", "runs",
             "load ms");
  const auto row = [](const std::string& label, const Timing& timing, double load_us) {
    fmt::print("{:<22} {:>12.2f} {:>12.2f} {:>9} {:>9.1f}\n", label, timing.min_us,
               timing.median_us, timing.runs, load_us / 1e3);
  };
  row("refrain (" + report.backend + ")", report.timing, report.load_us);
  for (const RivalReport& rival : report.rivals) {
    const bool own = rival.name == "naive";  // oneDNN's version says nothing of it
    if (!rival.timing) continue;
    row(own ? rival.name : rival.name + " " + rival.version, *rival.timing, rival.load_us);
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
std::vector<PreparedRival> prepare_rivals(const Graph& bound, const Workload& work,
                                          const Options& options, Progress& progress) {
  const RivalOptions rival_options{options.threads, options.limits.limits()};
  std::vector<PreparedRival> rivals;
  for (const std::string name : kRivals) {
    if (!asks_for(options, name)) continue;
    progress.show("preparing " + name);
    const Stopwatch watch;
    Rival rival = name == "naive"    ? naive_rival(options.model, work.inputs, rival_options)
                  : name == "onednn" ? onednn_rival(options.model, work.inputs, rival_options)
                                     : onnxruntime_rival(options.onnxruntime, options.model, bound,
                                                         work.inputs, rival_options);
    rivals.push_back({std::move(rival), watch.us()});
    if (rivals.back().rival.run) continue;
    progress.clear();
    fmt::print(stderr, "refrain: no time for {}: {}\n", name, rivals.back().rival.why);
  }
  return rivals;
}

// Times a model, shapes bound, with its rivals. It took `load_us` up to here.
Report measure(const LoadedModel& model, double load_us, const Workload& work,
               const Options& options, Progress& progress) {
  const reference::Limits limits = options.limits.limits();
  const Stopwatch bind_watch;
  std::unique_ptr<Graph> bound = specialized(*model.graph, work.symbols.extents(), limits);

  Report report;
  report.load_us = load_us + bind_watch.us();
  progress.show("measuring the machine");
  report.machine = machine::measure();
  report.roofline_us = machine::roofline_us(*bound, report.machine, options.threads);
  const std::vector<PreparedRival> rivals = prepare_rivals(*bound, work, options, progress);
  const ExecutableOptions how{.backend = backend_from_name(options.backend),
                              .threads = options.threads,
                              .limits = limits,
                              .weights = model.weights};
  if (how.backend == Backend::reference) check_constants(model, options.model);
  Preparation prepared;
  const Stopwatch prepare_watch;
  if (how.backend != Backend::reference) prepared = prepare(*bound, work.inputs, how);
  report.load_us += prepare_watch.us();
  report.backend = prepared.program ? options.backend : "reference";
  if (!prepared.program && how.backend != Backend::reference) {
    progress.clear();
    fmt::print(stderr, "refrain: the reference backend is timed: {} can't run {}\n",
               options.backend, prepared.why);
  }
  PreparedGraph* const steps = prepared.program ? prepared.program->steps() : nullptr;
  std::vector<const Tensor*> inputs;
  std::vector<Tensor> outputs;
  if (steps) {
    for (const RuntimeValue& input : work.inputs) inputs.push_back(input.tensor.get());
    outputs = steps->make_outputs();
    steps->bind(inputs, outputs);
  }
  const auto run = [&] {
    int64_t iterations = 0;
    if (steps) {
      steps->run();
    } else if (prepared.program) {
      prepared.program->run(work.inputs, iterations);
    } else {
      reference::run(*bound, work.inputs, limits);
    }
  };

  progress.show("timing " + options.model);
  std::vector<std::function<void()>> programs = {run};
  for (const PreparedRival& prepared_rival : rivals) {
    if (prepared_rival.rival.run) programs.push_back(prepared_rival.rival.run);
  }
  const std::vector<Timing> timings = time_in_turns(programs, options.seconds);
  report.timing = timings[0];
  size_t next = 1;
  for (const auto& [rival, rival_load_us] : rivals) {
    report.rivals.push_back({rival.name, rival.version, rival_load_us, {}});
    if (rival.run) report.rivals.back().timing = timings[next++];
  }
  return report;
}

int bench(const Options& options) {
  if (!std::isfinite(options.seconds) || options.seconds <= 0 || options.seconds > 3600) {
    throw Error("wrong value of --seconds", "above 0, at most 3600",
                std::to_string(options.seconds));
  }
  const Stopwatch watch;
  LoadedModel model = load_model_with_warnings(options.model, options.limits);
  Graph* const graph = model.graph.get();
  Progress progress;
  progress.show("compiling " + options.model);
  optimize(model, options.limits.limits());
  const double load_us = watch.us();
  const Workload work = make_workload(*graph, options.shapes, options.limits.bytes(), options.step);
  Report report;
  try {
    report = measure(model, load_us, work, options, progress);
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

With --json: model, backend, threads, step, shapes, runs, min_us, median_us, load_us (from the file
to the first run); for each rival NAME_us (the fastest run), NAME_median_us and NAME_load_us (null:
not asked for, or not to be had) and, if asked for, NAME_version; roofline_us and machine {target,
peak_gflops, bandwidths [{bytes, gb_per_s}]}, of one core.

Examples:
  refrain bench model.onnx --shape x=100x1x64 --against naive
  refrain bench model.onnx --step --seconds 0.5 --json)";

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("bench", "Time a model, and compare");
  command.footer(kFooter);
  add_model_option(command, options->model);
  add_shape_option(command, options->shapes);
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
  add_backend_option(command, options->backend);
  add_threads_option(command, options->threads);
  add_limit_options(command, options->limits);
  command.callback([options, &action] { action = [options] { return bench(*options); }; });
}

}  // namespace refrain::cli
