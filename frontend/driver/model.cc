#include "frontend/driver/model.h"

#include <filesystem>
#include <fstream>
#include <istream>
#include <limits>
#include <streambuf>

#include "frontend/equations/load.h"
#include "frontend/io/file.h"
#include "frontend/onnx/import.h"
#include "ir/error.h"
#include "ir/text.h"

namespace refrain {
namespace {

// Reads what is in memory.
class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view bytes) {
    char* const begin = const_cast<char*>(bytes.data());  // only read
    setg(begin, begin, begin + bytes.size());
  }
};

// True if the file's first word, after comments, is `graph`. No ONNX file starts so: `g` would be a
// protobuf tag of wire type 7, which does not exist.
bool holds_text_form(std::istream& in) {
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

// Bytes that tell what a file is.
constexpr size_t kBeginning = 4096;

// True if the file begins with a statement of the description language. Only for files that do not
// call themselves .onnx, which may begin with any bytes.
bool holds_equations(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string beginning(kBeginning, '\0');
  in.read(beginning.data(), static_cast<std::streamsize>(beginning.size()));
  beginning.resize(static_cast<size_t>(in.gcount()));
  return equations::looks_like_equations(beginning);
}

LoadedModel from_artifact(artifact::Artifact artifact) {
  return {std::move(artifact.graph), {}, std::move(artifact.weights), std::move(artifact.info)};
}

}  // namespace

LoadedModel load_model(const std::string& path, int64_t max_bytes) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) throw Error("no such file").in_file(path);
  if (!std::filesystem::is_regular_file(status)) throw Error("not a regular file").in_file(path);
  if (artifact::is_artifact(path)) {
    return from_artifact(artifact::read_artifact(path, max_bytes));
  }
  std::ifstream in(path, std::ios::binary);
  if (holds_text_form(in)) return {parse(read_file(path, max_bytes), path), {}, nullptr, {}};
  if (std::filesystem::path(path).extension() == ".onnx") {
    onnx_import::Imported imported = onnx_import::import_file(path, {.max_bytes = max_bytes});
    return {std::move(imported.graph), std::move(imported.warnings), nullptr, {}};
  }
  if (std::filesystem::path(path).extension() == ".rfn" || holds_equations(path)) {
    return {equations::load_file(path, {.folder = {}, .max_bytes = max_bytes}), {}};
  }
  throw Error(
      "not a model that this version reads",
      "an .onnx file, an .rfn file of equations, or a file that holds a compiled model or the "
      "text form of a graph (`graph @name ...`)",
      "neither")
      .in_file(path);
}

LoadedModel load_model_bytes(std::string_view bytes, const std::string& name, int64_t max_bytes) {
  if (static_cast<int64_t>(bytes.size()) > max_bytes) {
    throw Error("the model is too large", std::to_string(max_bytes) + " bytes at most",
                std::to_string(bytes.size()))
        .in_file(name);
  }
  if (artifact::is_artifact(bytes.data(), bytes.size())) {
    return from_artifact(artifact::read_artifact(artifact::copy_bytes(bytes), name));
  }
  ViewBuffer buffer(bytes);
  std::istream in(&buffer);
  if (holds_text_form(in)) return {parse(bytes, name), {}, nullptr, {}};
  // No ONNX model begins with one of the language's words.
  if (equations::looks_like_equations(bytes.substr(0, kBeginning))) {
    return {equations::load(name, std::string(bytes), {.folder = {}, .max_bytes = max_bytes}),
            {},
            nullptr,
            {}};
  }
  onnx_import::Imported imported = onnx_import::import_bytes(bytes, name, {.max_bytes = max_bytes});
  return {std::move(imported.graph), std::move(imported.warnings), nullptr, {}};
}

void check_constants(const LoadedModel& model, const std::string& path) {
  try {
    if (model.weights) model.weights->check_all();
  } catch (Error& error) {
    error.in_file(path);
    throw;
  }
}

std::unique_ptr<Graph> load_graph(const std::string& path, int64_t max_bytes) {
  LoadedModel model = load_model(path, max_bytes);
  check_constants(model, path);
  return std::move(model.graph);
}

namespace {

std::vector<passes::PassReport> run(Graph& graph, std::span<const passes::PipelineEntry> pipeline,
                                    const reference::Limits& limits,
                                    const passes::PipelineOptions& options) {
  const std::unique_ptr<Evaluator> evaluator = reference::make_evaluator(limits);
  passes::PassContext context;
  context.evaluator = evaluator.get();
  return passes::run_pipeline(graph, pipeline, context, options);
}

}  // namespace

std::vector<passes::PassReport> optimize(Graph& graph, const reference::Limits& limits,
                                         const passes::PipelineOptions& options) {
  return run(graph, passes::default_pipeline(), limits, options);
}

std::vector<passes::PassReport> optimize(LoadedModel& model, const reference::Limits& limits) {
  return model.compiled ? std::vector<passes::PassReport>() : optimize(*model.graph, limits);
}

std::vector<passes::PassReport> optimize_dynamic_time(Graph& graph, const reference::Limits& limits,
                                                      const passes::PipelineOptions& options) {
  std::vector<passes::PassReport> reports =
      run(graph, passes::dynamic_time_pipeline(), limits, options);
  for (const passes::PassReport& report : reports) {
    if (report.pass != "free_time" || report.changed) continue;
    std::string why;
    for (const std::string& note : report.notes) why += (why.empty() ? "" : "; ") + note;
    throw Error("no axis of any input can be given any length", "a recurrence over one",
                why.empty() ? "no loop over an axis of fixed length" : why);
  }
  return reports;
}

}  // namespace refrain
