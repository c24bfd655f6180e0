#include "frontend/cli/cli.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

namespace refrain::cli {

void add_limit_options(CLI::App& command, LimitOptions& options) {
  command
      .add_option(
          "--max-memory", options.megabytes,
          "Most megabytes (2^20 bytes) that a model's file, or all tensors of a run, may take")
      ->type_name("MB")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->capture_default_str();
  command
      .add_option("--max-iterations", options.iterations,
                  "Most iterations of all ONNX Loops of a run together")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, INT64_MAX))
      ->capture_default_str();
}

void add_model_option(CLI::App& command, std::string& path) {
  command
      .add_option("MODEL", path,
                  "An .onnx file, equations (.rfn), a compiled model (`refrain compile -o`), or a "
                  "graph in the text form")
      ->required();
}

void add_threads_option(CLI::App& command, int& threads) {
  command
      .add_option("--threads", threads,
                  "Threads to use at most; the reference backend uses one whatever N is")
      ->type_name("N")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
}

void add_backend_option(CLI::App& command, std::string& backend) {
  command
      .add_option(
          "--backend", backend,
          "What runs the model: the fastest kernels, our own or oneDNN's wherever there are "
          "any, or plain loops")
      ->check(CLI::IsMember({"auto", "highway", "onednn", "reference"}))
      ->capture_default_str();
}

LoadedModel load_model_with_warnings(const std::string& path, const LimitOptions& limits) {
  LoadedModel loaded = load_model(path, limits.bytes());
  for (const std::string& warning : loaded.warnings)
    fmt::print(stderr, "refrain: warning: {}\n", warning);
  return loaded;
}

std::unique_ptr<Graph> load_with_warnings(const std::string& path, const LimitOptions& limits) {
  LoadedModel loaded = load_model_with_warnings(path, limits);
  check_constants(loaded, path);
  return std::move(loaded.graph);
}

Progress::Progress() : terminal_(isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() { clear(); }

void Progress::show(const std::string& text) {
  if (!terminal_) return;
  // \r to the line's begin, ESC[K clears to its end.
  fmt::print(stderr, "\r\033[K{}", text.substr(0, 100));
  std::fflush(stderr);
  shown_ = true;
}

void Progress::clear() {
  if (!shown_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace refrain::cli
