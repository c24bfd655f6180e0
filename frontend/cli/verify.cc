// `refrain verify`: cases in the layout of ONNX's backend tests.
#include <fmt/core.h>

#include <cmath>
#include <memory>
#include <vector>

#include "frontend/cli/cli.h"
#include "frontend/driver/case.h"

namespace refrain::cli {
namespace {

struct Options {
  std::vector<std::string> cases;
  std::string backend = "auto";
  std::string stage = "optimized";
  Tolerance tolerance;
  int threads = 1;
  LimitOptions limits;
};

void require_tolerance(const char* option, double value) {
  if (!std::isfinite(value) || value < 0) {
    throw Error(fmt::format("wrong value of {}", option), "a number of at least 0",
                std::to_string(value));
  }
}

int verify(const Options& options) {
  require_tolerance("--rtol", options.tolerance.relative);
  require_tolerance("--atol", options.tolerance.absolute);
  CaseOptions run;
  run.backend = backend_from_name(options.backend);
  run.threads = options.threads;
  run.optimize = options.stage == "optimized";
  run.tolerance = options.tolerance;
  run.limits = options.limits.limits();
  run.max_file_bytes = options.limits.bytes();

  size_t passed = 0, failed = 0, skipped = 0;
  Progress progress;
  for (size_t i = 0; i < options.cases.size(); ++i) {
    const std::string name = case_name(options.cases[i]);
    progress.show(fmt::format("[{}/{}] {}", i + 1, options.cases.size(), name));
    const CaseResult result = run_case(options.cases[i], run);
    progress.clear();
    switch (result.status) {
      case CaseResult::Status::passed:
        ++passed;
        fmt::print("ok {} max_abs={:.3g} max_rel={:.3g}\n", name, result.max_abs, result.max_rel);
        break;
      case CaseResult::Status::failed:
        ++failed;
        fmt::print("FAIL {}: {}\n", name, result.why);
        break;
      case CaseResult::Status::unsupported:
        ++skipped;
        fmt::print("unsupported {}: {}\n", name, result.why);
        break;
    }
    std::fflush(stdout);
  }
  fmt::print("{} passed, {} failed, {} skipped\n", passed, failed, skipped);
  return failed > 0 ? kCheckFailed : kDone;
}

constexpr const char* kFooter = R"(
CASE is a folder with model.onnx (or NAME.rfn, where NAME is the folder's name) and
test_data_set_K/input_I.pb and output_I.pb, which go by order to the model's inputs and outputs. If it has sequence.json ({"state_in": NAME,
"state_out": NAME}) and sequence/step_KKK/ as well, these steps run one after the other, each with
the state that the one before gave.

An element a is right for an expected e if |a - e| <= ATOL + RTOL * |e|, if both are NaN, or if
both are the same infinity; for f16 and bf16 RTOL is at least one unit in the last place. Integers
and booleans must be equal, and so must element types and shapes. max_rel is over elements with
|e| > ATOL.

Prints a line a case (ok, FAIL or unsupported, which counts as skipped) and a last line with the
totals. Exits with 1 if a case failed.

Example:
  refrain verify /usr/share/libonnx-testdata/data/node/test_lstm_*)";

}  // namespace

void add_verify(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("verify", "Check models against their expected outputs");
  command.footer(kFooter);
  command.add_option("CASE", options->cases, "Folders in the layout of ONNX's backend tests")
      ->required();
  add_backend_option(command, options->backend);
  command.add_option("--stage", options->stage, "Run the graph as imported, or after the pipeline")
      ->check(CLI::IsMember({"imported", "optimized"}))
      ->capture_default_str();
  command
      .add_option("--rtol", options->tolerance.relative,
                  "Tolerance relative to the expected element")
      ->type_name("R")
      ->capture_default_str();
  command.add_option("--atol", options->tolerance.absolute, "Absolute tolerance")
      ->type_name("A")
      ->capture_default_str();
  add_threads_option(command, options->threads);
  add_limit_options(command, options->limits);
  command.callback([options, &action] { action = [options] { return verify(*options); }; });
}

}  // namespace refrain::cli
