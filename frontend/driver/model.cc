#include "frontend/driver/model.h"

#include <filesystem>
#include <fstream>
#include <limits>

#include "frontend/io/file.h"
#include "frontend/onnx/import.h"
#include "ir/error.h"
#include "ir/text.h"

namespace refrain {
namespace {

// True if the file's first word, after comments, is `graph`. No ONNX file starts so: `g` would be a
// protobuf tag of wire type 7, which does not exist.
bool holds_text_form(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  for (char c; in.get(c);) {
    if (c == '#') {
      in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    } else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
      char word[6] = {c};
      in.read(word + 1, 5);
      const std::string_view text(word, 1 + static_cast<size_t>(in.gcount()));
      return text == "graph " || text == "graph@" || text == "graph\t" || text == "graph\n";
    }
  }
  return false;
}

}  // namespace

LoadedModel load_model(const std::string& path, int64_t max_bytes) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) throw Error("no such file").in_file(path);
  if (!std::filesystem::is_regular_file(status)) throw Error("not a regular file").in_file(path);
  if (holds_text_form(path)) return {parse(read_file(path, max_bytes), path), {}};
  if (std::filesystem::path(path).extension() == ".onnx") {
    onnx_import::Imported imported = onnx_import::import_file(path, {.max_bytes = max_bytes});
    return {std::move(imported.graph), std::move(imported.warnings)};
  }
  throw Error("not a model that this version reads",
              "an .onnx file, or a file that holds the text form of a graph (`graph @name ...`)",
              "neither")
      .in_file(path);
}

std::vector<passes::PassReport> optimize(Graph& graph, const reference::Limits& limits,
                                         const passes::PipelineOptions& options) {
  const std::unique_ptr<Evaluator> evaluator = reference::make_evaluator(limits);
  passes::PassContext context;
  context.evaluator = evaluator.get();
  return passes::run_pipeline(graph, passes::default_pipeline(), context, options);
}

}  // namespace refrain
