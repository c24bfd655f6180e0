// The forms in which one recurrence is exported end as one executable: the same scans, the same
// steps.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <regex>
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
  const std::regex pattern("(cells?_.*)_(loop|scan)_op[0-9]+");
  for (const std::string& folder : case_folders()) {
    std::smatch match;
    const std::string name = fs::path(folder).filename().string();
    if (std::regex_match(name, match, pattern)) cells[match[1]][match[2]] = folder;
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

// What the steps of a prepared graph do, without where: every second line tells places.
std::string steps_of(const PreparedGraph& prepared) {
  std::istringstream lines(prepared.describe());
  std::string text;
  for (std::string line, places; std::getline(lines, line) && std::getline(lines, places);) {
    text += line + "\n";
  }
  return text;
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

INSTANTIATE_TEST_SUITE_P(Cells, ModelForms, ::testing::ValuesIn(names_of_cells()),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace refrain
