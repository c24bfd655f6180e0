// The forms in which one recurrence is exported end as one executable: the same scans, the same
// steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <numeric>
#include <sstream>

#include "frontend/driver/executable.h"
#include "frontend/driver/model.h"
#include "support/cases.h"

namespace refrain {
namespace {

namespace fs = std::filesystem;

using testing::case_folders;
using testing::case_inputs;

// A cell's folders by form: cell_mgu_loop_op11 is the form `loop` of cell_mgu.
using Forms = std::map<std::string, std::string>;

std::map<std::string, Forms> forms_of_cells() {
  std::map<std::string, Forms> cells;
  for (const std::string& folder : case_folders()) {
    const std::string name = fs::path(folder).filename().string();
    if (name.rfind("cell", 0) != 0) continue;
    for (const char* form : {"unrolled", "loop", "scan"}) {
      const size_t at = name.rfind(std::string("_") + form + "_op");
      if (at != std::string::npos) cells[name.substr(0, at)][form] = folder;
    }
  }
  return cells;
}

// Cells of more than one form.
std::vector<std::string> names_of_cells() {
  std::vector<std::string> names;
  for (const auto& [name, forms] : forms_of_cells()) {
    if (forms.size() > 1) names.push_back(name);
  }
  return names;
}

struct Recurrences {
  size_t scans = 0, loops = 0;
  bool operator==(const Recurrences&) const = default;
};

void count(const Region& region, Recurrences& found) {
  for (const Node* node = region.first(); node; node = node->next()) {
    found.scans += node->op() == Op::scan;
    found.loops += node->op() == Op::loop;
    for (size_t i = 0; i < node->region_count(); ++i) count(node->region(i), found);
  }
}

// What the steps of a prepared graph do, without where (every second line tells places) and in
// which order: of steps that don't wait for one another any may be first. Without copies, too: the
// last state of one form is the last element of what another stacks.
std::string steps_of(const PreparedGraph& prepared) {
  std::istringstream lines(prepared.describe());
  std::vector<std::string> steps;
  for (std::string line, places; std::getline(lines, line) && std::getline(lines, places);) {
    const std::string step = line.substr(line.find_first_not_of(" 0123456789"));
    const bool inside = line[0] == ' ';
    if (!step.starts_with("copy ")) steps.push_back((inside ? "  " : "") + step + "\n");
  }
  std::sort(steps.begin(), steps.end());
  return std::accumulate(steps.begin(), steps.end(), std::string());
}

class ModelForms : public ::testing::TestWithParam<std::string> {};

TEST_P(ModelForms, EndAsTheSameSteps) {
  ExecutableOptions options;
  options.backend = Backend::highway;  // the same every time
  std::string first, steps;
  Recurrences recurrences;
  const Forms forms = forms_of_cells()[GetParam()];
  for (const auto& [form, folder] : forms) {
    const std::unique_ptr<Graph> graph = load_model(folder + "/model.onnx").graph;
    optimize(*graph);
    const std::vector<RuntimeValue> inputs = case_inputs(folder, *graph);
    const Preparation preparation = prepare(*graph, inputs, options);
    ASSERT_TRUE(preparation.program) << form << ": " << preparation.why;
    const PreparedGraph* const prepared = preparation.program->steps();
    ASSERT_TRUE(prepared) << form;
    Recurrences found;
    count(graph->body(), found);
    EXPECT_EQ(found.loops, 0u) << form;
    EXPECT_GT(found.scans, 0u) << form;
    if (first.empty()) {
      first = form;
      steps = steps_of(*prepared);
      recurrences = found;
      continue;
    }
    EXPECT_EQ(found.scans, recurrences.scans) << form << " and " << first;
    EXPECT_EQ(steps_of(*prepared), steps) << form << " and " << first;
  }
}

// Ways of writing loops, too.
class ModelRecurrences : public ::testing::TestWithParam<std::string> {};

TEST_P(ModelRecurrences, BecomeScans) {
  const std::unique_ptr<Graph> graph = load_model(GetParam() + "/model.onnx").graph;
  optimize(*graph);
  Recurrences found;
  count(graph->body(), found);
  EXPECT_EQ(found.loops, 0u);
  EXPECT_GT(found.scans, 0u);
  EXPECT_LE(count_nodes(graph->body()), 80u);  // of several hundred in the traces
}

std::vector<std::string> folders_of_recurrences() {
  std::vector<std::string> folders;
  for (const std::string& folder : case_folders()) {
    const std::string name = fs::path(folder).filename().string();
    if (name.starts_with("cell") || name.starts_with("way_")) folders.push_back(folder);
  }
  return folders;
}

INSTANTIATE_TEST_SUITE_P(All, ModelRecurrences, ::testing::ValuesIn(folders_of_recurrences()),
                         testing::case_test_name);

INSTANTIATE_TEST_SUITE_P(Cells, ModelForms, ::testing::ValuesIn(names_of_cells()),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace refrain
