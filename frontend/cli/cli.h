// The subcommands of `refrain`.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "frontend/driver/executable.h"
#include "frontend/driver/model.h"
#include "ir/error.h"

namespace refrain::cli {

// Exit codes, a contract.
inline constexpr int kDone = 0;
inline constexpr int kCheckFailed = 1;
inline constexpr int kBadInput = 2;  // bad usage or bad input, with the message on stderr

// What the command line asked for; set by the subcommand that was parsed; returns the exit code.
using Action = std::function<int()>;

// Each declares its subcommand, one a file. `action` must outlive the parsing.
void add_compile(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_run(CLI::App& app, Action& action);
void add_verify(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_format(CLI::App& app, Action& action);
void add_generate(CLI::App& app, Action& action);

// --max-memory MB and --max-iterations N.
struct LimitOptions {
  int64_t megabytes = kDefaultMaxBytes >> 20;
  int64_t iterations = reference::Limits{}.max_iterations;

  int64_t bytes() const { return megabytes << 20; }
  reference::Limits limits() const { return {.max_bytes = bytes(), .max_iterations = iterations}; }
};
void add_limit_options(CLI::App& command, LimitOptions& options);

// The positional MODEL.
void add_model_option(CLI::App& command, std::string& path);
void add_threads_option(CLI::App& command, int& threads);
void add_backend_option(CLI::App& command, std::string& backend);

// load_model with the importer's warnings on stderr.
LoadedModel load_model_with_warnings(const std::string& path, const LimitOptions& limits);
// The graph alone, with its constants checked.
std::unique_ptr<Graph> load_with_warnings(const std::string& path, const LimitOptions& limits);

// A line of progress on stderr, rewritten in place, if stderr is a terminal; gone when this is.
class Progress {
 public:
  Progress();
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void show(const std::string& text);
  // Takes the line away, before something is written to stdout.
  void clear();

 private:
  bool terminal_;
  bool shown_ = false;
};

}  // namespace refrain::cli
