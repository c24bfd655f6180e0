#include "frontend/driver/case.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "frontend/io/file.h"
#include "frontend/io/value_file.h"
#include "frontend/onnx/import.h"
#include "ir/error.h"

namespace refrain {
namespace {

namespace fs = std::filesystem;

// K of `PREFIX` K `SUFFIX`, digits only; none if the name is not of that form.
std::optional<int64_t> number_in(std::string_view name, std::string_view prefix,
                                 std::string_view suffix) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix) ||
      name.size() <= prefix.size() + suffix.size()) {
    return {};
  }
  name.remove_prefix(prefix.size());
  name.remove_suffix(suffix.size());
  int64_t value = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), value);
  if (error != std::errc() || end != name.data() + name.size() || value < 0) return {};
  return value;
}

struct Numbered {
  int64_t number;
  fs::path path;
};

// The entries of a folder with names of that form, by number.
std::vector<Numbered> numbered_entries(const fs::path& folder, std::string_view prefix,
                                       std::string_view suffix) {
  std::vector<Numbered> entries;
  std::error_code error;
  for (fs::directory_iterator i(folder, error), end; !error && i != end; i.increment(error)) {
    const auto number = number_in(i->path().filename().string(), prefix, suffix);
    if (number) entries.push_back({*number, i->path()});
  }
  if (error) throw Error("cannot read the folder: " + error.message()).in_file(folder.string());
  std::sort(entries.begin(), entries.end(),
            [](const Numbered& a, const Numbered& b) { return a.number < b.number; });
  return entries;
}

// PREFIX_0.pb to PREFIX_(N-1).pb of a folder, which must be there, and no more than those.
std::vector<fs::path> value_files(const fs::path& folder, const std::string& prefix, size_t count) {
  const std::vector<Numbered> entries = numbered_entries(folder, prefix + "_", ".pb");
  std::vector<fs::path> paths;
  for (const Numbered& entry : entries) {
    if (entry.number == static_cast<int64_t>(paths.size())) paths.push_back(entry.path);
  }
  if (paths.size() != count || entries.size() != count) {
    throw Error("wrong files " + prefix + "_I.pb",
                std::to_string(count) + ", one for each " + prefix, std::to_string(entries.size()))
        .in_file(folder.string());
  }
  return paths;
}

struct State {
  size_t input, output;
};

// What sequence.json says about the model.
struct SequencePlan {
  std::vector<State> states;
  std::optional<int64_t> steps;
};

std::vector<std::string> names_in(const nlohmann::json& json, const char* key) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (json.is_object() && found != json.end()) {
    if (found->is_string()) return {found->get<std::string>()};
    if (found->is_array() &&
        std::all_of(found->begin(), found->end(),
                    [](const nlohmann::json& name) { return name.is_string(); })) {
      return found->get<std::vector<std::string>>();
    }
  }
  throw Error(std::string("no name or list of names in ") + key);
}

SequencePlan read_sequence_plan(const std::string& path, const Graph& graph) {
  try {
    const auto json = nlohmann::json::parse(read_file(path, int64_t{1} << 20), nullptr,
                                            /*allow_exceptions=*/false);
    if (json.is_discarded()) throw Error("not JSON");
    const std::vector<std::string> in = names_in(json, "state_in"),
                                   out = names_in(json, "state_out");
    if (in.size() != out.size()) throw Error("state_in and state_out differ in number");
    SequencePlan plan;
    for (size_t i = 0; i < in.size(); ++i) {
      State state{0, 0};
      while (state.input < graph.input_count() && graph.input(state.input)->name() != in[i])
        ++state.input;
      while (state.output < graph.output_count() && graph.output_names()[state.output] != out[i]) {
        ++state.output;
      }
      if (state.input == graph.input_count())
        throw Error("the model has no input \"" + in[i] + "\"");
      if (state.output == graph.output_count())
        throw Error("the model has no output \"" + out[i] + "\"");
      plan.states.push_back(state);
    }
    if (json.contains("steps") && json["steps"].is_number_integer()) plan.steps = json["steps"];
    return plan;
  } catch (Error& error) {
    error.in_file(path);
    throw;
  }
}

class CaseRunner {
 public:
  CaseRunner(fs::path folder, const CaseOptions& options)
      : folder_(std::move(folder)), options_(options), executable_(load(folder_, options)) {}

  Comparison run() {
    const std::vector<Numbered> sets = numbered_entries(folder_, "test_data_set_", "");
    const bool sequence = fs::exists(folder_ / "sequence.json");
    if (sets.empty() && !sequence)
      throw Error("no test_data_set_K folder").in_file(folder_.string());
    for (const Numbered& set : sets) {
      run_step(set.path, {});
      if (!result_.ok()) return result_;
    }
    if (sequence) run_sequence();
    return result_;
  }

