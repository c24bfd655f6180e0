#include <fmt/core.h>

#include <exception>
#include <new>

#include "frontend/cli/cli.h"
#include "frontend/equations/source.h"

namespace {

constexpr const char* kFooter = R"(
Start here:
  refrain inspect model.onnx              see the graph: inputs, loops, outputs
  refrain run model.onnx --random-inputs 1    run it
  refrain bench model.onnx --against naive    see how fast it is, and how fast it could be

`refrain COMMAND --help` explains a command and shows an example.
Exit codes: 0 done, 1 a check failed, 2 bad usage or bad input (the message is on stderr).)";

int fail(const std::string& message) {
  fmt::print(stderr, "refrain: {}\n", message);
  return refrain::cli::kBadInput;
}

int run(int argc, char** argv) {
  CLI::App app("Refrain compiles recurrent networks into fast CPU code.", "refrain");
  app.footer(kFooter);
  app.set_version_flag("--version", "refrain " REFRAIN_VERSION);
  app.require_subcommand(1);
  refrain::cli::Action action;
  refrain::cli::add_compile(app, action);
  refrain::cli::add_inspect(app, action);
  refrain::cli::add_run(app, action);
  refrain::cli::add_verify(app, action);
  refrain::cli::add_bench(app, action);
  refrain::cli::add_format(app, action);
  refrain::cli::add_generate(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);  // --help and --version
  } catch (const CLI::ParseError& error) {
    // CLI11 would say of an unknown command only that there must be one.
    if (app.get_subcommands().empty() && argc > 1 && argv[1][0] != '-') {
      return fail(fmt::format("unknown command {} (see refrain --help)", argv[1]));
    }
    return fail(fmt::format(
        "{} (see refrain {}--help)", error.what(),
        app.get_subcommands().empty() ? "" : app.get_subcommands().front()->get_name() + " "));
  }
  return action();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const refrain::equations::TextError& error) {
    // As compilers print it, so that editors find the place.
    fmt::print(stderr, "{}\n", error.what());
    return refrain::cli::kBadInput;
  } catch (const std::bad_alloc&) {
    return fail("out of memory");
  } catch (const std::exception& error) {
    return fail(error.what());
  }
}
