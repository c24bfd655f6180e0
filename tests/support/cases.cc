#include "support/cases.h"

#include <algorithm>
#include <filesystem>

#include "frontend/driver/model.h"
#include "frontend/io/value_file.h"

namespace refrain::testing {
namespace {

namespace fs = std::filesystem;

std::string data_path(const std::string& folder, const char* kind, size_t i) {
  return folder + "/test_data_set_0/" + kind + "_" + std::to_string(i) + ".pb";
}

}  // namespace

std::vector<std::string> case_folders() {
  std::vector<std::string> folders;
  for (const char* root : {"/tests/models", "/../shared/cases"}) {
    const fs::path path = std::string(REFRAIN_SOURCE_DIR) + root;
    if (!fs::is_directory(path)) continue;
    for (const auto& entry : fs::directory_iterator(path)) {
      if (fs::exists(entry.path() / "model.onnx")) folders.push_back(entry.path().string());
    }
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::string case_test_name(const ::testing::TestParamInfo<std::string>& tested) {
  std::string name = fs::path(tested.param).filename().string();
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return name;
}

std::vector<RuntimeValue> case_inputs(const std::string& folder, const Graph& graph) {
  std::vector<RuntimeValue> inputs;
  for (size_t i = 0; i < graph.input_count(); ++i) {
    inputs.push_back(
        read_value(data_path(folder, "input", i), graph.input(i)->type(), kDefaultMaxBytes));
  }
  return inputs;
}

RuntimeValue case_output(const std::string& folder, const Graph& graph, size_t i) {
  return read_value(data_path(folder, "output", i), graph.output(i)->type(), kDefaultMaxBytes);
}

std::map<std::string, Tensor> sequence_step(const std::string& folder, const Graph& graph,
                                            size_t step) {
  std::string number = std::to_string(step);
  number.insert(0, 3 - std::min<size_t>(number.size(), 3), '0');
  const std::string at = folder + "/sequence/step_" + number + "/";
  std::map<std::string, Tensor> values;
  if (!fs::is_directory(at)) return values;
  const auto read = [&](const std::string& name, const std::string& file, const Value& value) {
    values.emplace(name, read_value(at + file, value.type(), kDefaultMaxBytes).tensor->clone());
  };
  for (size_t i = 0; i < graph.input_count(); ++i) {
    read(graph.input(i)->name(), "input_" + std::to_string(i) + ".pb", *graph.input(i));
  }
  for (size_t i = 0; i < graph.output_count(); ++i) {
    read(graph.output_names()[i], "output_" + std::to_string(i) + ".pb", *graph.output(i));
  }
  return values;
}

}  // namespace refrain::testing