 private:
  static Executable load(const fs::path& folder, const CaseOptions& options) {
    if (!fs::is_directory(folder)) throw Error("no such folder");
    const std::string equations = case_name(folder.string()) + ".rfn";
    fs::path model = folder / "model.onnx";
    if (!fs::exists(model)) model = folder / equations;
    if (!fs::exists(model)) throw Error("no model.onnx and no " + equations + " in the folder");
    LoadedModel loaded = load_model(model.string(), options.max_file_bytes);
    if (options.optimize) optimize(*loaded.graph, options.limits);
    // An input that only lends its element type may have any shape: those of ONNX's own CastLike
    // tests do not have the shape that their models declare.
    for (size_t i = 0; i < loaded.graph->input_count(); ++i) {
      Value& input = *loaded.graph->input(i);
      if (input.unused() && input.type().is_tensor() && input.type().shape.is_static()) {
        input.set_type(ValueType::tensor(input.type().element, Shape::unranked()));
      }
    }
    return {std::move(loaded.graph),
            {.backend = options.backend,
             .threads = options.threads,
             .optimize = options.optimize,
             .limits = options.limits}};
  }

  // Runs a folder's inputs, given ones (not empty) in the place of their files, and compares with
  // the folder's outputs. Returns the outputs.
  std::vector<RuntimeValue> run_step(const fs::path& folder,
                                     const std::vector<RuntimeValue>& given) {
    const Graph& graph = executable_.graph();
    const std::vector<fs::path> inputs = value_files(folder, "input", graph.input_count());
    const std::vector<fs::path> outputs = value_files(folder, "output", graph.output_count());
    std::vector<RuntimeValue> values;
    for (size_t i = 0; i < inputs.size(); ++i) {
      values.push_back(i < given.size() && !given[i].empty()
                           ? given[i]
                           : read(inputs[i], graph.input(i)->type()));
    }
    std::vector<RuntimeValue> results = executable_.run(values);
    for (size_t i = 0; i < outputs.size(); ++i) {
      Comparison comparison =
          compare(results[i], read(outputs[i], graph.output(i)->type()), options_.tolerance);
      if (!comparison.ok()) {
        comparison.mismatch = folder.filename().string() + ": output " + std::to_string(i) + " (" +
                              graph.output_names()[i] + "): " + comparison.mismatch;
      }
      result_.merge(comparison);
    }
    return results;
  }

  void run_sequence() {
    const SequencePlan plan =
        read_sequence_plan((folder_ / "sequence.json").string(), executable_.graph());
    const std::vector<Numbered> steps = numbered_entries(folder_ / "sequence", "step_", "");
    if (steps.empty() || (plan.steps && *plan.steps != static_cast<int64_t>(steps.size()))) {
      throw Error("wrong number of folders sequence/step_KKK",
                  plan.steps ? std::to_string(*plan.steps) : "at least 1",
                  std::to_string(steps.size()))
          .in_file(folder_.string());
    }
    std::vector<RuntimeValue> given(executable_.graph().input_count());
    for (const Numbered& step : steps) {
      std::vector<RuntimeValue> results = run_step(step.path, given);
      if (!result_.ok()) return;
      for (const State& state : plan.states) given[state.input] = results[state.output];
    }
  }

  RuntimeValue read(const fs::path& path, const ValueType& type) const {
    return read_value(path.string(), type, options_.max_file_bytes);
  }

  fs::path folder_;
  const CaseOptions& options_;
  Executable executable_;
  Comparison result_;
};

std::string items_text(const onnx_import::UnsupportedError::Items& items) {
  std::string text;
  for (const auto& [what, count] : items) {
    text += (text.empty() ? "" : ", ") + what + " (" + std::to_string(count) + ")";
  }
  return text;
}

}  // namespace

std::string case_name(const std::string& folder) {
  std::string_view path = folder;
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const std::string name = fs::path(path).filename().string();
  return name.empty() || name == "." || name == ".." ? folder : name;
}

CaseResult run_case(const std::string& folder, const CaseOptions& options) {
  CaseResult result;
  try {
    const Comparison comparison = CaseRunner(folder, options).run();
    result.max_abs = comparison.max_abs;
    result.max_rel = comparison.max_rel;
    if (!comparison.ok()) {
      result.status = CaseResult::Status::failed;
      result.why = comparison.mismatch;
    }
  } catch (const onnx_import::UnsupportedError& error) {
    result.status = CaseResult::Status::unsupported;
    result.why = items_text(error.items());
  } catch (const std::bad_alloc&) {
    result.status = CaseResult::Status::failed;
    result.why = "out of memory";
  } catch (const std::exception& error) {
    result.status = CaseResult::Status::failed;
    result.why = error.what();
  }
  // Messages may quote what a file says; a case is one line.
  std::replace_if(
      result.why.begin(), result.why.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return result;
}

}  // namespace refrain
