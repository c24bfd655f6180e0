// `refrain format`: the canonical layout of a description.
#include "frontend/equations/format.h"

#include <fmt/core.h>

#include <memory>

#include "frontend/cli/cli.h"
#include "frontend/equations/source.h"
#include "frontend/io/file.h"

namespace refrain::cli {
namespace {

struct Options {
  std::vector<std::string> files;
  bool check = false, in_place = false;
};

int format_files(const Options& options) {
  bool all_formatted = true;
  for (const std::string& file : options.files) {
    const std::string text = read_file(file, static_cast<int64_t>(equations::kMaxTextBytes));
    const std::string formatted = equations::format(file, text);
    if (options.check) {
      if (formatted != text) fmt::print("{}\n", file);
      all_formatted = all_formatted && formatted == text;
    } else if (!options.in_place) {
      std::fwrite(formatted.data(), 1, formatted.size(), stdout);
    } else if (formatted != text) {
      write_file(file, formatted);
    }
  }
  return all_formatted ? kDone : kCheckFailed;
}

constexpr const char* kFooter = R"(
Prints the description in the canonical layout (docs/language.md). Comments stay where they are.

Examples:
  refrain format model.rfn
  refrain format -i *.rfn
  refrain format --check *.rfn      prints the files that are laid out otherwise, and exits with 1)";

}  // namespace

void add_format(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("format", "Lay out a model's equations");
  command.footer(kFooter);
  command.add_option("FILE", options->files, "Descriptions (.rfn)")->required();
  CLI::Option* const check =
      command.add_flag("--check", options->check, "Change nothing, say which files would change");
  command.add_flag("-i,--in-place", options->in_place, "Write the files instead of printing")
      ->excludes(check);
  command.callback([options, &action] { action = [options] { return format_files(*options); }; });
}

}  // namespace refrain::cli
